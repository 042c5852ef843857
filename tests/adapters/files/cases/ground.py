"""The ground that the cases stand on: granted folders, a sibling with their prefix, an outside, the engine's state."""

import contextlib
import os
import socket
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from cowork.adapters.blobs.store import FileBlobStore
from cowork.domain.action import Content, Location
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Scope

Manifest = dict[str, tuple[object, ...]]


def folder_scope(folder: Path, grant_id: str, *, output_roots: tuple[str, ...] = ()) -> FolderScope:
    """Return a grant of all verbs on the folder as it is now."""
    status = folder.stat()
    return FolderScope(
        grant_id=grant_id,
        name=folder.name,
        root_path=str(folder),
        verbs=VERBS,
        output_roots=output_roots,
        identity=FolderIdentity(status.st_dev, status.st_ino),
    )


class Ground:
    """`BASE` of the case descriptions, with everything in it that a case must not touch."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.grant = base / "grant"
        self.grant2 = base / "grant2"
        self.evil = base / "grant-evil"
        self.out = base / "out"
        self.state = base / "state"
        self.home = base / "home"
        for folder in (self.grant, self.grant2, self.evil, self.out, self.state, self.home):
            folder.mkdir(parents=True)
        self.canary = f"CANARY-{uuid.uuid4()}"
        (self.out / "secret.txt").write_text(self.canary)
        (self.out / "linked.txt").write_text("linked from outside\n")
        (self.evil / "f").write_text(self.canary)
        (self.home / ".netrc").write_text(self.canary)
        if self._has_xattrs():
            os.setxattr(self.out / "linked.txt", "user.kept", b"as it is")
        self._cleanup = contextlib.ExitStack()
        self.listener = self._listen()
        self.blobs = FileBlobStore(self.state / "blobs")
        self.scope = Scope((folder_scope(self.grant, "g"), folder_scope(self.grant2, "g2")))
        self._secret_before = os.environ.get("COWORK_TEST_SECRET")
        os.environ["COWORK_TEST_SECRET"] = self.canary

    def grant_again(self) -> None:
        """Grant what stands at the two paths now (a case has mounted something there)."""
        self.scope = Scope((folder_scope(self.grant, "g"), folder_scope(self.grant2, "g2")))

    def at(self, path: str, grant_id: str = "g") -> Location:
        """Return a place as an action names it."""
        return Location(grant_id, path)

    def content(self, data: bytes | str) -> Content:
        """Put bytes into the store and return their digest and size."""
        return self.blobs.put(data.encode() if isinstance(data, str) else data)

    def close(self) -> None:
        """Let go of sockets and the environment."""
        self._cleanup.close()
        if self._secret_before is None:
            os.environ.pop("COWORK_TEST_SECRET", None)
        else:
            os.environ["COWORK_TEST_SECRET"] = self._secret_before

    def untouchable(self, *, links_may_drop: bool = False) -> Manifest:
        """Return what must be the same before and after: everything outside the grants but blobs and quarantine."""
        manifest: Manifest = {}
        for folder in (self.out, self.evil, self.state, self.home):
            skipped = {self.state / "blobs", self.state / "quarantine"}
            manifest |= manifest_of(folder, skipped=skipped, links_may_drop=links_may_drop)
        return manifest

    def leftovers(self) -> list[str]:
        """Return every temporary file of the engine's in the whole ground."""
        return sorted(
            os.path.join(folder, name)
            for folder, folders, files in os.walk(self.base)
            for name in (*folders, *files)
            if name.startswith(".cowork-")
        )

    def files_with(self, marker: bytes) -> list[str]:
        """Return the ordinary files inside the grants that hold the marker."""
        found = []
        for top in (self.grant, self.grant2):
            if top.is_symlink():
                continue
            for folder, _, files in os.walk(top):
                for name in files:
                    path = Path(folder, name)
                    status = path.lstat()
                    is_small = stat.S_ISREG(status.st_mode) and status.st_size < 16 * 1024 * 1024
                    if is_small and os.access(path, os.R_OK) and marker in path.read_bytes():
                        found.append(str(path))
        return found

    def has_visitors(self) -> bool:
        """Whether anybody connected to the listener."""
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def _listen(self) -> socket.socket:
        listener = self._cleanup.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        unix = self._cleanup.enter_context(socket.socket(socket.AF_UNIX))
        # A socket's address is short, a test's folder is not: bound by a relative name through its folder.
        with opened_folder(self.out) as folder:
            unix.bind(f"/proc/self/fd/{folder}/s.sock")
        unix.listen()
        return listener

    def _has_xattrs(self) -> bool:
        try:
            os.setxattr(self.out / "secret.txt", "user.probe", b"1")
        except OSError:
            return False
        return True


@contextlib.contextmanager
def opened_folder(folder: Path) -> Iterator[int]:
    """Give a descriptor of the folder."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def manifest_of(folder: Path, *, skipped: set[Path] | None = None, links_may_drop: bool = False) -> Manifest:
    """Return, for everything beneath the folder, all that could tell that it was touched."""
    manifest: Manifest = {}
    for top, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(top, name) not in (skipped or set())]
        for name in (*folders, *files):
            path = Path(top, name)
            status = path.lstat()
            content: bytes | str = b""
            if stat.S_ISREG(status.st_mode) and status.st_size < 64 * 1024 * 1024:
                content = path.read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            attributes = tuple(
                (name, os.getxattr(path, name, follow_symlinks=False))
                for name in os.listxattr(path, follow_symlinks=False)
            )
            manifest[str(path)] = (
                status.st_mode,
                status.st_size,
                status.st_mtime_ns,
                status.st_ino,
                0 if links_may_drop else status.st_nlink,
                content,
                attributes,
            )
    return manifest
