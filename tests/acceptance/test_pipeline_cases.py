"""The adversarial cases of files through the whole engine: from a plan to the event log, with both resolvers."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.pipeline_cases import run_in_pipeline
from tests.adapters.files.cases.case import Case
from tests.adapters.files.cases.direct import RESOLVERS
from tests.adapters.files.cases.namespace import NAMESPACES
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


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("case", PRIVILEGED, ids=lambda case: f"{case.id}: {case.title}")
def test_case_with_mounts_in_the_pipeline(
    case: Case, resolver: str, namespace: tuple[str, ...], tmp_path: Path
) -> None:
    alone = [*namespace, sys.executable, "-m", MODULE, case.id, resolver, str(tmp_path / "base")]
    ran = subprocess.run(alone, cwd=ROOT, capture_output=True, check=False, text=True)
    assert ran.returncode == 0, ran.stderr
