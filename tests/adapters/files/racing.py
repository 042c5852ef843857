"""Tight loops against a process that swaps names: opening, and each way of changing something, many thousand times.

Two adversaries. One swaps a folder with a link to outside, so that every look-up of a path through it may lead out: an
attempt that leads out is an *escape*. The other swaps the approved file with a precious one, or puts the precious one
to where the action wants to: a precious file that is gone is *lost*. What is looked at in between goes through
descriptors of the real folders, so the harness is not raced itself.
"""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from cowork.adapters.files.failure import PathError
from cowork.adapters.files.openat2 import RENAME_NOREPLACE, renameat2
from cowork.adapters.files.resolver import DATA, Resolver, opened
from cowork.domain.action import Action, FileCreate, FileDelete, FileMove, FileRename, FileWrite
from cowork.domain.facts import ABSENT, Facts, FileState
from cowork.engine.ports import Done, Failed
from tests.adapters.files.cases.direct import DirectDriver
from tests.adapters.files.cases.ground import Ground

ROOT = Path(__file__).resolve().parents[3]
LOOKS_MAX = 2000
NAIVE_TRIES_MAX = 400_000

Primitive: TypeAlias = Literal["create", "replace", "delete", "move", "rename"]
PRIMITIVES: tuple[Primitive, ...] = ("create", "replace", "delete", "move", "rename")
OLD, PRECIOUS, NEW = b"approved", b"precious: must not be lost", b"new content"


class Count(msgspec.Struct, kw_only=True):
    """What a race came to. `homeless` counts the attempts after which the approved file waits in quarantine."""

    attempts: int = 0
    done: int = 0
    refused: int = 0
    homeless: int = 0
    escapes: int = 0
    lost: int = 0

    def add(self, outcome: Done | Failed) -> None:
        """Count one attempt."""
        self.attempts += 1
        if isinstance(outcome, Done):
            self.done += 1
        else:
            self.refused += 1
            assert outcome.reason_code in ("conflict", "not_found", "symlink", "special"), outcome


class Control(msgspec.Struct, kw_only=True):
    """How often the naive way was tried, and how often it was caught."""

    attempts: int = 0
    caught: int = 0

    def goes_on(self, attempts: int) -> bool:
        """Whether to try again: so often, and then until it is caught at all."""
        return self.attempts < attempts or (not self.caught and self.attempts < NAIVE_TRIES_MAX)


class Adversary:
    """The other process."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make it wait for the length of the block."""
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)


@contextlib.contextmanager
def adversary(folder: Path, name: str, other: str, how: Literal["swap", "carry"] = "swap") -> Iterator[Adversary]:
    """Have another process swap the two names, or carry what has one to the other and back, during the block."""
    command = [sys.executable, "-m", "tests.adapters.files.adversary", str(folder), name, other, how]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield Adversary(process)
        finally:
            process.kill()


# Opening


def race_opening(ground: Ground, resolver: Resolver, attempts: int, control: int) -> tuple[Count, Control]:
    """Open `sub/f` while `sub` is swapped with a link to a folder outside that has an `f` too."""
    count, naive = Count(), Control()
    with Swapped(ground, "create") as place:
        (ground.grant / "sub" / "f").write_bytes(OLD)
        inside = os.stat("f", dir_fd=place.sub).st_ino
        (ground.out / "f").write_text(ground.canary)
        with opened(os.open(ground.grant, os.O_PATH | os.O_DIRECTORY)) as root, place.swapping():
            for _ in range(attempts):
                count.attempts += 1
                try:
                    fd = resolver.open(root, b"sub/f", DATA)
                except (OSError, PathError):
                    count.refused += 1
                    continue
                count.done += 1
                count.escapes += os.fstat(fd).st_ino != inside
                os.close(fd)
            while naive.goes_on(control):
                naive.attempts += 1
                naive.caught += open_naively(ground) not in (inside, None)
    return count, naive


def open_naively(ground: Ground) -> int | None:
    """Resolve, check that it lies inside, and open; return the inode number of what was opened."""
    path = ground.grant / "sub" / "f"
    with contextlib.suppress(OSError):
        if os.path.commonpath([os.path.realpath(path), ground.grant]) == str(ground.grant):
            with opened(os.open(path, os.O_RDONLY)) as fd:
                return os.fstat(fd).st_ino
    return None


# Changing something through a swapped folder


class Swapped:
    """`sub`, a real folder, and `evil`, a link to the folder outside; both held open from before the swapping."""

    def __init__(self, ground: Ground, kind: Primitive) -> None:
        self.ground = ground
        self.kind: Primitive = kind
        (ground.grant / "sub").mkdir()
        (ground.grant / "evil").symlink_to("../out")
        (ground.grant / "aside").mkdir()
        (ground.out / "target").write_bytes(PRECIOUS)
        self.sub = os.open(ground.grant / "sub", os.O_RDONLY | os.O_DIRECTORY)
        self.out = os.open(ground.out, os.O_RDONLY | os.O_DIRECTORY)
        self.aside = os.open(ground.grant / "aside", os.O_RDONLY | os.O_DIRECTORY)

    def __enter__(self) -> "Swapped":
        return self

    def __exit__(self, *_: object) -> None:
        for fd in (self.sub, self.out, self.aside):
            os.close(fd)

    def swapping(self) -> contextlib.AbstractContextManager[Adversary]:
        """Swap for the length of the block."""
        return adversary(self.ground.grant, "sub", "evil")

    def arrange(self) -> Facts:
        """Put the target back into the real folder, and nothing else; return the facts of it."""
        for fd in (self.sub, self.aside):
            for name in ("new", "moved", "renamed"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=fd)
        empty_quarantine(self.ground)
        if self.kind == "create":
            return absent()
        with contextlib.suppress(FileNotFoundError):
            os.unlink("target", dir_fd=self.sub)
        write_at(self.sub, "target", OLD)
        return file_facts(os.stat("target", dir_fd=self.sub), OLD)

    def action(self) -> Action:
        """Return the action whose path leads through the swapped name."""
        at = self.ground.at("sub/target")
        match self.kind:
            case "create":
                return FileCreate(at=self.ground.at("sub/new"), content=self.ground.content(NEW))
            case "replace":
                return FileWrite(at=at, content=self.ground.content(NEW))
            case "delete":
                return FileDelete(at=at)
            case "move":
                return FileMove(at=at, to=self.ground.at("aside/moved"))
            case "rename":
                return FileRename(at=at, to=self.ground.at("sub/renamed"))

    def naively(self) -> None:
        """Resolve, check that it lies inside, and go by the path."""
        sub = self.ground.grant / "sub"
        with contextlib.suppress(OSError):
            if os.path.commonpath([os.path.realpath(sub), self.ground.grant]) != str(self.ground.grant):
                return
            match self.kind:
                case "create":
                    (sub / "new").write_bytes(NEW)
                case "replace":
                    (sub / "target").write_bytes(NEW)
                case "delete":
                    (sub / "target").unlink()
                case "move":
                    (sub / "target").rename(self.ground.grant / "aside" / "moved")
                case "rename":
                    (sub / "target").rename(sub / "renamed")

    def is_harmed(self) -> bool:
        """Whether something outside was touched; it is mended then."""
        with contextlib.suppress(FileNotFoundError):
            if os.stat("target", dir_fd=self.out).st_size == len(PRECIOUS) and not set(os.listdir(self.out)) & {
                "new",
                "renamed",
            }:
                return False
        for name in ("new", "renamed", "target"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.out)
        write_at(self.out, "target", PRECIOUS)
        return True


def race_through_a_folder(
    ground: Ground, driver: DirectDriver, kind: Primitive, attempts: int, control: int
) -> tuple[Count, Control]:
    """Do it through a folder that is swapped with a link to outside; return the counts of it and of the naive way."""
    count, naive = Count(), Control()
    with Swapped(ground, kind) as place:
        action = place.action()
        with place.swapping():
            before, touched = ground.untouchable(), os.fstat(place.out).st_mtime_ns
            facts = place.arrange()
            for _ in range(attempts):
                outcome = driver.executor.perform_now(driver.permit(action, facts))
                count.add(outcome)
                count.escapes += os.fstat(place.out).st_mtime_ns != touched
                if isinstance(outcome, Done):
                    facts = place.arrange()
            count.lost += ground.untouchable() != before
            while naive.goes_on(control):
                naive.attempts += 1
                place.arrange()
                place.naively()
                naive.caught += place.is_harmed()
        place.arrange()
    return count, naive


# Changing something whose name is swapped with another file's


class Contested:
    """`target`, which was approved, and `precious`, in one folder."""

    def __init__(self, ground: Ground, kind: Primitive) -> None:
        self.ground = ground
        self.kind: Primitive = kind
        self.folder = os.open(ground.grant, os.O_RDONLY | os.O_DIRECTORY)
        (ground.grant / "aside").mkdir()
        self.precious = write_at(self.folder, "precious", PRECIOUS)
        self.target = 0 if kind == "create" else write_at(self.folder, "target", OLD)
        self._versions = deque((data, ground.content(data)) for data in (b"one", b"two", b"three"))
        self._held = OLD

    def __enter__(self) -> "Contested":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.folder)

    def swapping(self) -> contextlib.AbstractContextManager[Adversary]:
        """Swap the two; where the target is to be made, carry the precious one there and back instead."""
        return adversary(self.ground.grant, "target", "precious", "carry" if self.kind == "create" else "swap")

    def action(self) -> tuple[Action, bytes]:
        """Return the next action, and what the file holds after it."""
        at = self.ground.at("target")
        match self.kind:
            case "create":
                return FileCreate(at=at, content=self.ground.content(NEW)), NEW
            case "replace":
                self._versions.rotate()
                data, content = self._versions[0]
                return FileWrite(at=at, content=content), data
            case "delete":
                return FileDelete(at=at), b""
            case "move":
                return FileMove(at=at, to=self.ground.at("aside/moved")), b""
            case "rename":
                return FileRename(at=at, to=self.ground.at("renamed")), b""

    def facts(self) -> Facts:
        """Return the facts of the approved file, which may have either name."""
        if self.kind == "create":
            return absent()
        for _ in range(LOOKS_MAX):
            for name in ("target", "precious"):
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=self.folder, follow_symlinks=False)
                    if status.st_ino != self.precious:
                        return file_facts(status, self._held)
        raise AssertionError("the approved file is gone")

    def has_precious(self) -> bool:
        """Whether the precious file still has one of the two names."""
        for _ in range(LOOKS_MAX):
            for name in ("target", "precious"):
                with contextlib.suppress(FileNotFoundError):
                    if os.stat(name, dir_fd=self.folder, follow_symlinks=False).st_ino == self.precious:
                        return True
        return False

    def settle(self, outcome: Done | Failed, data: bytes, other: Adversary) -> bool:
        """Put the approved file back under a name of the two; return whether it was left without one."""
        if isinstance(outcome, Failed) and "kept in quarantine" in outcome.reason:
            with other.held():
                self.begin_again()
            return True
        if not isinstance(outcome, Done):
            return False
        match self.kind:
            case "create":
                # The other process finds the name taken, so it is ours until we remove it.
                assert (self.ground.grant / "target").read_bytes() == NEW
                os.unlink("target", dir_fd=self.folder)
            case "replace":
                self._held = data
            case "delete":
                (kept,) = outcome.effects
                path = self.ground.state / "quarantine" / kept.kept.removeprefix("quarantine:")
                assert path.stat().st_ino == self.target
                self._put_back(os.fsencode(path))
            case "move" | "rename":
                path = self.ground.grant / ("aside/moved" if self.kind == "move" else "renamed")
                assert path.stat().st_ino == self.target
                self._put_back(os.fsencode(path))
        return False

    def _put_back(self, path: bytes) -> None:
        for _ in range(LOOKS_MAX):
            for name in (b"target", b"precious"):
                with contextlib.suppress(FileExistsError):
                    renameat2(-100, path, self.folder, name, RENAME_NOREPLACE)
                    return
        raise AssertionError("both names are taken")

    def begin_again(self) -> None:
        """Make both files new. The other process waits meanwhile."""
        for name in os.listdir(self.folder):
            if name != "aside":
                os.unlink(name, dir_fd=self.folder)
        with contextlib.suppress(FileNotFoundError):
            (self.ground.grant / "aside" / "moved").unlink()
        empty_quarantine(self.ground)
        self.precious = write_at(self.folder, "precious", PRECIOUS)
        self._held = OLD
        self.target = 0 if self.kind == "create" else write_at(self.folder, "target", OLD)

    def naively(self) -> None:
        """Look whether it is the precious one, and go by the name where it is not."""
        target, aside = self.ground.grant / "target", self.ground.grant / "aside" / "moved"
        with contextlib.suppress(OSError):
            if self.kind == "create":
                if target.exists():
                    return
            elif target.read_bytes() == PRECIOUS:
                return
            match self.kind:
                case "create" | "replace":
                    write_at(self.folder, "fresh", NEW)
                    (self.ground.grant / "fresh").rename(target)
                case "delete":
                    target.unlink()
                case "move":
                    target.rename(aside)
                case "rename":
                    target.rename(self.ground.grant / "renamed")

    def mend(self) -> None:
        """Have the approved file there again, and nothing else beside the precious one."""
        for name in ("aside/moved", "renamed", "fresh"):
            with contextlib.suppress(FileNotFoundError):
                (self.ground.grant / name).unlink()
        if self.kind == "create":
            with contextlib.suppress(FileNotFoundError):
                if os.stat("target", dir_fd=self.folder).st_ino != self.precious:
                    os.unlink("target", dir_fd=self.folder)
        elif not {"target", "precious"} <= set(os.listdir(self.folder)):
            write_at(self.folder, "fresh", OLD)
            self._put_back(os.fsencode(self.ground.grant / "fresh"))


def race_for_a_name(
    ground: Ground, driver: DirectDriver, kind: Primitive, attempts: int, control: int
) -> tuple[Count, Control]:
    """Do it to a file whose name is swapped with a precious file's; return the counts of it and of the naive way."""
    count, naive = Count(), Control()
    with Contested(ground, kind) as place, place.swapping() as other:
        for _ in range(attempts):
            action, data = place.action()
            outcome = driver.executor.perform_now(driver.permit(action, place.facts()))
            count.add(outcome)
            if not place.has_precious():
                with other.held():
                    if not place.has_precious():
                        count.lost += 1
                        place.begin_again()
                        continue
            count.homeless += place.settle(outcome, data, other)
        while naive.goes_on(control):
            naive.attempts += 1
            place.naively()
            if place.has_precious():
                place.mend()
                continue
            naive.caught += 1
            with other.held():
                place.begin_again()
    return count, naive


# Small things


def write_at(folder: int, name: str, data: bytes) -> int:
    """Make a file in an open folder; return its inode number."""
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
    with opened(fd):
        os.write(fd, data)
        return os.fstat(fd).st_ino


def absent() -> Facts:
    """Return the facts of a place where nothing stands."""
    return Facts(now=datetime.now(UTC), target=ABSENT)


def file_facts(status: os.stat_result, data: bytes) -> Facts:
    """Return the facts of a file that holds the data."""
    state = FileState(
        "file",
        device=status.st_dev,
        inode=status.st_ino,
        size=len(data),
        mode=status.st_mode & 0o7777,
        digest=f"sha256:{hashlib.sha256(data).hexdigest()}",
    )
    return Facts(now=datetime.now(UTC), target=state, destination=ABSENT)


def empty_quarantine(ground: Ground) -> None:
    """Remove for good what the last attempts deleted."""
    with contextlib.suppress(FileNotFoundError), os.scandir(ground.state / "quarantine") as kept:
        for entry in kept:
            os.unlink(entry.path)
