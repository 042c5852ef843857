"""What a person is shown of a change to a file: the whole difference, or a sentence that says why it is not shown."""

import difflib
import os
from collections.abc import Iterable
from typing import Final, TypeAlias

from ...domain.action import Content, FileCreate, FileWrite
from ...domain.errors import DomainError
from ...domain.facts import FileState
from ...domain.path import components, name_of_text
from ...domain.places import is_hidden, is_sensitive
from .reading import sized
from .resolver import ENTRY, opened
from .state import chunks_of, open_data
from .world import World

_DIFF_LINES_MAX: Final = 1500
"""How many changed lines are compared with each other; more are shown as taken out and put in as a whole."""

_CONTEXT_LINES: Final = 3
_Step: TypeAlias = tuple[str, int, int, int, int]


def preview_of(world: World, root: int, action: FileWrite | FileCreate, target: FileState) -> str:
    """Return the text of a new file, or the unified difference of a changed one. Nothing is ever cut."""
    content = action.content
    if is_sensitive(action.at.path) or is_hidden(action.at.path):
        return f"the content is not shown: the file is hidden or may hold secrets ({_described(content)})"
    if target.kind == "file" and target.links > 1:
        return (
            f"the difference is not shown: the file has another name, perhaps outside the grant ({_described(content)})"
        )
    if max(content.size, target.size) > world.limits.preview_bytes_max:
        return f"too large to be shown: {_described(content)}" + _replaced(target)
    try:
        new = _text_of(world.blobs.get(content.digest))
    except DomainError:
        return f"the content can't be shown: {_described(content)} is not in the store"
    if new is None:
        return f"not text: {_described(content)}" + _replaced(target)
    if target.kind != "file":
        return new
    old = _text_of(_read(world, root, action.at.path))
    if old is None:
        return f"the file that is replaced is not text{_replaced(target)}; the new one:\n{new}"
    return unified_diff(old, new)


def _described(content: Content) -> str:
    return f"{sized(content.size)}, {content.digest}"


def _replaced(target: FileState) -> str:
    return f"; replaces {sized(target.size)}, {target.digest}" if target.kind == "file" else ""


def _read(world: World, root: int, path: str) -> bytes:
    name = name_of_text("/".join(components(path)))
    with opened(world.resolver.open(root, name, ENTRY)) as entry:
        status = os.fstat(entry)
    with opened(open_data(world.resolver, root, name, status)) as data:
        return b"".join(chunks_of(data, bytes_max=world.limits.preview_bytes_max))


def _text_of(data: bytes) -> str | None:
    if b"\x00" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def unified_diff(old: str, new: str) -> str:
    """Return the difference in the unified form, complete, in time that no pair of texts can blow up."""
    before, after = _lines(old), _lines(new)
    if before == after:
        return "no difference"
    shorter = min(len(before), len(after))
    start = next((n for n in range(shorter) if before[n] != after[n]), shorter)
    end = next((n for n in range(shorter - start) if before[-1 - n] != after[-1 - n]), shorter - start)
    first = max(0, start - _CONTEXT_LINES)
    below = min(end, _CONTEXT_LINES)
    window = before[first : len(before) - end + below], after[first : len(after) - end + below]
    shown = ["--- before\n", "+++ after\n"]
    for group in _hunks(*window, above=start - first, below=below):
        shown += _hunk(group, *window, first)
    return "".join(shown)


def _lines(text: str) -> list[str]:
    lines = [f"{line}\n" for line in text.split("\n")]
    if lines[-1] == "\n":
        return lines[:-1]
    lines[-1] = f"{lines[-1]}\\ No newline at end of file\n"
    return lines


def _hunks(before: list[str], after: list[str], *, above: int, below: int) -> Iterable[list[_Step]]:
    if max(len(before), len(after)) <= _DIFF_LINES_MAX:
        return difflib.SequenceMatcher(None, before, after).get_grouped_opcodes(_CONTEXT_LINES)
    last_before, last_after = len(before) - below, len(after) - below
    return [
        [
            ("equal", 0, above, 0, above),
            ("replace", above, last_before, above, last_after),
            ("equal", last_before, len(before), last_after, len(after)),
        ]
    ]


def _hunk(group: list[_Step], before: list[str], after: list[str], first: int) -> list[str]:
    """Return one hunk; `first` is how many lines stand above the window in both texts."""
    from_before, to_before, from_after, to_after = group[0][1], group[-1][2], group[0][3], group[-1][4]
    old_span = _span(first + from_before, to_before - from_before)
    new_span = _span(first + from_after, to_after - from_after)
    shown = [f"@@ -{old_span} +{new_span} @@\n"]
    for tag, one, two, three, four in group:
        if tag == "equal":
            shown += [f" {line}" for line in before[one:two]]
        else:
            shown += [f"-{line}" for line in before[one:two]]
            shown += [f"+{line}" for line in after[three:four]]
    return shown


def _span(lines_above: int, count: int) -> str:
    """Return a range as the unified form writes it: the first line from 1, or the line above an empty range."""
    return f"{lines_above + 1 if count else lines_above},{count}"
