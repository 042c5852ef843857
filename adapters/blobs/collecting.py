"""Removing blobs that nothing needs any more, beside processes that put and read them."""

import fcntl
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ...domain.errors import DomainError
from ...engine.keeping_ports import KeptItem, KeptKind
from .store import locked

_SHARD: Final = re.compile("[0-9a-f]{2}")
_REST: Final = re.compile("[0-9a-f]{62}")


class BlobCollector:
    """The Collector port over the folder of a `FileBlobStore`.

    A blob goes with one unlink, under the folder's exclusive lock, after another look at when it was last touched.
    """

    kind: KeptKind = "blob"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def kept(self) -> Iterator[KeptItem]:
        """Yield all blobs there are."""
        for shard in _folders(self._folder):
            for path in shard.iterdir():
                if _REST.fullmatch(path.name) is None:
                    continue
                with suppress(FileNotFoundError):
                    status = path.stat()
                    yield KeptItem(
                        kind="blob",
                        name=f"sha256:{shard.name}{path.name}",
                        size=status.st_size,
                        touched_at=datetime.fromtimestamp(status.st_mtime, UTC),
                    )

    def remove(self, item: KeptItem, *, untouched_since: datetime) -> bool:
        """Remove the blob, unless it was touched meanwhile. Raises `DomainError` unavailable."""
        digits = item.name.removeprefix("sha256:")
        path = self._folder / digits[:2] / digits[2:]
        try:
            with locked(self._folder, fcntl.LOCK_EX):
                if path.stat().st_mtime > untouched_since.timestamp():
                    return False
                path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            said = (error.strerror or str(error)).lower()
            raise DomainError("unavailable", f"the content `{item.name}` can't be removed: {said}") from error
        return True


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if _SHARD.fullmatch(path.name))
    except FileNotFoundError:
        return []
