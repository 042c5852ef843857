"""A process that carries out one action on files: `python -m … REQUEST MARKS [no-fsync]`.

The request is pickled: (perform or reconcile, permit, state folder, blobs folder, resolver). What it came to is a mark.
"""

import os
import pickle
import sys
from pathlib import Path

from tests.adapters.files.crash_server import run
from tests.power_loss.unsynced import NO_FSYNC, sync_nothing


def main() -> None:
    """Do what the request says."""
    request, marks, *faults = sys.argv[1:]
    if NO_FSYNC in faults:
        sync_nothing()
    came_to, _ = run(pickle.loads(Path(request).read_bytes()))
    said = os.open(marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(said, pickle.dumps(came_to).hex().encode() + b"\n")


if __name__ == "__main__":
    main()
