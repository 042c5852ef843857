"""What every piece of file work has in its hands: resolver, granted folders, quarantine, blobs, bounds and the rest."""

from collections.abc import Callable
from typing import Final

import msgspec

from ...engine.limits import (
    HASH_BYTES_MAX,
    LIST_ENTRIES_MAX,
    PREVIEW_BYTES_MAX,
    READ_BYTES_MAX,
    SEARCH_BYTES_MAX,
    SEARCH_FILE_BYTES_MAX,
    SEARCH_MATCHES_MAX,
    SEARCH_S_MAX,
)
from ...engine.ports import BlobStore
from .quarantine import Quarantine
from .resolver import Resolver
from .roots import Roots
from .spelling import Spellings

CHUNK_BYTES: Final = 128 * 1024


class FileLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of file work; tests make them small.

    `hash_bytes_max` bounds what is read to identify a file or folder that is deleted, moved or replaced,
    `search_file_bytes_max` the size of a file that is searched, `search_s_max` the seconds of one search.
    """

    read_bytes_max: int = READ_BYTES_MAX
    hash_bytes_max: int = HASH_BYTES_MAX
    preview_bytes_max: int = PREVIEW_BYTES_MAX
    list_entries_max: int = LIST_ENTRIES_MAX
    search_bytes_max: int = SEARCH_BYTES_MAX
    search_file_bytes_max: int = SEARCH_FILE_BYTES_MAX
    search_matches_max: int = SEARCH_MATCHES_MAX
    search_s_max: float = SEARCH_S_MAX


def pass_by(_point: str) -> None:
    """Do nothing: the checkpoint of every run that is not a test."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Given to every function that touches files. `checkpoint` is told between two steps which one comes next."""

    resolver: Resolver
    roots: Roots
    spellings: Spellings
    quarantine: Quarantine
    blobs: BlobStore
    limits: FileLimits
    checkpoint: Callable[[str], None] = pass_by
