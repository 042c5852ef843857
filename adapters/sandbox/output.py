"""What a command prints: read as it comes, masked, shown, and kept up to a bound. What is beyond is counted."""

import os
from collections.abc import Callable
from typing import Final

import anyio
import anyio.lowlevel
import msgspec

from .redaction import Redactor

_CHUNK_BYTES: Final = 64 * 1024


class Printed(msgspec.Struct):
    """One output of a command: the masked chunks that are kept, and how many bytes more were let go."""

    chunks: list[bytes]
    cut: int = 0

    def tail(self, size: int) -> bytes:
        """Return the last bytes of what is kept."""
        last = b""
        for chunk in reversed(self.chunks):
            last = chunk + last
            if len(last) >= size:
                break
        return last[-size:] if size else b""


class Collector:
    """Takes an output's bytes and keeps the first `bytes_max` of them, masked; `show` gets what is kept as it comes."""

    def __init__(self, redactor: Redactor, bytes_max: int, show: Callable[[bytes], None]) -> None:
        self.printed = Printed([])
        self._redactor = redactor
        self._room = bytes_max
        self._show = show

    def take(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if not self._room:
            self.printed.cut += len(chunk)
            return
        self._keep(self._redactor.feed(chunk[: self._room]))
        self.printed.cut += max(0, len(chunk) - self._room)
        self._room = max(0, self._room - len(chunk))
        if not self._room:
            # What is held back may be the beginning of a secret whose end is never seen: it goes with the rest.
            self.printed.cut += self._redactor.drop()

    def end(self) -> Printed:
        """Return what was printed: nothing more comes."""
        self._keep(self._redactor.finish())
        return self.printed

    def _keep(self, masked: bytes) -> None:
        if masked:
            self.printed.chunks.append(masked)
            self._show(masked)


async def pump(descriptor: int, collector: Collector) -> None:
    """Give all that comes out of a pipe to a collector, until the last writer is gone."""
    while True:
        try:
            chunk = os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            await anyio.wait_readable(descriptor)
            continue
        if not chunk:
            return
        collector.take(chunk)
        # A command that prints without end is not alone here.
        await anyio.lowlevel.checkpoint()
