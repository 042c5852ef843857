"""A session's memory as two files: what it says, encrypted, and the key to it.

    <folder>/<session id>        the entries, names and contents, under ChaCha20-Poly1305 (RFC 8439)
    <folder>/<session id>.key    the key, 32 random bytes, readable by the owner only

The key is nowhere else: not in the log, and not in a backup that leaves this folder out. Where it is gone, what was
written is noise, in every copy of it. No plain text and no key is held between two calls.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from ...domain.errors import DomainError
from ...engine.keeping_ports import MemorySize
from .bounds import Entries, changed, size_of

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_KEY: Final = ".key"
_NEW: Final = ".new"
_SESSION: Final = re.compile(r"[0-9a-z]+(?:-[0-9a-z]+)*")


class FileSessionMemory:
    """The SessionMemory port over a folder of a local file system; any number of processes may share it.

    A write costs two syncs and a rename, the first one of a session two or three more. Whoever reads or writes holds a
    lock on the key's file, so that a key is destroyed when nobody is using it, and used by nobody afterwards.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, session_id: str, name: str) -> bytes | None:
        """Return what was put under the name, None where there is nothing. Raises `DomainError` damaged."""
        return self._entries(session_id).get(name)

    def names(self, session_id: str) -> list[str]:
        """Return the names of all entries, sorted. Raises `DomainError` damaged."""
        return sorted(self._entries(session_id))

    def size(self, session_id: str) -> MemorySize:
        """Return how much there is. Raises `DomainError` damaged."""
        return size_of(self._entries(session_id))

    def put(self, session_id: str, name: str, value: bytes | None) -> MemorySize:
        """Put or remove an entry; return how much there is then. Raises `DomainError` as the port says."""
        place = self._place(session_id)
        try:
            with self._key_for_writing(place) as (key, is_new):
                # What lies there beside a new key was written under one that was destroyed.
                entries = changed({} if is_new else _read(place, key), name, value)
                self._write(place, _sealed(key, session_id, entries))
        except OSError as error:
            raise _unavailable(error) from error
        return size_of(entries)

    def destroy(self, session_id: str) -> bool:
        """Destroy the key: overwritten, made durable, and removed. Raises `DomainError` unavailable."""
        path = _key_of(self._place(session_id))
        try:
            with _locked(path, os.O_RDWR, fcntl.LOCK_EX) as fd:
                for noise in (os.urandom(_KEY_BYTES), bytes(_KEY_BYTES)):
                    os.pwrite(fd, noise, 0)
                    os.fsync(fd)
                path.unlink(missing_ok=True)
                _sync_folder(self._folder)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unavailable(error) from error
        return True

    def clear(self, session_id: str) -> None:
        """Remove what `destroy` left. Raises `DomainError` unavailable."""
        place = self._place(session_id)
        try:
            for path in (Path(f"{place}{_NEW}"), place):
                path.unlink(missing_ok=True)
            if self._folder.is_dir():
                _sync_folder(self._folder)
        except OSError as error:
            raise _unavailable(error) from error

    def sessions(self) -> list[str]:
        """Return the ids of all sessions that have a memory here, or left one."""
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        return sorted({found[0] for found in map(_SESSION.match, names) if found is not None})

    def _place(self, session_id: str) -> Path:
        if _SESSION.fullmatch(session_id) is None:
            raise DomainError("invalid", f"`{session_id}` is not the id of a session")
        return self._folder / session_id

    def _entries(self, session_id: str) -> Entries:
        place = self._place(session_id)
        try:
            with _locked(_key_of(place), os.O_RDONLY, fcntl.LOCK_SH) as fd:
                return _read(place, os.pread(fd, _KEY_BYTES, 0))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _unavailable(error) from error

    @contextmanager
    def _key_for_writing(self, place: Path) -> Iterator[tuple[bytes, bool]]:
        """Give the session's key, and whether it was made just now, to one writer at a time."""
        if not self._folder.is_dir():
            with suppress(FileExistsError):
                self._folder.mkdir(mode=0o700, parents=True)
            _sync_folder(self._folder.parent)
        try:
            with _locked(_key_of(place), os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as fd:
                key = os.pread(fd, _KEY_BYTES, 0)
                is_new = len(key) < _KEY_BYTES
                if is_new:
                    # The file was made just now, or by somebody who died before the key was whole.
                    key = os.urandom(_KEY_BYTES)
                    os.pwrite(fd, key, 0)
                    os.fsync(fd)
                    _sync_folder(self._folder)
                yield key, is_new
        except FileNotFoundError:
            raise DomainError("conflict", f"the memory of session `{place.name}` is being destroyed") from None

    def _write(self, place: Path, data: bytes) -> None:
        new = Path(f"{place}{_NEW}")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        new.replace(place)
        _sync_folder(self._folder)


def _key_of(place: Path) -> Path:
    return place.with_name(f"{place.name}{_KEY}")


@contextmanager
def _locked(path: Path, flags: int, how: int) -> Iterator[int]:
    """Open and lock a key's file. Raises `FileNotFoundError` where it was destroyed while waiting."""
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, how)
        if os.fstat(fd).st_nlink == 0:
            raise FileNotFoundError(path)
        yield fd
    finally:
        os.close(fd)


def _read(place: Path, key: bytes) -> Entries:
    """Return the entries. A key without any was made by somebody who died before the first was written."""
    try:
        data = place.read_bytes()
    except FileNotFoundError:
        return {}
    return _unsealed(key, place.name, data)


def _sealed(key: bytes, session_id: str, entries: Entries) -> bytes:
    # Loaded when it is needed: most runs of the program have no memory to write.
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    nonce = os.urandom(_NONCE_BYTES)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, msgspec.msgpack.encode(entries), session_id.encode())


def _unsealed(key: bytes, session_id: str, data: bytes) -> Entries:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        plain = ChaCha20Poly1305(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], session_id.encode())
        return msgspec.msgpack.decode(plain, type=dict[str, bytes])
    except (InvalidTag, ValueError) as error:
        said = f"the memory of session `{session_id}` is not what was written"
        raise DomainError("damaged", said, f"cowork session end {session_id}") from error


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unavailable(error: OSError) -> DomainError:
    return DomainError("unavailable", f"a session's memory can't be kept: {(error.strerror or str(error)).lower()}")
