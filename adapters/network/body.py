"""The body of an answer on its way into the blob store: unpacked, counted, and never in memory as a whole."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Final

import anyio.from_thread
import anyio.to_thread

from ...domain.action import Content
from ...engine.ports import BlobStore
from .problem import NetworkProblem

PIECE_BYTES: Final = 64 * 1024
HELD_BYTES: Final = 1024 * 1024
"""A body up to this size is kept in one go; of a larger one the store takes piece by piece."""

_GZIP: Final = 16 + zlib.MAX_WBITS


async def unpacked(chunks: AsyncIterator[bytes], size_max: int) -> AsyncGenerator[bytes, None]:
    """Yield what gzip chunks hold, in small pieces however much they would blow up to.

    Raises `NetworkProblem` limit above `size_max` bytes, io where the chunks are not gzip or end too soon.
    """
    inflate = zlib.decompressobj(_GZIP)
    is_begun = False
    size = 0
    async for chunk in chunks:
        data = chunk
        while data:
            if inflate.eof:
                inflate = zlib.decompressobj(_GZIP)
            is_begun = True
            try:
                piece = inflate.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise NetworkProblem("io", "the body is not the gzip data that the answer says it is") from error
            data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            size += len(piece)
            if size > size_max:
                raise _too_large(size_max)
            if piece:
                yield piece
    if is_begun and not inflate.eof:
        raise NetworkProblem("io", "the body ends in the middle of its gzip data")


async def counted(chunks: AsyncIterator[bytes], size_max: int) -> AsyncGenerator[bytes, None]:
    """Yield the chunks. Raises `NetworkProblem` limit above `size_max` bytes."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > size_max:
            raise _too_large(size_max)
        yield chunk


def _too_large(size_max: int) -> NetworkProblem:
    return NetworkProblem("limit", f"the body is larger than {size_max:,} bytes")


async def keep(chunks: AsyncIterator[bytes], blobs: BlobStore) -> Content | None:
    """Keep what the chunks make up; None where that is nothing. What they raise goes through, and nothing is kept."""
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size > HELD_BYTES:
            return await anyio.to_thread.run_sync(blobs.put_stream, _pulled(held, chunks))
    return await anyio.to_thread.run_sync(blobs.put, b"".join(held)) if size else None


def _pulled(held: list[bytes], chunks: AsyncIterator[bytes]) -> Iterator[bytes]:
    """Yield, in a worker thread, what is held and then what comes; there is never more than one chunk under way."""
    yield from held
    held.clear()
    while chunk := anyio.from_thread.run(_next_of, chunks):
        yield chunk


async def _next_of(chunks: AsyncIterator[bytes]) -> bytes:
    """Return the next chunk that is not empty, or nothing at the end."""
    async for chunk in chunks:
        if chunk:
            return chunk
    return b""
