"""What an undo does, or would do, as people and programs get it."""

from typing import Literal, TypeAlias

import msgspec

from ..domain.action import Location

UndoDeed: TypeAlias = Literal[
    "remove", "put_back", "move_back", "write_back", "merge", "set_mode", "move_aside", "gone", "left"
]
"""What becomes of a place.

`remove`: what was made goes to quarantine. `put_back`: what was deleted or replaced stands there again. `move_back`: it
gets its place or name back. `write_back`: it holds again what it held. `merge`: so it does, and what somebody changed
since stays. `set_mode`: its permissions are again what they were. `move_aside`: it makes room on the way. `gone`: it
was made, and is no longer where it was left; if somebody has moved it, it stays there. `left`: nothing is touched, and
the reason says why.
"""


class UndoLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One place and what becomes of it. Without a place, `reason` is about what is no file.

    `to` is where it is put; of what is left, where it stood before, if that was somewhere else.
    """

    deed: UndoDeed
    at: Location | None = None
    to: Location | None = None
    reason: str = ""


class UndoReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is undone and how. `task_id` is the task that does it, empty where nothing is done, or not yet.

    `folders` are the granted folders that the lines' places are in: name by grant id, the first one first.
    """

    undoes: str
    title: str
    lines: tuple[UndoLine, ...]
    folders: dict[str, str]
    task_id: str = ""

    @property
    def left(self) -> tuple[UndoLine, ...]:
        """What is not undone, and why."""
        return tuple(line for line in self.lines if line.deed == "left")

    @property
    def done(self) -> tuple[UndoLine, ...]:
        """What is undone."""
        return tuple(line for line in self.lines if line.deed not in ("left", "gone"))
