"""Numbers that no clock, no database and no program that reads JSON can hold: refused with their bound, or shown."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
import pytest

from cowork.adapters.bootstrap import open_application
from cowork.adapters.cli.exit_status import ExitStatus
from cowork.domain.action import FileList, Location, SubagentSpawn
from cowork.domain.budget import BUDGET_MAX, Budget
from cowork.domain.plan import Plan, Step
from cowork.engine import limits
from cowork.engine.application import FolderRequest, RunRequest
from cowork.engine.planning_ports import PlannedTask
from tests.adapters.cli.in_process import InProcess

STEP: Final = {"id": "a", "action": {"kind": "file.list", "path": "."}}
HELPER: Final = {"kind": "subagent.spawn", "title": "helper", "step": [STEP]}
LOOK: Final = Plan(title="look", steps=(Step(step_id="a", title="a", request=FileList(at=Location("", "."))),))
NUMBERS: Final = ("9223372036854775808", f"1{'0' * 30}", "-1", "1e400", "NaN", "true")
COUNTS: Final = ("actions", "bytes_written", "bytes_sent", "files_deleted", "tokens")
LARGEST: Final = {**dict.fromkeys(COUNTS, BUDGET_MAX), "wall_s": BUDGET_MAX // 1000}


@pytest.fixture
def cowork(tmp_path: Path) -> InProcess:
    return InProcess(tmp_path)


def _run(cowork: InProcess, plan: dict[str, Any]) -> Any:
    return cowork.run("run", cowork.plan(json.dumps(plan), "plan.json"), "--folder", "inbox", "--answer", "wait")


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("place", [*LARGEST, "deadline_s", "answer_within_s", "timeout_s"])
def test_a_number_of_a_plan_is_within_its_bounds_or_harms_nothing(cowork: InProcess, place: str, number: str) -> None:
    plans: dict[str, dict[str, Any]] = {
        "answer_within_s": {"answer_within_s": 0, "step": [STEP]},
        "deadline_s": {"step": [{"id": "a", "action": {**HELPER, "scope": {"deadline_s": 0}}}]},
        "timeout_s": {"step": [{"id": "a", "action": {"kind": "shell.exec", "argv": ["true"], "timeout_s": 0}}]},
    }
    text = json.dumps(plans.get(place, {"budget": {place: 0}, "step": [STEP]}))
    plan = cowork.plan(text.replace(f'"{place}": 0', f'"{place}": {number}'), "plan.json")
    run = cowork.run("run", plan, "--folder", "inbox", "--answer", "wait")
    if number in ("1e400", "NaN"):
        assert run.says("it has a number that is none"), run
    elif place == "timeout_s" and number[:2] in ("92", "10"):
        assert run.status == 4, "the command is denied"
    else:
        assert run.says(f"`{place}` can't be "), run
    assert cowork.run("task", "list").status == 0


@pytest.mark.parametrize("place", [*LARGEST, "deadline_s"])
def test_a_refused_number_is_said_with_its_bound(cowork: InProcess, place: str) -> None:
    bound = {**LARGEST, "deadline_s": limits.SUBAGENT_S_MAX}[place]
    given = {place: bound + 1} if place == "deadline_s" else {"budget": {place: bound + 1}}
    run = _run(cowork, {"step": [{"id": "a", "action": {**HELPER, "scope": given}}]})
    assert run.status == 2
    assert run.says(f"`{place}` can't be `{bound + 1}`: it is at most {bound}"), run.err


def test_money_has_its_bound_as_well(cowork: InProcess) -> None:
    run = _run(cowork, {"budget": {"cost": "1000000000.000001"}, "step": [STEP]})
    assert run.says("`cost` is at most 1000000000, not `1000000000.000001`"), run.err


def test_the_largest_numbers_are_carried_out_and_shown(cowork: InProcess) -> None:
    scope = {"folders": ["."], "budget": LARGEST, "deadline_s": limits.SUBAGENT_S_MAX}
    largest = {"budget": {**LARGEST, "cost": "1000000000"}, "step": [{"id": "a", "action": {**HELPER, "scope": scope}}]}
    assert _run(cowork, largest).status == 0
    task_id = cowork.run("task", "list", "--json").json()[0]["rootTaskId"]
    for command in (["task", "list"], ["task", "show", task_id], ["task", "summary", task_id], ["audit", "check"]):
        assert cowork.run(*command).status == 0, command
    assert "11,574,074 days of work" in cowork.run("task", "budget", task_id).out


def test_a_budget_is_not_raised_over_its_bound_and_stays_as_it_was(cowork: InProcess) -> None:
    cowork.fill("a.txt")
    deletes = {"id": "a", "action": {"kind": "file.delete", "path": "a.txt"}}
    _run(cowork, {"budget": {"wall_s": 60, "tokens": 5}, "step": [deletes]})
    task_id = cowork.only_task()["taskId"]
    assert cowork.run("task", "budget", task_id, "--add-wall", "9999999d").status == 0
    before = cowork.run("task", "budget", task_id, "--json").json()
    for option, amount, sum_of_both in (
        ("--add-wall", "9999999d", 2 * 9_999_999 * 86_400_000 + 60_000),
        ("--add-tokens", 2**63 - 1, 2**63 + 4),
    ):
        raised = cowork.run("task", "budget", task_id, option, str(amount))
        assert raised.status == 2
        assert raised.says(f"`{sum_of_both}`"), raised.err
        assert f"{BUDGET_MAX} is the most" in raised.err
    assert cowork.run("task", "budget", task_id, "--json").json() == before


@pytest.mark.parametrize("wall_ms", [10**20, 2**63, 10**33])
def test_a_log_that_holds_a_larger_budget_is_read(cowork: InProcess, wall_ms: int) -> None:
    # A planner of another program is bound by no plan file, as those were not once.
    cowork.store.mkdir()
    task_id = anyio.run(_started, cowork, PlannedTask(LOOK, (), Budget(wall_ms=wall_ms)))
    for command in (["list"], ["show", task_id], ["budget", task_id], ["summary", task_id]):
        assert cowork.run("task", *command).status == 0, command
    assert "days of work" in cowork.run("task", "budget", task_id).out
    assert cowork.run("resume", task_id).status == 0


@pytest.mark.parametrize("seconds", [99_999_999_999_999, 10**30])
def test_a_subagent_on_record_with_a_deadline_that_no_calendar_has_fails_alone(cowork: InProcess, seconds: int) -> None:
    scope = json.dumps({"folders": ["."], "deadline_s": seconds})
    helper = Step(step_id="b", title="b", request=SubagentSpawn(title="h", scope=scope, steps=json.dumps([STEP])))
    task_id = anyio.run(_started, cowork, PlannedTask(msgspec.structs.replace(LOOK, steps=(*LOOK.steps, helper)), ()))
    resumed = cowork.run("resume", task_id, "--answer", "wait")
    assert resumed.status in (ExitStatus.FAILED, ExitStatus.DENIED), resumed
    assert f"`deadline_s` can't be `{seconds}`" in resumed.out
    assert cowork.run("task", "list").status == 0


async def _started(cowork: InProcess, planned: PlannedTask) -> str:
    with closing(open_application(cowork.store)) as engine:
        request = RunRequest(
            planned=planned,
            planner="another",
            folders=(FolderRequest(path=str(cowork.inbox)),),
            user="ada",
            device="desk",
            platform="linux",
        )
        return await engine.start(request)


@pytest.mark.parametrize("days", ["1000001", "99999999999999"])
def test_nothing_is_kept_for_longer_than_days_can_be_counted(cowork: InProcess, days: str) -> None:
    _run(cowork, {"step": [STEP]})
    for kept in (
        cowork.run("store", "gc", "--keep-days", days),
        cowork.run("store", "gc", env={"COWORK_KEEP_DAYS": days}),
        cowork.run("store", "status", env={"COWORK_KEEP_DAYS": days}),
    ):
        assert kept.status == 2
        assert kept.says(f"nothing can be kept for `{days}` days"), kept.err
        assert f"name at most {limits.KEEP_DAYS_MAX} days" in kept.err
