"""Explain: the decision, every rule about the kind with what kept it from matching, and the same for any position."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from cowork.domain.baseline import BASELINE
from cowork.domain.errors import DomainError
from cowork.domain.policy_document import Conditions, Defaults, Layer, Limit, PolicyDocument, Rule, layer
from cowork.domain.policy_request import FrameScope, GrantedRoot, Request
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Scope
from cowork.domain.session import PolicyAdopted
from cowork.domain.task import ActionAllowed, ActionConfirmationRequired, ActionDenied, ActionStarted
from cowork.engine.explain import Explanation, RuleNote, explain, explain_request
from cowork.engine.explain_at import AtPosition, explain_at
from cowork.engine.inquiry import Inquiry
from cowork.engine.ports import StandingLayers
from tests.engine.past import (
    ALL,
    StoredRig,
    ask,
    document,
    live_at_random,
    live_ordinarily,
    live_with_memory,
    stored_rig,
)
from tests.engine.rig import PERSON, START, Says, create, delete, read

pytestmark = pytest.mark.anyio

SCOPE = Scope(
    (
        FolderScope(
            grant_id="grant-1",
            name="work",
            root_path="/home/ada/work",
            verbs=VERBS,
            output_roots=("out",),
            identity=FolderIdentity(1, 2),
        ),
    )
)


@pytest.fixture
def anyio_backend() -> str:
    """What is tested here reads a log that is there already: one backend to write it will do."""
    return "asyncio"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StoredRig]:
    with stored_rig(tmp_path) as rig:
        yield rig


def explained(inquiry: Inquiry, *layers: Layer) -> Explanation:
    return explain(layers or (BASELINE,), SCOPE, inquiry, now=START)


def note(explanation: Explanation, rule: str) -> RuleNote:
    return next(one for one in explanation.rules if one.rule == rule)


# The present ----------------------------------------------------------------------------------------------------------


def test_a_rule_that_did_not_match_says_which_condition_kept_it() -> None:
    found = explained(Inquiry(kind="file.create", path="notes/a.md", exists=False))
    assert found.decision.rule_id == "write-elsewhere-needs-a-person"
    outside = note(found, "baseline:write-inside-an-output-root")
    assert (outside.state, outside.refuted) == ("not matched", ("pathWithinOutputRoot",))
    assert outside.about == "/home/ada/work/notes/a.md"
    assert note(found, "baseline:write-elsewhere-needs-a-person").state == "decided"
    assert note(found, "floor:floor.host-executed").refuted == ("executed",)


def test_rules_about_other_kinds_are_not_listed() -> None:
    found = explained(Inquiry(kind="file.read", path="a.md", exists=True, links=1))
    assert {one.rule for one in found.rules} == {
        "baseline:sensitive-files-stay-closed",
        "baseline:hidden-files-stay-closed",
        "baseline:hard-links-need-a-person",
        "baseline:read-inside-a-grant",
        "floor:floor.hardlink",
    }


def test_what_is_not_known_is_named_and_never_helps() -> None:
    unknown = explained(Inquiry(kind="file.read", path="a.md"))
    assert unknown.decision.verdict == "allow_with_confirm"
    assert unknown.decision.missing_facts == ("linkCount",)
    hard_links = note(unknown, "baseline:hard-links-need-a-person")
    assert (hard_links.state, hard_links.unknown) == ("decided", ("hardLink",))
    assert explained(Inquiry(kind="file.read", path="a.md", exists=True, links=1)).decision.verdict == "allow"


def test_a_default_denial_is_said_out_loud() -> None:
    narrow = layer("narrow", PolicyDocument(rules=(Rule("reads", "file.read", "allow"),)))
    found = explained(Inquiry(kind="subagent.spawn"), narrow)
    assert found.decision.by_default
    assert "no rule of `narrow` allows subagent.spawn" in found.decision.reason


def test_an_invariant_is_named_and_the_rules_are_shown_all_the_same() -> None:
    found = explained(Inquiry(kind="file.create", path=".cowork/x"))
    assert found.decision.rule_id == "invariant.engine-folder"
    assert note(found, "baseline:hidden-files-stay-closed").state == "matched"
    nowhere = explained(Inquiry(kind="file.read", path="/etc/passwd"))
    assert nowhere.decision.rule_id.startswith("invariant.")
    assert nowhere.decision.layer == "invariant"


def test_an_exception_and_several_conditions_are_told_apart() -> None:
    rules = document(
        Rule("csv", "file.read", "allow", Conditions(extension_in=(".csv",), hidden=False)),
        Rule("notes", "file.*", "deny", Conditions(), unless=(Conditions(matches_pattern=("**/notes/**",)),)),
        name="mine",
    )
    found = explained(Inquiry(kind="file.read", path="notes/.x.md", exists=True, links=1), rules)
    assert note(found, "mine:csv").refuted == ("extensionIn", "hidden")
    assert (note(found, "mine:notes").state, note(found, "mine:notes").refuted) == ("excepted", ("unless",))
    elsewhere = explained(Inquiry(kind="file.read", path="x.csv", exists=True, links=1), rules)
    assert note(elsewhere, "mine:notes").state == "decided"
    assert note(elsewhere, "mine:csv").state == "matched"


def test_a_condition_about_something_else_refutes() -> None:
    rules = document(Rule("odd", "*", "deny", Conditions(host_matches=("a.example",))), ALL, name="mine")
    found = explained(Inquiry(kind="file.read", path="a.md", exists=True, links=1), rules)
    assert note(found, "mine:odd").refuted == ("hostMatches",)


def test_in_the_old_version_a_rule_for_the_alias_is_passed_over_where_one_names_the_kind() -> None:
    old = layer(
        "old",
        PolicyDocument(
            version="1.0",
            defaults=Defaults("deny"),
            rules=(Rule("writes", "file.write", "deny"), Rule("deletes", "file.delete", "allow_with_confirm")),
        ),
    )
    found = explained(Inquiry(kind="file.delete", path="a.md", exists=True, links=1), old)
    assert note(found, "old:writes").state == "passed over"
    assert note(found, "old:deletes").state == "decided"
    creates = explained(Inquiry(kind="file.create", path="a.md", exists=False), old)
    assert note(creates, "old:writes").state == "decided"


def test_limits_say_how_much_was_used() -> None:
    bounded = document(ALL, limits=(Limit(id="none", action="file.create", max=0),), name="mine")
    found = explained(Inquiry(kind="file.create", path="a.md", exists=False), bounded)
    assert found.decision.rule_id == "none"
    (limit,) = found.limits
    assert (limit.limit, limit.used, limit.max) == ("mine:none", 0, 0)


@pytest.mark.parametrize(
    ("inquiry", "verdict"),
    [
        (Inquiry(kind="file.list", path="."), "allow"),
        (Inquiry(kind="file.search", path="notes", links=1), "allow"),
        (Inquiry(kind="file.write", path="out/a.md", exists=False), "allow"),
        (Inquiry(kind="file.write", path="out/a.md", exists=True, links=1), "allow_with_confirm"),
        (Inquiry(kind="file.move", path="a.md", to="notes/", exists=False), "allow_with_confirm"),
        (Inquiry(kind="file.move", path="a.md", to="b.md", exists=True), "deny"),
        (Inquiry(kind="file.rename", path="a.md", to="b.md"), "allow_with_confirm"),
        (Inquiry(kind="shell.exec", command=("ls",)), "allow_with_confirm"),
        (Inquiry(kind="code.run"), "allow_with_confirm"),
        (Inquiry(kind="network.request", url="api.example"), "deny"),
        (Inquiry(kind="network.request", url="https://api.example/x", method="POST"), "deny"),
        (Inquiry(kind="connector.read", connector="mail", tool="search"), "deny"),
        (Inquiry(kind="connector.action", connector="mail", tool="send"), "deny"),
        (Inquiry(kind="subagent.spawn"), "allow"),
    ],
)
def test_every_kind_can_be_asked_about(inquiry: Inquiry, verdict: str) -> None:
    assert explained(inquiry).decision.verdict == verdict


@pytest.mark.parametrize("kind", ["file.read", "file.move", "network.request"])
def test_an_inquiry_without_what_its_kind_needs_is_refused(kind: str) -> None:
    inquiry = Inquiry(kind=kind, path="a.md" if kind == "file.move" else "")  # type: ignore[arg-type]
    with pytest.raises(DomainError, match="needs a") as refused:
        explained(inquiry)
    assert refused.value.code == "invalid"


def test_a_bare_request_is_explained_by_these_very_layers() -> None:
    scope = FrameScope(grants=(GrantedRoot(root="/ws"),))
    found = explain_request((BASELINE,), scope, Request(action="file.read", path="/ws/.env", link_count=1))
    assert found.decision.verdict == "deny"
    assert all(one.rule.startswith("baseline:") for one in found.rules)
    assert note(found, "baseline:sensitive-files-stay-closed").state == "decided"
    unknown = explain_request((BASELINE,), scope, Request(action="file.frobnicate"))
    assert (unknown.decision.rule_id, unknown.rules) == ("invariant.unknown-action", ())


# Then -----------------------------------------------------------------------------------------------------------------


def position_of(rig: StoredRig, kind: type, nth: int = 0) -> int:
    return [one.position for one in rig.log() if isinstance(one.event, kind)][nth]


@pytest.mark.parametrize("seed", range(300, 306))
async def test_every_recorded_decision_is_explained_as_it_was_made(rig: StoredRig, seed: int) -> None:
    await live_at_random(rig, seed, tasks=2)
    decided = [
        one for one in rig.log() if isinstance(one.event, ActionAllowed | ActionDenied | ActionConfirmationRequired)
    ]
    assert decided
    for one in decided:
        then = explain_at(rig.app.store, one.position).decided
        assert then is not None
        assert then.explanation is not None
        assert then.recorded == then.explanation.decision


async def test_it_says_who_could_do_what(rig: StoredRig) -> None:
    await rig.run(delete("a.txt"), outputs=("out",))
    then = explain_at(rig.app.store, rig.app.store.head())
    (session,) = then.sessions
    assert (session.user, session.title, session.answer) == ("ann", "a task", None)
    assert [(one.name, one.digest, one.rules) for one in session.layers] == [
        ("baseline", BASELINE.digest, len(BASELINE.document.rules))
    ]
    (grant,) = session.grants
    assert (grant.root_path, grant.verbs, grant.output_roots, grant.state) == (
        str(rig.work),
        VERBS,
        ("out",),
        "in force",
    )
    assert session.policy_digest == rig.events(PolicyAdopted)[0].policy_digest


async def test_a_grant_is_in_force_until_the_position_at_which_it_was_revoked(rig: StoredRig) -> None:
    await rig.run(delete("a.txt"))
    before = rig.app.store.head()
    await rig.app.revoke(rig.last_grant(), by=PERSON)
    inquiry = Inquiry(kind="file.read", path="b.txt", exists=True, links=1)
    verdicts = []
    for position in (before, before + 1):
        (session,) = explain_at(rig.app.store, position, inquiry).sessions
        assert session.answer is not None
        verdicts.append((session.grants[0].state, session.answer.decision.verdict, session.answer.decision.rule_id))
    assert verdicts == [
        ("in force", "allow", "read-inside-a-grant"),
        ("revoked", "deny", "invariant.grant-revoked"),
    ]


async def test_a_grant_whose_time_was_over_is_expired_whether_anybody_noticed_or_not(rig: StoredRig) -> None:
    await rig.run(delete("a.txt"), expires_in=timedelta(hours=1))
    rig.clock.move(timedelta(hours=2))
    await rig.run(delete("b.txt"))
    first, second = explain_at(rig.app.store, rig.app.store.head()).sessions
    assert [one.grants[0].state for one in (first, second)] == ["expired", "in force"]


async def test_documents_that_were_adopted_later_do_not_speak_before(rig: StoredRig) -> None:
    task = await rig.run(delete("a.txt"))
    before = rig.app.store.head()
    rig.machine = StandingLayers(user=document(Rule("no", "*", "deny"), fallback="allow", name="user"))
    await rig.answer()
    await rig.app.carry_on(task.task_id)
    inquiry = Inquiry(kind="file.read", path="b.txt", exists=True, links=1)
    adopted = position_of(rig, PolicyAdopted, 1)
    answers = [explain_at(rig.app.store, at, inquiry).sessions[0].answer for at in (before, adopted)]
    assert [one.decision.rule_id for one in answers if one] == ["read-inside-a-grant", "no"]


async def test_approvals_in_force_are_listed_and_answer(rig: StoredRig) -> None:
    await live_with_memory(rig)
    inquiry = Inquiry(kind="file.write", path="notes/jan.md", exists=True, links=1)
    remembered = next(one.position for one in rig.log() if one.event.TOPIC.startswith("approval.remembered"))
    for position, expected in ((remembered - 1, 0), (remembered, 1), (rig.app.store.head(), 0)):
        then = explain_at(rig.app.store, position, inquiry)
        assert len(then.approvals) == expected
        for session in then.sessions:
            assert session.answer is not None
            assert bool(session.answer.decision.approval_id) is bool(expected)


async def test_a_start_is_explained_by_the_second_look(rig: StoredRig) -> None:
    await rig.run(delete("a.txt"), asker=Says(approve=True))
    then = explain_at(rig.app.store, position_of(rig, ActionStarted)).decided
    assert then is not None
    assert then.recorded is None
    assert then.explanation is not None
    assert then.explanation.decision.verdict == "allow_with_confirm"


async def test_one_session_can_be_asked_and_an_unknown_one_is_an_error(rig: StoredRig) -> None:
    await rig.run(delete("a.txt"))
    await rig.run(delete("b.txt"), rules=document(ALL, ask("d", "file.delete")))
    inquiry = Inquiry(kind="shell.exec", command=("ls",))
    first, second = explain_at(rig.app.store, rig.app.store.head(), inquiry).sessions
    assert [one.answer.decision.verdict for one in (first, second) if one.answer] == ["allow_with_confirm", "allow"]
    (only,) = explain_at(rig.app.store, rig.app.store.head(), inquiry, session=second.session_id).sessions
    assert only == second
    with pytest.raises(DomainError, match="was not open") as refused:
        explain_at(rig.app.store, 1, inquiry, session=second.session_id)
    assert refused.value.code == "not_found"


@pytest.mark.parametrize("position", [0, -3, 10_000])
async def test_a_position_that_the_log_does_not_have_is_an_error(rig: StoredRig, position: int) -> None:
    await rig.run(read("a.txt"))
    with pytest.raises(DomainError, match=f"no position {position}") as refused:
        explain_at(rig.app.store, position)
    assert refused.value.code == "not_found"


async def test_what_is_explained_is_json_and_comes_back(rig: StoredRig) -> None:
    await live_ordinarily(rig)
    await rig.run(delete("c.txt"), create("x.txt", rig.content("x")))
    inquiry = Inquiry(kind="file.delete", path="c.txt")
    then = explain_at(rig.app.store, rig.app.store.head(), inquiry)
    assert msgspec.json.decode(msgspec.json.encode(then), type=AtPosition) == then
