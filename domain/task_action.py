"""Task, the part about its actions: what is proposed, decided, started, let go, and how it ended."""

from collections.abc import Iterator, Sequence
from typing import Final, assert_never

from .action import Action
from .action_invariant import required_verbs
from .errors import DomainError
from .facts import Facts
from .ids import TaskId, action_id
from .reason import ReasonCode
from .task_command import (
    AskAgain,
    DeclineAction,
    Proposal,
    ProposeActions,
    RecordConnection,
    RecordFailure,
    RecordSuccess,
    RecordUnknown,
    SettleUnknown,
    StartAction,
)
from .task_event import (
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
    PathsClaimed,
    StepBegun,
    TaskEvent,
)
from .task_state import Task, open_action, siblings_of
from .task_values import Awaiting, OpenAction, Proposed, Ready, Started, Unknown


def running(task: Task) -> Task:
    """Return the task, or raise `DomainError` conflict where it does not run."""
    if task.status not in ("running", "awaiting_confirmation"):
        raise DomainError("conflict", f"task `{task.task_id}` is {task.status}, not running")
    return task


def not_begun(task: Task, step_id: str, of_plan: int | None = None) -> None:
    """Raise `DomainError` not_found or conflict for a step that is none, was begun, or is of an earlier plan."""
    if of_plan is not None and of_plan != task.plans:
        raise DomainError("conflict", f"task `{task.task_id}` follows another plan by now")
    if step_id not in task.step_ids:
        raise DomainError("not_found", f"task `{task.task_id}` has no step `{step_id}`")
    if step_id in task.steps:
        raise DomainError("conflict", f"step `{step_id}` was begun already")


def propose(command: ProposeActions, task: Task) -> tuple[TaskEvent, ...]:
    """Return the events of a step that begins with all its actions."""
    running(task)
    not_begun(task, command.step_id, command.of_plan)
    _check_numbers(task, command.after)
    begun = StepBegun(task_id=task.task_id, step_id=command.step_id, actions=len(command.proposals))
    proposed = _proposed(task, command.step_id, command.proposals, command.proposed_by, start=command.start)
    return (begun, *proposed)


def _check_numbers(task: Task, after: int | None) -> None:
    """Raise `DomainError` conflict where others were proposed since: a question would name the wrong actions."""
    if after is not None and after != task.actions:
        raise DomainError("conflict", f"task `{task.task_id}` has other actions since these were numbered")


def _proposed(
    task: Task,
    step_id: str,
    proposals: Sequence[Proposal],
    proposed_by: str,
    *,
    start: bool = False,
    staged_by: str = "",
    together: bool = False,
) -> Iterator[TaskEvent]:
    """Yield the events of new actions of a step: each is proposed and decided, and settled where nobody is asked."""
    dropped = together and any(_is_refused(proposal) for proposal in proposals)
    for number, proposal in enumerate(proposals, start=task.actions + 1):
        name = action_id(TaskId(task.task_id), number)
        yield ActionProposed(
            task_id=task.task_id,
            action_id=name,
            step_id=step_id,
            action=proposal.action,
            digest=proposal.digest,
            proposed_by=proposed_by,
            staged_by=staged_by,
            together=together,
        )
        yield _decided(task.task_id, name, proposal)
        if _needs_answer(proposal) and proposal.unasked and proposal.unasked != "withdrawn":
            reason = f"it needs a person: {proposal.decision.reason}"
            yield _let_go(task, name, proposal.digest, proposal.unasked, reason)
        elif dropped and not _is_refused(proposal):
            yield _let_go(task, name, proposal.digest, "withdrawn", _TOGETHER)
        elif start and proposal.decision.is_leave:
            yield from _claims(task, name, proposal.action, proposal.facts)
            yield ActionStarted(task_id=task.task_id, action_id=name, digest=proposal.digest, attempt=1)


_TOGETHER: Final = "another change of the same command is not made, and they go together"


def _needs_answer(proposal: Proposal) -> bool:
    return proposal.decision.verdict == "allow_with_confirm" and not proposal.decision.is_leave


def _is_refused(proposal: Proposal) -> bool:
    unasked = _needs_answer(proposal) and proposal.unasked not in ("", "withdrawn")
    return proposal.decision.verdict == "deny" or unasked


def _let_go(task: Task, name: str, digest: str, code: ReasonCode, reason: str) -> ActionDeclined:
    return ActionDeclined(task_id=task.task_id, action_id=name, digest=digest, reason_code=code, reason=reason)


def _decided(task_id: str, name: str, proposal: Proposal) -> ActionAllowed | ActionDenied | ActionConfirmationRequired:
    verdict = "allow" if proposal.decision.is_leave else proposal.decision.verdict
    match verdict:
        case "allow":
            return ActionAllowed(
                task_id=task_id,
                action_id=name,
                digest=proposal.digest,
                decision=proposal.decision,
                facts=proposal.facts,
                scope_digest=proposal.scope_digest,
            )
        case "deny":
            return ActionDenied(
                task_id=task_id,
                action_id=name,
                digest=proposal.digest,
                decision=proposal.decision,
                facts=proposal.facts,
                scope_digest=proposal.scope_digest,
            )
        case "allow_with_confirm":
            if not proposal.confirmation_id and not proposal.unasked:
                raise DomainError("invalid", f"action `{name}` needs a question")
            return ActionConfirmationRequired(
                task_id=task_id,
                action_id=name,
                digest=proposal.digest,
                confirmation_id=proposal.confirmation_id,
                decision=proposal.decision,
                facts=proposal.facts,
                scope_digest=proposal.scope_digest,
            )
        case _:
            assert_never(verdict)


def _claims(task: Task, name: str, action: Action, facts: Facts) -> Iterator[PathsClaimed]:
    """Yield the claim of what an action is about to write, where others of the same tree might want to as well."""
    if not task.is_in_tree:
        return
    places = dict.fromkeys(at for at, verb in required_verbs(action, facts) if verb != "read")
    new = tuple(at for at in places if at not in task.claims)
    if new:
        yield PathsClaimed(task_id=task.task_id, action_id=name, places=new)


def start(command: StartAction, task: Task) -> tuple[TaskEvent, ...]:
    """Return the start of an action that has leave for it. Raises `DomainError` denied."""
    action = open_action(task, command.action_id)
    if command.digest != action.digest:
        raise DomainError("denied", f"action `{command.action_id}` is not the one that was decided on")
    match action.phase:
        case Ready():
            approval = ""
        case Started(confirmation_id=given):
            approval = given
        case Awaiting(confirmation_id=asked):
            if command.approval != asked:
                raise DomainError("denied", f"action `{command.action_id}` was not approved")
            approval = asked
        case Unknown():
            raise DomainError("denied", f"the outcome of action `{command.action_id}` is unknown: a person must answer")
        case Proposed():
            raise DomainError("denied", f"nothing was decided about action `{command.action_id}`")
        case _:
            assert_never(action.phase)
    started = ActionStarted(
        task_id=task.task_id,
        action_id=action.action_id,
        digest=action.digest,
        attempt=action.attempts + 1,
        confirmation_id=approval,
        facts=command.facts,
    )
    facts = command.facts or action.phase.judgement.facts
    return (*_claims(task, action.action_id, action.action, facts), started)


def decide_question(command: AskAgain | DeclineAction, task: Task) -> tuple[TaskEvent, ...]:
    """Return the events of an action that is asked about again, or will not be carried out."""
    action = open_action(task, command.action_id)
    if isinstance(action.phase, Started):
        raise DomainError("conflict", f"action `{command.action_id}` has started")
    match command:
        case AskAgain():
            asked = ActionConfirmationRequired(
                task_id=task.task_id,
                action_id=action.action_id,
                digest=action.digest,
                confirmation_id=command.confirmation_id,
                decision=command.decision,
                facts=command.facts,
                scope_digest=command.scope_digest,
                changed=command.changed,
            )
            return (asked,)
        case DeclineAction():
            refused = declined(task, action, command.reason_code, command.reason)
            return (refused, *_without_siblings(task, action))
        case _:
            assert_never(command)


def _without_siblings(task: Task, action: OpenAction) -> Iterator[ActionDeclined]:
    """Yield that those which go together with an action that is not carried out are let go, too."""
    others = (one for one in siblings_of(task, action) if not isinstance(one.phase, Started))
    return (declined(task, one, "withdrawn", _TOGETHER) for one in others)


def declined(task: Task, action: OpenAction, code: ReasonCode, reason: str) -> ActionDeclined:
    """Return that an open action will not be carried out."""
    return ActionDeclined(
        task_id=task.task_id,
        action_id=action.action_id,
        digest=action.digest,
        reason_code=code,
        reason=reason,
        confirmation_id=action.phase.confirmation_id if isinstance(action.phase, Awaiting) else "",
    )


def record(
    command: RecordSuccess | RecordFailure | RecordUnknown | RecordConnection, task: Task
) -> tuple[TaskEvent, ...]:
    """Return the events of what an executor says about an action that has started."""
    action = open_action(task, command.action_id)
    if not isinstance(action.phase, Started):
        raise DomainError("conflict", f"action `{command.action_id}` has not started")
    match command:
        case RecordSuccess():
            return tuple(_succeeded(command, task, action))
        case RecordFailure():
            failed = ActionFailed(
                task_id=task.task_id,
                action_id=action.action_id,
                digest=action.digest,
                attempt=action.attempts,
                reason_code=command.reason_code,
                reason=command.reason,
                result=command.result,
            )
            return (failed, *_without_siblings(task, action))
        case RecordUnknown():
            unknown = ActionOutcomeUnknown(
                task_id=task.task_id,
                action_id=action.action_id,
                digest=action.digest,
                attempt=action.attempts,
                observed=command.observed,
            )
            return (unknown,)
        case RecordConnection():
            connection = ConnectionDecided(
                task_id=task.task_id,
                action_id=action.action_id,
                host=command.host,
                port=command.port,
                address=command.address,
                reason_code=command.reason_code,
                reason=command.reason,
            )
            return (connection,)
        case _:
            assert_never(command)


def settle_unknown(command: SettleUnknown, task: Task) -> tuple[TaskEvent, ...]:
    """Return the end of an attempt of which only a person can tell whether it happened."""
    action = open_action(task, command.action_id)
    if not action.attempts or not isinstance(action.phase, Unknown | Awaiting):
        raise DomainError("conflict", f"action `{command.action_id}` is not one whose outcome is unknown")
    if command.happened:
        happened = ActionSucceeded(
            task_id=task.task_id,
            action_id=action.action_id,
            digest=action.digest,
            attempt=action.attempts,
            recovered=True,
            said_by=command.said_by,
        )
        return (happened,)
    not_happened = ActionFailed(
        task_id=task.task_id,
        action_id=action.action_id,
        digest=action.digest,
        attempt=action.attempts,
        reason_code="unknown",
        reason=f"it was interrupted, and {command.said_by} says that it did not happen",
        said_by=command.said_by,
    )
    return (not_happened, *_without_siblings(task, action))


def _succeeded(command: RecordSuccess, task: Task, action: OpenAction) -> Iterator[TaskEvent]:
    if command.staged and task.is_final:
        raise DomainError("conflict", f"task `{task.task_id}` has ended: it takes no changes any more")
    if command.staged:
        _check_numbers(task, command.after)
        # Before the command itself is settled: its step must never look finished in between.
        yield ChangesStaged(
            task_id=task.task_id,
            action_id=action.action_id,
            step_id=action.step_id,
            actions=len(command.staged),
            step_actions=task.steps[action.step_id].actions + len(command.staged),
        )
    yield ActionSucceeded(
        task_id=task.task_id,
        action_id=action.action_id,
        digest=action.digest,
        attempt=action.attempts,
        effects=command.effects,
        result=command.result,
        recovered=command.recovered,
    )
    yield from _proposed(
        task,
        action.step_id,
        command.staged,
        command.proposed_by,
        staged_by=action.action_id,
        together=command.together,
    )
