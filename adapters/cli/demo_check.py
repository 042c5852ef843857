"""Whether the demo's folder is as the summary says: what is on the disk is compared with what was recorded."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ...domain.path import name_of_text
from ...projections.summary_shape import FileChange, TaskSummary
from ...projections.visible_text import visible

DENIED: Final = ("secrets", "diary", "upload")
"""Steps of the plan that policy denies; that of the helper who reads what it was not given is none of them."""

SNEAK: Final = "sneak"
"""The step whose command tries to reach the network: it is let run where a person says so, and must not get out."""


class Before(msgspec.Struct, frozen=True):
    """The digest of every file in the folder, by its path, and of the file outside."""

    files: dict[bytes, str]
    outside: str

    @classmethod
    def of(cls, inbox: Path, outside: Path) -> "Before":
        """Look at the disk."""
        return cls(_files(inbox), _digest(os.fsencode(outside)))


def _files(inbox: Path) -> dict[bytes, str]:
    root = os.fsencode(inbox)
    return {
        os.path.relpath(os.path.join(folder, name), root): _digest(os.path.join(folder, name))
        for folder, _, names in os.walk(root)
        for name in names
    }


def _digest(path: bytes) -> str:
    return f"sha256:{hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()}"


def complaints_about(inbox: Path, outside: Path, before: Before, summary: TaskSummary) -> list[str]:
    """Return what is not as it should be: a sentence each, none where all is well.

    The files that there were, with every recorded change applied to them, must be exactly the files that there are;
    and of what the agent was after, nothing may have been read.
    """
    complaints = _differences(_changed(before, [summary]), _files(inbox))
    if _digest(os.fsencode(outside)) != before.outside:
        complaints.append("the file outside was changed")
    ends = {line.step_id: line.outcome for line in summary.action_log}
    complaints += [f"the step `{step_id}` was not denied" for step_id in DENIED if ends.get(step_id) != "denied"]
    complaints += [
        f"{line.details}"
        for line in summary.action_log
        if line.outcome in ("unknown", "started", "waiting") or (line.outcome == "failed" and line.step_id != SNEAK)
    ]
    if ends.get(SNEAK) == "succeeded":
        complaints.append("a command reached the network")
    if all(question.answer == "approved" for question in summary.questions):
        done = {change.change for change in summary.file_changes}
        complaints += [f"there was no {change}" for change in ("create", "move", "delete") if change not in done]
    return complaints


def complaints_about_undo(inbox: Path, before: Before, summaries: Sequence[TaskSummary]) -> list[str]:
    """Return what is not as it should be after an undo; `summaries` are those of the task and of its undo, in order.

    The folder must be as the two together say, and where nobody refused anything, as it was before both of them.
    """
    found = _files(inbox)
    complaints = _differences(_changed(before, summaries), found)
    if all(question.answer == "approved" for summary in summaries for question in summary.questions):
        complaints += _differences(before.files, found)
    return list(dict.fromkeys(complaints))


def _changed(before: Before, summaries: Sequence[TaskSummary]) -> dict[bytes, str]:
    """Return the digests of the files that there were, with every recorded change applied to them."""
    expected = dict(before.files)
    for summary in summaries:
        for change in summary.file_changes:
            _apply(change, expected)
    return expected


def _differences(expected: Mapping[bytes, str], found: Mapping[bytes, str]) -> list[str]:
    complaints = [f"{_shown(path)} is missing" for path in sorted(expected.keys() - found.keys())]
    complaints += [f"{_shown(path)} should not be there" for path in sorted(found.keys() - expected.keys())]
    complaints += [
        f"{_shown(path)} has another content"
        for path in sorted(expected.keys() & found.keys())
        if expected[path] != found[path]
    ]
    return complaints


def _apply(change: FileChange, files: dict[bytes, str]) -> None:
    path = name_of_text(change.path)
    match change.change:
        case "create" | "update":
            files[path] = change.digest_after or ""
        case "delete":
            for gone in [one for one in files if one == path or one.startswith(path + b"/")]:
                del files[gone]
        case "move" | "rename":
            files[path] = files.pop(name_of_text(change.previous_path or ""), "")


def _shown(path: bytes) -> str:
    return visible(os.fsdecode(path))
