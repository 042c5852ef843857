"""Dies in the middle of a write to the store's file, where the kernel ends it: `python -m … <file> set-up|checkpoint`.

A limit on the size of files is a kill at an exact place: the first page is on disk and says how long the file is going
to be, and the pages that make it that long are not.
"""

import os
import resource
import signal
import sqlite3
import sys
from pathlib import Path

from cowork.adapters.event_store.schema import create_file, set_up


def main() -> None:
    """Write until the limit."""
    path = Path(sys.argv[1])
    if sys.argv[2] == "checkpoint":
        create_file(path)
        connection = sqlite3.connect(path, isolation_level=None)
        set_up(connection, path)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        rows = ((f"task-{number}", 1, "topic", b"x" * 1000) for number in range(100))
        connection.executemany(
            "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?)", rows
        )
        stop_at(os.stat(path).st_size)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        # Somebody has made an empty file there, or the file system can't give a whole one its name.
        path.touch()
        connection = sqlite3.connect(path, isolation_level=None)
        stop_at(4096)
        set_up(connection, path)


def stop_at(size: int) -> None:
    """Have this process killed by the write that makes a file longer."""
    # The interpreter ignores the signal; as the system has it, it ends the process.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
