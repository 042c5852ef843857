"""Whether the log answers for what commands and requests did, and for what became of commands' changes."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from cowork.domain.action import CodeRun, ShellExec
from cowork.domain.confirmation import ConfirmationApproved, ConfirmationRequested
from cowork.domain.event import Event, Recorded
from cowork.domain.facts import ABSENT, Facts, is_same_object
from cowork.domain.sandbox import SandboxChecked
from cowork.domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionFailed,
    ActionProposed,
    ActionStarted,
    ChangesStaged,
    TaskCancelled,
    TaskSteered,
)
from tests.simulation.outside import Ledger


def unanswered(log: Sequence[Recorded[Event]], ledger: Ledger) -> list[str]:
    """Return everything that was done and must not have been, in sentences."""
    return [
        *ledger.complaints,
        *_sent_again(log, ledger),
        *_sent_and_denied(log, ledger),
        *_changes_by_the_dead(log),
        *_changes_unlike_what_was_seen(log, ledger),
        *_torn_apart(log),
        *_steered_apart(log),
        *_without_a_sandbox(log),
    ]


def _sent_again(log: Sequence[Recorded[Event]], ledger: Ledger) -> Iterator[str]:
    """What may change something elsewhere is attempted once, and once more for each yes to doing it again."""
    asked: dict[str, list[str]] = {}
    again: Counter[str] = Counter()
    for one in log:
        match one.event:
            case ConfirmationRequested(confirmation_id=name, purpose="unknown_outcome", items=items):
                asked[name] = [item.action_id for item in items]
            case ConfirmationApproved():
                again.update(asked.get(one.stream, ()))
            case _:
                pass
    for name, times in ledger.left.items():
        if times > 1 + again[name]:
            yield f"{name} reached out {times} times, and nobody wanted that"


def _sent_and_denied(log: Sequence[Recorded[Event]], ledger: Ledger) -> Iterator[str]:
    """An attempt that was cut off has not happened only where nothing of it has left the machine."""
    for one in log:
        match one.event:
            case ActionFailed(action_id=name, attempt=attempt, reason_code="interrupted" | "withdrawn"):
                if (name, attempt) in ledger.attempts:
                    yield f"{name} reached out, and the log says that it was cut off before it did anything"
            case _:
                pass


def _changes_by_the_dead(log: Sequence[Recorded[Event]]) -> Iterator[str]:
    cancelled: set[str] = set()
    for one in log:
        match one.event:
            case TaskCancelled(task_id=task_id):
                cancelled.add(task_id)
            case ChangesStaged(task_id=task_id, action_id=name) if task_id in cancelled:
                yield f"changes of {name} were proposed, and its task was cancelled"
            case _:
                pass


def _changes_unlike_what_was_seen(log: Sequence[Recorded[Event]], ledger: Ledger) -> Iterator[str]:
    """A change is let through only to what its command saw, and begun only where that still stands or a person said so.

    A person who was asked was shown what stands there.
    """
    number: Counter[str] = Counter()
    of: dict[str, tuple[str, int]] = {}
    seen: dict[str, Facts] = {}
    for one in log:
        match one.event:
            case ActionProposed(action_id=name, staged_by=command) if command:
                of[name] = (command, number[command])
                number[command] += 1
            case (
                ActionAllowed(action_id=name, facts=facts)
                | ActionConfirmationRequired(action_id=name, facts=facts, changed="")
            ) if name in of:
                command, position = of[name]
                change = ledger.staged[command][position]
                seen[name] = facts
                if change.obstacle is not None:
                    yield f"{name} is no change that could be made, and was let through"
                elif not is_same_object(change.base, facts.target or ABSENT):
                    yield f"{name} was let through on something that its command never saw"
            case ActionStarted(action_id=name, confirmation_id="", facts=again) if name in seen and again is not None:
                if not is_same_object(seen[name].target or ABSENT, again.target or ABSENT):
                    yield f"{name} was begun unasked on something that its command never saw"
            case _:
                pass


def _torn_apart(log: Sequence[Recorded[Event]]) -> Iterator[str]:
    """Of changes that go together, none is begun after another was refused, or while another waits for an answer."""
    group: dict[str, str] = {}
    refused: defaultdict[str, str] = defaultdict(str)
    asked: dict[str, str] = {}
    approved: set[str] = set()
    for one in log:
        match one.event:
            case ActionProposed(action_id=name, staged_by=command, together=True):
                group[name] = command
            case ActionConfirmationRequired(action_id=name, confirmation_id=question) if name in group and question:
                asked[name] = question
            case ConfirmationApproved():
                approved.add(one.stream)
            case ActionDenied(action_id=name) | ActionDeclined(action_id=name) | ActionFailed(action_id=name):
                if name in group:
                    refused[group[name]] = name
                    asked.pop(name, None)
            case ActionStarted(action_id=name) if name in group:
                if refused[group[name]]:
                    yield f"{name} was begun, and {refused[group[name]]}, with which it goes together, is not made"
                waiting = (other for other, question in asked.items() if question not in approved)
                for other in (other for other in waiting if group[other] == group[name]):
                    yield f"{name} was begun, and {other}, with which it goes together, waits for an answer"
            case _:
                pass


def _steered_apart(log: Sequence[Recorded[Event]]) -> Iterator[str]:
    """Of changes that go together, none is let go by another plan once one of them was begun."""
    group: dict[str, str] = {}
    begun: dict[str, str] = {}
    let_go: defaultdict[str, list[str]] = defaultdict(list)
    for one in log:
        match one.event:
            case ActionProposed(action_id=name, staged_by=command, together=True):
                group[name] = command
            case ActionStarted(action_id=name) if name in group:
                begun[group[name]] = name
            case ActionDeclined(action_id=name) if group.get(name, "") in begun:
                let_go[one.origin.command_id].append(name)
            case TaskSteered():
                for name in let_go[one.origin.command_id]:
                    yield f"{name} was let go by another plan, and {begun[group[name]]}, with which it goes, was begun"
            case _:
                pass


def _without_a_sandbox(log: Sequence[Recorded[Event]]) -> Iterator[str]:
    """A command begins only where the last try showed that the sandbox holds."""
    holds = False
    commands: set[str] = set()
    for one in log:
        match one.event:
            case SandboxChecked(canaries=canaries):
                holds = all(canary.standing == "enforced" for canary in canaries)
            case ActionProposed(action_id=name, action=ShellExec() | CodeRun()):
                commands.add(name)
            case ActionStarted(action_id=name) if name in commands and not holds:
                yield f"command {name} was begun without a sandbox that holds"
            case _:
                pass
