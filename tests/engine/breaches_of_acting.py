"""Ways of breaking invariants 1, 2 and 3: starts without leave, wrong outcomes, effects and decisions out of bounds."""

from datetime import timedelta
from typing import Any

import msgspec

from cowork.domain.action import Location
from cowork.domain.baseline import BASELINE
from cowork.domain.confirmation import (
    ConfirmationApproved,
    ConfirmationRequested,
    Item,
)
from cowork.domain.effect import Effect
from cowork.domain.facts import FileState
from cowork.domain.grant import FolderGranted, GrantExpired, GrantNarrowed, GrantRevoked
from cowork.domain.policy import digest_of_layers
from cowork.domain.scope import VERBS
from cowork.domain.session import PolicyAdopted, SessionEnded
from cowork.domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
)
from tests.engine.planted import History, action_on, added, again, changed, moved, of, place, planted, without

DAY = timedelta(days=1)

# 1: leave to start


@planted(1)
def started_without_being_allowed(h: History) -> History:
    return without(h, place(h, ActionAllowed, of(action_on(h, "out/new.txt"))))


@planted(1)
def started_without_being_proposed(h: History) -> History:
    name = action_on(h, "out/new.txt")
    return without(without(h, place(h, ActionAllowed, of(name))), place(h, ActionProposed, of(name)))


@planted(1)
def started_as_another_action(h: History) -> History:
    return changed(h, place(h, ActionStarted), digest="sha256:" + "0" * 64)


@planted(1)
def an_action_changed_under_its_digest(h: History) -> History:
    index = place(h, ActionProposed, of(action_on(h, "out/new.txt")))
    action = msgspec.structs.replace(h[index].event.action, at=Location("", "other"))  # type: ignore[attr-defined]
    return changed(h, index, action=action)


@planted(1)
def started_before_the_answer(h: History) -> History:
    name = action_on(h, "b.txt")
    asked: Any = h[place(h, ActionConfirmationRequired, of(name))].event
    answer = place(h, ConfirmationApproved, lambda event: event.confirmation_id == asked.confirmation_id)
    return moved(h, place(h, ActionStarted, of(name)), answer)


@planted(1)
def started_without_its_approval(h: History) -> History:
    return changed(h, place(h, ActionStarted, of(action_on(h, "b.txt"))), confirmation_id="")


@planted(1)
def started_on_the_approval_of_another_action(h: History) -> History:
    name = action_on(h, "b.txt")
    asked: Any = h[place(h, ActionConfirmationRequired, of(name))].event
    other = place(h, ConfirmationApproved, lambda event: event.confirmation_id != asked.confirmation_id)
    return changed(h, place(h, ActionStarted, of(name)), confirmation_id=h[other].stream)


@planted(1)
def approved_was_something_else(h: History) -> History:
    index = place(h, ConfirmationRequested)
    items: tuple[Item, ...] = h[index].event.items  # type: ignore[attr-defined]
    return changed(h, index, items=(Item(items[0].action_id, "sha256:" + "1" * 64),))


@planted(1)
def started_on_a_file_that_was_not_shown(h: History) -> History:
    index = place(h, ActionStarted, of(action_on(h, "b.txt")))
    facts = h[index].event.facts  # type: ignore[attr-defined]
    target = FileState("file", 1, 2, size=9, digest="sha256:" + "2" * 64)
    return changed(h, index, facts=msgspec.structs.replace(facts, target=target))


@planted(1)
def approved_and_started_without_a_second_look(h: History) -> History:
    return changed(h, place(h, ActionStarted, of(action_on(h, "b.txt"))), facts=None)


@planted(1)
def denied_and_started(h: History) -> History:
    index = place(h, ActionDenied)
    denied: Any = h[index].event
    start = ActionStarted(task_id=denied.task_id, action_id=denied.action_id, digest=denied.digest, attempt=1)
    return added(h, index, denied.task_id, start)


# 2: outcomes


@planted(2)
def two_outcomes(h: History) -> History:
    return again(h, place(h, ActionSucceeded))


@planted(2)
def an_outcome_without_a_start(h: History) -> History:
    return without(h, place(h, ActionStarted))


@planted(2)
def an_outcome_of_another_attempt(h: History) -> History:
    return changed(h, place(h, ActionSucceeded), attempt=2)


@planted(2)
def attempts_that_skip_a_number(h: History) -> History:
    return changed(h, place(h, ActionStarted), attempt=3)


@planted(2)
def started_again_after_its_success(h: History) -> History:
    return again(h, place(h, ActionStarted), after=place(h, ActionSucceeded))


@planted(2)
def declined_while_it_is_carried_out(h: History) -> History:
    index = place(h, ActionStarted)
    start: Any = h[index].event
    no = ActionDeclined(
        task_id=start.task_id, action_id=start.action_id, digest=start.digest, reason_code="withdrawn", reason="no"
    )
    return added(h, index, start.task_id, no)


# 3: effects and decisions


def _with_effect(h: History, path: str, **fields: Any) -> History:
    index = place(h, ActionSucceeded, of(action_on(h, path)))
    succeeded: Any = h[index].event
    effect = msgspec.structs.replace(succeeded.effects[0], **fields)
    return changed(h, index, effects=(effect,))


@planted(3)
def an_effect_where_the_action_names_nothing(h: History) -> History:
    grant = h[place(h, FolderGranted)].stream
    return _with_effect(h, "out/new.txt", at=Location(grant, "elsewhere.txt"))


@planted(3)
def an_effect_above_the_grant(h: History) -> History:
    grant = h[place(h, FolderGranted)].stream
    return _with_effect(h, "out/new.txt", at=Location(grant, "../out.txt"))


@planted(3)
def an_effect_in_no_grant(h: History) -> History:
    return _with_effect(h, "b.txt", previous=Location("", "/etc/passwd"))


@planted(3)
def a_new_folder_that_is_on_no_way(h: History) -> History:
    return _with_effect(h, "out/new.txt", new_folders=("somewhere",))


@planted(3)
def a_read_that_changed_something(h: History) -> History:
    name = action_on(h, "a.txt")
    index = place(h, ActionSucceeded, of(name))
    proposed: Any = h[place(h, ActionProposed, of(name))].event
    return changed(h, index, effects=(Effect(change="update", at=proposed.action.at),))


@planted(3)
def revoked_and_still_used(h: History) -> History:
    grant = h[place(h, FolderGranted)].stream
    before = place(h, ActionStarted, of(action_on(h, "b.txt"))) - 1
    return added(h, before, grant, GrantRevoked(grant_id=grant))


@planted(3)
def expired_and_still_used(h: History) -> History:
    grant = h[place(h, FolderGranted)].stream
    before = place(h, ActionStarted, of(action_on(h, "b.txt"))) - 1
    return added(h, before, grant, GrantExpired(grant_id=grant))


@planted(3)
def over_since_yesterday_and_still_used(h: History) -> History:
    index = place(h, FolderGranted)
    return changed(h, index, expires_at=h[index].origin.at - DAY)


@planted(3)
def narrowed_and_still_used(h: History) -> History:
    grant = h[place(h, FolderGranted)].stream
    before = place(h, ActionStarted, of(action_on(h, "b.txt"))) - 1
    return added(h, before, grant, GrantNarrowed(grant_id=grant, verbs=("read",)))


@planted(3)
def narrowed_to_more(h: History) -> History:
    index = place(h, FolderGranted)
    grant = h[index].stream
    less = changed(h, index, verbs=("read",))
    return added(less, index, grant, GrantNarrowed(grant_id=grant, verbs=VERBS))


@planted(3)
def used_after_its_session_ended(h: History) -> History:
    session = h[place(h, PolicyAdopted)].stream
    before = place(h, ActionStarted, of(action_on(h, "b.txt"))) - 1
    return added(h, before, session, SessionEnded(session_id=session, reason="over"))


@planted(3)
def a_verdict_that_the_rules_do_not_give(h: History) -> History:
    index = place(h, ActionConfirmationRequired)
    asked: Any = h[index].event
    allowed = ActionAllowed(
        task_id=asked.task_id,
        action_id=asked.action_id,
        digest=asked.digest,
        decision=msgspec.structs.replace(asked.decision, verdict="allow"),
        facts=asked.facts,
        scope_digest=asked.scope_digest,
    )
    return [*h[:index], msgspec.structs.replace(h[index], event=allowed), *h[index + 1 :]]


@planted(3)
def a_rule_that_did_not_decide(h: History) -> History:
    index = place(h, ActionDenied)
    decision = msgspec.structs.replace(h[index].event.decision, rule_id="made-up")  # type: ignore[attr-defined]
    return changed(h, index, decision=decision)


@planted(3)
def decided_under_other_grants(h: History) -> History:
    return changed(h, place(h, ActionAllowed), scope_digest="sha256:" + "3" * 64)


@planted(3)
def rules_under_another_name(h: History) -> History:
    index = place(h, PolicyAdopted)
    return changed(h, index, policy_digest=digest_of_layers((BASELINE, BASELINE)))
