"""What an undo would meet: what stands at places or is kept in quarantine, what folders hold, what a file says now.

Every grant is opened as for an action, no link is followed, and nothing is changed. What can't be told has a sentence.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import anyio.to_thread
import msgspec

from ...domain.action import Location
from ...domain.errors import DomainError
from ...domain.manifest import Entry, digest_of_lines, line_of
from ...domain.path import components, find_problem, name_of_text, text_of_name
from ...domain.places import is_engines
from ...domain.scope import Scope
from ...engine.ports import BlobStore, Look, Seen
from .failure import EXPECTED, PathError, failure_of, sentence_of
from .quarantine import Quarantine
from .resolver import ENTRY, Resolver, choose_resolver, opened
from .restoring import kept_name
from .roots import Roots
from .spelling import Spellings
from .state import chunks_of, entries_of_tree, look, open_data
from .world import FileLimits, World


class PlaceLooker:
    """The PlaceReader port over granted folders and the quarantine of `state_dir`."""

    def __init__(
        self, blobs: BlobStore, state_dir: Path, resolver: Resolver | None = None, limits: FileLimits | None = None
    ) -> None:
        strict = resolver or choose_resolver()
        self._world = World(
            resolver=strict,
            roots=Roots(strict),
            spellings=Spellings(strict),
            quarantine=Quarantine(state_dir, strict),
            blobs=blobs,
            limits=limits or FileLimits(),
        )

    async def look(self, looks: Sequence[Look], scope: Scope) -> list[Seen]:
        """Look at each place, changing nothing. Never raises for any path, name or kind of file."""
        return await anyio.to_thread.run_sync(self._look_at_all, looks, scope)

    async def read(self, at: Location, scope: Scope, *, bytes_max: int, kept: str = "") -> bytes:
        """Return the bytes of an ordinary file, or (with `kept`) of one in quarantine for the grant of `at`.

        Raises `DomainError` conflict (it can't be read), limit.
        """
        return await anyio.to_thread.run_sync(self._read, at, scope, bytes_max, kept)

    def close(self) -> None:
        """Let go of the granted folders."""
        self._world.roots.close()

    def _look_at_all(self, looks: Sequence[Look], scope: Scope) -> list[Seen]:
        with ExitStack() as held:
            roots: dict[str, int] = {}
            return [self._look(one, scope, roots, held) for one in looks]

    def _look(self, wish: Look, scope: Scope, roots: dict[str, int], held: ExitStack) -> Seen:
        try:
            root = self._root(wish.at, scope, roots, held)
            if not wish.kept:
                self._world.spellings.require_listed(root, wish.at.path)
                return self._seen(root, _name(wish.at), wish)
            name = kept_name(wish.kept)
            with self._world.quarantine.find(root, name) as folder:
                return Seen() if folder is None else self._seen(folder, name, wish)
        except NotADirectoryError:
            return Seen()
        except EXPECTED as error:
            shown = failure_of(error, wish.at.path) if isinstance(error, OSError) else error
            return Seen(problem=sentence_of(shown)[1])

    def _root(self, at: Location, scope: Scope, roots: dict[str, int], held: ExitStack) -> int:
        problem = find_problem(at.path, root_allowed=True)
        if problem is not None:
            raise PathError(problem.code, problem.message)
        if is_engines(at.path):
            raise PathError("protected", "the engine's own files are no part of an undo")
        if at.grant_id not in roots:
            folder = scope.folder(at.grant_id)
            if folder is None:
                raise PathError("no_grant", f"no granted folder covers `{at.path}`")
            roots[at.grant_id] = held.enter_context(self._world.roots.hold(folder))
        return roots[at.grant_id]

    def _seen(self, folder: int, name: bytes, wish: Look) -> Seen:
        world = self._world
        state = look(world, folder, name, digest=True, unless=lambda seen: seen.kind == "folder")
        if state.kind != "folder" or not wish.listed:
            return Seen(state=state)
        with opened(world.resolver.open(folder, name, ENTRY)) as top:
            found, size = entries_of_tree(world, top)
        digest = digest_of_lines((path, line_of(kind, digest, path)) for path, kind, digest, _ in found)
        entries = tuple(Entry(text_of_name(path), kind, digest, mode) for path, kind, digest, mode in sorted(found))
        state = msgspec.structs.replace(state, digest=digest, size=size, entries=len(found))
        return Seen(state=state, entries=entries)

    def _read(self, at: Location, scope: Scope, bytes_max: int, kept: str) -> bytes:
        try:
            with ExitStack() as held:
                root = self._root(at, scope, {}, held)
                name = kept_name(kept) if kept else _name(at)
                folder = held.enter_context(self._world.quarantine.find(root, name)) if kept else root
                if folder is None or look(self._world, folder, name, digest=False).kind != "file":
                    raise PathError("conflict", f"`{kept or at.path}` is no file any more")
                with opened(self._world.resolver.open(folder, name, ENTRY)) as entry:
                    status = os.fstat(entry)
                with opened(open_data(self._world.resolver, folder, name, status)) as data:
                    return b"".join(chunks_of(data, bytes_max=bytes_max))
        except EXPECTED as error:
            shown = failure_of(error, at.path) if isinstance(error, OSError) else error
            code, sentence = sentence_of(shown)
            raise DomainError("limit" if code == "limit" else "conflict", sentence) from error


def _name(at: Location) -> bytes:
    return name_of_text("/".join(components(at.path)))
