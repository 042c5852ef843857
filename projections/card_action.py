"""The part of a card that says exactly what will be done to files: every file, every place, nothing cut."""

from collections.abc import Sequence
from typing import Final, assert_never

from ..domain.action import (
    Action,
    CodeRun,
    ConnectorAction,
    ConnectorRead,
    FileCreate,
    FileDelete,
    FileList,
    FileMove,
    FileRead,
    FileRename,
    FileRestore,
    FileSearch,
    FileWrite,
    Location,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
    kind_of,
    locations_of,
)
from ..domain.facts import Facts, FileState
from .card_call import connector_lines, request_lines
from .card_command import code_lines, command_lines
from .card_headline import headline, object_of
from .card_layout import block, field
from .card_places import CardPlaces
from .card_spawn import subagent_lines
from .measure import count_words, mode_words, size_words, state_words
from .question import QuestionItem
from .visible_text import quoted, visible, visible_lines

_LISTED: Final = ("file.read", "file.rename", "file.move", "file.delete", "file.restore")

_GOES_TO: Final = field("goes to", "quarantine, in the store or in .cowork of the granted folder: nothing is erased")
_OLD_BYTES: Final = field("old bytes", "kept, in the store or in quarantine: nothing is erased")


def action_lines(items: Sequence[QuestionItem], places: CardPlaces) -> tuple[str, ...]:
    """Return what will be done, line by line."""
    return (*_acts(items, places), *_other_writers(items, places))


def _acts(items: Sequence[QuestionItem], places: CardPlaces) -> list[str]:
    if len(items) == 1:
        return _of_one(items[0], places)
    if len({kind_of(item.action) for item in items}) == 1 and kind_of(items[0].action) in _LISTED:
        return _of_many(items, places)
    lines: list[str] = []
    for number, item in enumerate(items, start=1):
        lines.append(f"{number} of {len(items)}: {headline((item,), places)}")
        lines += (f"  {line}" for line in _of_one(item, places))
    return lines


def _other_writers(items: Sequence[QuestionItem], places: CardPlaces) -> list[str]:
    """Return who else of the same task writes where; nothing where nobody does."""
    written = [
        f"{visible(name)}, which has not ended, writes at {_around(item.action, places)}"
        for item in items
        for name in sorted(item.facts.claimants)
    ]
    return block("beside", list(dict.fromkeys(written)))


def _around(action: Action, places: CardPlaces) -> str:
    return f"{' or '.join(map(places.shown, locations_of(action)))}, above it or beneath it"


# Many files in one request


def _of_many(items: Sequence[QuestionItem], places: CardPlaces) -> list[str]:
    sizes = [_short_size(object_of(item.action, item.facts)) for item in items]
    width = max(map(len, sizes))
    lines = [_root_line(places, grant_id) for grant_id in _grants(items)]
    lines += (f"{size:>{width}}  {_subject(item.action, places)}" for size, item in zip(sizes, items, strict=True))
    folders = sorted({folder for item in items for folder in item.facts.new_folders})
    lines += _new_folders(folders)
    match items[0].action:
        case FileDelete():
            lines.append(_GOES_TO)
        case FileMove() | FileRename() | FileRestore():
            lines.append(field("replaces", "nothing: a name that is taken is an error"))
        case _:
            pass
    return lines


def _grants(items: Sequence[QuestionItem]) -> list[str]:
    return list(dict.fromkeys(place.grant_id for item in items for place in _file_places(item.action)))


def _file_places(action: Action) -> tuple[Location, ...]:
    match action:
        case FileMove(at=at, to=to) | FileRename(at=at, to=to):
            return (at, to)
        case FileRead(at=at) | FileDelete(at=at) | FileRestore(at=at):
            return (at,)
        case _:
            return ()


def _root_line(places: CardPlaces, grant_id: str) -> str:
    root = Location(grant_id, ".")
    return field("beneath", places.resolved(root) or places.shown(root))


def _subject(action: Action, places: CardPlaces) -> str:
    return " -> ".join(map(places.shown, _file_places(action)))


def _short_size(state: FileState | None) -> str:
    if state is None:
        return "size not known"
    if state.kind == "file":
        return size_words(state.size)
    return state_words(state)


# One action


def _of_one(item: QuestionItem, places: CardPlaces) -> list[str]:
    action, facts = item.action, item.facts
    match action:
        case FileList(at=at, recursive=recursive):
            deep = "the folder and everything beneath it" if recursive else "the folder's own entries"
            return [*_place("list", at, places), field("how far", deep)]
        case FileSearch(at=at, pattern=pattern, glob=glob):
            files = quoted(glob) if glob else "all"
            return [*_place("search in", at, places), field("pattern", quoted(pattern)), field("files", files)]
        case FileRead():
            return _reading(action, facts, places)
        case FileWrite() | FileCreate():
            return _writing(action, facts, places)
        case FileMove() | FileRename():
            return _moving(action, facts, places)
        case FileDelete(at=at):
            return [
                *_place("delete", at, places),
                field("is", state_words(facts.target)),
                *_other_names(facts),
                _GOES_TO,
            ]
        case FileRestore(at=at, digest=digest):
            return [
                *_place("put back", at, places),
                field("is", f"{state_words(facts.kept)}, {digest}"),
                field("comes from", "quarantine, where an earlier action of this engine put it"),
                field("replaces", state_words(facts.target)),
                *_new_folders(facts.new_folders),
            ]
        case ShellExec():
            return command_lines(action, facts, places)
        case CodeRun():
            return code_lines(action, facts, places)
        case NetworkRequest():
            return request_lines(action)
        case ConnectorRead() | ConnectorAction():
            return connector_lines(action)
        case SubagentSpawn():
            return subagent_lines(action)
        case _:
            assert_never(action)


def _place(label: str, at: Location, places: CardPlaces) -> list[str]:
    resolved = places.resolved(at)
    return [field(label, places.shown(at)), field("in full", resolved or "no granted folder covers it")]


def _reading(action: FileRead, facts: Facts, places: CardPlaces) -> list[str]:
    lines = [*_place("read", action.at, places), field("is", state_words(facts.target)), *_other_names(facts)]
    if action.length is not None:
        lines.append(field("part", f"{count_words(action.length, 'byte')} from byte {action.offset:,}"))
    elif action.offset:
        lines.append(field("part", f"from byte {action.offset:,} to the end"))
    return lines


def _other_names(facts: Facts) -> list[str]:
    target = facts.target
    if target is None or target.kind != "file" or target.links < 2:
        return []
    return [field("links", f"the file has {count_words(target.links, 'name')}, perhaps outside the granted folder")]


def _moving(action: FileMove | FileRename, facts: Facts, places: CardPlaces) -> list[str]:
    return [
        *_place("from", action.at, places),
        *_place("to", action.to, places),
        field("is", state_words(facts.target)),
        field("replaces", state_words(facts.destination)),
        *_new_folders(facts.new_folders),
        *_other_names(facts),
    ]


def _new_folders(folders: Sequence[str]) -> list[str]:
    return block("new folder", [quoted(folder) if " " in folder else visible_lines(folder)[0] for folder in folders])


def _writing(action: FileWrite | FileCreate, facts: Facts, places: CardPlaces) -> list[str]:
    content = action.content
    target = facts.target
    is_new = isinstance(action, FileCreate) or (target is not None and target.kind == "absent")
    replaced = "nothing: a new file" if is_new else state_words(target)
    if not is_new and target is not None and target.digest:
        replaced = f"{replaced}, {target.digest}"
    return [
        *_place("create" if is_new else "overwrite", action.at, places),
        field("replaces", replaced),
        *(() if is_new else (_OLD_BYTES,)),
        *_other_names(facts),
        *_new_folders(facts.new_folders),
        field("content", f"{size_words(content.size)}, {content.digest}"),
        *_mode(action.mode, None if is_new else target),
        *_preview(facts.preview, content.size),
    ]


def _mode(mode: int | None, replaced: FileState | None) -> list[str]:
    """Return what the action makes of the permissions; nothing where it leaves them."""
    if mode is None:
        return []
    was = "" if replaced is None else f"; it is {mode_words(replaced.mode)}"
    return [field("mode", f"{mode_words(mode)}{was}")]


def _preview(preview: str, size: int) -> list[str]:
    if not preview:
        nothing = "an empty file" if not size else "can't be shown: not text, or too large to compare"
        return [field("preview", nothing)]
    lines = preview.removesuffix("\n").split("\n")
    body = lines[2:] if lines[0].startswith("--- ") and len(lines) > 1 and lines[1].startswith("+++ ") else lines
    added = sum(line.startswith("+") for line in body)
    removed = sum(line.startswith("-") for line in body)
    ends = "" if preview.endswith("\n") else "; the last line has no line feed"
    shown = [f"  | {line}" for line in visible_lines("\n".join(lines))]
    return [field("preview", f"{added:,} added, {removed:,} removed{ends}"), *shown]
