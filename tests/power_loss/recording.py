"""From system calls to the steps of a disk: every call that changes something beneath one folder, or makes it durable.

In the end the steps are held against the folder itself: a call that was not understood does not go unnoticed.
"""

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.power_loss.disk import Disk, Inode, Mark, Mode, Names, Resize, Step, Sync, Write
from tests.power_loss.image import flat_of, is_special
from tests.power_loss.trace import Call, Descriptor, record

_OCTAL: Final = re.compile(r"(?:mode=|, )(0[0-7]*)")
_OPENED: Final = re.compile(rb"/proc/self/fd/(\d+)")
_NOT_HERE: Final = frozenset(
    ["fallocate", "copy_file_range", "sendfile", "splice", "sync", "syncfs", "mknod", "mknodat"]
)


def record_disk(command: Sequence[str], folder: Path, beside: Path, *, cwd: Path) -> Disk:
    """Run a command that works in `folder` and return what happened to it there.

    The command may write lines to the file `beside/marks`, one call for each: what it has told the world. The umask is
    this process's.
    """
    folder = folder.resolve()
    root = inode_of(folder)
    recorder = _Recorder(root, os.fsencode(folder), os.fsencode(beside.resolve() / "marks"))
    for call in record(command, beside / "trace", cwd=cwd):
        recorder.take(call)
    disk = Disk(root, recorder.steps)
    assert disk.whole().flat() == flat_of(folder), "the steps recorded do not make the folder that is there"
    recorder.number(folder)
    return disk


def inode_of(path: Path) -> Inode:
    """Return what stands there, with everything beneath it (but sockets and the like), as durable."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        link = Inode("link", 0o777, status.st_ino)
        link.target = os.fsencode(os.readlink(path))
        return link
    if stat.S_ISDIR(status.st_mode):
        folder = Inode("folder", stat.S_IMODE(status.st_mode), status.st_ino)
        folder.entries = {os.fsencode(entry.name): inode_of(entry) for entry in path.iterdir() if not is_special(entry)}
        return folder
    file = Inode("file", stat.S_IMODE(status.st_mode), status.st_ino)
    file.content = path.read_bytes()
    return file


class _Recorder:
    """Follows the names, so that it knows at each call which object a path stands for."""

    def __init__(self, root: Inode, top: bytes, marks: bytes) -> None:
        self.steps: list[Step] = []
        self._root = root
        self._top = top
        self._marks = marks
        self._umask = os.umask(0)
        os.umask(self._umask)
        self._names: dict[Inode, dict[bytes, Inode]] = {}
        self._sizes: dict[Inode, int] = {}
        self._offsets: dict[tuple[int, Inode], int] = {}
        self._removed: dict[bytes, Inode] = {}
        self._nameless: dict[int, Inode] = {}
        self._last_of_name: dict[tuple[Inode, bytes], Names] = {}
        self._last_of_inode: dict[Inode, Names] = {}
        self._in_folder: dict[Inode, list[Names]] = {}

    # Where things are

    def _entries(self, folder: Inode) -> dict[bytes, Inode]:
        return self._names.setdefault(folder, dict(folder.entries))

    def _parts(self, path: bytes) -> list[bytes] | None:
        """Return the names that lead to a path, None where it lies outside (or is none: a pipe, a socket)."""
        path = os.path.normpath(path)
        if path == self._top:
            return []
        return path.removeprefix(self._top + b"/").split(b"/") if path.startswith(self._top + b"/") else None

    def _at(self, path: bytes) -> Inode | None:
        parts = self._parts(path)
        found: Inode | None = None if parts is None else self._root
        for part in parts or ():
            found = None if found is None else self._entries(found).get(part)
        return found

    def _of(self, descriptor: Descriptor) -> Inode | None:
        return self._removed.get(descriptor.path) if descriptor.is_deleted else self._at(descriptor.path)

    def _place(self, path: bytes) -> tuple[Inode, bytes] | None:
        """Return the folder and the name in it, None where the path lies outside."""
        parts = self._parts(path)
        if not parts:
            return None
        parent = self._at(os.path.dirname(os.path.normpath(path)))
        assert parent is not None, path
        return parent, parts[-1]

    @staticmethod
    def _paths(call: Call) -> list[bytes]:
        """Return the paths among the arguments, in full."""
        if not call.name.endswith(("at", "at2")):
            assert all(path.startswith(b"/") for path in call.strings[-1:]), call
            return list(call.strings)
        strings = call.strings[-len(call.descriptors) :]
        return [os.path.join(at.path, path) for at, path in zip(call.descriptors, strings, strict=True)]

    # What happens

    def take(self, call: Call) -> None:
        """Note what a call did."""
        name = call.name
        if name.startswith(("open", "creat")):
            self._open(call)
        elif name in ("write", "writev", "pwrite64", "pwritev", "pwritev2"):
            self._write(call)
        elif name in ("fsync", "fdatasync"):
            inode = self._of(call.descriptors[0])
            if inode is not None:
                self.steps.append(Sync(call.begun, call.ended, inode, name == "fsync"))
        elif name == "lseek":
            inode = self._of(call.descriptors[0])
            if inode is not None:
                self._offsets[call.descriptors[0].number, inode] = call.result
        elif name.endswith("truncate"):
            inode = self._of(call.descriptors[0]) if call.descriptors else self._at(call.strings[0])
            self._resize(call, inode, call.numbers[0])
        elif name in ("mkdir", "mkdirat"):
            self._make(call, Inode("folder", self._mode_of(call)), self._paths(call)[0])
        elif name in ("symlink", "symlinkat"):
            link = Inode("link", 0o777)
            link.target = call.strings[0]
            self._make(call, link, self._paths(call)[-1])
        elif "chmod" in name:
            self._chmod(call)
        elif name.startswith(("rename", "link", "unlink", "rmdir")):
            self._rename(call)
        elif name == "mmap":
            for descriptor in call.descriptors:
                is_written = "MAP_SHARED" in call.plain and "PROT_WRITE" in call.plain
                ours = self._of(descriptor) is not None and not descriptor.path.endswith(b"-shm")
                assert not (is_written and ours), "a file is written through memory"
        elif name in _NOT_HERE:
            assert all(self._of(descriptor) is None for descriptor in call.descriptors), call

    def _open(self, call: Call) -> None:
        if "O_TMPFILE" in call.plain and self._parts(call.opened) is not None:
            nameless = Inode("file", self._mode_of(call))
            self._removed[call.opened.removesuffix(b" (deleted)")] = self._nameless[call.result] = nameless
            self._offsets[call.result, nameless] = 0
            return
        inode = self._at(call.opened)
        if inode is None and self._parts(call.opened) is not None and "O_CREAT" in call.plain:
            inode = Inode("file", self._mode_of(call))
            self._make(call, inode, call.opened)
        elif inode is not None and "O_TRUNC" in call.plain and self._size(inode):
            self._resize(call, inode, 0)
        if inode is not None:
            self._offsets[call.result, inode] = self._size(inode) if "O_APPEND" in call.plain else 0

    def _mode_of(self, call: Call) -> int:
        return int(_OCTAL.findall(call.plain)[-1], 8) & ~self._umask & 0o7777

    def _size(self, inode: Inode) -> int:
        return self._sizes.get(inode, len(inode.content))

    def _write(self, call: Call) -> None:
        at = call.descriptors[0]
        data = b"".join(call.strings)[: call.result]
        if at.path == self._marks:
            self.steps.append(Mark(call.begun, call.ended, data.decode().rstrip("\n")))
        inode = self._of(at)
        if inode is None or not data:
            return
        if call.name.startswith("pwrite"):
            offset = call.numbers[0]
        else:
            offset = self._offsets[at.number, inode]
            self._offsets[at.number, inode] = offset + len(data)
        self.steps.append(Write(call.begun, call.ended, inode, offset, data))
        self._sizes[inode] = max(self._size(inode), offset + len(data))

    def _resize(self, call: Call, inode: Inode | None, size: int) -> None:
        if inode is not None:
            self.steps.append(Resize(call.begun, call.ended, inode, size))
            self._sizes[inode] = size

    def _chmod(self, call: Call) -> None:
        inode = self._of(call.descriptors[0]) if call.name == "fchmod" else self._at(self._paths(call)[0])
        if inode is not None:
            mode = int(_OCTAL.findall(call.plain)[-1], 8) & 0o7777
            self.steps.append(Mode(call.begun, call.ended, inode, mode))

    # Names

    def _make(self, call: Call, inode: Inode, path: bytes) -> None:
        place = self._place(path)
        if place is not None:
            self._change(call, [(*place, inode)])

    def _rename(self, call: Call) -> None:
        paths = self._paths(call)
        places = [self._place(path) for path in paths]
        if call.name.startswith(("unlink", "rmdir")):
            if places[0] is not None:
                self._removed[paths[0]] = self._entries(places[0][0])[places[0][1]]
                self._change(call, [(*places[0], None)])
            return
        if places == [None, None]:
            return
        source, target = places
        assert target is not None, "something went outside"
        if nameless := _OPENED.fullmatch(paths[0]):
            self._change(call, [(*target, self._nameless[int(nameless[1])])])
            return
        assert source is not None, "something came from outside"
        moved = self._entries(source[0])[source[1]]
        other = self._entries(target[0]).get(target[1])
        if call.name.startswith("link"):
            self._change(call, [(*target, moved)])
        elif moved is not other:
            if other is not None and "RENAME_EXCHANGE" not in call.plain:
                self._removed[paths[1]] = other
            self._change(call, [(*source, other if "RENAME_EXCHANGE" in call.plain else None), (*target, moved)])

    def _change(self, call: Call, changes: list[tuple[Inode, bytes, Inode | None]]) -> None:
        needs: list[Names] = []
        about: list[Inode] = []
        for folder, name, inode in changes:
            before = self._entries(folder).get(name)
            about += [one for one in (before, inode) if one is not None]
            if (folder, name) in self._last_of_name:
                needs.append(self._last_of_name[folder, name])
            if before is not None and inode is None and before.kind == "folder":
                # It can be removed once it is empty.
                needs += self._in_folder.get(before, [])
        needs += [self._last_of_inode[inode] for inode in about if inode in self._last_of_inode]
        step = Names(call.begun, call.ended, tuple(changes), tuple(dict.fromkeys(needs)))
        self.steps.append(step)
        for folder, name, inode in changes:
            self._last_of_name[folder, name] = step
            self._in_folder.setdefault(folder, []).append(step)
            if inode is None:
                self._entries(folder).pop(name, None)
            else:
                self._entries(folder)[name] = inode
        self._last_of_inode.update(dict.fromkeys(about, step))

    def number(self, folder: Path) -> None:
        """Take the numbers of what was made meanwhile from the folder."""

        def take(inode: Inode, path: bytes) -> None:
            inode.number = inode.number or os.lstat(path).st_ino
            for name, entry in self._entries(inode).items() if inode.kind == "folder" else ():
                take(entry, path + b"/" + name)

        take(self._root, os.fsencode(folder))
