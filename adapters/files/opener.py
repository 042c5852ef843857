"""Looks at a folder that a person is about to grant."""

import os
from collections.abc import Sequence
from pathlib import Path

from ...domain.errors import DomainError
from ...domain.path import text_of_name
from ...domain.scope import FolderIdentity
from .resolver import Resolver, choose_resolver, opened


class FileFolderOpener:
    """The FolderOpener port: which folder a path means, without links, and never the engine's own or what contains it.

    `state_dir` is the store; `policy_dirs` are where policy documents lie or may be put.
    """

    def __init__(self, state_dir: Path, resolver: Resolver | None = None, *, policy_dirs: Sequence[Path] = ()) -> None:
        self._state_dir = state_dir
        self._policy_dirs = tuple(policy_dirs)
        self._resolver = resolver or choose_resolver()

    def identify(self, path: str) -> tuple[str, FolderIdentity]:
        """Return the folder's absolute path without links, and which folder it is.

        Links on the way are resolved, a link as the folder itself is refused: what it points to is to be granted by its
        own name. Raises `DomainError` not_found, or invalid for a file, a link, `/`, the store and policy documents.
        """
        if not path.strip() or "\x00" in path:
            raise DomainError("invalid", f"`{path}` is not the path of a folder")
        resolved = _without_links(path)
        if resolved == Path("/"):
            raise DomainError("invalid", "`/` can't be granted: it contains everything", "grant a folder in it")
        try:
            fd = self._resolver.open_root(os.fsencode(resolved))
        except OSError as error:
            raise _refusal(path, error) from error
        with opened(fd):
            status = os.fstat(fd)
        self._refuse_own(path, resolved)
        return text_of_name(os.fsencode(resolved)), FolderIdentity(status.st_dev, status.st_ino)

    def _refuse_own(self, path: str, resolved: Path) -> None:
        if _is_entangled(resolved, self._state_dir):
            raise DomainError(
                "invalid",
                f"`{path}` contains the store, or lies in it: an agent could change what is recorded about it",
                "grant another folder, or keep the store elsewhere",
            )
        for folder in self._policy_dirs:
            if _is_entangled(resolved, folder):
                raise DomainError(
                    "invalid",
                    f"`{path}` contains the folder of policy documents `{folder}`, or lies in it: an agent could write"
                    " its own rules",
                    "grant another folder",
                )


def _without_links(path: str) -> Path:
    """Return the absolute path with all links resolved but one at its end."""
    given = Path(os.fsencode(path).decode(errors="surrogateescape"))
    try:
        if given.name in ("", ".", ".."):
            return given.resolve(strict=True)
        return given.parent.resolve(strict=True) / given.name
    except (OSError, RuntimeError) as error:
        raise _refusal(path, error) from error


def _refusal(path: str, error: Exception) -> DomainError:
    if isinstance(error, FileNotFoundError):
        return DomainError("not_found", f"no folder `{path}`")
    if isinstance(error, PermissionError):
        return DomainError("invalid", f"`{path}` can't be entered")
    if Path(path).is_symlink():
        return DomainError("invalid", f"`{path}` is a symbolic link", "grant the folder that it points to")
    return DomainError("invalid", f"`{path}` is not a folder")


def _is_entangled(folder: Path, own: Path) -> bool:
    real = Path(os.path.realpath(own))
    return real.is_relative_to(folder) or folder.is_relative_to(real) or _is_same_or_above(folder, real)


def _is_same_or_above(folder: Path, store: Path) -> bool:
    """Whether the folder is one of the store's own, by its identity (a second mount of it has another path)."""
    status = folder.stat()
    for above in (store, *store.parents):
        try:
            if os.path.samestat(status, above.stat()):
                return True
        except FileNotFoundError:
            continue
    return False
