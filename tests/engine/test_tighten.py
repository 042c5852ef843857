"""Tighten: what history needed stays possible, nothing becomes wider, and what nobody needed is said."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from cowork.domain.plan import Batch
from cowork.domain.policy_document import VERDICTS, Conditions, Limit, PolicyDocument, Rule, Verdict
from cowork.domain.policy_fault import find_faults
from cowork.engine.backtest import backtest, instead_of_all, under_its_name
from cowork.engine.tighten import Proposal, tighten
from tests.engine.past import (
    ALL,
    LIVES,
    StoredRig,
    ask,
    document,
    live_at_random,
    live_ordinarily,
    live_with_commands,
    live_with_expiry,
    stored_rig,
)
from tests.engine.rig import Says, create, delete, move, read, write

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """What is tested here reads a log that is there already: one backend to write it will do."""
    return "asyncio"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StoredRig]:
    with stored_rig(tmp_path) as rig:
        yield rig


def strictness(verdict: Verdict) -> int:
    return VERDICTS.index(verdict)


def assert_keeps_its_promise(rig: StoredRig) -> Proposal:
    """Assert that the proposal denies nothing that succeeded, alone or as one more layer, and widens nothing."""
    proposal = tighten(rig.app.store)
    assert find_faults(proposal.document) == []
    narrowed = backtest(rig.app.store, under_its_name(proposal.as_layer()))
    assert narrowed.succeeded_denied == 0
    for flip in narrowed.flips:
        assert strictness(flip.after.verdict) >= strictness(flip.before.verdict)
        assert not (flip.after.is_leave and not flip.before.is_leave)
    alone = backtest(rig.app.store, instead_of_all(proposal.as_layer()))
    assert alone.succeeded_denied == 0
    assert alone.disagreements == ()
    return proposal


def rule_of(proposal: Proposal, rule_id: str) -> Rule:
    return next(rule for rule in proposal.document.rules if rule.id == rule_id)


def shown(rig: StoredRig, conditions: Conditions) -> dict[str, object]:
    """Return what a rule asks, with paths below the granted folder."""
    values = {name: value for name, value in msgspec.structs.asdict(conditions).items() if value is not None}
    root = str(rig.work)
    if isinstance(patterns := values.get("matches_pattern"), tuple):
        values["matches_pattern"] = tuple(pattern.removeprefix(root) for pattern in patterns)
    return values


@pytest.mark.parametrize("life", LIVES)
async def test_nothing_that_succeeded_is_denied_and_nothing_becomes_wider(
    rig: StoredRig, life: Callable[[StoredRig], Awaitable[None]]
) -> None:
    await life(rig)
    assert_keeps_its_promise(rig)


@pytest.mark.parametrize("seed", range(200, 230))
async def test_on_random_histories_nothing_that_succeeded_is_denied(rig: StoredRig, seed: int) -> None:
    await live_at_random(rig, seed)
    assert_keeps_its_promise(rig)


async def test_rules_name_kinds_folders_and_extensions(rig: StoredRig) -> None:
    await rig.run(
        Batch(of="file.read", match="notes/*.md"),
        read("in/one.csv"),
        create("out/2026/a.md", rig.content("a")),
        create("out/2026/b.md", rig.content("b")),
        outputs=("out",),
    )
    proposal = assert_keeps_its_promise(rig)
    assert [rule.id for rule in proposal.document.rules] == ["allow-file.read", "allow-file.create"]
    assert shown(rig, rule_of(proposal, "allow-file.read").when) == {
        "matches_pattern": ("/in/*", "/notes/*"),
        "extension_in": (".csv", ".md"),
    }
    assert shown(rig, rule_of(proposal, "allow-file.create").when) == {
        "matches_pattern": ("/out/2026/*",),
        "extension_in": (".md",),
    }
    assert proposal.document.defaults.fallback == "deny"
    assert {one.rule: one.actions for one in proposal.evidence} == {"allow-file.read": 5, "allow-file.create": 2}


async def test_what_a_person_approved_stays_asked_and_what_they_rejected_is_left_out(rig: StoredRig) -> None:
    await rig.run(delete("notes/jan.md"), asker=Says(approve=True))
    await rig.run(delete("notes/feb.md"), delete("in/one.csv"), asker=Says(approve=False))
    proposal = assert_keeps_its_promise(rig)
    (rule,) = proposal.document.rules
    assert (rule.id, rule.decision, rule.remember) == ("ask-file.delete", "allow_with_confirm", False)
    assert shown(rig, rule.when) == {"matches_pattern": ("/notes/jan.md",), "extension_in": (".md",)}
    (evidence,) = proposal.evidence
    assert (evidence.actions, evidence.asked) == (1, 1)
    (left_out,) = proposal.left_out
    assert (left_out.why, left_out.rule, left_out.actions) == ("rejected", "baseline:delete-needs-a-person", 2)


async def test_writing_anew_and_replacing_are_told_apart(rig: StoredRig) -> None:
    await rig.run(
        write("out/a.txt", rig.content("1")),
        write("out/b.txt", rig.content("2")),
        outputs=("out",),
    )
    await rig.run(write("out/a.txt", rig.content("3")), outputs=("out",), asker=Says(approve=True))
    proposal = assert_keeps_its_promise(rig)
    assert shown(rig, rule_of(proposal, "allow-file.write").when)["target_exists"] is False
    assert shown(rig, rule_of(proposal, "ask-file.write").when)["target_exists"] is True
    assert backtest(rig.app.store, under_its_name(proposal.as_layer())).flips == ()


async def test_commands_are_named_by_their_first_words_and_requests_by_their_hosts(rig: StoredRig) -> None:
    await live_with_commands(rig)
    proposal = assert_keeps_its_promise(rig)
    commands = rule_of(proposal, "allow-shell.exec").when.command_prefix
    assert commands == (("git", ("diff", "status")), ("ls",), ("wc",))
    assert rule_of(proposal, "ask-shell.exec").when.command_prefix == (("git", ("push",)),)
    requests = rule_of(proposal, "allow-network.request").when
    assert requests.host_matches == ("api.example", "api.example:8443")
    assert requests.method_in == ("GET", "POST")


async def test_hidden_names_are_let_in_only_where_they_were_needed(rig: StoredRig) -> None:
    rig.write("notes/.draft", "x")
    await rig.run(read("notes/jan.md"), rules=document(ALL))
    proposal = assert_keeps_its_promise(rig)
    assert Conditions(hidden=True) in rule_of(proposal, "allow-file.read").unless
    await rig.run(read("notes/.draft"), rules=document(ALL))
    proposal = assert_keeps_its_promise(rig)
    assert Conditions(hidden=True) not in rule_of(proposal, "allow-file.read").unless
    assert Conditions(sensitive=True) in rule_of(proposal, "allow-file.read").unless


async def test_names_that_no_pattern_can_be_written_for_are_let_pass_all_the_same(rig: StoredRig) -> None:
    names = ["a*b.txt", "back\\slash/x.txt", "e\u0301.txt", "[a]?.txt", "new\nline.txt", "sub\\dir"]
    for name in names:
        rig.write(name, name)
    await rig.run(*(read(name) for name in names), rules=document(ALL))
    assert_keeps_its_promise(rig)


async def test_what_failed_was_not_needed(rig: StoredRig) -> None:
    await rig.run(read("nowhere.txt"), read(".env"))
    proposal = assert_keeps_its_promise(rig)
    assert proposal.document.rules == ()
    assert {(one.why, one.rule) for one in proposal.left_out} == {("denied", "invariant.target-missing")}


async def test_questions_of_a_limit_do_not_turn_into_rules_about_places(rig: StoredRig) -> None:
    limit = Limit(id="few", action="file.create", max=1, on_exceed="allow_with_confirm")
    creates = [create(f"many/{n}.txt", rig.content(str(n))) for n in range(3)]
    await rig.run(*creates, rules=document(ALL, limits=(limit,)), asker=Says(approve=True))
    proposal = assert_keeps_its_promise(rig)
    assert [rule.decision for rule in proposal.document.rules] == ["allow"]


async def test_rights_that_nobody_needed_are_named(rig: StoredRig) -> None:
    await rig.run(read("a.txt"), create("out/a.md", rig.content("a")), outputs=("out", "reports"))
    await live_with_expiry(rig)
    proposal = assert_keeps_its_promise(rig)
    (grant,) = proposal.grants
    assert grant.root_path == str(rig.work)
    assert (grant.grants, grant.grants_never_used) == (4, 2)
    assert grant.verbs_never_used == ("write", "move", "delete")
    assert grant.output_roots_never_used == (str(rig.work / "reports"),)
    assert "baseline:no-network" in proposal.rules_never_needed
    assert "baseline:read-inside-a-grant" not in proposal.rules_never_needed


async def test_rules_that_are_given_are_asked_instead_of_those_on_record(rig: StoredRig) -> None:
    await rig.run(read("a.txt"))
    given = document(ALL, ask("deletes", "file.delete"), name="mine")
    assert tighten(rig.app.store, (given,)).rules_never_needed == ("mine:deletes",)


async def test_only_what_happened_since_then_counts(rig: StoredRig) -> None:
    await rig.run(delete("a.txt"), asker=Says(approve=True))
    rig.clock.move(timedelta(days=1))
    since = rig.clock.now()
    await rig.run(read("b.txt"))
    proposal = tighten(rig.app.store, since=since)
    assert [rule.id for rule in proposal.document.rules] == ["allow-file.read"]
    assert [one.grants for one in proposal.grants] == [1]
    report = backtest(rig.app.store, under_its_name(proposal.as_layer()), since=since)
    assert report.succeeded_denied == 0


async def test_an_action_that_was_decided_before_and_ran_after_is_needed(rig: StoredRig) -> None:
    task = await rig.run(delete("a.txt"))
    rig.clock.move(timedelta(hours=1))
    since = rig.clock.now()
    await rig.answer()
    await rig.app.carry_on(task.task_id)
    proposal = tighten(rig.app.store, since=since)
    assert [rule.id for rule in proposal.document.rules] == ["ask-file.delete"]
    assert backtest(rig.app.store, under_its_name(proposal.as_layer()), since=since).succeeded_denied == 0


async def test_moves_between_folders_have_both_ends_in_one_rule(rig: StoredRig) -> None:
    await rig.run(move("in/one.csv", "done/one.csv"), asker=Says(approve=True))
    proposal = assert_keeps_its_promise(rig)
    assert shown(rig, rule_of(proposal, "ask-file.move").when)["matches_pattern"] == ("/done/*", "/in/*")


async def test_the_proposal_is_json_and_its_document_comes_back(rig: StoredRig) -> None:
    await live_ordinarily(rig)
    proposal = tighten(rig.app.store)
    text = msgspec.json.encode(proposal)
    assert msgspec.json.decode(text, type=Proposal) == proposal
    assert msgspec.json.decode(msgspec.json.encode(proposal.document), type=PolicyDocument) == proposal.document
