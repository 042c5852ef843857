"""A question in one line, in our words: verb, object, place. Nothing in it is the agent's but names, and they show."""

from collections.abc import Sequence
from typing import Final, assert_never

from ..domain.action import (
    Action,
    ActionKind,
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
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
    kind_of,
    locations_of,
)
from ..domain.facts import Facts, FileState
from .card_places import CardPlaces, name_shown
from .measure import count_words, executable_word, size_words
from .question import QuestionItem, StagedBy
from .visible_text import quoted

VERBS: Final[dict[ActionKind, str]] = {
    "file.list": "List",
    "file.search": "Search",
    "file.read": "Read",
    "file.write": "Write",
    "file.create": "Create",
    "file.rename": "Rename",
    "file.move": "Move",
    "file.delete": "Delete",
    "file.restore": "Put back",
    "shell.exec": "Run",
    "code.run": "Run Python",
    "network.request": "Send",
    "connector.read": "Read through",
    "connector.action": "Act through",
    "subagent.spawn": "Start a subagent",
}
"""What each kind does, in a word or two."""


def headline(items: Sequence[QuestionItem], places: CardPlaces, staged: StagedBy | None = None) -> str:
    """Return the question's first line: `Delete 12 files in reports/2023 (3.4 MB)`.

    Of what a command changed: `Keep 12 changes of the command tidy --all`.
    """
    if staged is None:
        return _of_actions(items, places)
    whose = f"of {_command(staged.command)}"
    if len(items) == 1:
        return f"Keep a change {whose}: {_of_actions(items, places)}"
    return f"Keep {count_words(len(items), 'change')} {whose}"


def _command(action: Action) -> str:
    return f"the command {' '.join(map(name_shown, action.argv))}" if isinstance(action, ShellExec) else "Python code"


def _of_actions(items: Sequence[QuestionItem], places: CardPlaces) -> str:
    if len(items) == 1:
        return _of_one(items[0].action, object_of(items[0].action, items[0].facts), places)
    kinds = {kind_of(item.action) for item in items}
    if len(kinds) > 1:
        verbs = ", ".join(dict.fromkeys(VERBS[kind_of(item.action)].lower() for item in items))
        return f"{count_words(len(items), 'action')}: {verbs}"
    sources = [locations_of(item.action)[0] for item in items if locations_of(item.action)]
    verb = VERBS[kind_of(items[0].action)]
    if len(sources) < len(items):
        return f"{verb}: {count_words(len(items), 'action')}"
    states = [object_of(item.action, item.facts) for item in items]
    counted = f"{verb} {things(states)} in {places.folder_of_all(sources)}"
    targets = [place for item in items for place in locations_of(item.action)[1:]]
    to = f" to {places.folder_of_all(targets)}" if targets else ""
    return f"{counted}{to}{total_size(states)}"


def object_of(action: Action, facts: Facts) -> FileState | None:
    """Return the file or folder that an action is about: what stands at its place, or what is to be put back there."""
    return facts.kept if isinstance(action, FileRestore) else facts.target


def things(states: Sequence[FileState | None]) -> str:
    """Return how many files and folders these are: `12 files and 1 folder`."""
    folders = sum(state is not None and state.kind == "folder" for state in states)
    files = len(states) - folders
    counted = [count_words(files, "file")] if files or not folders else []
    return " and ".join([*counted, *([count_words(folders, "folder")] if folders else [])])


def total_size(states: Sequence[FileState | None]) -> str:
    """Return ` (3.4 MB)`, or nothing where a size is not known."""
    sizes = [state.size for state in states if state is not None and state.kind in ("file", "folder")]
    return f" ({size_words(sum(sizes))})" if sizes and len(sizes) == len(states) else ""


def _of_one(action: Action, target: FileState | None, places: CardPlaces) -> str:
    verb = VERBS[kind_of(action)]
    match action:
        case FileDelete(at=at) | FileRestore(at=at):
            folder = "folder " if target is not None and target.kind == "folder" else ""
            return f"{verb} {folder}{places.shown(at)}{total_size([target])}"
        case FileRead(at=at):
            return f"{verb} {places.shown(at)}{total_size([target])}"
        case FileMove(at=at, to=to) | FileRename(at=at, to=to):
            return f"{verb} {places.shown(at)} to {places.shown(to)}{total_size([target])}"
        case FileCreate(at=at, content=content, mode=mode):
            return f"{verb} {places.shown(at)} ({size_words(content.size)}{executable_word(mode)})"
        case FileWrite(at=at, content=content, mode=mode):
            known = target is not None and target.kind == "absent"
            size = size_words(content.size)
            return f"{verb if known else 'Overwrite'} {places.shown(at)} ({size}{executable_word(mode)})"
        case FileList(at=at, recursive=recursive):
            return f"{verb} {places.shown(at)}{' and everything beneath it' if recursive else ''}"
        case FileSearch(at=at, pattern=pattern):
            return f"{verb} {places.shown(at)} for {quoted(pattern)}"
        case ShellExec(argv=argv, cwd=cwd):
            return f"{verb} {' '.join(map(name_shown, argv))} in {places.shown(cwd)}"
        case CodeRun(python=python, cwd=cwd):
            return f"{verb} ({count_words(len(python.split(chr(10))), 'line')}) in {places.shown(cwd)}"
        case NetworkRequest(method=method, url=url):
            return f"{verb} {name_shown(method)} to {name_shown(url)}"
        case ConnectorRead(connector=connector, tool=tool) | ConnectorAction(connector=connector, tool=tool):
            return f"{verb} {name_shown(connector)}: {name_shown(tool)}"
        case SubagentSpawn():
            return verb
        case _:
            assert_never(action)
