"""A process that appends to a store until it is done or killed, and says what was acknowledged, line by line.

`python -m tests.adapters.event_store.writer PATH NAME APPENDS TASKS`: each of TASKS concurrent tasks makes APPENDS
appends of three events, two to a stream of its own and one to the stream `shared` that everybody writes to.
Each line is a command id, written after its append has returned.

`python -m tests.adapters.event_store.writer PATH NAME APPENDS race START`: at the Unix time START, begin to create the
streams `race-0`, `race-1`, … Each line is the number of a stream that this process was the one to create.
"""

import os
import sys
import time
from pathlib import Path

import anyio

from cowork.adapters.event_store import SqliteEventStore, open_sqlite_store
from cowork.engine.ports import VersionConflict
from tests.adapters.event_store.generated import SOMEBODY, origin, write


def say(line: str) -> None:
    """Write a line at once; a line of a killed process is there whole or not at all."""
    os.write(1, f"{line}\n".encode())


async def append_one(store: SqliteEventStore, stream: str, number: int) -> None:
    """Append three events, as often as it takes for the shared stream to stand still."""
    command = f"{stream}.{number}"
    shared = 0
    while True:
        shared += len(store.read_stream("shared", after_version=shared))
        try:
            await store.append([write(stream, 2 * number, 2), write("shared", shared)], origin(command))
        except VersionConflict:
            continue
        say(command)
        return


async def append_many(path: Path, name: str, appends: int, tasks: int) -> None:
    """Run the tasks."""
    store = open_sqlite_store(path)

    async def run(task: int) -> None:
        for number in range(appends):
            await append_one(store, f"{name}-{task}", number)

    async with anyio.create_task_group() as group:
        for task in range(tasks):
            group.start_soon(run, task)
    store.close()


async def race(path: Path, streams: int, start: float) -> None:
    """Create streams that others want to create too."""
    time.sleep(max(0.0, start - time.time()))  # noqa: ASYNC251 nothing else runs here, and all must begin at once
    store = open_sqlite_store(path)
    for number in range(streams):
        try:
            await store.append([write(f"race-{number}")], SOMEBODY)
            say(str(number))
        except VersionConflict:
            pass
    store.close()


def main() -> None:
    """Do what the arguments say."""
    path, name, appends, mode = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    if mode == "race":
        anyio.run(race, path, appends, float(sys.argv[5]))
    else:
        anyio.run(append_many, path, name, appends, int(mode))


if __name__ == "__main__":
    main()
