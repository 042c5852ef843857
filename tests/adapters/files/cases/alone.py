"""Runs one case in this process, which has a mount namespace of its own: `python -m … <case> <resolver> <folder>`."""

import sys
from pathlib import Path

import anyio

from tests.adapters.files.cases.case import run_case
from tests.adapters.files.cases.direct import direct
from tests.adapters.files.cases.table import CASES


def main() -> None:
    """Run it; a failure is a trace and an exit status."""
    case_id, resolver, base = sys.argv[1:]
    anyio.run(run_case, CASES[case_id], Path(base), direct(resolver))


if __name__ == "__main__":
    main()
