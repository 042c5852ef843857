"""Blobs in memory, for tests and for runs that leave nothing behind."""

import hashlib
from collections.abc import Iterable

from ...domain.action import Content
from ...domain.errors import DomainError


class MemoryBlobStore:
    """The BlobStore port without a disk. Nothing outlives the object."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def put(self, data: bytes) -> Content:
        """Keep the bytes and return their digest and size."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._kept[digest] = bytes(data)
        return Content(digest, len(data))

    def put_stream(self, chunks: Iterable[bytes]) -> Content:
        """Keep the bytes that the chunks make up; what the chunks raise goes through, and nothing is kept then."""
        return self.put(b"".join(chunks))

    def get(self, digest: str) -> bytes:
        """Return the bytes. Raises `DomainError` not_found."""
        try:
            return self._kept[digest]
        except KeyError:
            raise DomainError("not_found", f"no content `{digest}` is kept") from None

    def has(self, digest: str) -> bool:
        """Whether these bytes are kept."""
        return digest in self._kept
