"""Remembered approvals: a yes that is kept answers exactly what it says, for as long as it says, and is on record."""

import contextlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.adapters.files.executor import FileExecutor
from cowork.domain.approvals import UseApproval
from cowork.domain.errors import DomainError
from cowork.domain.facts import Facts
from cowork.domain.plan import Batch, Listed, Step
from cowork.domain.policy_decision import Decision
from cowork.domain.policy_document import Rule, layer_of_rules
from cowork.domain.policy_remember import Wish, make_approval
from cowork.domain.policy_request import Request
from cowork.domain.task import ActionAllowed, ActionConfirmationRequired
from cowork.engine.application import Answer
from cowork.engine.command_handler import CommandHandler, order_approval
from cowork.engine.remembering import Offer
from tests.engine.rig import PERSON, START, Rig, delete, read, write

pytestmark = pytest.mark.anyio
TASK = Wish(scope="task")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"out/a.txt": "a", "out/b.txt": "b", "other/c.txt": "c"})


async def remembered(rig: Rig, wish: Wish = TASK) -> Offer:
    """Approve the only open question and remember it."""
    asked = rig.open_question()
    offer = rig.app.offer(asked.confirmation_id, wish)
    yes = Answer(approve=True, answered_by=PERSON, remember=offer)
    await rig.app.answer(asked.confirmation_id, asked.digest, yes)
    return offer


def within(rig: Rig, folder: str = "out", scope: str = "task", **more: object) -> Wish:
    return Wish(scope=scope, within=str(rig.work / folder), **more)  # type: ignore[arg-type]


async def overwriting(rig: Rig, *paths: str, wish: Wish | None = None) -> list[str]:
    """Overwrite files one step after the other, remember the first yes; return what is asked about afterwards."""
    steps = [write(path, rig.content(f"new {n}")) for n, path in enumerate(paths)]
    chain = [
        Step(step_id=f"s{n}", title="t", request=one, needs=(f"s{n - 1}",) if n > 1 else ())
        for n, one in enumerate(steps, 1)
    ]
    task = await rig.run(*chain)
    await remembered(rig, wish or within(rig))
    await rig.app.carry_on(task.task_id)
    return [str(row["confirmation_id"]) for row in rig.app.rows("confirmations", {"status": "pending"})]


async def test_a_remembered_yes_answers_the_next_question_of_its_kind(rig: Rig) -> None:
    assert await overwriting(rig, "out/a.txt", "out/b.txt") == []
    assert rig.files()["out/b.txt"] == "new 1"
    allowed = rig.events(ActionAllowed)[-1].decision
    assert (allowed.verdict, allowed.rule_id) == ("allow_with_confirm", "overwrite-needs-a-person")
    assert allowed.approval_id == rig.app.policies.approvals()[0].approval.id
    rig.assert_clean()


async def test_it_does_not_reach_beyond_its_folder(rig: Rig) -> None:
    assert len(await overwriting(rig, "out/a.txt", "other/c.txt")) == 1
    assert rig.files()["other/c.txt"] == "c"
    rig.assert_clean()


async def test_without_a_folder_it_is_about_the_very_file(rig: Rig) -> None:
    assert len(await overwriting(rig, "out/a.txt", "out/b.txt", wish=TASK)) == 1


async def test_it_does_not_reach_into_another_task(rig: Rig) -> None:
    await overwriting(rig, "out/a.txt")
    await rig.run(write("out/b.txt", rig.content("again")))
    assert rig.files()["out/b.txt"] == "b"
    assert rig.open_question().purpose == "action"


async def test_one_for_the_folder_holds_in_later_sessions_until_it_expires(rig: Rig) -> None:
    await overwriting(rig, "out/a.txt", wish=within(rig, scope="workspace", days=2))
    task = await rig.run(write("out/b.txt", rig.content("later")))
    assert task.status == "completed"
    rig.clock.move(timedelta(days=2))
    await rig.run(write("out/a.txt", rig.content("too late")))
    assert rig.open_question().purpose == "action"
    rig.assert_clean()


async def test_a_number_of_uses_is_counted_over_a_batch_and_over_restarts(rig: Rig) -> None:
    left = await overwriting(rig, "out/a.txt", "out/b.txt", "out/a.txt", wish=within(rig, uses=1))
    assert len(left) == 1
    assert rig.app.policies.approvals()[0].approval.uses_left == 0
    rig.restart()
    assert rig.app.policies.approvals()[0].approval.uses_left == 0
    rig.assert_clean()


async def test_where_the_last_use_of_one_is_taken_another_answers_the_rest_of_a_step(rig: Rig) -> None:
    (rig.work / "other/d.txt").write_text("d")

    def both(one: str, other: str) -> Listed:
        return Listed(actions=(write(one, rig.content(f"new {one}")), write(other, rig.content(f"new {other}"))))

    await rig.run(both("out/a.txt", "out/b.txt"))
    await remembered(rig, within(rig, scope="workspace", uses=1))
    await rig.run(both("other/c.txt", "other/d.txt"))
    await remembered(rig, within(rig, folder=".", scope="workspace"))
    assert (await rig.run(both("out/a.txt", "out/b.txt"))).status == "completed"
    used = [one.decision.approval_id for one in rig.events(ActionAllowed)[-2:]]
    assert used == [one.approval.id for one in rig.app.policies.approvals()]
    rig.assert_clean()


async def test_a_revoked_one_answers_nothing_more(rig: Rig) -> None:
    await overwriting(rig, "out/a.txt", wish=within(rig, scope="workspace"))
    await rig.app.policies.revoke_approval(rig.app.policies.approvals()[0].approval.id, by=PERSON)
    await rig.run(write("out/b.txt", rig.content("again")))
    assert rig.files()["out/b.txt"] == "b"
    rig.assert_clean()


async def test_one_that_another_process_revokes_counts_no_more_at_once(rig: Rig) -> None:
    await overwriting(rig, "out/a.txt", wish=within(rig, scope="workspace"))
    other = rig.engine()
    await other.policies.revoke_approval(other.policies.approvals()[0].approval.id, by=PERSON)
    await rig.run(write("out/b.txt", rig.content("again")))
    assert rig.files()["out/b.txt"] == "b"


async def test_remembering_answers_the_open_questions_that_it_covers(rig: Rig) -> None:
    task = await rig.run(
        write("out/a.txt", rig.content("1")),
        write("out/b.txt", rig.content("2")),
        write("other/c.txt", rig.content("3")),
    )
    first = rig.events(ActionConfirmationRequired)[0].confirmation_id
    offer = rig.app.offer(first, within(rig))
    assert [one.headline for one in offer.also_answers] == ["Overwrite out/b.txt (1 byte)"]
    digest = str(rig.app.rows("confirmations", {"confirmation_id": first})[0]["digest"])
    await rig.app.answer(first, digest, Answer(approve=True, answered_by=PERSON, remember=offer))
    await rig.app.carry_on(task.task_id)
    assert rig.files() == {"out/a.txt": "1", "out/b.txt": "2", "other/c.txt": "c"}
    rig.assert_clean()


async def test_what_would_be_kept_is_said_in_a_sentence_with_near_misses(rig: Rig) -> None:
    await rig.run(write("out/a.txt", rig.content("x")))
    offer = rig.app.offer(rig.open_question().confirmation_id, within(rig))
    assert f"`{rig.work}/out` and what lies in it" in offer.sentence
    assert (
        "`baseline:overwrite-needs-a-person` and `baseline:write-elsewhere-needs-a-person` would ask" in offer.sentence
    )
    assert "overwrites" in offer.sentence
    assert "until 2" in offer.sentence
    assert len(offer.near_misses) == 2
    assert rig.app.policies.approvals() == ()


async def test_a_deletion_is_never_remembered(rig: Rig) -> None:
    await rig.run(delete("out/a.txt"))
    with pytest.raises(DomainError, match="never remembered"):
        rig.app.offer(rig.open_question().confirmation_id, TASK)


async def test_a_rule_that_wants_to_be_asked_every_time_is(rig: Rig) -> None:
    always = Rule("always", "file.write", "allow_with_confirm", remember=False)
    await rig.run(write("out/a.txt", rig.content("x")), rules=layer_of_rules("careful", (always,)))
    with pytest.raises(DomainError, match="`run:always` wants to be asked every time"):
        rig.app.offer(rig.open_question().confirmation_id, TASK)


async def test_what_was_not_known_is_not_remembered() -> None:
    unknown = Decision(
        verdict="allow_with_confirm",
        rule_id="big",
        reason="",
        by_missing_fact=True,
        missing_facts=("fileSizeBytes",),
        confirm_rules=("r:big",),
    )
    request = Request(action="file.write", path="/work/a", workspace="/work", task="t")
    with pytest.raises(DomainError, match="fileSizeBytes"):
        make_approval("approval-1", [request], [unknown], TASK, START)


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (Wish(scope="task", within="/"), "reaches beyond the granted folder"),
        (Wish(scope="task", within="relative"), "is not an absolute path"),
        (Wish(scope="task", within="/somewhere/else"), "does not lie in"),
        (Wish(scope="task", days=4000), "`4000` days is not from 1 to 365"),
        (Wish(scope="task", days=0), "`0` days is not from 1 to 365"),
        (Wish(scope="task", uses=-1), "`-1` uses is not from 1 to 10000"),
        (Wish(scope="task", uses=0), "`0` uses is not from 1 to 10000"),
        (Wish(scope="task", uses=10_001), "`10001` uses is not from 1 to 10000"),
        (Wish(scope="task", command=("git",)), "is about file.write, not about a command"),
    ],
)
async def test_a_wish_that_does_not_fit_is_refused_in_a_sentence(rig: Rig, wish: Wish, sentence: str) -> None:
    await rig.run(write("out/a.txt", rig.content("x")))
    with pytest.raises(DomainError, match=sentence):
        rig.app.offer(rig.open_question().confirmation_id, wish)


async def test_a_question_about_several_places_needs_a_folder(rig: Rig) -> None:
    await rig.run(Batch(of="file.move", match="out/*.txt", to="other/"))
    with pytest.raises(DomainError, match="several places"):
        rig.app.offer(rig.open_question().confirmation_id, TASK)


async def test_the_start_of_an_action_is_checked_against_its_approval_once_more(rig: Rig) -> None:
    """What was let through is carried out later, after a restart: by then it may have been taken back."""
    await overwriting(rig, "out/a.txt", wish=within(rig, scope="workspace"))
    rig.write("out/a.txt", "theirs")
    two = [write("out/a.txt", rig.content("1")), read("out/b.txt")]
    task_id = await rig.start(*two)
    await rig.app.policies.revoke_approval(rig.app.policies.approvals()[0].approval.id, by=PERSON)
    await rig.app.carry_on(task_id)
    assert rig.files()["out/a.txt"] == "theirs"
    rig.assert_clean()


async def test_a_last_use_that_another_process_has_just_taken_leads_to_a_question(rig: Rig) -> None:
    await overwriting(rig, "out/a.txt", wish=within(rig, scope="workspace", uses=1))
    approval = rig.app.policies.approvals()[0].approval
    other = CommandHandler(MemoryEventStore(rig.rows), rig.clock, rig.ids)

    class Rival(FileExecutor):
        """Looks at files, and lets the other process be faster."""

        async def observe(self, *asked: Any, **named: Any) -> list[Facts]:
            use = UseApproval(approval_id=approval.id, action_id="elsewhere.1", now=rig.clock.now())
            with contextlib.suppress(DomainError):
                await other.execute(order_approval(use), actor=PERSON, cause="test")
            return await super().observe(*asked, **named)

    rig.app = rig.engine(executors=(Rival(rig.blobs, rig.state),))
    task = await rig.run(write("out/b.txt", rig.content("mine")))
    assert task.status == "awaiting_confirmation"
    assert rig.files()["out/b.txt"] == "b"
    rig.assert_clean()
