"""The one oracle that every case is held against, whatever its own outcome says."""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from cowork.domain.event import Event
from tests.acceptance.sandbox.field import CANARY, Field
from tests.adapters.files.cases.case import RSS_GROWTH_BYTES_MAX
from tests.adapters.sandbox.ground import processes_with

SECONDS_MAX = 5.0


class Watch:
    """Remembers how everything was, and says what is different."""

    def __init__(self, field: Field, *, seconds_max: float = SECONDS_MAX, links_may_drop: bool = False) -> None:
        self._field = field
        self._seconds_max = seconds_max
        self._links_may_drop = links_may_drop
        self._before = field.untouchable(links_may_drop=links_may_drop)
        self._descriptors = _descriptors()
        self._resident = start_of_peak()
        self._began = time.monotonic()

    def stop(self) -> None:
        """Take the time that the case took."""
        self.seconds = time.monotonic() - self._began
        self._peak = peak_of(os.getpid())

    def descriptors_left(self) -> list[str]:
        """Return descriptors that are open and were not before."""
        now = _descriptors()
        return [] if len(now) <= len(self._descriptors) else sorted(now - self._descriptors)

    def require_clean(self) -> None:
        """Fail for anything that the case touched, told, left behind, reached, or took too much of."""
        field = self._field
        after = field.untouchable(links_may_drop=self._links_may_drop)
        assert after.keys() == self._before.keys(), "entries appeared or went outside the granted folders"
        assert after == self._before, "something outside the granted folders was touched"
        assert field.strangers() == [], "something was left in the engine's folder, or beside it"
        assert field.leaks() == [], "a secret got into the store or into a granted folder"
        assert field.leftovers() == [], "temporary files were left"
        assert processes_with(field.marker) == [], "a process is still alive"
        assert len(field.visitors()) == field.connections_allowed, "somebody reached a listener"
        assert self.descriptors_left() == [], "descriptors were left open"
        assert self.seconds < self._seconds_max, f"it took {self.seconds:.1f} s"
        assert self._peak - self._resident < RSS_GROWTH_BYTES_MAX, f"it took {self._peak - self._resident:,} bytes"


def require_untold(events: Iterable[Event], shown: Iterable[bytes]) -> None:
    """Fail where an event, a question or an output tells a secret."""
    told = [*(msgspec.json.encode(event) for event in events), *shown]
    assert [one for one in told if CANARY in one] == []


def _descriptors() -> set[str]:
    found: set[str] = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:
            continue  # The listing's own.
    return found


def start_of_peak() -> int:
    """Forget how much memory this process had at its most, and return how much it has, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_of(os.getpid())


def peak_of(pid: int) -> int:
    """Return how much memory a process had at its most, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0
