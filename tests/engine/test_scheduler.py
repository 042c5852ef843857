"""Which step runs next, and when a task stops and waits for a person."""

from datetime import timedelta
from pathlib import Path

import pytest

from cowork.domain.confirmation import ConfirmationExpired, ConfirmationRequested, ConfirmationWithdrawn
from cowork.domain.errors import DomainError
from cowork.domain.plan import Step
from cowork.domain.session import SessionEnded
from cowork.domain.task import ActionDeclined, ActionProposed, StepSkipped, TaskPaused
from cowork.engine.application import Answer
from cowork.engine.ports import Outcome, Permit
from tests.engine.breaking import Executing, with_executor
from tests.engine.rig import PERSON, Rig, Says, create, delete, read

pytestmark = pytest.mark.anyio


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a", "b.txt": "b"})


def steps_taken(rig: Rig) -> list[str]:
    return [one.step_id for one in rig.events(ActionProposed)]


async def test_a_step_waits_for_those_that_it_needs_whatever_the_plans_order(rig: Rig) -> None:
    late = Step(step_id="late", title="late", needs=("early",), request=read("a.txt"))
    early = Step(step_id="early", title="early", request=read("b.txt"))
    assert (await rig.run(late, early)).status == "completed"
    assert steps_taken(rig) == ["early", "late"]


async def test_a_step_whose_need_failed_is_left_out_and_the_rest_goes_on(rig: Rig) -> None:
    bad = Step(step_id="bad", title="bad", request=read("missing.txt"))
    child = Step(step_id="child", title="child", needs=("bad",), request=delete("a.txt"))
    grandchild = Step(step_id="grandchild", title="grandchild", needs=("child",), request=delete("b.txt"))
    other = Step(step_id="other", title="other", request=read("a.txt"))
    assert (await rig.run(bad, child, grandchild, other)).status == "failed"
    assert [one.step_id for one in rig.events(StepSkipped)] == ["child", "grandchild"]
    assert steps_taken(rig) == ["bad", "other"]
    rig.assert_clean()


async def test_a_step_that_waits_for_a_person_holds_up_only_those_that_need_it(rig: Rig) -> None:
    ask = Step(step_id="ask", title="ask", request=delete("a.txt"))
    after = Step(step_id="after", title="after", needs=("ask",), request=create("out/x", rig.content("x")))
    free = Step(step_id="free", title="free", request=read("b.txt"))
    task = await rig.run(ask, after, free, outputs=("out",))
    assert task.status == "awaiting_confirmation"
    assert steps_taken(rig) == ["ask", "free"]
    await rig.answer()
    assert (await rig.app.carry_on(task.task_id)).status == "completed"
    assert rig.files() == {"b.txt": "b", "out/x": "x"}
    rig.assert_clean()


async def test_a_question_that_nobody_answers_expires_and_is_a_no(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"))
    rig.clock.move(timedelta(hours=24))
    asked = rig.open_question()
    with pytest.raises(DomainError) as late:
        await rig.answer()
    assert late.value.code == "expired"
    assert (await rig.app.carry_on(task.task_id)).is_final
    assert [one.confirmation_id for one in rig.events(ConfirmationExpired)] == [asked.confirmation_id]
    assert [one.reason_code for one in rig.events(ActionDeclined)] == ["expired"]
    assert rig.files()["a.txt"] == "a"
    rig.assert_clean()


async def test_an_answer_in_the_last_second_counts(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"))
    rig.clock.move(timedelta(hours=24) - timedelta(microseconds=1))
    await rig.answer()
    rig.clock.move(timedelta(hours=1))
    assert (await rig.app.carry_on(task.task_id)).status == "completed"
    rig.assert_clean()


async def test_a_pause_takes_effect_after_the_action_at_hand(rig: Rig) -> None:
    other = rig.engine()
    task_id = await rig.start(read("a.txt"), read("b.txt"), create("out/x", rig.content("x")), outputs=("out",))

    class Pausing(Executing):
        async def perform(self, permit: Permit) -> Outcome:
            await other.pause(task_id, by=PERSON)
            return await super().perform(permit)

    with_executor(rig, Pausing(rig))
    assert (await rig.app.carry_on(task_id)).status == "paused"
    assert len(rig.events(ActionProposed)) == 1
    assert len(rig.events(TaskPaused)) == 1
    rig.restart()
    assert (await rig.app.carry_on(task_id)).status == "completed"
    rig.assert_clean()


async def test_a_cancelled_task_takes_its_questions_back_and_ends_its_session(rig: Rig) -> None:
    task = await rig.run(delete("a.txt"), delete("b.txt"))
    await rig.app.cancel(task.task_id, by=PERSON)
    assert len(rig.events(ConfirmationWithdrawn)) == 2
    assert len(rig.events(SessionEnded)) == 1
    assert {one.reason_code for one in rig.events(ActionDeclined)} == {"withdrawn"}
    assert rig.files() == {"a.txt": "a", "b.txt": "b"}
    question = rig.events(ConfirmationRequested)[0]
    with pytest.raises(DomainError, match="withdrawn"):
        await rig.app.answer(question.confirmation_id, question.digest, Answer(approve=True, answered_by=PERSON))
    rig.assert_clean()


async def test_a_task_is_run_by_one_process_at_a_time(rig: Rig) -> None:
    task_id = await rig.start(read("a.txt"))
    with rig.locks.hold(task_id), pytest.raises(DomainError) as busy:
        await rig.app.carry_on(task_id)
    assert busy.value.code == "unavailable"
    assert not rig.events(ActionProposed)


async def test_a_task_that_has_ended_is_not_run_again(rig: Rig) -> None:
    task = await rig.run(read("a.txt"))
    with pytest.raises(DomainError, match="has ended") as over:
        await rig.app.carry_on(task.task_id)
    assert over.value.code == "conflict"


async def test_a_person_who_is_there_is_asked_each_question_once_and_in_order(rig: Rig) -> None:
    says = Says(approve=True)
    await rig.run(delete("a.txt"), delete("b.txt"), asker=says)
    assert [question.step_id for question in says.asked] == ["s1", "s2"]
    assert rig.files() == {}
    rig.assert_clean()


async def test_the_session_ends_with_its_task(rig: Rig) -> None:
    await rig.run(read("a.txt"))
    log = rig.log()
    assert [one.event.TOPIC for one in log[-2:]] == ["task.completed.v1", "session.ended.v1"]
    assert log[-2].origin.command_id == log[-1].origin.command_id
