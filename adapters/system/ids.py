"""New identifiers: the time in milliseconds and entropy of the operating system."""

import os
import time

from ...domain.ids import ENTROPY_BITS, format_id


class RandomIds:
    """Ids that sort by time: those of one millisecond and one process count on from a random start, none twice."""

    def __init__(self) -> None:
        self._last_ms = 0
        self._entropy = 0

    def new(self, prefix: str) -> str:
        """Return a new id, such as `task-06bq2wr0t0x5k9qz`."""
        now_ms = time.time_ns() // 1_000_000
        if now_ms > self._last_ms:
            self._last_ms = now_ms
            # The top bit stays free, so that counting on never overflows into the time.
            self._entropy = int.from_bytes(os.urandom(4)) >> 1
        else:
            self._entropy += 1
            if self._entropy >> ENTROPY_BITS:
                self._last_ms += 1
                self._entropy = 0
        return format_id(prefix, self._last_ms, self._entropy)
