"""What a running task looks like, from its events: lines that are done and stay, and what is going on now.

A step of a few actions gives a line for each of them. A large batch gives its refusals (a few of them) and one line at
its end, and shows how far it is meanwhile; with `verbose` every event is a line.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from ...domain.confirmation import (
    ConfirmationApproved,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationRequested,
    ConfirmationWithdrawn,
)
from ...domain.event import Event, Recorded
from ...domain.grant import FolderGranted
from ...domain.plan import Plan
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
    Proposed,
    StepBegun,
    StepSkipped,
    Task,
    TaskBlocked,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskPaused,
    TaskPlanned,
    TaskResumed,
)
from ...projections.outcome import outcome_of_refusal
from ...projections.place_names import PlaceNames
from ...projections.report_words import besides_words, result_words
from ...projections.visible_text import visible
from .action_words import words_of
from .event_json import event_name
from .event_words import connection_words, what_happened
from .layout import plural

SHOWN_ACTIONS_MAX: Final = 20
"""A step with more actions than this is shown as one."""

SHOWN_REFUSALS_MAX: Final = 10
"""How many actions of such a step that did not succeed get a line of their own."""

SHOWN_CONNECTIONS_MAX: Final = 5
"""How many refused connections of a command get a line of their own."""

Word: TypeAlias = Literal[
    "done",
    "denied",
    "rejected",
    "expired",
    "failed",
    "unknown",
    "skipped",
    "withdrawn",
    "asked",
    "paused",
    "answered",
    "note",
]


class Line(NamedTuple):
    """A line that stays: what became of something, what it was, and why or how (`note`, in grey)."""

    word: Word
    text: str
    note: str = ""


class _Action(msgspec.Struct):
    """An action that has not ended: to which step it belongs, and what is known of it."""

    step_id: str
    words: str
    rule_id: str = ""
    started_at: datetime | None = None
    refused_connections: int = 0


class StepNow(msgspec.Struct):
    """How far a step is."""

    step_id: str
    title: str
    actions: int
    settled: dict[Word, int] = msgspec.field(default_factory=dict)
    waiting: int = 0

    @property
    def ended(self) -> int:
        """How many of its actions have ended."""
        return sum(self.settled.values())

    @property
    def is_large(self) -> bool:
        """Whether it has too many actions for a line each."""
        return self.actions > SHOWN_ACTIONS_MAX


class Progress:
    """Follows one task, event by event."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.position = 0
        self.done = 0
        self.refused = 0
        self.names = PlaceNames("", {})
        self.questions: dict[str, str] = {}
        self.running: str = ""
        self.steps: dict[str, StepNow] = {}
        self._verbose = verbose
        self._titles: dict[str, str] = {}
        self._actions: dict[str, _Action] = {}

    def know(self, task: Task, names: PlaceNames) -> None:
        """Take over what was recorded before: the plan, the names of the granted folders, what is under way."""
        self.names = names
        self._know_plan(task.plan)
        for action in task.open_actions.values():
            rule_id = "" if isinstance(action.phase, Proposed) else action.phase.judgement.decision.rule_id
            self._actions[action.action_id] = _Action(action.step_id, words_of(action.action, names), rule_id)
        for step_id, tally in task.steps.items():
            if not tally.is_settled:
                settled: dict[Word, int] = {
                    "done": tally.succeeded,
                    "denied": tally.denied,
                    "failed": tally.failed,
                    "skipped": tally.skipped,
                }
                title = visible(self._titles.get(step_id, step_id))
                self.steps[step_id] = StepNow(step_id, title, tally.actions, settled)

    def _know_plan(self, plan: Plan | None) -> None:
        if plan is not None:
            self._titles = {step.step_id: step.title or step.step_id for step in plan.steps}

    def on(self, recorded: Recorded[Event]) -> Iterator[Line]:
        """Take an event in and yield the lines that it gives."""
        self.position = max(self.position, recorded.position)
        lines = list(self._lines(recorded))
        if self._verbose:
            yield Line("note", f"{recorded.position:>6}  {event_name(recorded.event)}  ", self._details(recorded.event))
        else:
            yield from lines

    def _details(self, event: Event) -> str:
        return what_happened(event, self.names)

    def _lines(self, recorded: Recorded[Event]) -> Iterator[Line]:
        event = recorded.event
        match event:
            case FolderGranted(grant_id=grant_id, name=name):
                self.names = PlaceNames(self.names.first or grant_id, {**self.names.names, grant_id: name})
            case TaskPlanned(plan=plan):
                self._know_plan(plan)
            case StepBegun():
                yield from self._begin(event)
            case StepSkipped():
                title = self._titles.get(event.step_id, event.step_id)
                yield Line("skipped", visible(title), visible(event.reason))
            case ActionProposed():
                words = words_of(event.action, self.names)
                self._actions[event.action_id] = _Action(event.step_id, words)
            case ActionAllowed() | ActionConfirmationRequired():
                self._judged(event)
            case ActionStarted():
                self._start(event.action_id, recorded.origin.at)
            case ActionDenied() | ActionDeclined() | ActionFailed() | ActionOutcomeUnknown() | ActionSucceeded():
                yield from self._end(event, recorded.origin.at)
            case ChangesStaged():
                yield from self._staged(event)
            case ConnectionDecided():
                yield from self._connection(event)
            case ConfirmationRequested():
                self.questions[event.confirmation_id] = event.card.headline
                yield Line("asked", event.card.headline, event.confirmation_id)
            case ConfirmationApproved() | ConfirmationRejected() | ConfirmationExpired() | ConfirmationWithdrawn():
                yield from self._answered(event)
            case TaskPaused(reason=reason):
                yield Line("paused", visible(reason))
            case TaskResumed():
                yield Line("note", "resumed")
            case TaskCompleted() | TaskFailed() | TaskBlocked() | TaskCancelled():
                self.running = ""
            case _:
                pass

    def _begin(self, event: StepBegun) -> Iterator[Line]:
        title = self._titles.get(event.step_id, event.step_id)
        self.steps[event.step_id] = StepNow(event.step_id, visible(title), event.actions)
        if not event.actions:
            yield Line("done", visible(title), "nothing matched")

    def _judged(self, event: ActionAllowed | ActionConfirmationRequired) -> None:
        action = self._actions.get(event.action_id)
        if action is not None:
            action.rule_id = event.decision.rule_id
            step = self.steps.get(action.step_id)
            if step is not None and isinstance(event, ActionConfirmationRequired):
                step.waiting += 1

    def _start(self, action_id: str, at: datetime) -> None:
        action = self._actions.get(action_id)
        if action is not None:
            action.started_at = at
            self.running = action.words

    def _staged(self, event: ChangesStaged) -> Iterator[Line]:
        step = self.steps.get(event.step_id)
        if step is not None:
            step.actions = event.step_actions
        action = self._actions.get(event.action_id)
        yield Line("note", f"{plural(event.actions, 'change')} to decide about", "" if action is None else action.words)

    def _connection(self, event: ConnectionDecided) -> Iterator[Line]:
        """Yield that a command was refused a host; what it reached is in the summary."""
        action = self._actions.get(event.action_id)
        if event.reason_code is None or action is None:
            return
        action.refused_connections += 1
        if action.refused_connections <= SHOWN_CONNECTIONS_MAX:
            yield Line("denied", connection_words(event), action.words)
        elif action.refused_connections == SHOWN_CONNECTIONS_MAX + 1:
            yield Line("note", "further connections that were refused are in `cowork task summary`", action.words)

    def _end(
        self,
        event: ActionDenied | ActionDeclined | ActionFailed | ActionOutcomeUnknown | ActionSucceeded,
        at: datetime,
    ) -> Iterator[Line]:
        action = self._actions.pop(event.action_id, None) or _Action("", visible(event.action_id))
        self.running = ""
        word, note = _ended(event)
        if word == "done":
            self.done += 1
            note = "  ".join(part for part in (note, _took(action.started_at, at), visible(action.rule_id)) if part)
        else:
            self.refused += 1
        step = self.steps.get(action.step_id)
        line = Line(word, action.words, note)
        if step is None:
            yield line
            return
        step.settled[word] = step.settled.get(word, 0) + 1
        if not step.is_large:
            yield line
        else:
            yield from _of_large(step, line)

    def _answered(
        self, event: ConfirmationApproved | ConfirmationRejected | ConfirmationExpired | ConfirmationWithdrawn
    ) -> Iterator[Line]:
        word, by, note = "", "", ""
        headline = self.questions.pop(event.confirmation_id, event.confirmation_id)
        match event:
            case ConfirmationApproved(answered_by=by, note=note):
                word = "approved"
            case ConfirmationRejected(answered_by=by, note=note):
                word = "rejected"
            case ConfirmationExpired():
                word, note = "expired", "nobody answered in time"
            case ConfirmationWithdrawn(reason=reason):
                word, note = "withdrawn", reason
        said = " ".join(part for part in (f"by {visible(by)}" if by else "", visible(note)) if part)
        yield Line("answered", f"{word}: {headline}", said)


def _ended(
    event: ActionDenied | ActionDeclined | ActionFailed | ActionOutcomeUnknown | ActionSucceeded,
) -> tuple[Word, str]:
    match event:
        case ActionDenied(decision=decision):
            return "denied", f"{visible(decision.reason)} ({visible(decision.rule_id)})"
        case ActionDeclined(reason_code=code, reason=reason):
            outcome = outcome_of_refusal(code)
            words: dict[str, Word] = {
                "rejected": "rejected",
                "expired": "expired",
                "skipped": "skipped",
                "withdrawn": "withdrawn",
            }
            return words.get(outcome, "denied"), visible(reason)
        case ActionFailed(reason=reason, result=result):
            return "failed", visible(reason) if result is None else f"{visible(reason)}  ({besides_words(result)})"
        case ActionOutcomeUnknown(observed=observed):
            return "unknown", visible(observed)
        case ActionSucceeded(result=result, recovered=recovered):
            return "done", "found done after a restart" if recovered else result_words(result) if result else ""


def _of_large(step: StepNow, line: Line) -> Iterator[Line]:
    refusals = step.ended - step.settled.get("done", 0)
    if line.word != "done" and refusals <= SHOWN_REFUSALS_MAX:
        yield line
    elif line.word != "done" and refusals == SHOWN_REFUSALS_MAX + 1:
        yield Line("note", "further actions of this step that did not succeed are in `cowork audit log`")
    if step.ended == step.actions:
        counts = ", ".join(f"{count} {word}" for word, count in sorted(step.settled.items()) if count)
        yield Line("done" if refusals == 0 else "note", f"{step.title}: {counts} of {plural(step.actions, 'action')}")


def _took(started_at: datetime | None, at: datetime) -> str:
    if started_at is None:
        return ""
    seconds = (at - started_at).total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.0f} min"
