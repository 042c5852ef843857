"""What one task looks like while it runs, from its events: lines that are done and stay, and what is going on now.

A step of a few actions gives a line for each of them. A large batch gives its refusals (a few of them) and one line at
its end, and shows how far it is meanwhile.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from ...domain.event import Event, Recorded
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
    Started,
    StepBegun,
    StepSkipped,
    Task,
    TaskBudgetExhausted,
    TaskBudgetRaised,
    TaskEnded,
    TaskInterrupted,
    TaskMessaged,
    TaskPaused,
    TaskPlanned,
    TaskResumed,
    TaskSteered,
)
from ...projections.budget_words import exhausted_words, top_up_command
from ...projections.outcome import outcome_of_failure, outcome_of_refusal
from ...projections.place_names import NO_NAMES, PlaceNames
from ...projections.report_words import besides_words, result_words
from ...projections.steering_words import messaged_words, raised_words, steered_words
from ...projections.visible_text import visible
from .action_words import words_of
from .event_words import connection_words
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
    """A line that stays: what became of something, what it was, and why or how (`note`, in grey).

    `depth` says how far it is indented: a subagent's lines stand beneath those of its parent.
    """

    word: Word
    text: str
    note: str = ""
    depth: int = 0


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


class Branch:
    """Follows one task, event by event. `steps` are those that were begun, `running` the actions that are under way.

    `is_first` says that it is the task that was asked for, and not one beneath it.
    """

    def __init__(self, task_id: str, title: str, depth: int, *, is_first: bool) -> None:
        self.task_id = task_id
        self.title = title
        self.depth = depth
        self.done = 0
        self.refused = 0
        self.names: PlaceNames = NO_NAMES
        self.steps: dict[str, StepNow] = {}
        self._large: dict[str, StepNow] = {}
        self.running: dict[str, str] = {}
        self._is_first = is_first
        self._titles: dict[str, str] = {}
        self._actions: dict[str, _Action] = {}

    def know(self, task: Task) -> None:
        """Take over what was recorded before: the plan, and what is under way."""
        self._know_plan(task.plan)
        for action in sorted(task.open_actions.values(), key=lambda one: (len(one.action_id), one.action_id)):
            rule_id = "" if isinstance(action.phase, Proposed) else action.phase.judgement.decision.rule_id
            words = words_of(action.action, self.names)
            self._actions[action.action_id] = _Action(action.step_id, words, rule_id)
            if isinstance(action.phase, Started):
                self.running[action.action_id] = words
        for step_id, tally in task.steps.items():
            if not tally.is_settled:
                settled: dict[Word, int] = {
                    "done": tally.succeeded,
                    "denied": tally.denied,
                    "failed": tally.failed,
                    "skipped": tally.skipped,
                }
                title = visible(self._titles.get(step_id, step_id))
                self._note(StepNow(step_id, title, tally.actions, settled))

    def _know_plan(self, plan: Plan | None) -> None:
        if plan is not None:
            self._titles = {step.step_id: step.title or step.step_id for step in plan.steps}

    def _note(self, step: StepNow) -> None:
        self.steps[step.step_id] = step
        if step.is_large:
            self._large[step.step_id] = step

    def large_steps(self) -> Iterable[StepNow]:
        """Return the steps that were begun and are shown as one: among thousands of others there are a few of them."""
        return self._large.values()

    def is_in_large_step(self, action_id: str) -> bool:
        """Whether an action is one of so many that its step is shown in its place."""
        action = self._actions.get(action_id)
        step = None if action is None else self.steps.get(action.step_id)
        return step is not None and step.is_large

    def on(self, recorded: Recorded[Event]) -> Iterator[Line]:
        """Take an event in and yield the lines that it gives."""
        event = recorded.event
        match event:
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
            case ActionOutcomeUnknown():
                # It has not ended: a person says what became of it, or it is tried again.
                self.running.pop(event.action_id, None)
                yield Line("unknown", self._words(event.action_id), visible(event.observed))
            case ActionDenied() | ActionDeclined() | ActionFailed() | ActionSucceeded():
                yield from self._end(event, recorded.origin.at)
            case ChangesStaged():
                yield from self._staged(event)
            case ConnectionDecided():
                yield from self._connection(event)
            case TaskEnded():
                self.running.clear()
            case _:
                yield from self._on_course(event)

    def _on_course(self, event: Event) -> Iterator[Line]:
        match event:
            case TaskPaused(reason=reason) if self._is_first:
                # All beneath it are paused with it: once is enough.
                yield Line("paused", visible(reason))
            case TaskInterrupted(reason=reason) if self._is_first:
                yield Line("paused", f"stopped at once: {visible(reason)}")
            case TaskResumed() if self._is_first:
                yield Line("note", "resumed")
            case TaskMessaged():
                yield Line("note", visible(messaged_words(event)))
            case TaskSteered(plan=plan):
                self._know_plan(plan)
                yield Line("note", f"another plan: {visible(steered_words(event))}")
            case TaskBudgetExhausted(of_task=of_task, measure=measure, bound=bound, needed=needed):
                to_do = top_up_command(of_task, measure, bound, needed)
                yield Line("paused", exhausted_words(of_task, measure, bound, needed), f"to go on: {to_do}")
            case TaskBudgetRaised():
                yield Line("note", f"more room: {raised_words(event)}")
            case _:
                pass

    def _words(self, action_id: str) -> str:
        action = self._actions.get(action_id)
        return visible(action_id) if action is None else action.words

    def _begin(self, event: StepBegun) -> Iterator[Line]:
        title = self._titles.get(event.step_id, event.step_id)
        self._note(StepNow(event.step_id, visible(title), event.actions))
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
            self.running[action_id] = action.words

    def _staged(self, event: ChangesStaged) -> Iterator[Line]:
        step = self.steps.get(event.step_id)
        if step is not None:
            step.actions = event.step_actions
            self._note(step)
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
        event: ActionDenied | ActionDeclined | ActionFailed | ActionSucceeded,
        at: datetime,
    ) -> Iterator[Line]:
        action = self._actions.pop(event.action_id, None) or _Action("", visible(event.action_id))
        self.running.pop(event.action_id, None)
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


def _ended(event: ActionDenied | ActionDeclined | ActionFailed | ActionSucceeded) -> tuple[Word, str]:
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
                "unknown": "unknown",
            }
            return words.get(outcome, "denied"), visible(reason)
        case ActionFailed(reason_code=code, reason=reason, result=result):
            # What came back may be the reason itself: a subagent's is a sentence about its task.
            besides = "" if result is None or result.summary == reason else f"  ({besides_words(result)})"
            how: dict[str, Word] = {"denied": "denied", "withdrawn": "withdrawn"}
            return how.get(outcome_of_failure(code), "failed"), f"{visible(reason)}{besides}"
        case ActionSucceeded(said_by=said_by) if said_by:
            return "done", f"says {visible(said_by)}"
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
