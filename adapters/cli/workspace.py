"""`--workspace` and `--upload` of `cowork run`: a folder for the session, with `outputs/` and `uploads/` in it.

    <workspace>/2030-06-14-tidy-the-inbox/outputs/    results: granted for everything, an output root
                                          uploads/    what a person hands over: granted for reading only

Everything that can be refused is refused before anything is made, and what was made for a task that could not be
started is taken away again.
"""

import errno
import hashlib
import os
import re
import shutil
import stat
import unicodedata
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from ...domain.errors import DomainError
from ...domain.path import find_new_name_problem, is_beneath, text_of_name
from ...domain.places import is_engines
from ...domain.scope import VERBS
from ...engine.application import FolderRequest
from ...projections.measure import count_words, size_words
from ...projections.visible_text import visible
from .folders import without_links

OUTPUTS: Final = "outputs"
UPLOADS: Final = "uploads"
_NAME_CHARACTERS_MAX: Final = 40
_SAME_NAMES_MAX: Final = 1000
_CHUNK_BYTES: Final = 1024 * 1024
_NOT_IN_NAMES: Final = re.compile(r"[\W_]+")


class Upload(msgspec.Struct, frozen=True):
    """A file to hand over: where it is, and what it is called in `uploads/`."""

    source: str
    name: str


class Workspace(msgspec.Struct, frozen=True):
    """A session's own folder that was made, with what was handed over. `made_parent`: the folder around it is new."""

    folder: str
    made_parent: bool
    uploads: tuple[Upload, ...]
    uploaded_bytes: int

    def requests(self) -> tuple[FolderRequest, ...]:
        """Return what is to be granted of it."""
        outputs, uploads = (_text(os.path.join(self.folder, name)) for name in (OUTPUTS, UPLOADS))
        return (
            FolderRequest(path=outputs, verbs=VERBS, output_paths=(outputs,), name=OUTPUTS),
            FolderRequest(path=uploads, verbs=("read",), name=UPLOADS),
        )

    def sentence(self) -> str:
        """Return what a person is told about it."""
        said = f"workspace {visible(_text(self.folder))}: results go to {OUTPUTS}/"
        if self.uploads:
            files = f"{count_words(len(self.uploads), 'file')}, {size_words(self.uploaded_bytes)}"
            said = f"{said}, {UPLOADS}/ has {files} to be read only"
        return said

    def discard(self) -> None:
        """Take away what was made: nobody has worked in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.made_parent:
            with suppress(OSError):
                os.rmdir(os.path.dirname(self.folder))


def planned_uploads(files: Sequence[Path]) -> tuple[Upload, ...]:
    """Return the files to hand over. Raises `DomainError` not_found or invalid (a folder, a name twice, its name)."""
    found: dict[str, Upload] = {}
    for file in files:
        source = os.path.abspath(file)
        name = os.path.basename(source)
        shown = visible(_text(str(file)))
        try:
            kind = os.stat(source).st_mode
        except FileNotFoundError:
            raise DomainError("not_found", f"there is no file `{shown}` to upload") from None
        except (OSError, ValueError) as error:
            raise DomainError("invalid", f"`{shown}` can't be uploaded: {_words(error)}") from error
        if stat.S_ISDIR(kind):
            raise DomainError(
                "invalid", f"`{shown}` is a folder", "name each of its files, or grant it with `--folder`"
            )
        if not stat.S_ISREG(kind):
            raise DomainError("invalid", f"`{shown}` is not an ordinary file", "name files")
        text = text_of_name(os.fsencode(name))
        problem = find_new_name_problem(text)
        if problem is not None or is_engines(text):
            why = "it is cowork's own name" if problem is None else problem.message
            raise DomainError("invalid", f"`{shown}` can't be uploaded under its name: {why}", "rename a copy of it")
        if name in found:
            first = visible(_text(found[name].source))
            raise DomainError("invalid", f"`{first}` and `{shown}` have the same name", "rename a copy of one of them")
        found[name] = Upload(source, name)
    return tuple(found.values())


def make_workspace(
    parent: Path,
    title: str,
    uploads: Sequence[Upload],
    *,
    today: datetime,
    closed: Sequence[Path],
    folders: Sequence[FolderRequest],
) -> Workspace:
    """Make the session's folder in the workspace, which is made where there is none, and copy the files into it.

    `closed` are folders of the engine's own that it must not lie in, `folders` what is granted besides. Raises
    `DomainError` invalid, conflict (a file changed while it was copied) or unavailable; then nothing is left.
    """
    base = without_links(str(parent))
    _refuse(base, closed, folders)
    made_parent = not os.path.exists(base)
    try:
        os.makedirs(base, exist_ok=True)
        folder = _new_folder(base, f"{today:%Y-%m-%d}-{_name_of(title)}")
    except OSError as error:
        raise DomainError(
            "unavailable", f"no folder can be made in `{visible(_text(base))}`: {_words(error)}", "name another"
        ) from error
    made = Workspace(folder, made_parent, tuple(uploads), 0)
    with ExitStack() as undo:
        undo.callback(made.discard)
        try:
            for name in (OUTPUTS, UPLOADS):
                os.mkdir(os.path.join(folder, name), 0o700)
            size = sum(_copy(upload, os.path.join(folder, UPLOADS, upload.name)) for upload in uploads)
        except OSError as error:
            raise DomainError("unavailable", f"the workspace can't be made: {_words(error)}") from error
        undo.pop_all()
    return msgspec.structs.replace(made, uploaded_bytes=size)


def _refuse(base: str, closed: Sequence[Path], folders: Sequence[FolderRequest]) -> None:
    shown = visible(_text(base))
    real = os.path.realpath(base)
    if os.path.lexists(base) and not os.path.isdir(real):
        raise DomainError("invalid", f"the workspace `{shown}` is not a folder", "name a folder")
    for own in closed:
        if is_beneath(_text(real), _text(os.path.realpath(own))):
            raise DomainError(
                "invalid",
                f"the workspace `{shown}` lies in `{visible(_text(str(own)))}`, which is cowork's own",
                "name a folder elsewhere",
            )
    for folder in folders:
        if is_beneath(_text(real), _text(os.path.realpath(folder.path))):
            raise DomainError(
                "invalid",
                f"the workspace `{shown}` lies in the granted folder `{visible(folder.path)}`, by way of which the"
                " uploads could be written to",
                "grant another folder, or name a workspace elsewhere",
            )


def _new_folder(base: str, wish: str) -> str:
    for number in range(1, _SAME_NAMES_MAX):
        path = os.path.join(base, wish if number == 1 else f"{wish}-{number}")
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(errno.EEXIST, f"there are {_SAME_NAMES_MAX} folders called {wish} already")


def _name_of(title: str) -> str:
    """Return a title as the name of a folder: letters, digits and hyphens, of any script."""
    words = _NOT_IN_NAMES.sub("-", unicodedata.normalize("NFC", title).lower()).strip("-")
    return words[:_NAME_CHARACTERS_MAX].strip("-") or "session"


def _copy(upload: Upload, target: str) -> int:
    """Copy a file, which is not there yet, and make sure that every byte arrived; return its size in bytes."""
    shown = visible(_text(upload.source))
    with open(upload.source, "rb") as source:
        before = os.fstat(source.fileno())
        fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "w+b") as copy:
            read = hashlib.sha256()
            while chunk := source.read(_CHUNK_BYTES):
                read.update(chunk)
                copy.write(chunk)
            copy.flush()
            os.fsync(fd)
            copy.seek(0)
            arrived = hashlib.file_digest(copy, "sha256")
            size = copy.tell()
        after = os.fstat(source.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != after.st_size:
        raise DomainError("conflict", f"`{shown}` changed while it was copied", "try again")
    if arrived.digest() != read.digest():
        raise DomainError(
            "damaged", f"`{shown}` did not arrive as it is: the disk returns other bytes than were written"
        )
    return size


def _text(path: str) -> str:
    return text_of_name(os.fsencode(path))


def _words(error: Exception) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
