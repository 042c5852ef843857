"""The adversarial cases, each with both resolvers, at the level of executor and policy."""

import subprocess
import sys
from pathlib import Path

import pytest

from cowork.domain.action import ACTION_TYPES, ShellExec
from cowork.domain.facts import Facts
from cowork.engine.ports import Failed
from tests.adapters.files.cases.case import Case, run_case
from tests.adapters.files.cases.direct import RESOLVERS, DirectDriver, direct, executor_of
from tests.adapters.files.cases.ground import Ground
from tests.adapters.files.cases.namespace import NAMESPACES
from tests.adapters.files.cases.table import CASES

ROOT = Path(__file__).resolve().parents[3]
ORDINARY = [case for case in CASES.values() if not case.privileged]
PRIVILEGED = [case for case in CASES.values() if case.privileged]


@pytest.mark.anyio
@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("case", ORDINARY, ids=lambda case: f"{case.id}: {case.title}")
async def test_case(case: Case, resolver: str, tmp_path: Path) -> None:
    await run_case(case, tmp_path / "base", direct(resolver))


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("case", PRIVILEGED, ids=lambda case: f"{case.id}: {case.title}")
def test_case_with_mounts(case: Case, resolver: str, namespace: tuple[str, ...], tmp_path: Path) -> None:
    """In a mount namespace of its own."""
    probe = subprocess.run([*namespace, "true"], capture_output=True, check=False, text=True)
    assert probe.returncode == 0, f"{case.id} needs root or user namespaces, and has neither: {probe.stderr}"
    module = "tests.adapters.files.cases.alone"
    ran = subprocess.run(
        [*namespace, sys.executable, "-m", module, case.id, resolver, str(tmp_path / "base")],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.anyio
async def test_fil_34_there_is_no_action_that_unpacks_an_archive(tmp_path: Path) -> None:
    """No kind of action extracts, so nothing has to judge an archive's members; another kind is not carried out."""
    assert not [kind for kind in ACTION_TYPES if "extract" in kind or "archive" in kind]
    ground = Ground(tmp_path / "base")
    executor = executor_of(ground.blobs, ground.state)
    driver = DirectDriver(executor, ground.blobs, ground.scope)
    action = ShellExec(argv=("tar", "-xf", "a.tar"), cwd=ground.at("."))
    facts = await driver.observe(action)
    outcome = await executor.perform(driver.permit(action, Facts(now=facts.now)))
    ground.close()
    executor.close()
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "unavailable"


def test_every_case_of_the_corpus_is_here() -> None:
    wanted = {f"PTH-{n:02}" for n in (1, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 31)}
    wanted |= {f"FIL-{n:02}" for n in (1, 3, 5, 7, 8, 11, 13, 15, 17, 18, 21, 22, 26, 27, 30, 32, 36)}
    assert wanted <= set(CASES)
