"""Backtest: recorded decisions are made again, first as they were, then under other rules; each is counted once."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cowork.domain.action_invariant import Refusal
from cowork.domain.baseline import BASELINE
from cowork.domain.errors import DomainError
from cowork.domain.grant import FolderGranted
from cowork.domain.plan import Batch, Step
from cowork.domain.policy import broken_evaluation
from cowork.domain.policy_document import Conditions, Limit, Rule, TimeWindow
from cowork.domain.policy_record import DocumentStored
from cowork.domain.session import PolicyAdopted, SessionStarted
from cowork.domain.task import ActionAllowed, ActionDenied, ActionProposed, ActionStarted
from cowork.engine.backtest import BacktestReport, backtest, instead_of_all, instead_of_first, under_its_name
from cowork.engine.policy_history import Decided, PolicyHistory
from cowork.engine.reevaluation import ReadyLayers, ReadyScopes, matter_of, ruling_of, ruling_of_refusal
from tests.engine.breaking import Died, Executing, die
from tests.engine.past import (
    ALL,
    LIVES,
    StoredRig,
    ask,
    document,
    live_at_random,
    live_ordinarily,
    live_through_crashes,
    live_under_changing_policies,
    live_with_memory,
    stored_rig,
)
from tests.engine.planted import History, changed, place, stored_as_it_is, without
from tests.engine.rig import START, Says, create, delete, read, write

pytestmark = pytest.mark.anyio

NOTHING = under_its_name()
"""The change that changes nothing."""


@pytest.fixture
def anyio_backend() -> str:
    """What is tested here reads a log that is there already: one backend to write it will do."""
    return "asyncio"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StoredRig]:
    with stored_rig(tmp_path) as rig:
        yield rig


def assert_nothing_changes(report: BacktestReport) -> None:
    assert report.disagreements == ()
    assert report.flips == report.other_rule == ()
    assert report.decisions == report.unchanged > 0
    assert (report.ran_denied, report.succeeded_denied) == (0, 0)
    prompts = report.prompts
    assert (prompts.questions_saved, prompts.questions_added, prompts.actions_saved, prompts.actions_added) == (0,) * 4


def baseline_without(rule_id: str) -> Any:
    return instead_of_first(document(*(rule for rule in BASELINE.document.rules if rule.id != rule_id)))


def flips_of(report: BacktestReport) -> dict[tuple[str, str], int]:
    return {
        (f"{one.before.verdict} {one.before.rule}", f"{one.after.verdict} {one.after.rule}"): one.count
        for one in report.flips
    }


# The self-check -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("life", LIVES)
async def test_the_recorded_policy_decides_again_what_was_recorded(
    rig: StoredRig, life: Callable[[StoredRig], Awaitable[None]]
) -> None:
    await life(rig)
    rig.assert_clean()
    assert_nothing_changes(backtest(rig.app.store, NOTHING))


@pytest.mark.parametrize("seed", range(30))
async def test_on_random_histories_nothing_ever_flips(rig: StoredRig, seed: int) -> None:
    await live_at_random(rig, seed)
    rig.assert_clean()
    assert_nothing_changes(backtest(rig.app.store, NOTHING))


async def test_the_same_document_in_its_own_place_changes_nothing(rig: StoredRig) -> None:
    await live_ordinarily(rig)
    for change in (instead_of_first(BASELINE), instead_of_all(BASELINE), under_its_name(BASELINE)):
        assert_nothing_changes(backtest(rig.app.store, change))


@pytest.mark.parametrize("seed", range(100, 115))
async def test_the_short_way_decides_as_policy_itself(rig: StoredRig, seed: int) -> None:
    await live_at_random(rig, seed)
    layers, scopes = ReadyLayers(), ReadyScopes()
    decided = [one for one in PolicyHistory().read(rig.app.store) if isinstance(one, Decided)]
    assert decided
    for one in decided:
        past, scope, policy = one.past, one.standing.scope, one.standing.policy
        assert policy is not None
        names = {"session": past.session_id, "task": past.task_id}
        whole = policy.decide(past.action, one.facts, scope, approvals=one.approvals, **names)
        matter = matter_of(past.action, one.facts, scope, scopes.of(past.session_id, scope), **names)
        short = (
            ruling_of_refusal(matter)
            if isinstance(matter, Refusal)
            else matter.ruling(matter.judged(layers.of_policy(policy)), one.approvals)
        )
        assert short == ruling_of(whole) == ruling_of(one.recorded)


def tampered(rig: StoredRig, kind: type[Any], fields: dict[str, Any]) -> BacktestReport:
    """Return what a backtest says of the rig's log after the first event of a class in it was changed."""
    history: History = rig.log()
    index = place(history, kind)
    if "decision" in fields:
        event: Any = history[index].event
        fields = {"decision": msgspec.structs.replace(event.decision, **fields["decision"])}
    return backtest(stored_as_it_is(changed(history, index, **fields)), NOTHING)


@pytest.mark.parametrize(
    ("about", "fields"),
    [
        ("decision", {"decision": {"verdict": "allow_with_confirm"}}),
        ("decision", {"decision": {"rule_id": "another-rule"}}),
        ("decision", {"decision": {"layer": "another"}}),
        ("approval", {"decision": {"approval_id": "approval-nobody-gave"}}),
        ("policy", {"decision": {"policy_digest": "sha256:00"}}),
        ("grants", {"scope_digest": "sha256:00"}),
    ],
)
async def test_a_decision_that_was_tampered_with_is_shown_and_counted_nowhere_else(
    rig: StoredRig, about: str, fields: dict[str, Any]
) -> None:
    await live_ordinarily(rig)
    whole = backtest(rig.app.store, NOTHING)
    report = tampered(rig, ActionAllowed, fields)
    (found,) = report.disagreements
    assert (found.about, report.disagreeing) == (about, 1)
    assert not report.is_trustworthy
    assert report.unchanged == whole.unchanged - 1
    assert report.flips == report.other_rule == ()


async def test_use_that_was_recorded_wrong_is_shown(rig: StoredRig) -> None:
    await live_under_changing_policies(rig)
    history = rig.log()
    index = place(history, ActionAllowed, lambda event: bool(event.facts.usage))
    facts = msgspec.structs.replace(history[index].event.facts, usage=(("few", -1),))  # type: ignore[attr-defined]
    report = backtest(stored_as_it_is(changed(history, index, facts=facts)), NOTHING)
    assert next(one.about for one in report.disagreements) == "usage"


async def test_a_document_that_is_gone_from_the_log_is_shown_for_each_decision_under_it(rig: StoredRig) -> None:
    await live_ordinarily(rig)
    decisions = backtest(rig.app.store, NOTHING).decisions
    history = rig.log()
    report = backtest(stored_as_it_is(without(history, place(history, DocumentStored))), NOTHING)
    assert report.disagreeing == decisions
    assert {one.about for one in report.disagreements} == {"policy", "order"}


async def test_an_action_that_was_never_proposed_is_shown(rig: StoredRig) -> None:
    await live_ordinarily(rig)
    history = rig.log()
    report = backtest(stored_as_it_is(without(history, place(history, ActionProposed))), NOTHING)
    assert {one.about for one in report.disagreements} == {"order"}
    assert report.flips == ()


async def test_a_grant_that_was_larger_than_recorded_is_shown(rig: StoredRig) -> None:
    await live_ordinarily(rig)
    report = tampered(rig, FolderGranted, {"verbs": ("read",)})
    abouts = {one.about for one in report.disagreements}
    assert {"grants", "decision"} <= abouts
    assert report.flips == ()


async def test_a_start_that_its_own_policy_denied_by_then_is_shown(rig: StoredRig) -> None:
    await rig.run(delete("a.txt"), asker=Says(approve=True))
    history = rig.log()
    index = next(n for n, one in enumerate(history) if "action_started" in one.event.TOPIC)
    facts = msgspec.structs.replace(history[index].event.facts, available=False)  # type: ignore[attr-defined]
    report = backtest(stored_as_it_is(changed(history, index, facts=facts)), NOTHING)
    assert [one.about for one in report.disagreements] == ["start"]


async def test_a_start_that_its_own_policy_wanted_a_person_for_is_shown(rig: StoredRig) -> None:
    await rig.run(Batch(of="file.read", match="notes/*.md"))
    history = rig.log()
    index = place(history, ActionStarted)
    facts: Any = history[index].event.facts  # type: ignore[attr-defined]
    linked = msgspec.structs.replace(facts, target=msgspec.structs.replace(facts.target, links=2))
    report = backtest(stored_as_it_is(changed(history, index, facts=linked)), NOTHING)
    assert [one.about for one in report.disagreements] == ["start"]
    assert report.prompts.questions_added == 0


async def test_an_adopted_digest_that_is_not_that_of_its_layers_is_shown(rig: StoredRig) -> None:
    await live_ordinarily(rig)
    report = tampered(rig, PolicyAdopted, {"policy_digest": "sha256:00"})
    (found,) = report.disagreements
    assert "not those its digest names" in found.sentence
    assert (report.unchanged, report.sessions_changed) == (report.decisions, 0)


async def test_a_log_that_cannot_be_followed_at_all_is_damaged(rig: StoredRig) -> None:
    await live_ordinarily(rig)
    history = rig.log()
    broken = stored_as_it_is(without(history, place(history, SessionStarted)))
    with pytest.raises(DomainError, match="can't be followed") as refused:
        backtest(broken, NOTHING)
    assert refused.value.code == "damaged"


# Flips ----------------------------------------------------------------------------------------------------------------


async def test_a_rule_that_is_taken_out_flips_what_it_decided_and_nothing_else(rig: StoredRig) -> None:
    await rig.run(read("a.txt"), Batch(of="file.delete", match="in/*.csv"), delete("b.txt"), asker=Says(approve=True))
    report = backtest(rig.app.store, baseline_without("delete-needs-a-person"))
    assert flips_of(report) == {("allow_with_confirm baseline:delete-needs-a-person", "deny baseline:default-deny"): 4}
    assert (report.decisions, report.unchanged, report.flipped) == (5, 1, 4)
    assert (report.ran_denied, report.succeeded_denied) == (4, 4)
    prompts = report.prompts
    assert (prompts.questions_asked, prompts.questions_saved, prompts.actions_saved) == (2, 2, 4)
    (flip,) = report.flips
    assert len(flip.examples) == 3
    assert {one.kind for one in flip.examples} == {"file.delete"}
    assert flip.examples[0].place.startswith(str(rig.work / "in"))


async def test_another_rule_with_the_same_answer_is_not_called_a_flip(rig: StoredRig) -> None:
    await rig.run(write("a.txt", rig.content("x")), asker=Says(approve=True))
    report = backtest(rig.app.store, baseline_without("overwrite-needs-a-person"))
    assert report.flips == ()
    (other,) = report.other_rule
    assert (other.before.rule, other.after.rule, other.count) == (
        "baseline:overwrite-needs-a-person",
        "baseline:write-elsewhere-needs-a-person",
        1,
    )


async def test_a_saved_question_to_which_the_person_said_no_is_counted_apart(rig: StoredRig) -> None:
    await rig.run(delete("a.txt"), asker=Says(approve=False))
    await rig.run(delete("b.txt"), asker=Says(approve=True))
    report = backtest(rig.app.store, instead_of_first(document(ALL)))
    assert (report.prompts.actions_saved, report.prompts.saved_no) == (2, 1)


async def test_a_new_question_is_one_for_the_step_and_one_for_each_action(rig: StoredRig) -> None:
    await rig.run(Batch(of="file.read", match="notes/*.md"), read("a.txt"))
    report = backtest(rig.app.store, under_its_name(document(ask("reads", "file.read"), fallback="allow", name="more")))
    prompts = report.prompts
    assert (prompts.questions_asked, prompts.questions_added, prompts.actions_added) == (0, 2, 5)


async def test_a_plan_that_may_not_ask_gets_no_new_questions(rig: StoredRig) -> None:
    await rig.run(read("a.txt"), on_ask="skip")
    report = backtest(rig.app.store, under_its_name(document(ask("reads", "file.read"), name="more")))
    assert report.flipped == 1
    assert report.prompts.questions_added == 0


async def test_an_unknown_outcome_is_asked_about_under_any_rules(rig: StoredRig) -> None:
    await live_through_crashes(rig)
    report = backtest(rig.app.store, instead_of_all(document(ALL)))
    before = backtest(rig.app.store, NOTHING).prompts
    assert before.questions_asked == 6
    assert report.prompts.questions_saved == 5


async def test_a_question_asked_again_because_the_file_had_changed_goes_with_the_first(rig: StoredRig) -> None:
    task = await rig.run(delete("a.txt"))
    rig.write("a.txt", "not what was shown")
    await rig.answer()
    await rig.app.carry_on(task.task_id)
    await rig.answer()
    await rig.app.carry_on(task.task_id)
    assert backtest(rig.app.store, instead_of_first(document(ALL))).prompts.questions_saved == 2


async def test_a_layer_that_is_added_only_narrows(rig: StoredRig) -> None:
    await live_ordinarily(rig)
    report = backtest(rig.app.store, under_its_name(document(ALL, name="wide")))
    assert report.flips == report.other_rule == ()
    report = backtest(rig.app.store, under_its_name(document(name="closed")))
    assert {one.after.verdict for one in report.flips} == {"deny"}


async def test_a_layer_of_the_same_name_is_replaced_where_it_is(rig: StoredRig) -> None:
    await live_under_changing_policies(rig)
    report = backtest(rig.app.store, under_its_name(document(ALL, fallback="allow", name="user")))
    assert flips_of(report) == {
        ("deny user:no-creates", "allow_with_confirm baseline:write-elsewhere-needs-a-person"): 1
    }
    assert report.sessions_changed == report.sessions


async def test_remembered_approvals_answer_under_rules_of_the_same_name_only(rig: StoredRig) -> None:
    await live_with_memory(rig)
    asks = tuple(rule for rule in BASELINE.document.rules)
    more = document(*asks, ask("also", "file.write"))
    report = backtest(rig.app.store, instead_of_first(more))
    assert any(one.before.approval_id and one.after.asks for one in report.flips)
    assert report.prompts.questions_added == 1


async def test_invariants_and_broken_rules_stay_denials(rig: StoredRig) -> None:
    await rig.run(read("nowhere.txt"), read("../x"), read("a.txt"))
    history = rig.log()
    index = place(history, ActionDenied, lambda event: path_of(history, event.action_id) == "nowhere.txt")
    event: Any = history[index].event
    broken = broken_evaluation("RuntimeError: out of cheese", event.decision.policy_digest)
    report = backtest(stored_as_it_is(changed(history, index, decision=broken)), instead_of_all(document(ALL)))
    assert (report.broken, report.unchanged, report.disagreements) == (1, 1, ())
    assert [one.after.verdict for one in report.other_rule] == ["allow"]


def path_of(history: History, action_id: str) -> str:
    proposed: Any = next(
        one.event for one in history if isinstance(one.event, ActionProposed) and one.event.action_id == action_id
    )
    return str(proposed.action.at.path)


# Limits, rules, since -------------------------------------------------------------------------------------------------


async def test_limits_are_counted_anew_in_order(rig: StoredRig) -> None:
    await rig.run(*(create(f"out/{n}.txt", rig.content(str(n))) for n in range(5)), outputs=("out",))
    after = Step(step_id="after", title="after", needs=("s1",), request=read("a.txt"))
    await rig.run(Batch(of="file.read", match="notes/*.md"), after)
    limits = (Limit(id="few", action="file.create", max=2), Limit(id="reads", action="file.read", max=3))
    report = backtest(rig.app.store, under_its_name(document(ALL, limits=limits, name="bounded")))
    assert flips_of(report) == {
        ("allow baseline:write-inside-an-output-root", "deny bounded:few"): 3,
        ("allow baseline:read-inside-a-grant", "deny bounded:reads"): 2,
    }
    assert [one.place for one in report.flips[0].examples] == [str(rig.work / f"out/{n}.txt") for n in (2, 3, 4)]
    assert report.ran_denied == 5


async def test_what_would_have_been_denied_uses_nothing_up(rig: StoredRig) -> None:
    await rig.run(
        *(create(f"{name}.txt", rig.content(name)) for name in ("no-1", "no-2", "yes-1", "yes-2")), rules=document(ALL)
    )
    deny = Rule("no", "file.create", "deny", Conditions(matches_pattern=("**/no-*",)))
    limit = Limit(id="two", action="file.create", max=2)
    report = backtest(rig.app.store, instead_of_first(document(ALL, deny, limits=(limit,))))
    assert flips_of(report) == {("allow run:all", "deny run:no"): 2}


async def test_a_second_attempt_does_not_count_against_itself(rig: StoredRig) -> None:
    bounded = document(ALL, limits=(Limit(id="one", action="file.delete", max=1),))
    rig.app = rig.engine(executors=(Executing(rig, before=die),))
    task_id = await rig.start(delete("a.txt"), rules=bounded)
    with pytest.raises(Died):
        await rig.app.carry_on(task_id)
    rig.locks.held.clear()
    rig.app = rig.engine()
    assert (await rig.app.carry_on(task_id)).status == "completed"
    assert [one.attempt for one in rig.events(ActionStarted)] == [1, 2]
    assert_nothing_changes(backtest(rig.app.store, NOTHING))
    same = document(ALL, limits=(Limit(id="another", action="file.delete", max=1),))
    assert backtest(rig.app.store, instead_of_first(same)).flips == ()


async def test_a_second_look_is_decided_under_the_new_rules_too(rig: StoredRig) -> None:
    later = TimeWindow(not_before=(START + timedelta(minutes=30)).isoformat())
    asks = document(Rule("late", "file.read", "allow_with_confirm", Conditions(time_window=later)), fallback="allow")
    denies = document(Rule("late", "file.read", "deny", Conditions(time_window=later)), fallback="allow")
    rig.app = rig.engine(executors=(Executing(rig, before=lambda: rig.clock.move(timedelta(minutes=20))),))
    await rig.run(Batch(of="file.read", match="notes/*.md"))
    report = backtest(rig.app.store, under_its_name(msgspec.structs.replace(asks, name="late")))
    assert (report.flips, report.second_looks) == ((), 4)
    assert (report.prompts.questions_added, report.prompts.actions_added) == (2, 2)
    report = backtest(rig.app.store, under_its_name(msgspec.structs.replace(denies, name="late")))
    assert (report.ran_denied, report.succeeded_denied) == (2, 2)


async def test_each_rule_is_counted_where_it_matched_and_where_it_decided(rig: StoredRig) -> None:
    await rig.run(read("a.txt"), write("a.txt", rig.content("x")), asker=Says(approve=True))
    report = backtest(rig.app.store, instead_of_first(msgspec.structs.replace(BASELINE, name="new")))
    found = {one.rule: (one.matched, one.decided) for one in report.rules}
    assert found["new:read-inside-a-grant"] == (1, 1)
    assert found["new:overwrite-needs-a-person"] == (1, 1)
    assert found["new:write-elsewhere-needs-a-person"] == (1, 0)
    assert found["new:default-deny"] == (0, 0)
    assert set(report.never_hit) == {rule for rule, (matched, _) in found.items() if not matched} - {"new:default-deny"}
    assert "new:delete-needs-a-person" in report.never_hit


async def test_what_came_before_is_read_and_not_counted(rig: StoredRig) -> None:
    first = await rig.run(delete("a.txt"))
    rig.clock.move(timedelta(hours=1))
    between = rig.clock.now()
    position = rig.app.store.head() + 1
    await rig.answer()
    await rig.app.carry_on(first.task_id)
    await rig.run(delete("b.txt"), asker=Says(approve=True))
    by_time = backtest(rig.app.store, baseline_without("delete-needs-a-person"), since=between)
    by_position = backtest(rig.app.store, baseline_without("delete-needs-a-person"), since=position)
    assert by_time == by_position
    assert (by_time.decisions, by_time.flipped, by_time.prompts.questions_asked) == (1, 1, 1)
    # It was decided before, and ran after: it would not have.
    assert by_time.ran_denied == 2
    assert backtest(rig.app.store, NOTHING).decisions == 2


async def test_the_report_is_json_and_comes_back(rig: StoredRig) -> None:
    await live_ordinarily(rig)
    report = backtest(rig.app.store, baseline_without("read-inside-a-grant"))
    text = msgspec.json.encode(report)
    assert msgspec.json.decode(text, type=BacktestReport) == report
    assert b'"ranDenied"' in text


def test_an_empty_log_has_nothing_to_say() -> None:
    report = backtest(stored_as_it_is([]), instead_of_first(BASELINE))
    assert (report.decisions, report.disagreements, report.position) == (0, (), 0)
    assert len(report.never_hit) == len(BASELINE.document.rules)
