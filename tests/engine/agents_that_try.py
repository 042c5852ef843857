"""Trees of subagents that try everything, and an account of what they might have done that knows nothing of scopes.

What an agent was given is kept as it was said: paths with verbs, one list for each agent on the way down. That is held
against what the log says was done, and against what is on disk.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

import msgspec

from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.adapters.files.executor import FileExecutor
from cowork.domain.action import (
    Action,
    ActionKind,
    FileCreate,
    FileDelete,
    FileMove,
    FileRename,
    FileWrite,
    kind_of,
    locations_of,
)
from cowork.domain.facts import Facts
from cowork.domain.scope import VERBS, Scope, Verb
from cowork.engine.command_handler import CommandHandler, Order
from cowork.engine.ports import Executor, Finding, Outcome, Permit
from tests.engine.commands import Commands, Run
from tests.engine.rig import PERSON, Rig

Json: TypeAlias = dict[str, Any]
Part: TypeAlias = tuple[str, tuple[str, ...]]
"""A path below the granted folder, and the verbs that were given there."""

FILES: Final = ("a/1.txt", "a/2.txt", "a/deep/3.txt", "b/1.txt", "b/2.txt", "c/1.txt", "top.txt")
PLACES: Final = (".", "a", "a/deep", "b", "c")
NAMES: Final = ("1.txt", "2.txt", "3.txt", "new.txt", "deep", "deep/3.txt", "deep/new.txt", "out/secret.txt", ".", "..")
ODD: Final = (
    "../outside/secret.txt",
    "a/../b/1.txt",
    "./a//1.txt",
    "a/./2.txt/",
    "A/1.txt",
    "link/secret.txt",
    "work:b/1.txt",
    "other:b/1.txt",
    "%2e%2e/outside/secret.txt",
    "a/1.txt\u200b",
    "",
    "a\\1.txt",
)
PATTERNS: Final = ("*.txt", "a/*.txt", "**/*.txt", "b/*", "../outside/*", "link/*", "[ab]/1.txt")
KINDS: Final[tuple[ActionKind, ...]] = (
    "file.list",
    "file.search",
    "file.read",
    "file.write",
    "file.create",
    "file.rename",
    "file.move",
    "file.delete",
    "shell.exec",
)
DEPTH_MAX: Final = 3


def furnish(rig: Rig) -> None:
    """Put files into the granted folder, a secret beside it, and links in it that lead there."""
    for name in FILES:
        rig.write(name, f"this is {name}\n")
    outside = rig.folder / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret", encoding="utf-8")
    (rig.work / "link").symlink_to(outside)
    (rig.work / "a" / "out").symlink_to(outside)


def on_disk(folder: Path) -> dict[str, str]:
    """Return every file beneath a folder with its text, every link with where it leads, and every folder."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = "/" if path.is_dir() else path.read_text(encoding="utf-8")
    return found


class Agents(Random):
    """Rolls a tree of subagents: what each is given, and what it tries. `given` is what each was given, by title."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.given: dict[str, Json] = {}

    def plan(self) -> list[Json]:
        """Return the steps of a task: what its own agent tries, and its subagents."""
        everything = [{"path": ".", "verbs": list(VERBS)}]
        subagents = [self.subagent(name, everything, 1) for name in ("first", "second")]
        return [*self.steps("root", everything), *subagents]

    def steps(self, name: str, held: list[Json]) -> list[Json]:
        """Return steps that try something in what is held, and something elsewhere."""
        return [{"id": f"{name}-{n}", "action": self.action(held)} for n in range(self.randint(3, 6))]

    def subagent(self, name: str, held: list[Json], depth: int) -> Json:
        """Return the step that starts a subagent, with subagents of its own beneath it perhaps."""
        parts = [self.part(held) for _ in range(self.randint(1, 3))]
        scope: Json = {"folders": list({str(one["path"]): one for one in parts}.values())}
        if self.random() < 0.2:
            scope["kinds"] = ["subagent.spawn", *sorted(self.sample(KINDS, self.randint(5, len(KINDS))))]
        if self.random() < 0.1:
            scope["budget"] = {"actions": self.randint(2, 9)}
        self.given[name] = scope
        steps = self.steps(name, scope["folders"])
        if depth < DEPTH_MAX:
            below = range(self.choice((0, 1, 1, 2)))
            steps += [self.subagent(f"{name}.{n}", scope["folders"], depth + 1) for n in below]
        self.shuffle(steps)
        return {"id": name, "action": {"kind": "subagent.spawn", "title": name, "scope": scope, "step": steps}}

    def part(self, held: list[Json]) -> Json:
        """Return a part of what is held, or now and then of what is not: then there is no such subagent."""
        if self.random() < 0.05:
            return {"path": self.choice(PLACES), "verbs": list(VERBS)}
        one = self.choice(held)
        inside = [place for place in PLACES if one["path"] in (".", place) or place.startswith(f"{one['path']}/")]
        verbs = one["verbs"] if self.random() < 0.6 else self.sample(one["verbs"], self.randint(1, len(one["verbs"])))
        return {"path": self.choice(inside), "verbs": list(verbs)}

    def path(self, held: list[Json]) -> str:
        """Return a path, in what is held or anywhere, in an odd spelling now and then."""
        if self.random() < 0.15:
            return self.choice(ODD)
        place = self.choice(held)["path"] if self.random() < 0.6 else self.choice(PLACES)
        return f"{place}/{self.choice(NAMES)}"

    def action(self, held: list[Json]) -> Json:
        """Return what a step asks for."""
        kind = self.choice(("read", "list", "search", "write", "create", "move", "rename", "delete", "match", "run"))
        match kind:
            case "read" | "delete":
                return {"kind": f"file.{kind}", "path": self.path(held)}
            case "list":
                return {"kind": "file.list", "path": self.path(held), "recursive": self.random() < 0.5}
            case "search":
                return {"kind": "file.search", "path": self.path(held), "pattern": "this"}
            case "write" | "create":
                return {"kind": f"file.{kind}", "path": self.path(held), "content": f"new {self.randint(0, 9)}"}
            case "move" | "rename":
                return {"kind": f"file.{kind}", "path": self.path(held), "to": self.path(held)}
            case "match":
                return {"kind": self.choice(("file.read", "file.delete")), "match": self.choice(PATTERNS)}
            case _:
                seed = str(self.randint(0, 1_000_000))
                cwd = self.choice(held)["path"] if self.random() < 0.8 else self.choice(PLACES)
                return {"kind": "shell.exec", "argv": ["try", seed], "cwd": cwd, "writes": "staged"}


async def try_everything(run: Run) -> None:
    """Be a program that changes its copy of the folder wherever it likes."""
    dice = Agents(int(run.permit.action.argv[1]))  # type: ignore[union-attr]
    for _ in range(dice.randint(1, 4)):
        path, to = (f"{dice.choice(PLACES)}/{dice.choice(NAMES[:7])}" for _ in range(2))
        match dice.choice(("create", "write", "delete", "move")):
            case "create":
                await run.create(path, "from a program")
            case "write":
                await run.write(path, "from a program")
            case "delete":
                await run.delete(path)
            case _:
                await run.move(path, to)


class Meanwhile:
    """The real executor of files; at its nth call, whatever it is asked, something happens elsewhere."""

    def __init__(self, rig: Rig, at: int, happens: Callable[[], Awaitable[None]]) -> None:
        self._inner = FileExecutor(rig.blobs, rig.state)
        self.kinds: frozenset[ActionKind] = self._inner.kinds
        self._at = at
        self._happens = happens

    async def _call(self) -> None:
        self._at -= 1
        if self._at == 0:
            await self._happens()

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        facts = await self._inner.observe(actions, scope, now, batch=batch)
        await self._call()
        return facts

    async def perform(self, permit: Permit) -> Outcome:
        await self._call()
        return await self._inner.perform(permit)

    async def reconcile(self, permit: Permit) -> Finding:
        return await self._inner.reconcile(permit)


def executors(rig: Rig, files: Executor) -> tuple[Executor, ...]:
    """Return the executors of a rig: of files, and of programs that try everything."""
    return (files, Commands(rig, **{"try": try_everything}))


async def by_hand(rig: Rig, *orders: Order) -> None:
    """Give commands past the application, as another process would."""
    handler = CommandHandler(MemoryEventStore(rig.rows), rig.clock, rig.ids)
    await handler.execute(*orders, actor=PERSON, cause="by hand")


# What they might have done ------------------------------------------------------------------------------------------


class Account(msgspec.Struct, frozen=True):
    """What an agent was given, for itself and on the way down to it: lists of parts, and of kinds where they count."""

    parts: tuple[tuple[Part, ...], ...]
    kinds: tuple[frozenset[str], ...] = ()

    def below(self, scope: Json) -> "Account":
        """Return the account of a subagent that was given this."""
        parts = tuple((str(one["path"]), tuple(one["verbs"])) for one in scope["folders"])
        kinds = (*self.kinds, frozenset(scope["kinds"])) if "kinds" in scope else self.kinds
        return Account((*self.parts, parts), kinds)

    def lets(self, verb: str, path: str) -> bool:
        """Whether every list has the verb at a part that holds the path."""
        names = [name for name in path.split("/") if name not in ("", ".")]
        return ".." not in names and all(
            any(verb in verbs and names[: len(_names(part))] == _names(part) for part, verbs in parts)
            for parts in self.parts
        )

    def faults(self, action: Action) -> Iterator[str]:
        """Yield what an action that was carried out should not have been."""
        kind = kind_of(action)
        if not all(kind in kinds for kinds in self.kinds):
            yield f"{kind} was not given"
        for place in locations_of(action):
            if not any(self.lets(verb, place.path) for verb in _verbs(action)):
                yield f"{kind} at `{place.path}`"


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def _verbs(action: Action) -> tuple[Verb, ...]:
    """Return the verbs of which one is needed at each place: a write is of a new file, or of one that is there."""
    match action:
        case FileWrite():
            return ("write", "create")
        case FileCreate():
            return ("create",)
        case FileMove() | FileRename():
            return ("move",)
        case FileDelete():
            return ("delete",)
        case _:
            return ("read",)
