"""What the import rules cannot see: clocks, files and waiting in pure code, two-faced imports, and swallowed errors."""

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.house.tree import RINGS, ROOT, files_of_tests, library_files, shown, syntax_tree

# What pure code may import. Everything else of the standard library, and every other package, is somebody's clock,
# disk, network or chance until the opposite has been shown and the name added here.
PURE_STANDARD_LIBRARY = frozenset(
    [
        "__future__",
        "abc",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "difflib",
        "enum",
        "fnmatch",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "ipaddress",
        "itertools",
        "json",
        "math",
        "operator",
        "posixpath",
        "re",
        "string",
        "struct",
        "textwrap",
        "types",
        "typing",
        "unicodedata",
        "urllib.parse",
        # It reads the time zone database: the same answers for a name on every machine with the same database.
        "zoneinfo",
    ]
)
PURE_PACKAGES = frozenset(["idna", "msgspec", "rfc8785", "rpds"])

CLOCK_READERS = frozenset(["now", "utcnow", "today"])
IMPURE_CALLS = frozenset(["open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint", "globals"])

# Where every error is caught on purpose. Each such line also says why, in a comment on the line itself.
BROAD_EXCEPT_FILES = {
    "adapters/cli/main.py": "the last frame: one sentence for the person, the trace for the log",
    "engine/deciding.py": "a rule that breaks must become a recorded denial",
    "engine/performing.py": "an executor may fail in any way, and each of them has to become a recorded outcome",
}

# Asking an object what it is at run time hides a type from the checkers. The number may only shrink.
REFLECTION_MAX = {"getattr": 0, "hasattr": 0, "setattr": 0, "delattr": 0, "vars": 0}

Finding = tuple[int, str]


def _is_pure_module(name: str) -> bool:
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return name in PURE_STANDARD_LIBRARY or top in PURE_STANDARD_LIBRARY
    return top in PURE_PACKAGES


def _impurities(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, f"imports {n.name}") for n in names if not _is_pure_module(n.name))
            case ast.ImportFrom(module=str(module), level=0) if not _is_pure_module(module):
                if not all(_is_pure_module(f"{module}.{name.name}") for name in node.names):
                    yield node.lineno, f"imports {module}"
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                yield node.lineno, f"calls {name}()"
            case ast.Await() | ast.AsyncFunctionDef() | ast.AsyncFor() | ast.AsyncWith():
                yield node.lineno, "waits"
            case _:
                pass
    yield from _clock_readings(tree)


def _clock_readings(tree: ast.Module) -> Iterator[Finding]:
    """Yield where the time of day is read from the datetime module, under whatever name it was imported."""
    names = set(_names_of_datetime(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in CLOCK_READERS:
            first = ast.unparse(node.value).partition(".")[0]
            if first in names:
                yield node.lineno, f"reads the clock with {ast.unparse(node)}"


def _names_of_datetime(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.asname or name.name for name in node.names if name.name == "datetime")
        elif isinstance(node, ast.ImportFrom) and node.module == "datetime":
            yield from (name.asname or name.name for name in node.names)


def _absolute_imports_of_the_library(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, f"imports {name.name} absolutely") for name in node.names if _is_ours(name.name))
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module and _is_ours(node.module):
            yield node.lineno, f"imports {node.module} absolutely"


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("cowork", "tests", *RINGS)


def _relative_imports(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level > 0:
            yield node.lineno, "imports relatively"


def _broad_excepts(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type):
            yield node.lineno, f"catches {ast.unparse(node.type) if node.type else 'everything'}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            yield from ((node.lineno, f"suppresses {ast.unparse(arg)}") for arg in node.args if _is_broad(arg))


def _is_broad(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    if isinstance(caught, ast.Tuple):
        return any(_is_broad(element) for element in caught.elts)
    return ast.unparse(caught) in ("Exception", "BaseException", "builtins.Exception", "builtins.BaseException")


def _says_why(line: str) -> bool:
    """Whether the line has a comment that is more than a message to a tool."""
    comment = line.partition("#")[2].strip()
    return len(comment.split()) >= 3 and not comment.startswith(("noqa", "type:", "pyright:", "pragma"))


def _report(files: Iterable[Path], find: Callable[[ast.Module], Iterator[Finding]]) -> list[str]:
    return [f"{shown(path)}:{line} {what}" for path in files for line, what in find(syntax_tree(path))]


def test_domain_and_projections_are_pure() -> None:
    assert _report(library_files("domain", "projections"), _impurities) == []


def test_the_engine_gets_the_time_from_its_clock() -> None:
    assert _report(library_files("engine"), _clock_readings) == []


def test_the_library_imports_itself_relatively() -> None:
    assert _report(library_files(), _absolute_imports_of_the_library) == []


def test_tests_import_absolutely() -> None:
    assert _report(files_of_tests(), _relative_imports) == []


def test_errors_are_caught_by_name_except_where_it_is_said_why() -> None:
    complaints: list[str] = []
    for path in library_files():
        lines = path.read_text(encoding="utf-8").splitlines()
        for line, what in _broad_excepts(syntax_tree(path)):
            if shown(path) not in BROAD_EXCEPT_FILES:
                complaints.append(f"{shown(path)}:{line} {what}: name the errors that are expected")
            elif not _says_why(lines[line - 1]):
                complaints.append(f"{shown(path)}:{line} {what} without a comment on the line that says why")
    assert complaints == []


def test_reflection_stays_within_its_budget() -> None:
    places: dict[str, list[str]] = {name: [] for name in REFLECTION_MAX}
    for path in library_files():
        for node in ast.walk(syntax_tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFLECTION_MAX:
                places[node.func.id].append(f"{shown(path)}:{node.lineno}")
    differing = {name: found for name, found in places.items() if len(found) != REFLECTION_MAX[name]}
    assert differing == {}, "more than REFLECTION_MAX allows, or fewer: then lower it"


def test_an_allowed_broad_except_is_still_there() -> None:
    unused = [
        name
        for name in BROAD_EXCEPT_FILES
        if (ROOT / name).is_file() and not any(_broad_excepts(syntax_tree(ROOT / name)))
    ]
    assert unused == [], "remove what is no longer needed from BROAD_EXCEPT_FILES"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os", "imports os"),
        ("import os.path as p", "imports os.path"),
        ("from pathlib import Path", "imports pathlib"),
        ("import urllib.request", "imports urllib.request"),
        ("import pydantic", "imports pydantic"),
        ("def f(p): return open(p)", "calls open()"),
        ("async def f(): ...", "waits"),
        ("from datetime import datetime as d\nd.now()", "reads the clock with d.now"),
        ("def f(answer): return answer.now()", None),
        ("import datetime\ndatetime.datetime.now(datetime.UTC)", "reads the clock with datetime.datetime.now"),
        ("from datetime import date\ndate.today()", "reads the clock with date.today"),
        ("from urllib import parse\nimport urllib.parse", None),
        ("import msgspec, rpds\nfrom collections.abc import Mapping", None),
    ],
)
def test_an_impurity_is_found(source: str, found: str | None) -> None:
    assert [what for _, what in _impurities(ast.parse(source))] == ([found] if found else [])


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("try: ...\nexcept: ...", ["catches everything"]),
        ("try: ...\nexcept Exception as e: ...", ["catches Exception"]),
        ("try: ...\nexcept (KeyError, BaseException): ...", ["catches (KeyError, BaseException)"]),
        ("try: ...\nexcept OSError: ...", []),
        ("with contextlib.suppress(Exception): ...", ["suppresses Exception"]),
    ],
)
def test_a_broad_except_is_found(source: str, found: list[str]) -> None:
    assert [what for _, what in _broad_excepts(ast.parse(source))] == found


def test_a_message_to_a_tool_is_no_reason() -> None:
    assert _says_why("except Exception as error:  # any failure of a plugin becomes an outcome")
    assert not _says_why("except Exception:  # noqa: BLE001 blind except")
    assert not _says_why("except Exception:")
