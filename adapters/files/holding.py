"""Gives other adapters the granted folders, opened and compared with what was granted."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ...domain.errors import DomainError
from ...domain.scope import FolderScope
from .failure import PathError
from .resolver import Resolver, choose_resolver
from .roots import Roots


class GrantedFolders:
    """The FolderHolder port: the descriptor is of the folder that was granted, whatever its path leads to now."""

    def __init__(self, resolver: Resolver | None = None) -> None:
        self._roots = Roots(resolver or choose_resolver())

    @contextmanager
    def hold(self, folder: FolderScope) -> Iterator[int]:
        """Give an `O_PATH` descriptor of the granted folder for the length of the block.

        Raises `DomainError` conflict where its path leads to another folder, to none, or through a link.
        """
        with ExitStack() as held:
            try:
                fd = held.enter_context(self._roots.hold(folder))
            except PathError as failure:
                raise DomainError("conflict", failure.message, "grant the folder that stands there now") from failure
            yield fd

    def close(self) -> None:
        """Let go of the granted folders."""
        self._roots.close()
