"""Random work of an agent and random edits of a person on one folder, and what an undo must have made of both.

Every line of every file is one of a kind, so that of each it can be told whose it is and whether it is still there.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
from hypothesis import strategies as st

from cowork.domain.action import Action, Content, FileCreate, FileDelete, FileMove, FileRename, FileWrite, Location

Move: TypeAlias = tuple[int, int, int, int]
"""Which of the deeds it is, and three choices for it, each taken modulo what there is to choose from."""

MOVES: Final = st.tuples(*[st.integers(0, 40)] * 4)
FILES: Final = ("a", "b", "c", "d")
FOLDERS: Final = ("p", "q", "r")
FIRST: Final = ("a", "b", "p/a", "p/b", "p/q/a", "p/q/c", "q/a", "q/r/d", "r/b")
"""The files that stand there at first."""


class Tree:
    """A picture of a folder: the files with their lines, the folders, and the modes that are not the usual one."""

    def __init__(self) -> None:
        self.files: dict[str, list[str]] = {}
        self.folders: set[str] = set()
        self.modes: dict[str, int] = {}

    @classmethod
    def of(cls, top: Path) -> "Tree":
        tree = cls()
        for path in sorted(top.rglob("*")):
            name = path.relative_to(top).as_posix()
            if path.is_dir():
                tree.folders.add(name)
            else:
                tree.files[name] = path.read_text(encoding="utf-8").splitlines()
                mode = stat.S_IMODE(path.stat().st_mode)
                if mode & 0o100:
                    tree.modes[name] = mode
        return tree

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self.files} {sorted(self.folders)} {self.modes}"

    def lines(self) -> set[str]:
        return {line for lines in self.files.values() for line in lines}

    def standing(self) -> list[str]:
        return sorted((*self.files, *self.folders))

    def add(self, name: str, lines: list[str]) -> None:
        self.files[name] = lines
        self.folders |= set(above(name))

    def take(self, name: str) -> "dict[str, list[str]]":
        taken = {path: self.files.pop(path) for path in list(self.files) if is_in(path, name)}
        self.folders -= {path for path in self.folders if is_in(path, name)}
        return taken

    def move(self, name: str, to: str) -> None:
        folders = {to + path[len(name) :] for path in self.folders if is_in(path, name)}
        self.files |= {to + path[len(name) :]: lines for path, lines in self.take(name).items()}
        self.folders |= folders | set(above(to))

    def places(self) -> list[str]:
        """Return every place that somebody might choose for something new, in folders that are there and are not."""
        tops = ["", *(f"{folder}/" for folder in sorted(self.folders) if folder.count("/") < 2)]
        tops += [f"{top}{name}/" for top in ("", "p/") for name in ("new", *FOLDERS)]
        names = [f"{top}{name}" for top in dict.fromkeys(tops) for name in (*FILES, *FOLDERS)]
        return [name for name in names if not self._is_taken(name)]

    def _is_taken(self, name: str) -> bool:
        return name in self.files or name in self.folders or any(one in self.files for one in above(name))


def is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def above(path: str) -> Iterator[str]:
    parts = path.split("/")[:-1]
    return ("/".join(parts[: count + 1]) for count in range(len(parts)))


def text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def written(top: Path) -> None:
    """Put down the files that stand there at first."""
    for name in FIRST:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text([f"{name}.{n}" for n in range(7)]), encoding="utf-8")


def given_second_names(top: Path, beside: Path, names: Sequence[int]) -> None:
    """Give some of the files a second name outside: what is replaced of those is kept as it is, not as bytes."""
    for number in sorted({number % len(FIRST) for number in names}):
        os.link(top / FIRST[number], beside / str(number))


class Agent:
    """Makes a plan of moves: it knows the folder as it was, and what it does to it itself."""

    def __init__(self, top: Path, content: Callable[[str], Content]) -> None:
        self._tree = Tree.of(top)
        self._content = content
        self._count = 0

    def actions(self, moves: list[Move]) -> list[Action]:
        """Return what the moves come to, one after the other."""
        makers = (
            self._edit,
            self._edit,
            self._create,
            self._rename,
            self._move,
            self._delete,
            self._replace,
            self._make_executable,
            self._swap,
            self._delete_and_create,
        )
        return [one for move in moves for one in makers[move[0] % len(makers)](*move[1:])]

    def _new(self) -> str:
        self._count += 1
        return f"agent.{self._count}"

    def _edit(self, which: int, line: int, how: int) -> Iterator[Action]:
        if self._tree.files:
            name = chosen(sorted(self._tree.files), which)
            lines = edited(self._tree.files[name], line, how, self._new())
            self._tree.files[name] = lines
            yield FileWrite(at=at(name), content=self._content(text(lines)))

    def _replace(self, which: int, line: int, how: int) -> Iterator[Action]:
        if self._tree.files:
            name = chosen(sorted(self._tree.files), which)
            self._tree.files[name] = [self._new() for _ in range(1 + (line + how) % 4)]
            yield FileWrite(at=at(name), content=self._content(text(self._tree.files[name])))

    def _make_executable(self, which: int, line: int, how: int) -> Iterator[Action]:
        if self._tree.files:
            name = chosen(sorted(self._tree.files), which)
            if how % 2:
                self._tree.files[name] = edited(self._tree.files[name], line, how, self._new())
            mode = (0o755, 0o700)[line % 2]
            yield FileWrite(at=at(name), content=self._content(text(self._tree.files[name])), mode=mode)

    def _create(self, which: int, line: int, how: int) -> Iterator[Action]:
        name = chosen(self._tree.places(), which + line + how)
        lines = [self._new() for _ in range(5)]
        self._tree.add(name, lines)
        yield FileCreate(at=at(name), content=self._content(text(lines)))

    def _rename(self, which: int, line: int, how: int) -> Iterator[Action]:
        del how
        if self._tree.standing():
            name = chosen(self._tree.standing(), which)
            top = name.rpartition("/")[0]
            beside = [one for one in self._tree.places() if one.rpartition("/")[0] == top]
            if beside:
                yield self._moved(FileRename, name, chosen(beside, line))

    def _move(self, which: int, line: int, how: int) -> Iterator[Action]:
        if self._tree.standing():
            name = chosen(self._tree.standing(), which)
            places = [one for one in self._tree.places() if not is_in(one, name)]
            yield self._moved(FileMove, name, chosen(places, line + how))

    def _moved(self, kind: "type[FileMove | FileRename]", name: str, to: str) -> Action:
        self._tree.move(name, to)
        return kind(at=at(name), to=at(to))

    def _delete(self, which: int, line: int, how: int) -> Iterator[Action]:
        del line, how
        if self._tree.standing():
            name = chosen(self._tree.standing(), which)
            self._tree.take(name)
            yield FileDelete(at=at(name))

    def _delete_and_create(self, which: int, line: int, how: int) -> Iterator[Action]:
        if self._tree.standing():
            name = chosen(self._tree.standing(), which)
            yield from self._delete(which, line, how)
            lines = [self._new() for _ in range(3)]
            self._tree.add(name, lines)
            yield FileCreate(at=at(name), content=self._content(text(lines)))

    def _swap(self, which: int, line: int, how: int) -> Iterator[Action]:
        standing = self._tree.standing()
        one = chosen(standing, which) if standing else ""
        others = [name for name in standing if not is_in(name, one) and not is_in(one, name)]
        if others:
            other = chosen(others, line)
            between = chosen([p for p in self._tree.places() if not is_in(p, one) and not is_in(p, other)], how)
            yield self._moved(FileMove, one, between)
            yield self._moved(FileMove, other, one)
            yield self._moved(FileMove, between, other)


class Person:
    """Edits the folder itself, with no engine in between."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._count = 0

    def edit(self, moves: list[Move]) -> None:
        makers = (
            self._edit,
            self._edit,
            self._edit,
            self._replace,
            self._create,
            self._rename,
            self._delete,
            self._make_executable,
        )
        for move in moves:
            makers[move[0] % len(makers)](Tree.of(self._top), *move[1:])

    def _new(self) -> str:
        self._count += 1
        return f"person.{self._count}"

    def _write(self, name: str, lines: list[str]) -> None:
        path = self._top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(lines), encoding="utf-8")

    def _edit(self, tree: Tree, which: int, line: int, how: int) -> None:
        if tree.files:
            name = chosen(sorted(tree.files), which)
            self._write(name, edited(tree.files[name], line, how, self._new()))

    def _replace(self, tree: Tree, which: int, line: int, how: int) -> None:
        if tree.files:
            name = chosen(sorted(tree.files), which)
            if how % 2:
                # As many editors do it: another file gets the name.
                (self._top / name).unlink()
            self._write(name, [self._new() for _ in range(1 + line % 3)])

    def _create(self, tree: Tree, which: int, line: int, how: int) -> None:
        self._write(chosen(tree.places(), which + line + how), [self._new() for _ in range(2)])

    def _rename(self, tree: Tree, which: int, line: int, how: int) -> None:
        if tree.standing():
            name = chosen(tree.standing(), which)
            places = [one for one in tree.places() if not is_in(one, name)]
            to = self._top / chosen(places, line + how)
            to.parent.mkdir(parents=True, exist_ok=True)
            (self._top / name).rename(to)

    def _delete(self, tree: Tree, which: int, line: int, how: int) -> None:
        del line, how
        if tree.standing():
            path = self._top / chosen(tree.standing(), which)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _make_executable(self, tree: Tree, which: int, line: int, how: int) -> None:
        del how
        if tree.files:
            os.chmod(self._top / chosen(sorted(tree.files), which), (0o755, 0o711, 0o644)[line % 3])


def edited(lines: list[str], line: int, how: int, new: str) -> list[str]:
    """Return the lines with one of them replaced, taken out, or another put in."""
    at_line = line % (len(lines) + 1)
    match how % 3:
        case 0:
            return [*lines[:at_line], new, *lines[at_line + 1 :]]
        case 1:
            return [*lines[:at_line], new, *lines[at_line:]]
        case _:
            return [*lines[:at_line], *lines[at_line + 1 :]]


def chosen(many: list[str], number: int) -> str:
    return many[number % len(many)]


def at(name: str) -> Location:
    return Location("", name)


class Story(msgspec.Struct, frozen=True):
    """The folder at first, after the agent, after the person, and after the undo; and the places that were named."""

    first: Tree
    after_agent: Tree
    after_person: Tree
    after_undo: Tree
    named: frozenset[str]

    def problems(self) -> list[str]:
        """Return what is wrong with the undo."""
        return [*self._of_the_person(), *self._of_the_agent(), *self._of_others()]

    def differences(self) -> list[str]:
        """Return every place that was not the same all the time, for whoever reads a failure."""
        pictures = [tree.files for tree in (self.first, self.after_agent, self.after_person, self.after_undo)]
        names = sorted({name for picture in pictures for name in picture})
        changed = [name for name in names if any(one.get(name) != pictures[0].get(name) for one in pictures)]
        return [f"{name}: {' | '.join(str(one.get(name)) for one in pictures)}" for name in changed]

    def _of_the_person(self) -> Iterator[str]:
        """Whatever the person put in is there, and what the person took out has not come back."""
        there = self.after_undo.lines()
        put_in = self.after_person.lines() - self.after_agent.lines()
        taken_out = self.after_agent.lines() - self.after_person.lines()
        yield from (f"lost of the person: {line}" for line in sorted(put_in - there))
        yield from (f"came back to the person: {line}" for line in sorted(taken_out & there))

    def _of_the_agent(self) -> Iterator[str]:
        """Whatever the agent put in is gone, and what it took out is back, but where it is named."""
        there = self.after_undo.lines()
        put_in = self.after_agent.lines() - self.first.lines() - self._moved_by_person()
        taken_out = self.first.lines() - self.after_agent.lines()
        for name, lines in self.after_undo.files.items():
            if put_in & set(lines) and not self._is_named(name):
                yield f"still of the agent in {name}: {sorted(put_in & set(lines))}"
        for name, lines in self.first.files.items():
            missing = (taken_out & set(lines)) - there
            if missing and not self._is_named_anywhere(name, lines):
                yield f"not back in {name}: {sorted(missing)}"
        yield from self._of_places()

    def _of_places(self) -> Iterator[str]:
        """What stood somewhere stands there again, unless the person moved it, or it is named."""
        homes = {line: name for name, lines in self.first.files.items() for line in lines}
        moved_by_person = self._moved_by_person()
        for line, name in _homes(self.after_undo).items():
            home = homes.get(line)
            if home is None or home == name or line in moved_by_person:
                continue
            if not self._is_named(name) and not self._is_named(home):
                yield f"{line} of {home} is in {name}"
        for folder in self.after_undo.folders - self.first.folders:
            if self._is_named(folder) or any(is_in(name, folder) for name in self.after_undo.files):
                continue
            # One that the person made in a folder went back with that.
            gone = self.after_person.folders - self.after_undo.folders
            if folder not in self.after_person.folders and _name(folder) not in map(_name, gone):
                yield f"an empty folder that nobody made: {folder}"
            elif folder in self.after_agent.folders:
                yield f"an empty folder of the agent: {folder}"

    def _moved_by_person(self) -> set[str]:
        then, now = _homes(self.after_agent), _homes(self.after_person)
        return {line for line, name in then.items() if now.get(line) != name}

    def _of_others(self) -> Iterator[str]:
        """What the agent never touched is as the person left it."""
        for name, lines in self.after_person.files.items():
            untouched = self.first.files.get(name) == self.after_agent.files.get(name)
            was_there = name in self.first.files and not any(self._touched(one) for one in above(name))
            if untouched and was_there and self.after_undo.files.get(name) != lines:
                yield f"touched, and not the agent's: {name}"

    def _touched(self, folder: str) -> bool:
        """Whether the agent may have moved or deleted a folder as a whole: its files do not all stand as before."""
        before = {name for name in self.first.files if is_in(name, folder)}
        return not before <= set(self.after_agent.files)

    def _is_named(self, name: str) -> bool:
        return any(is_in(name, named) or is_in(named, name) for named in self.named)

    def _is_named_anywhere(self, name: str, lines: list[str]) -> bool:
        """Whether the file's old place is named, or the one to which the agent took what is left of it."""
        now = [
            path
            for tree in (self.after_agent, self.after_undo)
            for path, ls in tree.files.items()
            if set(ls) & set(lines)
        ]
        return self._is_named(name) or any(map(self._is_named, now))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _homes(tree: Tree) -> dict[str, str]:
    return {line: name for name, lines in tree.files.items() for line in lines}
