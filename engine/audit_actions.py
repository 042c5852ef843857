"""The life of every action, checked against what was in force when each of its events was recorded.

Invariants 1 (leave to start), 2 (outcomes), 3 (decisions and effects), 8 (nothing left open) and 9 (own grants only);
5 where the action is a subagent's: what is in force for it is what is in force for its parent, and no more.
"""

from typing import TypeAlias

from ..domain.action import Location, SubagentSpawn, digest_of, locations_of, sets_mode
from ..domain.action_invariant import required_verbs
from ..domain.effect import Effect
from ..domain.facts import ABSENT, Facts, FileState, is_same_target
from ..domain.ids import root_task_id
from ..domain.path import components, find_problem, is_beneath
from ..domain.policy import EVALUATION_BROKE
from ..domain.policy_decision import Decision
from ..domain.scope import Scope, find_gap
from ..domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionFailed,
    ActionOutcomeUnknown,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    OutcomeEvent,
)
from .audit_budget import Budgets
from .audit_claims import Claims
from .audit_finding import Findings, Seen
from .audit_questions import Questions
from .audit_rights import InForce, Rights
from .audit_state import ActionSeen, AttemptSeen, Phase, Standing, TaskSeen
from .audit_tree import Tree

Judged: TypeAlias = ActionAllowed | ActionDenied | ActionConfirmationRequired

_WHY_NOT: dict[Standing, tuple[int, str]] = {
    "still": (8, "was not running"),
    "cancelled": (8, "was not running"),
    "ended": (8, "was not running"),
    "interrupted": (13, "was interrupted"),
    "exhausted": (11, "had no room in its budget"),
}
"""Why nothing may start of a task that stands like this: the invariant, and in words."""


class Actions:
    """What is said about actions, held against what is known of them."""

    def __init__(
        self, findings: Findings, rights: Rights, questions: Questions, tree: Tree, budgets: Budgets, claims: Claims
    ) -> None:
        self._findings = findings
        self._rights = rights
        self._questions = questions
        self._tree = tree
        self._budgets = budgets
        self._claims = claims

    def on(
        self, seen: Seen, task: TaskSeen, event: ActionProposed | Judged | ActionDeclined | ActionStarted | OutcomeEvent
    ) -> None:
        """Fold an event of an action."""
        match event:
            case ActionProposed():
                self._propose(seen, task, event)
            case ActionAllowed() | ActionDenied() | ActionConfirmationRequired():
                self._judge(seen, task, event)
            case ActionDeclined():
                self._decline(seen, task, event)
            case ActionStarted():
                self._start(seen, task, event)
            case ActionSucceeded() | ActionFailed() | ActionOutcomeUnknown():
                self._outcome(seen, task, event)

    def _decline(self, seen: Seen, task: TaskSeen, event: ActionDeclined) -> None:
        action = task.actions.get(event.action_id)
        if action is None or action.is_under_way:
            self._findings.add(2, seen, f"action `{event.action_id}` was declined, but it is not waiting")
            return
        if action.attempts:
            self._budgets.on_given_up(task.node, event.action_id)
        _close(task, event.action_id, "declined")

    # Proposed and judged

    def _propose(self, seen: Seen, task: TaskSeen, event: ActionProposed) -> None:
        self._findings.count("actions")
        digest = digest_of(event.action)
        if digest != event.digest:
            self._findings.add(1, seen, f"the digest of action `{event.action_id}` is not that of what it says")
        if event.action_id in task.actions or event.action_id in task.over:
            self._findings.add(1, seen, f"action `{event.action_id}` was proposed a second time")
            return
        for at in locations_of(event.action):
            if at.grant_id and self._rights.is_foreign(at.grant_id, task.session_id):
                self._findings.add(9, seen, f"`{at.path}` lies in grant `{at.grant_id}`, which is not this session's")
        given = task.node.given
        if given is not None and event.proposed_by != f"agent:{given.subagent_id}":
            self._findings.add(5, seen, f"`{event.action_id}` is said to be asked for by `{event.proposed_by}`")
        task.plans.on_proposed(seen, event)
        task.actions[event.action_id] = ActionSeen(event.action, digest, event.proposed_by)

    def _judge(self, seen: Seen, task: TaskSeen, event: Judged) -> None:
        action = task.actions.get(event.action_id)
        if action is None or action.is_under_way:
            self._findings.add(1, seen, f"action `{event.action_id}` was decided on, and it is not open")
            return
        if event.digest != action.digest:
            self._findings.add(1, seen, f"what was decided on is not action `{event.action_id}` as it was proposed")
        self._decide_again(seen, task, action, event)
        action.facts = event.facts
        action.approval_id = event.decision.approval_id
        match event:
            case ActionAllowed():
                if not event.decision.is_leave:
                    self._findings.add(1, seen, f"`{event.action_id}` is allowed by a decision that says otherwise")
                action.phase = "allowed"
            case ActionDenied():
                _close(task, event.action_id, "denied")
            case ActionConfirmationRequired():
                action.phase = "asked"
                action.asked = event.confirmation_id
                action.claimants = event.facts.claimants

    def _decide_again(self, seen: Seen, task: TaskSeen, action: ActionSeen, event: Judged) -> None:
        self._findings.count("decisions")
        node = task.node
        held = self._tree.in_force(node)
        if held is None:
            self._findings.add(3, seen, "something was decided, and the session is not open")
            return
        if event.scope_digest != held.scope_digest:
            sentence = f"`{event.action_id}` was decided under other grants than those in force"
            self._findings.add(_rights_of(task), seen, sentence)
        if event.facts.depth != node.depth:
            self._findings.add(5, seen, f"`{event.action_id}` was decided on as if {event.facts.depth} deep")
        if event.decision.policy_digest != held.policy.digest:
            self._findings.add(3, seen, f"`{event.action_id}` was decided under another policy than the session's")
        said = event.decision
        again = self._decided(held, task, action, event.facts, by=said.approval_id)
        # A denial because the rules broke can't be made again where they don't; being a denial, it is never too much.
        broke = said.verdict == "deny" and said.rule_id == EVALUATION_BROKE
        if said.approval_id and again.approval_id != said.approval_id:
            self._findings.add(
                4, seen, f"approval `{said.approval_id}` does not answer the question about `{event.action_id}`"
            )
        if not broke and (again.verdict, again.rule_id) != (said.verdict, said.rule_id):
            self._findings.add(
                _rights_of(task) if again.verdict == "deny" else 3,
                seen,
                f"decided again, `{event.action_id}` is {again.verdict} by `{again.rule_id}`,"
                f" and the log says {said.verdict} by `{said.rule_id}`",
            )

    def _decided(self, held: InForce, task: TaskSeen, action: ActionSeen, facts: Facts, *, by: str = "") -> Decision:
        approvals = held.approvals.in_force(facts.now, own=action.approval_id)
        if by:
            # Of several that would answer, an earlier one may have been used up by the same step's action before.
            approvals = tuple(one for one in approvals if one.id == by)
        names = {"session": task.session_id, "task": root_task_id(task.task_id)}
        return held.policy.decide(action.action, facts, held.scope, approvals=approvals, **names)

    # Started

    def _start(self, seen: Seen, task: TaskSeen, event: ActionStarted) -> None:
        self._findings.count("attempts")
        name = event.action_id
        if task.stands in _WHY_NOT:
            invariant, why = _WHY_NOT[task.stands]
            self._findings.add(invariant, seen, f"`{name}` started while its task {why}")
        action = task.actions.get(name)
        if action is None:
            self._findings.add(*_started_after_all(seen, name, task.over.get(name)))
            return
        if event.digest != action.digest:
            self._findings.add(1, seen, f"what started is not action `{name}` as it was decided on")
        if event.attempt != action.attempts + 1:
            self._findings.add(2, seen, f"attempt {event.attempt} follows attempt {action.attempts}")
        has_leave = self._check_leave(seen, task, action, event)
        facts = event.facts or action.facts or Facts(now=seen.origin.at)
        held = self._tree.in_force(task.node)
        if held is None:
            self._findings.add(3, seen, f"`{name}` started, and the session is not open")
        else:
            self._check_rights(seen, task, action, name, held, facts, has_leave=has_leave)
        self._tree.on_start(seen, task.node, name)
        self._budgets.on_start(seen, task.node, name, action.action, facts)
        shown = action.claimants if action.by_person else frozenset[str]()
        self._claims.on_start(seen, task.node, name, action.action, facts, shown=shown)
        task.plans.on_start(seen, name)
        if isinstance(action.action, SubagentSpawn):
            task.node.has_children = True
        action.attempts = event.attempt
        action.phase = "started"
        action.facts = facts
        scope = Scope() if held is None else held.scope
        action.open = AttemptSeen(seen.position, event.attempt, scope, facts)

    def _check_rights(
        self, seen: Seen, task: TaskSeen, action: ActionSeen, name: str, held: InForce, facts: Facts, *, has_leave: bool
    ) -> None:
        now = self._decided(held, task, action, facts)
        if now.verdict == "deny":
            self._findings.add(_rights_of(task), seen, f"`{name}` started, and was denied by then: {now.reason}")
        elif not now.is_leave and has_leave and not action.by_person:
            self._findings.add(1, seen, f"`{name}` started, and needed a person by then")
        if facts.depth != task.node.depth:
            self._findings.add(5, seen, f"`{name}` started as if {facts.depth} deep")

    def _check_leave(self, seen: Seen, task: TaskSeen, action: ActionSeen, event: ActionStarted) -> bool:
        match action.phase:
            case "allowed":
                action.by_person = False
                return True
            case "asked":
                action.by_person = self._is_approved(seen, task, action, event)
                return action.by_person
            case "started":
                if action.by_person:
                    self._is_as_shown(seen, action, event)
                return True
            case "unknown":
                self._findings.add(8, seen, f"`{event.action_id}` was made again though its outcome is unknown")
            case _:
                self._findings.add(1, seen, f"`{event.action_id}` started and was not allowed")
        return False

    def _is_approved(self, seen: Seen, task: TaskSeen, action: ActionSeen, event: ActionStarted) -> bool:
        question = self._questions.get(action.asked)
        if question is None or event.confirmation_id != action.asked:
            self._findings.add(1, seen, f"`{event.action_id}` started without the answer to its last question")
            return False
        if question.request.task_id != task.task_id:
            self._findings.add(9, seen, f"`{event.action_id}` started on an answer that was given to another task")
        if question.answer == "pending":
            self._findings.add(1, seen, f"`{event.action_id}` started before its question was answered")
            return False
        if question.answer != "approved":
            self._findings.add(4, seen, f"`{event.action_id}` started after its question was {question.answer}")
            return False
        if not question.covers(event.action_id, action.digest):
            self._findings.add(1, seen, f"the approval is not about action `{event.action_id}` as it is")
        if question.request.purpose == "action":
            self._is_as_shown(seen, action, event)
        elif question.finding != "try_again":
            self._findings.add(4, seen, f"`{event.action_id}` started again, and nobody said that it should be tried")
        return True

    def _is_as_shown(self, seen: Seen, action: ActionSeen, event: ActionStarted) -> None:
        shown, now = action.facts, event.facts
        if now is None:
            self._findings.add(1, seen, f"`{event.action_id}` was approved, and started without a second look")
        elif shown is not None and not (
            _is_same(shown.target, now.target, with_mode=sets_mode(action.action))
            and _is_same(shown.destination, now.destination)
            and _is_same(shown.kept, now.kept)
            and (shown.confinement, shown.inputs) == (now.confinement, now.inputs)
        ):
            self._findings.add(1, seen, f"`{event.action_id}` started on something else than the person was shown")

    # Settled

    def _outcome(self, seen: Seen, task: TaskSeen, event: OutcomeEvent) -> None:
        name = event.action_id
        action = task.actions.get(name)
        if action is not None and not isinstance(event, ActionOutcomeUnknown) and event.said_by:
            self._settle_by_word(seen, task, action, event)
            return
        if action is None or action.open is None:
            self._findings.add(2, seen, f"an outcome of `{name}`, which has no attempt under way")
            return
        if event.attempt != action.open.number:
            self._findings.add(
                2, seen, f"an outcome of attempt {event.attempt}, and attempt {action.open.number} is under way"
            )
        if event.digest != action.digest:
            self._findings.add(2, seen, f"the outcome of another action than `{name}` as it was started")
        if isinstance(action.action, SubagentSpawn):
            self._tree.on_outcome(seen, event)
        elif isinstance(event, ActionSucceeded):
            for effect in event.effects:
                self._check_effect(seen, task, action, action.open, effect)
        self._claims.on_settled(task.task_id, name)
        if isinstance(event, ActionOutcomeUnknown):
            action.phase = "unknown"
            action.open = None
            return
        succeeded = isinstance(event, ActionSucceeded)
        self._budgets.on_settled(seen, task.node, name, event.result, succeeded=succeeded)
        _close(task, name, "settled")

    def _settle_by_word(
        self, seen: Seen, task: TaskSeen, action: ActionSeen, event: ActionSucceeded | ActionFailed
    ) -> None:
        """Check that a person said what became of an attempt: asked about it, of this very action, and so."""
        name, question = event.action_id, self._questions.get(action.asked)
        succeeded = isinstance(event, ActionSucceeded)
        if action.phase != "asked" or not action.attempts or event.attempt != action.attempts:
            self._findings.add(2, seen, f"a person's word about `{name}`, of which no outcome is unknown")
        finding = "happened" if succeeded else "not_happened"
        if (
            question is None
            or question.request.purpose != "unknown_outcome"
            or not question.covers(name, action.digest)
            or (question.answer, question.finding, question.answered_by) != ("approved", finding, event.said_by)
        ):
            self._findings.add(4, seen, f"`{event.said_by}` did not say so of `{name}`")
        self._budgets.on_settled(seen, task.node, name, event.result, succeeded=succeeded)
        _close(task, name, "settled")

    def _check_effect(
        self, seen: Seen, task: TaskSeen, action: ActionSeen, attempt: AttemptSeen, effect: Effect
    ) -> None:
        self._findings.count("effects")
        places = (effect.at,) if effect.previous is None else (effect.at, effect.previous)
        wanted = required_verbs(action.action, attempt.facts)
        for place in places:
            problem = find_problem(place.path, root_allowed=False)
            if problem is not None:
                self._findings.add(3, seen, f"an effect at `{place.path}`: {problem.message}")
            named = [pair for pair in wanted if _holds(pair[0], place)]
            if not named:
                self._findings.add(3, seen, f"an effect at `{place.path}`, which the action does not name")
                continue
            verb = max(named, key=lambda pair: len(components(pair[0].path)))[1]
            gap = find_gap(attempt.scope.folder(place.grant_id), place.path, verb, attempt.facts.now)
            if gap is not None:
                sentence = f"an effect outside the grants in force at its start: {gap.message}"
                self._findings.add(_rights_of(task), seen, sentence)
            elif verb == "read":
                self._findings.add(3, seen, f"an effect at `{place.path}` of an action that may only read")
        for folder in effect.new_folders:
            if not is_beneath(effect.at.path, folder) or find_problem(folder, root_allowed=False) is not None:
                self._findings.add(3, seen, f"a new folder `{folder}`, which is not on the way to `{effect.at.path}`")


def _close(task: TaskSeen, action_id: str, phase: Phase) -> None:
    """Keep of an action that is over only how it ended."""
    del task.actions[action_id]
    task.over[action_id] = phase
    task.plans.on_closed(action_id)


def _started_after_all(seen: Seen, action_id: str, phase: Phase | None) -> tuple[int, Seen, str]:
    match phase:
        case None:
            return 1, seen, f"action `{action_id}` started and was never proposed"
        case "declined":
            return 4, seen, f"`{action_id}` started after it was declined"
        case "settled":
            return 2, seen, f"`{action_id}` started again after its outcome"
        case _:
            return 1, seen, f"`{action_id}` started and was not allowed"


def _rights_of(task: TaskSeen) -> int:
    """Return the invariant that is about what the task may do: a subagent's is that it has no more than its parent."""
    return 3 if task.node.above is None else 5


def _holds(named: Location, place: Location) -> bool:
    return named.grant_id == place.grant_id and is_beneath(place.path, named.path)


def _is_same(before: FileState | None, now: FileState | None, *, with_mode: bool = False) -> bool:
    return is_same_target(before or ABSENT, now or ABSENT, with_mode=with_mode)
