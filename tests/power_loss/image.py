"""What is on a disk at one moment: a tree that can be laid out in a folder, and compared with one."""

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from tests.power_loss.disk import Inode

Kind = Literal["file", "folder", "link"]
Flat = dict[bytes, tuple[str, int, bytes]]
"""Kind, mode and content of each entry, by its path."""


class Node(msgspec.Struct, eq=False):
    """A file, folder or link; a link's content is where it points."""

    kind: Kind
    mode: int
    content: bytes
    entries: "dict[bytes, Node]"
    inode: "Inode"


class Image(msgspec.Struct):
    """A tree."""

    root: Node

    def flat(self) -> Flat:
        """Return it as a table; what memory is shared through (SQLite's `-shm`) is never on a disk in one state."""
        found: Flat = {}

        def add(node: Node, path: bytes) -> None:
            for name, entry in node.entries.items():
                if not name.endswith(b"-shm"):
                    found[path + name] = (entry.kind, 0 if entry.kind == "link" else entry.mode, entry.content)
                    add(entry, path + name + b"/")

        add(self.root, b"")
        return found

    def lay_out(self, folder: Path, *, shared_memory: bytes = b"") -> dict[int, int]:
        """Write it into the folder, which is emptied first; return, for each new inode number, that of the original.

        Files of shared memory get these bytes over and over: after a power cut there may be anything in them.
        """
        for path in folder.iterdir() if folder.exists() else ():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        numbers: dict[int, int] = {}
        first: dict[int, bytes] = {}

        def write(node: Node, path: bytes) -> None:
            if id(node) in first:
                os.link(first[id(node)], path, follow_symlinks=False)
                return
            first[id(node)] = path
            match node.kind:
                case "folder":
                    os.makedirs(path, exist_ok=True)
                    for name, entry in node.entries.items():
                        write(entry, path + b"/" + name)
                    os.chmod(path, node.mode)
                case "link":
                    os.symlink(node.content, path)
                case "file":
                    content = node.content
                    if shared_memory and path.endswith(b"-shm"):
                        content = (shared_memory * (1 + len(content) // len(shared_memory)))[: len(content)]
                    with open(path, "wb") as file:
                        file.write(content)
                    os.chmod(path, node.mode)
            if node.inode.number:
                numbers[os.lstat(path).st_ino] = node.inode.number

        write(self.root, os.fsencode(folder))
        return numbers


def is_special(path: Path) -> bool:
    """Whether it is a socket, a pipe or a device: those are no part of an image."""
    mode = path.lstat().st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def flat_of(folder: Path) -> Flat:
    """Return what stands in a real folder, as `Image.flat` has it."""
    found: Flat = {}
    top = os.fsencode(folder)
    for parent, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            if name.endswith(b"-shm") or is_special(Path(os.fsdecode(path))):
                continue
            status = os.lstat(path)
            shown = os.path.relpath(path, top)
            if stat.S_ISLNK(status.st_mode):
                found[shown] = ("link", 0, os.readlink(path))
            elif stat.S_ISDIR(status.st_mode):
                found[shown] = ("folder", stat.S_IMODE(status.st_mode), b"")
            else:
                found[shown] = ("file", stat.S_IMODE(status.st_mode), Path(os.fsdecode(path)).read_bytes())
    return found
