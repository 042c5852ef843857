"""The life of every action, checked against what was in force when each of its events was recorded.

Invariants 1 (leave to start), 2 (outcomes), 3 (decisions and effects), 8 (nothing left open) and 9 (own grants only).
"""

from typing import Literal, TypeAlias

import msgspec

from ..domain.action import Action, Location, digest_of, locations_of
from ..domain.action_invariant import required_verbs
from ..domain.confirmation import ConfirmationRequested, digest_of_question
from ..domain.effect import Effect
from ..domain.facts import ABSENT, Facts, FileState, is_same_object
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
    ChangesStaged,
    ConnectionDecided,
    OutcomeEvent,
    TaskCancelled,
    TaskCompleted,
    TaskEnded,
    TaskEvent,
    TaskPaused,
    TaskPlanned,
    TaskQueued,
    TaskResumed,
    TaskStarted,
)
from .audit_commands import Commands
from .audit_finding import Findings, Seen
from .audit_questions import Questions
from .audit_rights import InForce, Rights

Phase: TypeAlias = Literal["proposed", "allowed", "asked", "denied", "declined", "started", "unknown", "settled"]
_OVER: tuple[Phase, ...] = ("denied", "declined", "settled")
_ABOUT_ACTIONS = (ChangesStaged, ConnectionDecided)
Judged: TypeAlias = ActionAllowed | ActionDenied | ActionConfirmationRequired


class _Attempt(msgspec.Struct, frozen=True):
    position: int
    number: int
    scope: Scope
    facts: Facts


class _Action(msgspec.Struct):
    action: Action
    digest: str
    proposed_by: str
    phase: Phase = "proposed"
    facts: Facts | None = None
    asked: str = ""
    by_person: bool = False
    approval_id: str = ""
    attempts: int = 0
    open: _Attempt | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether it was started and has no outcome yet."""
        return self.open is not None


class _Task(msgspec.Struct):
    task_id: str
    session_id: str
    commands: Commands
    stands: Literal["running", "still", "cancelled", "ended"] = "still"
    actions: dict[str, _Action] = msgspec.field(default_factory=dict)


class Actions:
    """Tasks and their actions as the log leaves them at the position that was read last."""

    def __init__(self, findings: Findings, rights: Rights, questions: Questions) -> None:
        self._findings = findings
        self._rights = rights
        self._questions = questions
        self._tasks: dict[str, _Task] = {}

    def session_of(self, task_id: str) -> str | None:
        """Return the session that the task belongs to, None where there is no such task."""
        task = self._tasks.get(task_id)
        return None if task is None else task.session_id

    def on(self, seen: Seen, event: TaskEvent) -> None:
        """Fold an event of a task."""
        if isinstance(event, TaskQueued):
            self._findings.count("tasks")
            if self._rights.in_force(event.session_id) is None:
                self._findings.add(9, seen, f"task `{event.task_id}` was queued in no open session")
            self._tasks.setdefault(event.task_id, _Task(event.task_id, event.session_id, Commands(self._findings)))
            return
        task = self._tasks.get(event.task_id)
        if task is None:
            self._findings.add(9, seen, f"an event of task `{event.task_id}`, which was never queued")
            return
        about = task.actions.get(event.action_id) if isinstance(event, _ABOUT_ACTIONS) else None
        task.commands.on(seen, event, about)
        match event:
            case TaskStarted() | TaskResumed():
                task.stands = "running"
            case TaskPaused() | TaskPlanned():
                task.stands = "still"
            case TaskEnded():
                self._end(seen, task, event)
            case ActionProposed():
                self._propose(seen, task, event)
            case ActionAllowed() | ActionDenied() | ActionConfirmationRequired():
                self._judge(seen, task, event)
            case ActionDeclined(action_id=action_id):
                action = task.actions.get(action_id)
                if action is not None and action.open is None and action.phase not in _OVER:
                    action.phase = "declined"
                else:
                    self._findings.add(2, seen, f"action `{action_id}` was declined, but it is not waiting")
            case ActionStarted():
                self._start(seen, task, event)
            case ActionSucceeded() | ActionFailed() | ActionOutcomeUnknown():
                self._outcome(seen, task, event)
            case _:
                pass

    def finish(self) -> list[tuple[str, str, int]]:
        """Return the open attempts of tasks that are over: task, action, and the position of the start."""
        for task in self._tasks.values():
            task.commands.close()
        return [
            (task.task_id, action_id, action.open.position)
            for task in self._tasks.values()
            if task.stands in ("cancelled", "ended")
            for action_id, action in task.actions.items()
            if action.open is not None
        ]

    # Proposed and judged

    def _propose(self, seen: Seen, task: _Task, event: ActionProposed) -> None:
        self._findings.count("actions")
        digest = digest_of(event.action)
        if digest != event.digest:
            self._findings.add(1, seen, f"the digest of action `{event.action_id}` is not that of what it says")
        if event.action_id in task.actions:
            self._findings.add(1, seen, f"action `{event.action_id}` was proposed a second time")
            return
        for at in locations_of(event.action):
            if at.grant_id and self._rights.is_foreign(at.grant_id, task.session_id):
                self._findings.add(9, seen, f"`{at.path}` lies in grant `{at.grant_id}`, which is not this session's")
        task.actions[event.action_id] = _Action(event.action, digest, event.proposed_by)

    def _judge(self, seen: Seen, task: _Task, event: Judged) -> None:
        action = task.actions.get(event.action_id)
        if action is None or action.phase in _OVER or action.open is not None:
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
                action.phase = "denied"
            case ActionConfirmationRequired():
                action.phase = "asked"
                action.asked = event.confirmation_id

    def _decide_again(self, seen: Seen, task: _Task, action: _Action, event: Judged) -> None:
        self._findings.count("decisions")
        held = self._rights.in_force(task.session_id)
        if held is None:
            self._findings.add(3, seen, "something was decided, and the session is not open")
            return
        if event.scope_digest != held.scope_digest:
            self._findings.add(3, seen, f"`{event.action_id}` was decided under other grants than those in force")
        if event.decision.policy_digest != held.policy.digest:
            self._findings.add(3, seen, f"`{event.action_id}` was decided under another policy than the session's")
        again = self._decided(held, task, action, event.facts)
        said = event.decision
        # A denial because the rules broke can't be made again where they don't; being a denial, it is never too much.
        broke = said.verdict == "deny" and said.rule_id == EVALUATION_BROKE
        if said.approval_id and again.approval_id != said.approval_id:
            self._findings.add(
                4, seen, f"approval `{said.approval_id}` does not answer the question about `{event.action_id}`"
            )
        if not broke and (again.verdict, again.rule_id) != (said.verdict, said.rule_id):
            self._findings.add(
                3,
                seen,
                f"decided again, `{event.action_id}` is {again.verdict} by `{again.rule_id}`,"
                f" and the log says {said.verdict} by `{said.rule_id}`",
            )

    def _decided(self, held: InForce, task: _Task, action: _Action, facts: Facts) -> Decision:
        approvals = held.approvals.in_force(facts.now, own=action.approval_id)
        names = {"session": task.session_id, "task": task.task_id}
        return held.policy.decide(action.action, facts, held.scope, approvals=approvals, **names)

    def on_question(self, seen: Seen, event: ConfirmationRequested) -> None:
        """Check that a question is about actions of its own task, as they were found."""
        task = self._tasks.get(event.task_id)
        if task is None or task.session_id != event.session_id:
            self._findings.add(9, seen, f"a question about task `{event.task_id}`, which is not of its session")
            return
        shown: list[tuple[str, Facts]] = []
        for item in event.items:
            action = task.actions.get(item.action_id)
            if action is None:
                self._findings.add(9, seen, f"a question about action `{item.action_id}`, which is not of its task")
                return
            if action.facts is not None:
                shown.append((item.digest, action.facts))
        if digest_of_question(shown) != event.digest:
            self._findings.add(4, seen, "the question's digest is not that of its actions as they were found")

    # Started

    def _start(self, seen: Seen, task: _Task, event: ActionStarted) -> None:
        self._findings.count("attempts")
        if task.stands != "running":
            self._findings.add(8, seen, f"`{event.action_id}` started while its task was not running")
        action = task.actions.get(event.action_id)
        if action is None:
            self._findings.add(1, seen, f"action `{event.action_id}` started and was never proposed")
            return
        if event.digest != action.digest:
            self._findings.add(1, seen, f"what started is not action `{event.action_id}` as it was decided on")
        if event.attempt != action.attempts + 1:
            self._findings.add(2, seen, f"attempt {event.attempt} follows attempt {action.attempts}")
        has_leave = self._check_leave(seen, task, action, event)
        facts = event.facts or action.facts
        held = self._rights.in_force(task.session_id)
        if held is None:
            self._findings.add(3, seen, f"`{event.action_id}` started, and the session is not open")
        elif facts is not None:
            now = self._decided(held, task, action, facts)
            if now.verdict == "deny":
                self._findings.add(3, seen, f"`{event.action_id}` started, and was denied by then: {now.reason}")
            elif not now.is_leave and has_leave and not action.by_person:
                self._findings.add(1, seen, f"`{event.action_id}` started, and needed a person by then")
            self._check_subagent(seen, action, facts)
        action.attempts = event.attempt
        action.phase = "started"
        action.facts = facts
        scope = Scope() if held is None else held.scope
        action.open = _Attempt(seen.position, event.attempt, scope, facts or Facts(now=seen.origin.at))

    def _check_leave(self, seen: Seen, task: _Task, action: _Action, event: ActionStarted) -> bool:
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
            case "declined":
                self._findings.add(4, seen, f"`{event.action_id}` started after it was declined")
            case "settled":
                self._findings.add(2, seen, f"`{event.action_id}` started again after its outcome")
            case "unknown":
                self._findings.add(8, seen, f"`{event.action_id}` was made again though its outcome is unknown")
            case "proposed" | "denied":
                self._findings.add(1, seen, f"`{event.action_id}` started and was not allowed")
        return False

    def _is_approved(self, seen: Seen, task: _Task, action: _Action, event: ActionStarted) -> bool:
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
        return True

    def _is_as_shown(self, seen: Seen, action: _Action, event: ActionStarted) -> None:
        shown, now = action.facts, event.facts
        if now is None:
            self._findings.add(1, seen, f"`{event.action_id}` was approved, and started without a second look")
        elif shown is not None and not (
            _is_same(shown.target, now.target)
            and _is_same(shown.destination, now.destination)
            and (shown.confinement, shown.inputs) == (now.confinement, now.inputs)
        ):
            self._findings.add(1, seen, f"`{event.action_id}` started on something else than the person was shown")

    def _check_subagent(self, seen: Seen, action: _Action, facts: Facts) -> None:
        scope = self._rights.subagent_scope(action.proposed_by.removeprefix("agent:"))
        for at, verb in () if scope is None else required_verbs(action.action, facts):
            gap = find_gap(scope.folder(at.grant_id) if scope else None, at.path, verb, facts.now)
            if gap is not None:
                self._findings.add(5, seen, f"a subagent acts outside what it may: {gap.message}")

    # Settled

    def _outcome(self, seen: Seen, task: _Task, event: OutcomeEvent) -> None:
        action = task.actions.get(event.action_id)
        if action is None or action.open is None:
            self._findings.add(2, seen, f"an outcome of `{event.action_id}`, which has no attempt under way")
            return
        if event.attempt != action.open.number:
            self._findings.add(
                2, seen, f"an outcome of attempt {event.attempt}, and attempt {action.open.number} is under way"
            )
        if event.digest != action.digest:
            self._findings.add(2, seen, f"the outcome of another action than `{event.action_id}` as it was started")
        if isinstance(event, ActionSucceeded):
            for effect in event.effects:
                self._check_effect(seen, action, action.open, effect)
        action.phase = "unknown" if isinstance(event, ActionOutcomeUnknown) else "settled"
        action.open = None
        if task.stands in ("cancelled", "ended"):
            self._let_go(task)

    def _check_effect(self, seen: Seen, action: _Action, attempt: _Attempt, effect: Effect) -> None:
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
                self._findings.add(3, seen, f"an effect outside the grants in force at its start: {gap.message}")
            elif verb == "read":
                self._findings.add(3, seen, f"an effect at `{place.path}` of an action that may only read")
        for folder in effect.new_folders:
            if not is_beneath(effect.at.path, folder) or find_problem(folder, root_allowed=False) is not None:
                self._findings.add(3, seen, f"a new folder `{folder}`, which is not on the way to `{effect.at.path}`")

    # Over

    def _end(self, seen: Seen, task: _Task, event: TaskEnded) -> None:
        is_open = any(action.phase not in _OVER for action in task.actions.values())
        if task.stands in ("cancelled", "ended"):
            self._findings.add(8, seen, f"task `{task.task_id}` ended a second time")
        elif isinstance(event, TaskCancelled):
            if any(action.phase not in (*_OVER, "started") for action in task.actions.values()):
                self._findings.add(8, seen, f"task `{task.task_id}` was cancelled and left actions waiting")
        elif is_open:
            word = "completed" if isinstance(event, TaskCompleted) else "ended"
            self._findings.add(8, seen, f"task `{task.task_id}` {word} with actions that are not settled")
        task.stands = "cancelled" if isinstance(event, TaskCancelled) else "ended"
        self._let_go(task)

    def _let_go(self, task: _Task) -> None:
        """Keep of a task that is over only that it was, once nothing of it is under way."""
        if not any(action.open for action in task.actions.values()):
            task.actions = {}
            self._questions.forget(task.task_id)


def _holds(named: Location, place: Location) -> bool:
    return named.grant_id == place.grant_id and is_beneath(place.path, named.path)


def _is_same(before: FileState | None, now: FileState | None) -> bool:
    return is_same_object(before or ABSENT, now or ABSENT)
