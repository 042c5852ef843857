"""For a process in a mount namespace of its own: a task whose store lies on a small disk, which is nearly full.

For each amount of room that is left, a message is said to the task. Prints, a JSON object per line: what the command
answered, and whether the message is on record.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.adapters.cli.command_line import DELETE, CommandLine

ROOM: Final = range(20, 320, 12)
"""How much is left, in KiB: SQLite's files need some of it before the log can be opened at all."""


def main() -> None:
    """Fill the disk again and again."""
    cowork = CommandLine(Path(sys.argv[1]))
    cowork.store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(cowork.store)], check=True)
    cowork.fill("a.txt")
    # Who may mount is root in the namespace.
    env = {"COWORK_UNSAFE_AS_ROOT": "1"}
    cowork.run("run", cowork.plan(DELETE), "--folder", "inbox", "--answer", "wait", env=env)
    task_id = cowork.run("task", "list", "--json", env=env).json()[0]["taskId"]
    filler = cowork.store / "filler"
    for room in ROOM:
        disk = os.statvfs(cowork.store)
        filler.write_bytes(bytes(max(disk.f_bavail * disk.f_frsize - room * 1024, 0)))
        said = cowork.run("task", "message", task_id, f"with {room} KiB", env=env)
        filler.unlink()
        log = cowork.run("replay", task_id, "--json", env=env).out
        print(json.dumps({"status": said.status, "err": said.err, "on_record": f"with {room} KiB" in log}))


if __name__ == "__main__":
    main()
