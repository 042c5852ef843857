"""What running work looks like, from its events: the task that was asked for and, indented beneath it, its subagents'.

Each task is a branch (`branch.py`). With `verbose` every event is a line.
"""

from collections.abc import Iterator
from typing import TypeAlias

from ...domain.confirmation import (
    ConfirmationApproved,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationRequested,
    ConfirmationWithdrawn,
)
from ...domain.event import Event, Recorded
from ...domain.grant import FolderGranted
from ...domain.ids import child_task_id, task_chain
from ...domain.subagent import SubagentSpawned
from ...domain.task import ActionEvent, LifeEvent, Task, TaskQueued
from ...projections.place_names import NO_NAMES, PlaceNames
from ...projections.visible_text import visible
from .branch import Branch, Line, StepNow
from .event_json import event_name
from .event_words import what_happened

_Answer: TypeAlias = ConfirmationApproved | ConfirmationRejected | ConfirmationExpired | ConfirmationWithdrawn


class Progress:
    """Follows one task and all beneath it, event by event. `branches` are these tasks by their ids."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.position = 0
        self.branches: dict[str, Branch] = {}
        self.questions: dict[str, str] = {}
        self._names: PlaceNames = NO_NAMES
        self._verbose = verbose
        self._titles: dict[str, str] = {}

    @property
    def done(self) -> int:
        """How many actions were carried out, of all branches."""
        return sum(branch.done for branch in self.branches.values())

    @property
    def refused(self) -> int:
        """How many actions were not, of all branches."""
        return sum(branch.refused for branch in self.branches.values())

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way."""
        return any(branch.running for branch in self.branches.values())

    def large_steps(self) -> Iterator[tuple[str, StepNow]]:
        """Yield the steps that are shown as one, each with its title: of a subagent's, with who that is."""
        for branch in self.branches.values():
            for step in branch.large_steps():
                yield f"{self._prefix(branch)}{step.title}", step

    def first(self) -> Iterator[Branch]:
        """Yield the branches that stand beneath none that is followed."""
        return (branch for name, branch in self.branches.items() if not set(task_chain(name)[:-1]) & set(self.branches))

    def beneath(self, action_id: str) -> Branch | None:
        """Return the branch of the subagent that an action started; None where there is none."""
        return self.branches.get(child_task_id(action_id))

    def know(self, task: Task, names: PlaceNames) -> None:
        """Take over what was recorded before about a task; those above it have to be made known first."""
        self._names = names
        self._branch(task.task_id, task.title).know(task)

    def on(self, recorded: Recorded[Event]) -> Iterator[Line]:
        """Take an event in and yield the lines that it gives."""
        self.position = max(self.position, recorded.position)
        lines = list(self._lines(recorded))
        if self._verbose:
            details = what_happened(recorded.event, self._names)
            yield Line("note", f"{recorded.position:>6}  {event_name(recorded.event)}  ", details)
        else:
            yield from lines

    def _lines(self, recorded: Recorded[Event]) -> Iterator[Line]:
        event = recorded.event
        match event:
            case FolderGranted(grant_id=grant_id, name=name):
                self._names = PlaceNames(self._names.first or grant_id, {**self._names.names, grant_id: name})
                for branch in self.branches.values():
                    branch.names = self._names
            case SubagentSpawned(task_id=task_id, title=title):
                self._titles[task_id] = title
            case TaskQueued(task_id=task_id, title=title):
                self._branch(task_id, title)
            case ConfirmationRequested():
                headline = f"{self._prefix(self._branch(event.task_id))}{event.card.headline}"
                self.questions[event.confirmation_id] = headline
                yield Line("asked", headline, event.confirmation_id)
            case ConfirmationApproved() | ConfirmationRejected() | ConfirmationExpired() | ConfirmationWithdrawn():
                yield from self._answered(event)
            case _ if isinstance(event, LifeEvent | ActionEvent):
                yield from self._of_branch(self._branch(event.task_id), recorded)
            case _:
                pass

    def _of_branch(self, branch: Branch, recorded: Recorded[Event]) -> Iterator[Line]:
        prefix = self._prefix(branch)
        for line in branch.on(recorded):
            yield line._replace(text=f"{prefix}{line.text}", depth=branch.depth) if prefix else line

    def _branch(self, task_id: str, title: str = "") -> Branch:
        known = self.branches.get(task_id)
        if known is None:
            above = [name for name in task_chain(task_id)[:-1] if name in self.branches]
            named = title or self._titles.get(task_id, task_id)
            known = Branch(task_id, named, len(above), is_first=not self.branches)
            known.names = self._names
            self.branches[task_id] = known
        return known

    def _prefix(self, branch: Branch) -> str:
        """Return who a line is about, where it is not the task that was asked for."""
        is_first = branch is next(iter(self.branches.values()))
        return "" if is_first else f"{visible(branch.title)} › "

    def _answered(self, event: _Answer) -> Iterator[Line]:
        word, by, note = "", "", ""
        headline = self.questions.pop(event.confirmation_id, event.confirmation_id)
        match event:
            case ConfirmationApproved(answered_by=by, note=note, finding=finding):
                word = finding.replace("_", " ") or "approved"
            case ConfirmationRejected(answered_by=by, note=note):
                word = "rejected"
            case ConfirmationExpired():
                word, note = "expired", "nobody answered in time"
            case ConfirmationWithdrawn(reason=reason):
                word, note = "withdrawn", reason
        said = " ".join(part for part in (f"by {visible(by)}" if by else "", visible(note)) if part)
        yield Line("answered", f"{word}: {headline}", said)
