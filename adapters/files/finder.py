"""Finds the files that a pattern of a plan stands for."""

from datetime import UTC, datetime
from typing import Final

import anyio.to_thread

from ...domain.errors import DomainError
from ...domain.glob import SPAN, Glob, parse_glob
from ...domain.path import find_problem, name_of_text, text_of_name
from ...domain.places import is_engines
from ...domain.scope import FolderScope, Scope
from ...engine.limits import WALKED_ENTRIES_MAX
from .failure import PathError
from .resolver import FOLDER, Resolver, choose_resolver, opened
from .roots import Roots
from .state import kind_of, walk

_WILD: Final = frozenset("*?")


class GlobFinder:
    """The FileFinder port over granted folders: never follows a link, and enters only folders that can hold a match."""

    def __init__(self, resolver: Resolver | None = None) -> None:
        self._resolver = resolver or choose_resolver()
        self._roots = Roots(self._resolver)

    async def find(self, grant_id: str, pattern: str, scope: Scope, *, limit: int) -> list[str]:
        """Return the relative paths of all files and links that match, in byte order.

        Raises `DomainError` denied (no grant in force, or its folder is gone), invalid (a pattern with `..`) or limit.
        """
        folder = scope.folder(grant_id)
        if folder is None or folder.revoked or _has_expired(folder):
            raise DomainError("denied", f"no granted folder `{folder.name if folder else grant_id}` is in force")
        problem = find_problem(pattern, root_allowed=False)
        if problem is not None:
            raise DomainError("invalid", f"the pattern `{pattern}` can't be used: {problem.message}")
        return await anyio.to_thread.run_sync(self._find, folder, pattern, limit)

    def close(self) -> None:
        """Let go of the granted folders."""
        self._roots.close()

    def _find(self, folder: FolderScope, pattern: str, limit: int) -> list[str]:
        search = _Search(parse_glob("/".join(part for part in pattern.split("/") if part not in ("", "."))))
        try:
            with self._roots.hold(folder) as root:
                found = self._matches(root, search, limit)
        except PathError as failure:
            raise DomainError("limit" if failure.code == "limit" else "denied", failure.message) from failure
        except OSError as error:
            raise DomainError("denied", f"`{folder.name}` can't be searched: {error.strerror}") from error
        if len(found) > limit:
            raise DomainError("limit", f"more than {limit:,} files match `{pattern}`", "use a narrower pattern")
        return [text_of_name(path) for path in sorted(found)]

    def _matches(self, root: int, search: "_Search", limit: int) -> list[bytes]:
        prefix = name_of_text(search.prefix)
        try:
            top = self._resolver.open(root, prefix, FOLDER)
        except OSError:
            # A folder that is missing, closed or a link holds nothing that could be meant.
            return []
        found: list[bytes] = []
        above = prefix + b"/" if prefix else b""
        with opened(top):
            entries = walk(
                self._resolver,
                top,
                entries_max=WALKED_ENTRIES_MAX,
                lenient=True,
                enters=lambda path: search.may_enter(text_of_name(above + path)),
            )
            for path, status in entries:
                text = text_of_name(above + path)
                if kind_of(status.st_mode) in ("file", "link") and not is_engines(text) and search.glob.matches(text):
                    found.append(above + path)
                    if len(found) > limit:
                        break
        return found


class _Search:
    """A pattern, and what it says about folders: the one to begin in, and which to enter."""

    def __init__(self, glob: Glob) -> None:
        self.glob = glob
        fixed = 0
        while fixed < len(glob.parts) - 1 and not _WILD & set(glob.parts[fixed]):
            fixed += 1
        self.prefix = "/".join(glob.parts[:fixed])
        self._certain = glob.parts.index(SPAN) if SPAN in glob.parts else len(glob.parts)
        self._names_dots = any(part.startswith(".") for part in glob.parts)

    def may_enter(self, folder: str) -> bool:
        """Whether something beneath the folder can match."""
        names = folder.split("/")
        certain = min(len(names), self._certain)
        if len(names) >= len(self.glob.parts) and self._certain == len(self.glob.parts):
            return False
        parts = self.glob.parts[:certain]
        if certain and not Glob("/".join(parts), parts).matches("/".join(names[:certain])):
            return False
        return self._names_dots or not any(name.startswith(".") for name in names[certain:])


def _has_expired(folder: FolderScope) -> bool:
    return folder.expires_at is not None and datetime.now(UTC) >= folder.expires_at
