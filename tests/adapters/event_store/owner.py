"""A process that wants to be the only one to work: `python -m … PATH NAME SECONDS`; it says what was acknowledged.

It claims the task, and appends for as long as nobody else has claimed it; each append is guarded by the version at
which it claimed. `claimed N` and `worked N` are written once the append has returned, N being its last position;
`fenced` is written when a guard held it off, after which it claims again.
"""

import random
import sys
import time
from pathlib import Path

import anyio

from cowork.adapters.event_store import SqliteEventStore, open_sqlite_store
from cowork.domain.ownership import TaskClaimed, stream_of_owner
from cowork.domain.task import TaskQueued
from cowork.engine.ports import Guard, StreamWrite, VersionConflict
from tests.adapters.event_store.generated import origin
from tests.adapters.event_store.writer import say

TASK = "task-1"
OWNERSHIP = stream_of_owner(TASK)
APPENDS_MAX = 12
"""After so many appends at most, the process leaves the others some time."""


class Owner:
    """One who claims the task and works on it."""

    def __init__(self, store: SqliteEventStore, name: str) -> None:
        self._store = store
        self._name = name
        self._versions: dict[str, int] = {}

    def _version(self, stream: str) -> int:
        known = self._versions.get(stream, 0)
        self._versions[stream] = known + len(self._store.read_stream(stream, after_version=known))
        return self._versions[stream]

    async def claim(self) -> int:
        """Claim the task, whoever else wants to; return the version that says so."""
        claimed = TaskClaimed(task_id=TASK, owner=self._name, engine="test")
        while True:
            write = StreamWrite(OWNERSHIP, self._version(OWNERSHIP), (claimed,))
            try:
                (recorded,) = await self._store.append([write], origin(self._name))
            except VersionConflict:
                continue
            say(f"claimed {recorded.position}")
            return recorded.version

    async def work(self, token: int, appends: int) -> None:
        """Append to two streams at once, unless somebody else has claimed the task."""
        event = TaskQueued(task_id=TASK, session_id="session-1", title=self._name)
        for _ in range(appends):
            writes = [StreamWrite(to, self._version(to), (event,)) for to in (f"work-{self._name}", "work")]
            try:
                recorded = await self._store.append(writes, origin(self._name), [Guard(OWNERSHIP, token)])
            except VersionConflict as conflict:
                # Who has not been held off is the only one to write: no other stream can be in the way.
                if conflict.stream != OWNERSHIP:
                    raise
                say("fenced")
                return
            say(f"worked {recorded[-1].position}")


async def compete(path: Path, name: str, seconds: float) -> None:
    """Claim and work, again and again."""
    draw = random.Random(name)
    store = open_sqlite_store(path)
    owner = Owner(store, name)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        token = await owner.claim()
        # Meanwhile somebody else may claim it, as from a process that seems to be dead.
        await anyio.sleep(draw.choice((0.0, 0.0, 0.002)))
        await owner.work(token, draw.randrange(1, APPENDS_MAX))
    store.close()


if __name__ == "__main__":
    anyio.run(compete, Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
