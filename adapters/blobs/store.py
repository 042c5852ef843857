"""Blobs as files: `<folder>/ab/cdef…` holds the bytes whose SHA-256 is `abcdef…`."""

import errno
import fcntl
import hashlib
import itertools
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ...domain.action import Content
from ...domain.errors import DomainError
from ...engine.limits import COLLECT_UNTOUCHED_S_MIN

_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{2})([0-9a-f]{62})")
_LEFTOVER_AGE_S: Final = 24 * 60 * 60
_TOUCHED_S: Final = COLLECT_UNTOUCHED_S_MIN / 4
"""How old a touch may be that is not made again: collecting waits for that much longer than the port promises."""

_NOT_OURS_TO_TOUCH: Final = (errno.EROFS, errno.EACCES, errno.EPERM)


class FileBlobStore:
    """The BlobStore port over one folder of a local file system; any number of processes may share it.

    A new blob costs two syncs, of the file and of its folder. A blob that is there already costs none. The first one in
    a folder costs one or two more: whoever made it, or the folder, may have died between naming it and the sync.

    A blob that is put again or asked for is touched, under a shared lock of the folder; who collects what is no longer
    needed (`collecting.py`) looks at the touch and removes under an exclusive one, so that neither can come in between.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unfinished = folder / "unfinished"
        self._synced: set[Path] = set()
        self._numbers = itertools.count()
        try:
            self._unfinished.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._clear_leftovers()
        except OSError as error:
            raise _unavailable(error) from error

    def put(self, data: bytes) -> Content:
        """Keep the bytes and return their digest and size. Raises `DomainError` unavailable (full, read-only)."""
        content = Content(f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))
        return content if self._is_kept(content) else self.put_stream((data,))

    def put_stream(self, chunks: Iterable[bytes]) -> Content:
        """Keep the bytes that the chunks make up, without ever holding more than one chunk.

        Raises `DomainError` unavailable; what the chunks raise goes through, and nothing is kept then.
        """
        temporary = self._unfinished / f"{os.getpid()}-{time.time_ns()}-{next(self._numbers)}"
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unavailable(error) from error
        try:
            content = _write(fd, chunks)
            if not self._is_kept(content):
                self._publish(temporary, self._path_of(content.digest))
            return content
        finally:
            temporary.unlink(missing_ok=True)

    def get(self, digest: str) -> bytes:
        """Return the bytes. Raises `DomainError` not_found, or damaged where they no longer match their digest."""
        path = self._path_of(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise DomainError("not_found", f"no content `{digest}` is kept") from None
        except OSError as error:
            raise DomainError("damaged", f"the content `{digest}` can't be read: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest() != digest.removeprefix("sha256:"):
            raise DomainError(
                "damaged",
                f"the content kept as `{digest}` is no longer what was kept",
                "restore the store's blobs folder from a backup",
            )
        return data

    def has(self, digest: str) -> bool:
        """Whether these bytes are kept. They stay for a while then, as the port says."""
        if _DIGEST.fullmatch(digest) is None:
            return False
        path = self._path_of(digest)
        with locked(self._folder, fcntl.LOCK_SH):
            try:
                _touch(path, path.stat())
            except FileNotFoundError:
                return False
        return True

    def _path_of(self, digest: str) -> Path:
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise DomainError("not_found", f"`{digest}` is not the digest of any content")
        return self._folder / match[1] / match[2]

    def _is_kept(self, content: Content) -> bool:
        """Whether the blob is there and durable; one cut short by a full disk or a broken copy does not count."""
        path = self._path_of(content.digest)
        try:
            with locked(self._folder, fcntl.LOCK_SH):
                status = path.stat()
                if status.st_size != content.size:
                    return False
                _touch(path, status)
            if path.parent not in self._synced:
                self._sync(path.parent)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unavailable(error) from error
        return True

    def _publish(self, temporary: Path, path: Path) -> None:
        try:
            with suppress(FileExistsError):
                path.parent.mkdir(mode=0o700)
            with locked(self._folder, fcntl.LOCK_SH):
                temporary.replace(path)
            self._sync(path.parent)
        except OSError as error:
            raise _unavailable(error) from error

    def _sync(self, folder: Path) -> None:
        """Make durable what is in a folder of blobs, and that the folder is there: who made it may have died."""
        _sync_folder(folder)
        if not self._synced:
            _sync_folder(self._folder.parent)
        if folder not in self._synced:
            _sync_folder(self._folder)
            self._synced.add(folder)

    def _clear_leftovers(self) -> None:
        """Remove what processes that died long ago had begun to write."""
        oldest = time.time() - _LEFTOVER_AGE_S
        for path in self._unfinished.iterdir():
            try:
                if path.stat().st_mtime < oldest:
                    path.unlink()
            except FileNotFoundError:
                continue


@contextmanager
def locked(folder: Path, how: int) -> Iterator[None]:
    """Hold the folder's lock for the length of the block: `LOCK_SH` to put and to ask, `LOCK_EX` to remove."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)


def _touch(path: Path, status: os.stat_result) -> None:
    if abs(time.time() - status.st_mtime) < _TOUCHED_S:
        return
    try:
        os.utime(path)
    except OSError as error:
        # Where nothing may be written, nothing is collected either.
        if error.errno not in _NOT_OURS_TO_TOUCH:
            raise


def _write(fd: int, chunks: Iterable[bytes]) -> Content:
    """Write the chunks durably and close the file."""
    hashing = hashlib.sha256()
    size = 0
    try:
        for chunk in chunks:
            hashing.update(chunk)
            size += len(chunk)
            _write_all(fd, chunk)
        _sync_file(fd)
    finally:
        os.close(fd)
    return Content(f"sha256:{hashing.hexdigest()}", size)


def _write_all(fd: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError as error:
        raise _unavailable(error) from error


def _sync_file(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        raise _unavailable(error) from error


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unavailable(error: OSError) -> DomainError:
    return DomainError("unavailable", f"content can't be kept: {(error.strerror or str(error)).lower()}")
