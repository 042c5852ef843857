"""Looking at what a command names before it runs: its working folder and the files among its arguments.

Every step is a descriptor relative to the one before; a link on the way ends it.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from ...domain.action import CommandAction, ShellExec
from ...domain.facts import Input, Obstacle
from ...domain.path import components, find_problem, is_beneath, name_of_text, normal
from ...domain.reason import ReasonCode
from ...domain.scope import FolderScope
from ...engine.limits import COMMAND_INPUT_BYTES_MAX, COMMAND_INPUTS_MAX
from .descriptors import DATA, PASSAGE, chunks_of, is_same_object, opened

_ENTRY: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

_ANSWERS: Final[dict[int, tuple[ReasonCode, str]]] = {
    errno.ENOENT: ("not_found", "it does not exist"),
    errno.ELOOP: ("symlink", "a symbolic link stands in the way"),
    errno.ENOTDIR: ("not_found", "a file stands where a folder is needed"),
    errno.EXDEV: ("xdev", "it lies on another file system"),
    errno.ENAMETOOLONG: ("limit", "the path or a name is too long"),
}


def find_obstacle_of_cwd(root: int, path: str) -> Obstacle | None:
    """Return why a command can't work in a folder beneath the granted one (`root`), or None."""
    problem = find_problem(path, root_allowed=True)
    if problem is not None:
        return Obstacle(problem.code, problem.message)
    try:
        with _opened_beneath(root, components(path)):
            return None
    except OSError as error:
        code, words = _ANSWERS.get(error.errno or 0, ("io", (error.strerror or str(error)).lower()))
        return Obstacle(code, f"a command can't work in `{path}`: {words}")


@contextmanager
def _opened_beneath(root: int, parts: Sequence[str]) -> Iterator[int]:
    """Give a descriptor of a folder reached without links and without leaving the file system."""
    device = os.fstat(root).st_dev
    folder = os.open(".", PASSAGE, dir_fd=root)
    try:
        for part in parts:
            below = os.open(name_of_text(part), _ENTRY, dir_fd=folder)
            os.close(folder)
            folder = below
            status = os.fstat(folder)
            if stat.S_ISLNK(status.st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if not stat.S_ISDIR(status.st_mode):
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if status.st_dev != device:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        yield folder
    finally:
        os.close(folder)


class NamedFile(msgspec.Struct, frozen=True):
    """A file that a command names: what it holds, and how many names it has."""

    data: bytes
    links: int


def named_files(action: CommandAction, folder: FolderScope, root: int) -> dict[str, NamedFile]:
    """Return the files beneath the granted folder that the arguments name, by path, and what they hold.

    A file may be named relative to the working folder or absolutely, alone or behind a `=`. The first 16 count, and
    files of up to 1 MiB: scripts, as a rule. A larger one is data.
    """
    words = action.argv if isinstance(action, ShellExec) else action.args
    found: dict[str, NamedFile] = {}
    for path in _paths_of(words, action.cwd.path, folder):
        if len(found) == COMMAND_INPUTS_MAX:
            break
        file = None if path in found else _read_small(root, path)
        if file is not None:
            found[path] = file
    return found


def inputs_of(files: Mapping[str, NamedFile]) -> tuple[Input, ...]:
    """Return the files as facts: what an approval is bound to."""
    return tuple(
        Input(path, f"sha256:{hashlib.sha256(file.data).hexdigest()}", len(file.data), file.links)
        for path, file in files.items()
    )


def _paths_of(words: Sequence[str], cwd: str, folder: FolderScope) -> Iterator[str]:
    for word in words:
        for text in (word, word.partition("=")[2]):
            path = _path_beneath(text, cwd, folder)
            if path is not None:
                yield path


def _path_beneath(text: str, cwd: str, folder: FolderScope) -> str | None:
    """Return the path beneath the granted folder that a word means, or None; `..` is followed in words alone."""
    if not text or len(text) > 4096:
        return None
    if text.startswith("/"):
        if not is_beneath(text, folder.root_path):
            return None
        parts = list(components(text)[len(components(folder.root_path)) :])
    else:
        parts = [*components(cwd), *components(text)]
    plain: list[str] = []
    for part in parts:
        if part != "..":
            plain.append(part)
        elif plain:
            plain.pop()
        else:
            return None
    path = normal("/".join(plain))
    return None if find_problem(path, root_allowed=False) is not None else path


def _read_small(root: int, path: str) -> NamedFile | None:
    """Return a small regular file; None for anything else, and for what can't be read."""
    parts = components(path)
    try:
        with _opened_beneath(root, parts[:-1]) as parent:
            name = name_of_text(parts[-1])
            seen = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISREG(seen.st_mode) or seen.st_size > COMMAND_INPUT_BYTES_MAX:
                return None
            with opened(os.open(name, DATA, dir_fd=parent)) as file:
                if not is_same_object(os.fstat(file), seen):
                    return None
                data = b"".join(chunks_of(file))
                return NamedFile(data, seen.st_nlink) if len(data) <= COMMAND_INPUT_BYTES_MAX else None
    except OSError:
        return None
