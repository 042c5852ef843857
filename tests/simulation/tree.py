"""The folder that agents work in, what a person does in it behind their backs, and an account of every content."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

from cowork.engine.ports import BlobStore

NAMES = ("a.txt", "b.csv", "c.md", "in/one.csv", "in/two.csv", "in/deep/three.csv", "notes/x.txt", "notes/ü y.txt")
CLOSED = (".env", ".git/hooks/pre-commit", "secrets/key.pem", ".hidden")
FOLDERS = ("in", "notes", "out", "in/deep")


def digest_of(data: bytes) -> str:
    """Return the digest under which the engine knows these bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Tree:
    """`work` is granted, `outside` is not, `state` is the engine's. `known` is what `work` held at the last look."""

    def __init__(self, folder: Path, random: Random, blobs: BlobStore) -> None:
        self.folder = folder
        self.work, self.outside, self.state = folder / "work", folder / "outside", folder / "state"
        self._random = random
        self._blobs = blobs
        self._count = 0
        self._persons: set[bytes] = set()
        for made in (self.work, self.outside, self.state):
            made.mkdir(parents=True)
        (self.outside / "private.txt").write_bytes(b"nobody's business")
        for name in (*random.sample(NAMES, random.randint(4, len(NAMES))), *random.sample(CLOSED, 2)):
            self._save(name, self.new_bytes(by_person=True))
        if random.random() < 0.5:
            (self.work / "link").symlink_to(self.outside)
        if random.random() < 0.3:
            os.link(self.outside / "private.txt", self.work / "twin.txt")
        self.outside_before = dict(self._files(self.outside))
        self.known = dict(self._files(self.work))
        self.at_first = dict(self.known)
        self.ever = {digest_of(data) for data in self.known.values()}

    def new_bytes(self, *, by_person: bool = False) -> bytes:
        """Return bytes that there have not been yet, or (seldom) some that there have."""
        if self._random.random() < 0.15:
            return b"the same again"
        self._count += 1
        line = b"content %d" % self._count
        if by_person:
            self._persons.add(line)
        return (line + b"\n") * self._random.randint(1, 3)

    # The person at work

    def edit(self, likely: list[str], odds: float = 0.5) -> str:
        """Do one thing to one file, by these odds one of the likely ones, as a person would; return it in words."""
        kind = self._random.choice(("save", "save", "rewrite", "new", "remove", "rename", "link", "folder", "touch"))
        there = sorted(dict(self._files(self.work)))
        wished = [path for path in there if path in likely]
        name = self._random.choice(wished if wished and self._random.random() < odds else there or ["a.txt"])
        path = self.work / name
        touched = [name]
        try:
            match kind:
                case "save":
                    self._save(name, self.new_bytes(by_person=True))
                case "rewrite":
                    if not path.is_symlink() and path.stat().st_nlink == 1:
                        path.write_bytes(self.new_bytes(by_person=True))
                case "new":
                    touched = [self._random.choice((*NAMES, "out/new.txt", "out/report.md"))]
                    self._save(touched[0], self.new_bytes(by_person=True))
                case "remove":
                    path.unlink()
                case "rename":
                    touched.append(self._random.choice((*NAMES, "out/new.txt", "moved/a.txt")))
                    (self.work / touched[1]).parent.mkdir(parents=True, exist_ok=True)
                    path.replace(self.work / touched[1])
                case "link":
                    path.unlink()
                    path.symlink_to(self.outside / "private.txt")
                case "folder":
                    touched = [self._random.choice(FOLDERS)]
                    shutil.rmtree(self.work / touched[0])
                case _:
                    os.utime(path, ns=(1, self._random.randint(1, 10**18)))
        except OSError as error:
            return f"could not {kind} {touched}: {error.strerror}"
        finally:
            self._agree(touched)
        return f"{kind} {' '.join(touched)}"

    def _save(self, name: str, data: bytes) -> None:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}~saving")
        new.write_bytes(data)
        try:
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    def _agree(self, touched: list[str]) -> None:
        """Take over what a person did: the new state is known, and what they destroyed is no longer looked for."""
        now = dict(self._files(self.work))
        for name in touched:
            for path in [p for p in self.known if p == name or p.startswith(f"{name}/")]:
                del self.known[path]
            self.known |= {p: data for p, data in now.items() if p == name or p.startswith(f"{name}/")}
        present = self.present()
        self.ever = {digest for digest in self.ever if digest in present or self._blobs.has(digest)}
        self.ever |= {digest_of(data) for data in now.values()}

    # What stands there

    def files(self) -> dict[str, bytes]:
        """Return the files that are in the folder right now, with their bytes."""
        return dict(self._files(self.work))

    def differences(self) -> list[str]:
        """Return the paths at which not the same stands as at first."""
        now = self.files()
        return sorted(path for path in now.keys() | self.at_first.keys() if now.get(path) != self.at_first.get(path))

    def lines_of_the_person(self) -> set[bytes]:
        """Return the lines in the folder that the person wrote."""
        return self._lines() & self._persons

    def lines_of_agents(self) -> set[bytes]:
        """Return the lines in the folder that plans or commands wrote. Some are nobody's: they are written again."""
        return {line for line in self._lines() - self._persons if line.startswith(b"content ")}

    def _lines(self) -> set[bytes]:
        return {line for data in self.files().values() for line in data.splitlines()}

    # The account

    def changes(self) -> Iterator[tuple[str, bytes | None, bytes | None]]:
        """Yield each path at which something else stands than is known, with the bytes before and now."""
        now = dict(self._files(self.work))
        for path in sorted(self.known.keys() | now.keys()):
            before, after = self.known.get(path), now.get(path)
            if before != after:
                yield path, before, after

    def take_over(self) -> None:
        """Make what stands there now what is known."""
        self.known = dict(self._files(self.work))
        self.ever |= {digest_of(data) for data in self.known.values()}

    def lost(self) -> list[str]:
        """Return the digests of contents that were in the tree once and are nowhere any more."""
        present = self.present()
        return sorted(digest for digest in self.ever if digest not in present and not self._blobs.has(digest))

    def is_outside_untouched(self) -> bool:
        return dict(self._files(self.outside)) == self.outside_before

    def present_files(self) -> list[str]:
        """Return the paths of the files that are in the folder right now."""
        return sorted(path for path, _ in self._files(self.work))

    def present(self) -> set[str]:
        """Return the digests of all contents in the tree, in quarantine and in files that are half way."""
        folders = (self.work, self.state)
        return {digest_of(data) for folder in folders for _, data in self._files(folder, engines=True)}

    def leftovers(self) -> list[str]:
        """Return the engine's temporary files in the tree."""
        found = (name for name, _ in self._files(self.work, engines=True))
        return [name for name in found if os.path.basename(name).startswith(".cowork-")]

    @staticmethod
    def _files(top: Path, *, engines: bool = False) -> Iterator[tuple[str, bytes]]:
        waiting = [str(top)]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith(".cowork") and not engines:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        with open(entry.path, "rb") as file:
                            yield entry.path[len(str(top)) + 1 :], file.read()
