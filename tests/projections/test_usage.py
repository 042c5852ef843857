"""What a task and its subagents used, beside what they may."""

import pytest

from cowork.domain import task
from cowork.domain.action import Content, FileCreate, FileDelete, FileRead, Location, NetworkRequest
from cowork.domain.budget import Budget, Measure, Usage
from cowork.domain.effect import ResponseReport, Result
from cowork.domain.facts import Facts, FileState
from cowork.domain.plan import Step
from cowork.projections.budget_words import amount_words, top_up_command, used_words
from tests.projections.story import TASK, Story

READ = FileRead(at=Location("grant-1", "a.txt"))
CREATE = FileCreate(at=Location("grant-1", "b.txt"), content=Content("sha256:b", 700))
DELETE = FileDelete(at=Location("grant-1", "old"))
SEND = NetworkRequest(method="POST", url="https://example.org/", body=Content("sha256:c", 30))


def _step(name: str) -> Step:
    return Step(step_id=name, title=name, request=READ)


def test_what_is_under_way_counts_with_what_it_takes_at_least_and_then_with_what_it_took() -> None:
    story = Story()
    story.begin(_step("one"), _step("two"))
    (name,) = story.propose_step("one", CREATE)
    assert story.usage()[TASK].own_under_way == Usage()
    story.start(name, CREATE)
    assert story.usage()[TASK].own_under_way == Usage(actions=1, bytes_written=700)
    story.tell(task.RecordFailure(action_id=name, reason_code="io", reason="no room"))
    assert story.usage()[TASK].own == Usage(actions=1)
    (name,) = story.propose_step("two", SEND)
    story.start(name, SEND)
    response = ResponseReport(status=200, address="192.0.2.1", port=443, bytes_sent=450)
    story.tell(task.RecordSuccess(action_id=name, effects=(), result=Result(summary="ok", response=response)))
    assert story.usage()[TASK].own == Usage(actions=2, bytes_sent=450)


def test_a_folder_counts_as_the_files_that_were_in_it_when_it_was_taken() -> None:
    story = Story()
    story.begin(_step("one"))
    (name,) = story.propose_step("one", DELETE)
    folder = Facts(now=story.now, target=FileState("folder", entries=5))
    start = task.StartAction(action_id=name, digest=story.state_of(TASK).open_actions[name].digest, facts=folder)
    story.tell(start)
    assert story.usage()[TASK].own_under_way == Usage(actions=1, files_deleted=5)
    story.tell(task.RecordUnknown(action_id=name, observed="half"))
    story.ask_again(name, "one", "confirmation-1", "half of it is gone")
    story.tell(task.DeclineAction(action_id=name, reason_code="unknown", reason="nobody answered"))
    assert story.usage()[TASK].own == Usage(actions=1, files_deleted=5)
    assert story.state_of(TASK).spent == story.usage()[TASK].own


def test_what_subagents_use_is_their_parents_except_for_the_time() -> None:
    story = Story()
    story.begin(_step("one"), budget=Budget(tokens=100))
    child = story.spawn("one", "Helper", _step("its"), budget=Budget(actions=3))
    story.tell(task.RecordProgress(4000))
    story.tell(task.RecordProgress(2500), task_id=child)
    story.tell(task.ReportUsage(tokens=40, cost_micros=5, reported_by="planner"), task_id=child)
    (name,) = story.propose_step("its", READ, task_id=child)
    story.start(name, READ)
    told = story.usage()
    assert told[TASK].own == Usage(wall_ms=4000)
    assert told[TASK].total == Usage(wall_ms=4000, tokens=40, cost_micros=5)
    assert told[TASK].total_under_way == Usage(actions=2)
    assert (told[child].own.wall_ms, told[child].budget) == (2500, Budget(actions=3))
    assert told[TASK].budget == Budget(tokens=100)


@pytest.mark.parametrize(
    ("measure", "amount", "words", "command"),
    [
        ("wall_ms", 9_000_000, "2 h 30 min of work", "--add-wall 60s"),
        ("actions", 1, "1 action", "--add-actions 3"),
        ("bytes_written", 3_400_000, "3.4 MB written", "--add-bytes-written 3"),
        ("bytes_sent", 12, "12 bytes sent", "--add-bytes-sent 3"),
        ("files_deleted", 2, "2 files deleted", "--add-files-deleted 3"),
        ("tokens", 12_000, "12,000 tokens", "--add-tokens 3"),
        ("cost_micros", 1_250_001, "1.250001 of money", "--add-cost 0.000003"),
    ],
)
def test_amounts_have_their_units_and_room_for_them_an_option(
    measure: Measure, amount: int, words: str, command: str
) -> None:
    assert amount_words(measure, amount) == words
    assert top_up_command("task-9", measure, 7, 10) == f"cowork task budget task-9 {command}"


def test_a_bound_that_is_just_reached_is_given_room_for_one_more() -> None:
    assert top_up_command("task-9", "tokens", 7, 7).endswith("--add-tokens 1")


def test_what_was_used_stands_beside_its_bound() -> None:
    used, budget = Usage(actions=3, tokens=8), Budget(actions=20)
    assert used_words(used, budget, "actions") == "3 actions, of 20 actions at most"
    assert used_words(used, budget, "tokens") == "8 tokens"
