"""The adversarial cases of files through the whole engine: from a plan to the event log, with both resolvers."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.acceptance.ordinary import give_away
from tests.acceptance.pipeline_cases import run_in_pipeline
from tests.adapters.files.cases.case import Case
from tests.adapters.files.cases.direct import RESOLVERS
from tests.adapters.files.cases.table import CASES

ROOT = Path(__file__).resolve().parents[2]
MODULE = "tests.acceptance.pipeline_cases"
ORDINARY = [case for case in CASES.values() if not case.privileged]
PRIVILEGED = [case for case in CASES.values() if case.privileged]


@pytest.fixture
def anyio_backend() -> str:
    """The engine's own event loop."""
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("case", ORDINARY, ids=lambda case: f"{case.id}: {case.title}")
async def test_case_in_the_pipeline(case: Case, resolver: str, tmp_path: Path) -> None:
    await run_in_pipeline(case, tmp_path / "base", resolver)


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("case", PRIVILEGED, ids=lambda case: f"{case.id}: {case.title}")
def test_case_with_mounts_in_the_pipeline(case: Case, resolver: str, tmp_path: Path) -> None:
    namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    run_alone(*namespace, sys.executable, "-m", MODULE, case.id, resolver, str(tmp_path / "base"))


def test_the_cases_hold_for_an_ordinary_user() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as base:
        give_away(Path(base))
        run_alone(sys.executable, "-m", MODULE, "all", "openat2", base)


def run_alone(*command: str) -> None:
    """Run cases in a process of their own."""
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    assert ran.returncode == 0, ran.stderr
