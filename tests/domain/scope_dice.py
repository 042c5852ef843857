"""Scopes and actions that are rolled: what people give and ask for, and what nobody should get away with."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, TypeVar

import msgspec

from cowork.domain.action import (
    ACTION_TYPES,
    Action,
    CodeRun,
    ConnectorAction,
    ConnectorRead,
    Content,
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
)
from cowork.domain.facts import ABSENT, Facts, FileState
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, GrantedHost, PartVerbs, Scope, attenuate

NOW: Final = datetime(2030, 1, 1, tzinfo=UTC)
MOMENTS: Final = tuple(NOW + timedelta(hours=hours) for hours in (-1, 0, 1, 2, 3))
GRANTS: Final = ("g1", "g2", "g3", "g4")
ROOTS: Final = {"g1": "/w", "g2": "/w/a", "g3": "/w/a/b", "g4": "/v"}
"""Granted folders, some of them in others: that a folder was granted protects it from those above it, too."""

ENTRIES: Final = (
    "a.example",
    "A.example.",
    "a.example:443",
    "a.example:8443",
    "a.example:*",
    "*.example",
    "*.example:*",
    "*.a.example",
    "*.a.example:443",
    "x.a.example",
    "192.0.2.1",
    "192.0.2.1:*",
    "[2001:db8::1]",
    "not a host",
)
HOSTS: Final = ("a.example", "A.EXAMPLE.", "a.example:8443", "b.example", "x.a.example", "192.0.2.1", "[2001:DB8::1]")
KEPT: Final = FileState("file", digest="sha256:00")
CONTENT: Final = Content("sha256:00", 2)

# What is rolled ------------------------------------------------------------------------------------------------------

PARTS: Final = (".", "a", "a/b", "./a//b/", "c", ".git", "café", "A")
NAMES: Final = ("a", "b", "c", "a/b", "x.txt", "A", ".git", "café", "café", "a-b", "ä\u202e", "~", ".", "..", "")
ODD: Final = (
    ".",
    "./",
    "/",
    "/w/a",
    "/etc/passwd",
    "a/../../etc",
    "a\x00",
    "a\\b",
    "%2e%2e",
    "g2:a",
    "",
    " ",
    "a/./b/",
)
URLS: Final = ("http://u@a.example/", "https://a.example:9/", "ftp://a.example/")
STATES: Final = (None, ABSENT, FileState("file"), FileState("file", links=2), FileState("folder"))
T = TypeVar("T")


class Dice(Random):
    """Rolls scopes and actions. Most of what it rolls is what people do; the rest is what nobody should get away with.

    Hypothesis rolls the seed: what fails is rolled again from it.
    """

    def often(self, usual: T, *others: T) -> T:
        """Return the usual thing three times in four."""
        return usual if self.random() < 0.75 else self.choice(others)

    def some(self, of: Sequence[T], least: int = 0) -> tuple[T, ...]:
        """Return some of these, in any order."""
        return tuple(self.sample(list(of), self.randint(min(least, len(of)), len(of))))

    # Scopes

    def parts(self) -> tuple[str, ...]:
        return tuple(self.choices(PARTS, k=self.randint(1, 3)))

    def folder(self, grant_id: str) -> FolderScope:
        """Return a folder as a wish has it: it may lie about everything but the id."""
        return FolderScope(
            grant_id=grant_id,
            name=self.often(grant_id, "work", "other"),
            root_path=self.often(ROOTS[grant_id], "/", "/w", "/etc"),
            verbs=self.often(VERBS, self.some(VERBS, 2), self.some(VERBS)),
            output_roots=self.parts(),
            identity=FolderIdentity(1, self.often(int(grant_id[1:]), 9)),
            expires_at=self.often(None, *MOMENTS),
            revoked=self.random() < 0.1,
            within=self.choice(((".",), self.parts(), self.parts(), ())),
            by_part=self.choice(((), (), (self.verbs_of_parts(),), (self.verbs_of_parts(), self.verbs_of_parts()))),
        )

    def verbs_of_parts(self) -> tuple[PartVerbs, ...]:
        return tuple(PartVerbs(path, self.often(VERBS, self.some(VERBS))) for path in (".", *self.parts())[-2:])

    def wish(self) -> Scope:
        """Return what somebody may wish for: anything."""
        hosts = [
            GrantedHost(grant_id=self.choice(("n1", "n2")), host=self.choice(ENTRIES), revoked=self.random() < 0.1)
            for _ in range(self.randint(0, 4))
        ]
        return Scope(
            folders=tuple(self.folder(name) for name in self.choices(GRANTS, k=self.randint(1, 5))),
            hosts=tuple(hosts),
            kinds=self.often(None, self.some(tuple(ACTION_TYPES), 7)),
            connectors=self.often(None, self.some(("mail", "calendar"))),
            until=self.often(None, *MOMENTS),
            only_hosts=self.often(False, True),
        )

    def session(self) -> Scope:
        """Return what a session has: each folder and host once, at its own place, all of it."""
        folders = [
            msgspec.structs.replace(self.folder(name), root_path=ROOTS[name], name=name, within=(".",), by_part=())
            for name in self.some(GRANTS, 2)
        ]
        hosts = [
            GrantedHost(grant_id=f"n{n}", host=host, revoked=self.random() < 0.1)
            for n, host in enumerate(self.some(ENTRIES[:-1])[:2], 1)
        ]
        return Scope(tuple(folders), tuple(hosts))

    def chain(self) -> list[Scope]:
        """Return a session's scope and then those of a chain of subagents, as the engine makes them."""
        chain = [self.session()]
        for _ in range(self.randint(1, 4)):
            chain.append(attenuate(chain[-1], self.choice((self.wish(), self.wish(), chain[-1], chain[0]))))
        return chain

    # What is tried

    def place(self, near: Scope) -> Location:
        """Return a place: mostly in something that is granted, in any spelling."""
        ids = [folder.grant_id for folder in near.folders]
        grant_id = self.often(self.choice(ids or GRANTS), *GRANTS, "")
        folder = near.folder(grant_id)
        part = self.choice(folder.within) if folder is not None and folder.within else "."
        below = "/".join(self.choices(NAMES, k=self.choice((0, 1, 1, 2, 3))))
        return Location(grant_id, self.often(f"{part}/{below}", below, self.choice(ODD)))

    def action(self, near: Scope) -> Action:
        """Return any action."""
        at, to = self.place(near), self.place(near)
        hosts = self.often((), self.some((*HOSTS, "?"))[:2])
        writes: Any = self.choice(("none", "staged"))
        return self.choice(
            (
                FileList(at=at),
                FileSearch(at=at, pattern="x"),
                FileRead(at=at),
                FileWrite(at=at, content=CONTENT),
                FileCreate(at=at, content=CONTENT),
                FileRename(at=at, to=to),
                FileMove(at=at, to=to),
                FileDelete(at=at),
                FileRestore(at=at, kept="k", digest="sha256:00"),
                ShellExec(argv=("ls",), cwd=at, network=hosts, writes=writes),
                CodeRun(python="1", cwd=at, network=hosts, writes=writes),
                NetworkRequest(method="GET", url=self.often(f"https://{self.choice(HOSTS)}/x", *URLS)),
                ConnectorRead(connector=self.choice(("mail", "calendar", "")), tool="t"),
                ConnectorAction(connector=self.choice(("mail", "calendar", "")), tool="t"),
                SubagentSpawn(title="t"),
            )
        )

    def facts(self, action: Action) -> Facts:
        """Return what was found, at some moment: mostly what lets the action be done."""
        return Facts(
            now=self.choice(MOMENTS),
            target=self.often(target_of(action), *STATES),
            destination=self.often(ABSENT, *STATES),
            kept=KEPT,
            depth=1,
        )


def target_of(action: Action) -> FileState | None:
    """Return what has to stand at a place for the action to be possible there."""
    if isinstance(action, FileCreate | FileRestore):
        return ABSENT
    return FileState("folder") if isinstance(action, FileList | FileSearch | ShellExec | CodeRun) else FileState("file")
