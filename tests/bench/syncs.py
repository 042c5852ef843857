"""A process whose syncs to disk are counted: `python -m tests.bench.syncs FOLDER nothing|files TASKS ACTIONS`.

With `--count` it counts for itself, where there is no strace: calls of `os.fsync` and `os.fdatasync`, and commits of
the log, each of which is one sync of the write-ahead log (checkpoints are not seen).
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from tests.bench.workload import Engine


class Counter:
    """Counts calls."""

    def __init__(self) -> None:
        self.calls = 0

    def counting(self, call: Callable[[int], None]) -> Callable[[int], None]:
        """Return a function that does the same and is counted."""

        def counted(descriptor: int) -> None:
            self.calls += 1
            call(descriptor)

        return counted

    def on_statement(self, statement: str) -> None:
        self.calls += statement == "COMMIT"


def main() -> None:
    folder, acting, tasks, actions = sys.argv[1:5]
    counter = Counter()
    engine = Engine(Path(folder), "files" if acting == "files" else "nothing")
    if "--count" in sys.argv:
        mock.patch("os.fsync", counter.counting(os.fsync)).start()
        mock.patch("os.fdatasync", counter.counting(os.fdatasync)).start()
        # The store's own connection is the only one that commits to the log.
        engine.store._writer.set_trace_callback(counter.on_statement)  # pyright: ignore[reportPrivateUsage]
    engine.run(tasks=int(tasks), actions=int(actions))
    engine.close()
    if "--count" in sys.argv:
        sys.stdout.write(f"{counter.calls}\n")


if __name__ == "__main__":
    main()
