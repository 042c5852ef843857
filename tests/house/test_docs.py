"""The documentation cannot drift: its links lead somewhere, its examples run, and its reference is complete."""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.house.docs_page import Block, Reader, blocks, matches, pages
from tests.house.tree import ROOT, shown

_LINK = re.compile(r"\[[^\]\n]*\]\(<?([^)\s>]+)>?[^)\n]*\)|^\[[^\]\n]+\]: *<?(\S+?)>?$", re.MULTILINE)
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)


def _prose(page: str) -> str:
    """Return the page without its code, in which brackets are not links and `#` is no heading."""
    lines = page.splitlines()
    for block in blocks(page):
        for at in range(block.line - 1, block.line + len(block.text.splitlines()) + 1):
            lines[at] = ""
    return "\n".join(lines)


def _anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", _prose(page), re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 0
        anchor = words
        while anchor in found:
            number += 1
            anchor = f"{words}-{number}"
        found.add(anchor)
    return found


def _broken_links(path: Path) -> Iterator[str]:
    page = path.read_text(encoding="utf-8")
    for inline, reference in _LINK.findall(_CODE.sub("", _prose(page))):
        link = inline or reference
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or not target.is_relative_to(ROOT):
            yield f"{shown(path)}: {link} leads nowhere"
        elif anchor and target.suffix == ".md" and anchor not in _anchors(target.read_text(encoding="utf-8")):
            yield f"{shown(path)}: {link} names no heading of that page"


def test_every_link_to_a_file_or_heading_leads_there() -> None:
    assert [broken for path in pages() for broken in _broken_links(path)] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen = {ROOT / "README.md"}
    waiting = list(seen)
    while waiting:
        path = waiting.pop()
        for inline, reference in _LINK.findall(_CODE.sub("", _prose(path.read_text(encoding="utf-8")))):
            target = (path.parent / unquote(inline or reference).partition("#")[0]).resolve()
            if target.suffix == ".md" and target.is_file() and target not in seen:
                seen.add(target)
                waiting.append(target)
    assert [shown(path) for path in pages() if path not in seen] == []


@pytest.mark.parametrize("path", [pytest.param(path, id=shown(path)) for path in pages()])
def test_the_examples_of_a_page_do_what_the_page_says(path: Path, tmp_path: Path) -> None:
    with Reader(tmp_path) as reader:
        complaints = reader.follow(path.read_text(encoding="utf-8"))
    assert not complaints, "\n".join([shown(path), *complaints])


# The reference: each thing that exists has an entry, and each entry names a thing that exists.


def _modules_below(package_name: str) -> None:
    package = importlib.import_module(package_name)
    for module in pkgutil.walk_packages(package.__path__, f"{package_name}."):
        importlib.import_module(module.name)


def _event_topics() -> set[str]:
    from cowork.domain.event import Event

    _modules_below("cowork.domain")

    def below(kind: type[Event]) -> Iterator[type[Event]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    # Other tests in this process may have made events of their own.
    return {kind.TOPIC for kind in below(Event) if kind.__module__.startswith("cowork.") and kind.TOPIC}


def _commands() -> set[str]:
    from cyclopts import App

    main = importlib.import_module("cowork.adapters.cli.main")

    def below(app: App, words: str) -> Iterator[str]:
        names = [name for name in app if not name.startswith("-")]
        for name in names:
            if app[name].show is not False:
                yield from below(app[name], f"{words} {name}")
        if not names:
            yield words

    return set(below(main.app, "cowork"))


def _settings() -> set[str]:
    from pydantic_settings import BaseSettings

    module = importlib.import_module("cowork.adapters.settings")
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, BaseSettings)]
    return {name for kind in kinds if kind.__module__ == module.__name__ for name in kind.model_fields}


def _error_codes() -> set[str]:
    from cowork.domain.errors import ERROR_CODES

    return set(ERROR_CODES)


def _reason_codes() -> set[str]:
    from cowork.domain.reason import REASON_CODES

    return set(REASON_CODES)


@dataclass(frozen=True)
class Reference:
    """A page of docs/reference and what it has to be complete about."""

    page: str
    names: Callable[[], set[str]]


REFERENCES = (
    Reference("commands.md", _commands),
    Reference("events.md", _event_topics),
    Reference("settings.md", _settings),
    Reference("error-codes.md", _error_codes),
    Reference("reason-codes.md", _reason_codes),
)


def _headings(page: str) -> set[str]:
    """Return what is in backticks at the start of headings below the title: "## `task run`" has `task run`."""
    return set(re.findall(r"^#{2,6} +`([^`]+)`", _prose(page), re.MULTILINE))


def _first_cells(page: str) -> set[str]:
    """Return what is in backticks at the start of table rows."""
    return set(re.findall(r"^\| *`([^`]+)`", _prose(page), re.MULTILINE))


@pytest.mark.parametrize("reference", [pytest.param(reference, id=reference.page) for reference in REFERENCES])
def test_the_reference_has_an_entry_for_each_name_and_for_no_other(reference: Reference) -> None:
    names = reference.names()
    assert names, "there is nothing to refer to: the list of names is made wrongly"
    path = ROOT / "docs" / "reference" / reference.page
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    missing = names - _headings(page) - _first_cells(page)
    assert sorted(missing) == [], f"{shown(path)} has no entry (a heading or a table row that begins with `name`)"
    # A table may also list fields or options; a heading in backticks is always an entry.
    assert sorted(_headings(page) - names) == [], f"{shown(path)} describes what does not exist"


# The runner of pages itself: an example that is wrong has to be noticed.

_PAGE = """
```toml inbox/plan.toml
title = "Tidy"
```

<!-- prepare
greeting=hello
true
-->

```console
$ cat inbox/plan.toml
title = "Tidy"
$ echo $greeting task-01ABC; seq 9; \\
> echo end
hello task-…
1
…
9
end

$ echo "question            digest"; echo "confirmation-07x  9c417e02  23 h left"
…
confirmation-07x  …  23 h left
$ echo approve confirmation-… --digest …
approve confirmation-07x --digest 9c417e02

$ echo "show task-…" >&2; printf x; (exit 3)
show task-01ABC
x
[exit status 3]
```

```python run
from pathlib import Path
assert Path("inbox/plan.toml").exists()
```

```sh
false
```
"""


def _complaints(page: str, folder: Path) -> list[str]:
    with Reader(folder) as reader:
        return reader.follow(page)


def test_a_page_that_is_right_has_nothing_to_complain_about(tmp_path: Path) -> None:
    assert _complaints(_PAGE, tmp_path) == []


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('$ cat inbox/plan.toml\ntitle = "Tidy"', '$ cat inbox/plan.toml\ntitle = "Tidier"', "does not print"),
        ("9\nend", "8\nend", "does not print"),
        ("x\n[exit status 3]", "x", "ended with 3, not 0"),
        ("greeting=hello", "false", "ended with 1, not 0"),
        ('"show task-…"', '"show grant-…"', "no id that begins with grant-"),
        ('"confirmation-07x  9c417e02  23', '"confirmation-07x  unknown  23', "no digest of confirmation-07x"),
        ("$ cat inbox/plan.toml\n", "$ exit 0\n", "ended the shell"),
        ("inbox/plan.toml\ntitle", "../plan.toml\ntitle", "lies outside"),
        (").exists()", ").is_dir()", "the program fails"),
    ],
)
def test_a_page_that_is_wrong_is_noticed(before: str, after: str, complaint: str, tmp_path: Path) -> None:
    assert before in _PAGE
    assert complaint in "\n".join(_complaints(_PAGE.replace(before, after, 1), tmp_path))


def test_only_the_dots_stand_for_what_is_left_out() -> None:
    assert matches(["a", "…", "z"], ["a", "z"])
    assert matches(["a", "…"], ["a", "b", "c"])
    assert matches(["took … ms"], ["took 12 ms"])
    assert not matches(["took … ms"], ["took 12 s"])
    assert not matches(["a"], ["a", "b"])
    assert not matches([], ["a"])
    assert not matches(["a.c"], ["abc"])


def test_a_link_within_code_is_no_link_and_a_heading_within_code_no_heading() -> None:
    page = "# One\n\n```sh\n# Two\n[a](b)\n```\n\n`[c](d)`\n"
    assert _anchors(page) == {"one"}
    assert _LINK.findall(_CODE.sub("", _prose(page))) == []
    assert blocks(page) == [Block(3, ("sh",), "# Two\n[a](b)\n")]
