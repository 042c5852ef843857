"""An event in words, for lines of a history: `replay`, and `--verbose` while a task runs. All of it visible text."""

from collections.abc import Sequence

from ...domain.budget import Usage
from ...domain.confirmation import (
    ConfirmationApproved,
    ConfirmationRejected,
    ConfirmationRequested,
    ConfirmationWithdrawn,
)
from ...domain.effect import Result
from ...domain.event import Event
from ...domain.grant import FolderGranted, GrantNarrowed, GrantRevoked, HostGranted, HostRevoked
from ...domain.ownership import TaskClaimed
from ...domain.retention import CollectionFinished, CollectionStarted
from ...domain.session import ROOT_ALLOWANCES, GrantAdded, PolicyAdopted, RootAllowed, SessionEnded, SessionStarted
from ...domain.session_memory import MemoryDestroyed, MemoryWritten
from ...domain.subagent import SubagentReported, SubagentSpawned, SubagentStopped
from ...domain.task import (
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
    StepSkipped,
    TaskAwaitingConfirmation,
    TaskBudgetExhausted,
    TaskBudgetRaised,
    TaskCompleted,
    TaskEnded,
    TaskInterrupted,
    TaskMessaged,
    TaskPaused,
    TaskPlanned,
    TaskPlanningStarted,
    TaskProgressed,
    TaskQueued,
    TaskSteered,
    UsageReported,
)
from ...projections.budget_words import exhausted_words, usage_words
from ...projections.measure import count_words, milliseconds_words, size_words
from ...projections.place_names import PlaceNames
from ...projections.report_words import besides_words, result_words
from ...projections.scope_words import rights_words
from ...projections.steering_words import messaged_words, raised_words, steered_words
from ...projections.visible_text import quoted, visible
from .action_words import words_of
from .layout import plural


def what_happened(event: Event, names: PlaceNames) -> str:
    """Return the event's fields that a reader of a history wants, in a few words; empty where its name says it all."""
    match event:
        case ActionProposed():
            return f"{visible(event.action_id)}  {words_of(event.action, names)}"
        case ActionAllowed() | ActionDenied():
            return f"{visible(event.action_id)}  {visible(event.decision.rule_id)}: {visible(event.decision.reason)}"
        case ActionConfirmationRequired():
            why = event.changed or event.decision.reason
            return f"{visible(event.action_id)}  {visible(event.confirmation_id)}: {visible(why)}"
        case ActionStarted():
            return f"{visible(event.action_id)}{'' if event.attempt == 1 else f'  attempt {event.attempt}'}"
        case ActionSucceeded():
            summary = "" if event.result is None else f"  {result_words(event.result)}{_left_out(event.result)}"
            found = "  (found done after a restart)" if event.recovered else ""
            said = f"  ({visible(event.said_by)} says that it happened)" if event.said_by else ""
            return f"{visible(event.action_id)}{summary}{said or found}"
        case ActionDeclined(action_id=name, reason=reason):
            return f"{visible(name)}  {visible(reason)}"
        case ActionFailed(action_id=name, reason=reason, result=result):
            came_of_it = "" if result is None or result.summary == reason else f"  ({besides_words(result)})"
            return f"{visible(name)}  {visible(reason)}{came_of_it}"
        case ChangesStaged():
            return f"{visible(event.action_id)}  {plural(event.actions, 'change')} to decide about"
        case ConnectionDecided():
            return f"{visible(event.action_id)}  {connection_words(event)}"
        case ActionOutcomeUnknown():
            return f"{visible(event.action_id)}  {visible(event.observed)}"
        case StepBegun():
            return (
                f"{visible(event.step_id)}  {plural(event.actions, 'action') if event.actions else 'nothing matched'}"
            )
        case StepSkipped():
            return f"{visible(event.step_id)}  {visible(event.reason)}"
        case TaskQueued():
            return quoted(event.title)
        case TaskPlanningStarted():
            return visible(event.planner)
        case TaskPlanned():
            return plural(len(event.plan.steps), "step")
        case TaskAwaitingConfirmation():
            return _listed(event.confirmation_ids)
        case TaskPaused() | TaskInterrupted():
            return visible(event.reason)
        case TaskCompleted(skipped=skipped) if skipped:
            return f"skipped: {_listed(skipped)}"
        case TaskEnded():
            return visible(event.reason)
        case _:
            return _on_the_way(event, names)


def _on_the_way(event: Event, names: PlaceNames) -> str:
    match event:
        case TaskMessaged():
            return visible(messaged_words(event))
        case TaskSteered():
            return visible(steered_words(event))
        case TaskProgressed():
            steps = f"{event.steps_settled} of {plural(event.steps, 'step')}"
            actions = f"{event.settled} of {plural(event.actions, 'action')}"
            return f"{steps} and {actions} ended; {milliseconds_words(event.running_ms)} more at work"
        case UsageReported():
            used = usage_words(Usage(tokens=event.tokens, cost_micros=event.cost_micros))
            return f"{', '.join(used)}, says {visible(event.reported_by)}"
        case TaskBudgetExhausted():
            return visible(exhausted_words(event.of_task, event.measure, event.bound, event.needed))
        case TaskBudgetRaised():
            return raised_words(event)
        case PathsClaimed():
            return f"{visible(event.action_id)}  {_listed([names.at(place) for place in event.places])}"
        case SubagentSpawned():
            return f"{quoted(event.title)}, task {visible(event.task_id)}: {visible(rights_words(event))}"
        case SubagentReported(report=words) | SubagentStopped(reason=words):
            return visible(words)
        case TaskClaimed():
            return f"carried on by {visible(event.owner)}, cowork {visible(event.engine)}"
        case _:
            return _about_the_frame(event)


def connection_words(event: ConnectionDecided) -> str:
    """Return which host a command asked to reach, and whether it was let through."""
    place = visible(f"{event.host}:{event.port}") if event.host else "no host that could be read"
    if event.reason_code is None:
        return f"connection to {place} at {visible(event.address)}"
    return f"no connection to {place}: {visible(event.reason)}"


def _left_out(result: Result) -> str:
    left_out = () if result.command is None else result.command.left_out
    return "".join(f"; left out: {visible(sentence)}" for sentence in left_out) if len(left_out) > 1 else ""


def _about_the_frame(event: Event) -> str:
    match event:
        case SessionStarted():
            return f"by {visible(event.user_id)} on {visible(event.device_id)}"
        case PolicyAdopted():
            return f"layers {_listed([one.name for one in event.layers])} {event.policy_digest}"
        case GrantAdded():
            return visible(event.grant_id)
        case RootAllowed(allowed_by=allowed_by):
            return f"by {ROOT_ALLOWANCES[allowed_by]}"
        case SessionEnded():
            return visible(event.reason)
        case FolderGranted():
            return f"{visible(event.name)}: {visible(event.root_path)} ({_listed(event.verbs)})"
        case HostGranted():
            return visible(event.host)
        case GrantNarrowed():
            return f"now only {_listed(event.verbs) or 'nothing'}"
        case GrantRevoked() | HostRevoked():
            return visible(event.reason)
        case ConfirmationRequested():
            # A card holds visible text already.
            return f"{visible(event.confirmation_id)}: {event.card.headline}"
        case ConfirmationApproved() | ConfirmationRejected():
            found = event.finding.replace("_", " ") if isinstance(event, ConfirmationApproved) else ""
            by = f"{visible(event.confirmation_id)} by {visible(event.answered_by)}{f', {found}' if found else ''}"
            return f"{by}: {visible(event.note)}" if event.note else by
        case ConfirmationWithdrawn():
            return f"{visible(event.confirmation_id)}: {visible(event.reason)}"
        case _:
            return _about_what_is_kept(event)


def _about_what_is_kept(event: Event) -> str:
    match event:
        case MemoryWritten() | MemoryDestroyed():
            return f"{count_words(event.entries, 'entry', 'entries')}, {size_words(event.held_bytes)}"
        case CollectionStarted() | CollectionFinished():
            gone = (
                count_words(event.blobs, "content"),
                count_words(event.quarantined, "deleted file or folder", "deleted files and folders"),
                count_words(event.leftovers, "leftover"),
            )
            return f"{', '.join(gone)}: {size_words(event.freed_bytes)}"
        case _:
            return ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(visible, names))
