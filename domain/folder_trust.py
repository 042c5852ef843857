"""Folder trust: whose own policy file a person lets speak. One aggregate for a store.

A folder that comes from elsewhere (a repository, an archive) may bring a policy file. It can only narrow what is
allowed, and still it is read only after a person said that the folder is theirs.
"""

from typing import ClassVar, Final, TypeAlias, assert_never

import msgspec

from .event import Event
from .scope import FolderIdentity

TRUST_STREAM: Final = "folder-trust"
"""The one stream of all trusted folders of a store."""


class FolderTrusted(Event, frozen=True, kw_only=True):
    """A person lets the folder's own policy file speak."""

    TOPIC: ClassVar[str] = "folder_trust.given.v1"
    root_path: str
    identity: FolderIdentity


class FolderDistrusted(Event, frozen=True, kw_only=True):
    """The folder's own policy file is no longer read."""

    TOPIC: ClassVar[str] = "folder_trust.withdrawn.v1"
    root_path: str


TrustEvent: TypeAlias = FolderTrusted | FolderDistrusted


class TrustFolder(msgspec.Struct, frozen=True):
    """Trust the folder at that path, as long as it is the same folder."""

    root_path: str
    identity: FolderIdentity


class DistrustFolder(msgspec.Struct, frozen=True):
    """Trust the folder no longer."""

    root_path: str


TrustCommand: TypeAlias = TrustFolder | DistrustFolder


class TrustedFolders(msgspec.Struct, frozen=True):
    """The trusted folders: path and identity."""

    folders: tuple[tuple[str, FolderIdentity], ...] = ()

    def trusts(self, root_path: str, identity: FolderIdentity) -> bool:
        """Whether this very folder is trusted: another one under the same path is not."""
        return (root_path, identity) in self.folders


INITIAL: Final = TrustedFolders()


def decide(command: TrustCommand, state: TrustedFolders) -> tuple[TrustEvent, ...]:
    """Return the events of a command: none where it changes nothing."""
    match command:
        case TrustFolder(root_path=path, identity=identity):
            return () if state.trusts(path, identity) else (FolderTrusted(root_path=path, identity=identity),)
        case DistrustFolder(root_path=path):
            return (FolderDistrusted(root_path=path),) if any(path == known for known, _ in state.folders) else ()
        case _:
            assert_never(command)


def evolve(state: TrustedFolders, event: TrustEvent) -> TrustedFolders:
    """Return the state after an event."""
    others = tuple(one for one in state.folders if one[0] != event.root_path)
    match event:
        case FolderTrusted(root_path=path, identity=identity):
            return TrustedFolders((*others, (path, identity)))
        case FolderDistrusted():
            return TrustedFolders(others)
        case _:
            assert_never(event)
