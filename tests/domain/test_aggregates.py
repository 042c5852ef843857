"""Sessions, grants, confirmations and subagents: what each command records, refuses, or answers with silence."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cowork.domain import confirmation, grant, session, subagent
from cowork.domain.baseline import BASELINE
from cowork.domain.budget import NO_BUDGET
from cowork.domain.confirmation import (
    Approve,
    Card,
    ConfirmationApproved,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationWithdrawn,
    Expire,
    Item,
    Reject,
    RequestConfirmation,
    Withdraw,
)
from cowork.domain.grant import (
    ExpireGrant,
    FolderGrant,
    GrantExpired,
    GrantFolder,
    GrantRevoked,
    NarrowGrant,
    RevokeGrant,
)
from cowork.domain.policy import digest_of_layers
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Scope
from cowork.domain.session import (
    AddGrant,
    AdoptedLayer,
    AllowRoot,
    EndSession,
    GrantAdded,
    RootAllowed,
    SessionEnded,
    StartSession,
)
from cowork.domain.subagent import DEPTH_MAX, Report, SpawnSubagent, Stop, SubagentSpawned
from tests.domain.given import Given

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
DIGEST = "sha256:9c417e02aabbccdd"


def asked(**changes: Any) -> Given[confirmation.ConfirmationState]:
    given = Given(confirmation.INITIAL, confirmation.decide, confirmation.evolve)
    given.when(request(**changes))
    return given


def request(**changes: Any) -> RequestConfirmation:
    values: dict[str, Any] = {
        "confirmation_id": "c-1",
        "session_id": "s",
        "task_id": "t",
        "step_id": "a",
        "purpose": "action",
        "items": (Item("t.1", "sha256:11"),),
        "digest": DIGEST,
        "card": Card("Delete a", ()),
        "risk_tags": (),
        "reason": "r",
        "rule_id": "r",
        "layer": "l",
        "expires_at": LATER,
    }
    return RequestConfirmation(**{**values, **changes})


def approve(digest: str = DIGEST, now: datetime = NOW) -> Approve:
    return Approve(digest=digest, answered_by="person:ada", now=now)


def test_an_approval_carries_the_digest_that_was_shown() -> None:
    (event,) = asked().when(approve("9c41 7e02"))

    assert event == ConfirmationApproved(confirmation_id="c-1", digest=DIGEST, answered_by="person:ada")


@pytest.mark.parametrize("digest", ["", "9c417e0", "sha256:0000000000", "9c417e02aabbccdd00"])
def test_an_answer_to_something_else_is_refused(digest: str) -> None:
    given = asked()

    given.refused(approve(digest), "conflict")
    given.refused(Reject(digest=digest, answered_by="person:ada", now=NOW), "conflict")


def test_a_question_has_one_answer() -> None:
    given = asked()
    given.when(approve())

    assert "already approved by person:ada" in given.refused(approve(), "conflict").message
    given.refused(Reject(digest=DIGEST, answered_by="person:bob", now=NOW), "conflict")
    assert given.when(Withdraw("x")) == ()
    assert given.when(Expire(LATER)) == ()


def test_an_answer_after_expiry_is_refused_seen_or_not() -> None:
    given = asked()

    given.refused(approve(now=LATER), "expired")
    assert given.when(Expire(NOW)) == ()
    assert [type(event) for event in given.when(Expire(LATER))] == [ConfirmationExpired]
    given.refused(approve(), "expired")


def test_a_withdrawn_question_takes_no_answer() -> None:
    given = asked()

    assert [type(event) for event in given.when(Withdraw("cancelled"))] == [ConfirmationWithdrawn]
    given.refused(approve(), "conflict")


def test_a_rejection_keeps_its_note() -> None:
    (event,) = asked().when(Reject(digest=DIGEST, answered_by="person:ada", now=NOW, note="not yet"))

    assert isinstance(event, ConfirmationRejected)
    assert event.note == "not yet"


def test_a_question_about_nothing_is_not_put_and_none_is_put_twice() -> None:
    Given(confirmation.INITIAL, confirmation.decide, confirmation.evolve).refused(request(items=()), "invalid")
    asked().refused(request(), "conflict")
    Given(confirmation.INITIAL, confirmation.decide, confirmation.evolve).refused(approve(), "not_found")


def granting(**changes: Any) -> GrantFolder:
    values: dict[str, Any] = {
        "grant_id": "g",
        "session_id": "s",
        "name": "inbox",
        "root_path": "/home/ada/inbox",
        "verbs": VERBS,
        "output_roots": ("out/",),
        "identity": FolderIdentity(1, 2),
    }
    return GrantFolder(**{**values, **changes})


def granted(**changes: Any) -> Given[grant.GrantState]:
    given = Given(grant.INITIAL, grant.decide, grant.evolve)
    given.when(granting(**changes))
    return given


def scope_of(given: Given[grant.GrantState]) -> FolderScope:
    assert isinstance(given.state, FolderGrant)
    return given.state.scope


def test_a_grant_covers_the_verbs_that_were_named_in_one_order() -> None:
    assert scope_of(granted(verbs=("delete", "read"))).verbs == ("read", "delete")


def test_a_grant_of_nothing_or_of_no_absolute_folder_is_refused() -> None:
    empty = Given(grant.INITIAL, grant.decide, grant.evolve)

    empty.refused(granting(verbs=()), "invalid")
    empty.refused(granting(root_path="inbox"), "invalid")
    granted().refused(granting(), "conflict")


def test_a_grant_is_narrowed_and_never_widened() -> None:
    given = granted(verbs=("read", "create"), expires_at=NOW)
    given.when(NarrowGrant(verbs=("read", "delete"), output_roots=(".",), expires_at=LATER))

    assert scope_of(given).verbs == ("read",)
    assert scope_of(given).output_roots == ("out",)
    assert scope_of(given).expires_at == NOW
    assert given.when(NarrowGrant(verbs=VERBS, output_roots=("out",))) == ()


def test_a_revoked_grant_stays_revoked() -> None:
    given = granted()

    assert [type(event) for event in given.when(RevokeGrant())] == [GrantRevoked]
    assert given.when(RevokeGrant()) == ()
    assert scope_of(given).revoked


def test_expiry_is_noted_once_it_is_over() -> None:
    given = granted(expires_at=LATER)

    assert given.when(ExpireGrant(NOW)) == ()
    assert [type(event) for event in given.when(ExpireGrant(LATER))] == [GrantExpired]
    assert given.when(ExpireGrant(LATER)) == ()


def opened() -> Given[session.SessionState]:
    given = Given(session.INITIAL, session.decide, session.evolve)
    given.when(starting())
    return given


def starting() -> StartSession:
    return StartSession(
        session_id="s",
        user_id="ada",
        device_id="d",
        platform="linux",
        title="t",
        layers=(AdoptedLayer(BASELINE.name, BASELINE.digest),),
        policy_digest=digest_of_layers((BASELINE,)),
    )


def test_a_session_has_its_policy_from_its_first_commit_on() -> None:
    state = opened().state

    assert isinstance(state, session.OpenSession)
    assert state.layers == (AdoptedLayer("baseline", BASELINE.digest),)
    assert state.policy_digest == digest_of_layers((BASELINE,))


def test_that_root_is_allowed_is_said_as_often_as_a_process_says_it_and_not_after_the_end() -> None:
    given = opened()
    before = given.state
    for _ in range(2):
        assert given.when(AllowRoot("option")) == (RootAllowed(session_id="s", allowed_by="option"),)
    assert given.state == before
    given.when(EndSession("done"))
    given.refused(AllowRoot("setting"), "conflict")


def test_a_grant_is_added_once_and_not_to_a_session_that_has_ended() -> None:
    given = opened()

    assert given.when(AddGrant("g")) == (GrantAdded(session_id="s", grant_id="g"),)
    assert given.when(AddGrant("g")) == ()
    assert given.when(EndSession("done")) == (SessionEnded(session_id="s", reason="done"),)
    assert given.when(EndSession("done")) == ()
    given.refused(AddGrant("h"), "conflict")
    given.refused(starting(), "conflict")


def spawning(depth: int = 0, wished: Scope | None = None) -> SpawnSubagent:
    held = FolderScope(grant_id="g", name="n", root_path="/n", verbs=("read",), identity=FolderIdentity(1, 2))
    return SpawnSubagent(
        subagent_id="sub",
        session_id="s",
        task_id="t-s1",
        parent_task_id="t",
        action_id="t.1",
        title="x",
        parent_scope=Scope((held,)),
        wished_scope=wished or Scope((held,)),
        parent_budget=NO_BUDGET,
        wished_budget=NO_BUDGET,
        parent_depth=depth,
    )


def test_a_subagent_gets_no_more_than_its_parent_has() -> None:
    wide = FolderScope(grant_id="g", name="n", root_path="/", verbs=VERBS, identity=FolderIdentity(9, 9))
    foreign = FolderScope(grant_id="h", name="h", root_path="/h", verbs=VERBS, identity=FolderIdentity(9, 9))
    (event,) = Given(subagent.INITIAL, subagent.decide, subagent.evolve).when(spawning(wished=Scope((wide, foreign))))

    assert isinstance(event, SubagentSpawned)
    (folder,) = event.scope.folders
    assert (folder.verbs, folder.root_path, folder.identity) == (("read",), "/n", FolderIdentity(1, 2))


def test_subagents_are_not_nested_without_end() -> None:
    Given(subagent.INITIAL, subagent.decide, subagent.evolve).refused(spawning(depth=DEPTH_MAX), "limit")


def test_a_subagent_reports_once_and_a_stop_after_that_is_silent() -> None:
    given = Given(subagent.INITIAL, subagent.decide, subagent.evolve)
    given.refused(Report("x"), "not_found")
    given.when(spawning())
    given.when(Report("done"))

    assert given.when(Report("again")) == ()
    assert given.when(Stop("late")) == ()
