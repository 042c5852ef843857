"""What a summary says, as JSON: the object `TaskSummary` and all that it holds. Every line cites event positions."""

from typing import Literal, TypeAlias

import msgspec

from ..domain.confirmation import Finding
from ..domain.effect import Change
from ..domain.task import TaskStatus
from .command_runs import CommandRun
from .outcome import Outcome
from .output_files import OutputKind

SteeringKind: TypeAlias = Literal[
    "message", "message_for_later", "steered", "budget_raised", "budget_exhausted", "paused", "interrupted"
]


class Output(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A file that the task made or changed and that stands at its end. `path` is as a plan would write it.

    `subagent_id` is that of the subagent that changed it last, absent where it was the task itself.
    """

    path: str
    kind: OutputKind
    subagent_id: str | None = None
    positions: tuple[int, ...]


class FileChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One change to one file or folder, by the task or by the subagent that is named. Digests are `sha256:<hex>`."""

    path: str
    change: Change
    previous_path: str | None = None
    digest_before: str | None = None
    digest_after: str | None = None
    action_id: str
    subagent_id: str | None = None
    positions: tuple[int, ...]


class ActionLogLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One action: its kind, and in `details` what became of it, for people."""

    timestamp: str
    action: str
    details: str
    action_id: str
    step_id: str
    outcome: Outcome
    positions: tuple[int, ...]


class Followup(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was left open, by the task or by the subagent that is named, and what a person can do about it."""

    text: str
    action_id: str | None = None
    step_id: str | None = None
    subagent_id: str | None = None
    positions: tuple[int, ...]


class Skipped(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A step or an action that was left out."""

    step_id: str
    title: str
    action_id: str | None = None
    reason: str
    positions: tuple[int, ...]


class QuestionLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A question and its answer: `pending`, `approved`, `rejected`, `expired` or `withdrawn`.

    `finding` is what a person said of an attempt that nobody else can tell about; `subagent_id` whose question it was.
    """

    confirmation_id: str
    headline: str
    answer: str
    finding: Finding = ""
    note: str | None = None
    by: str | None = None
    subagent_id: str | None = None
    positions: tuple[int, ...]


class SubagentLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A subagent, at any depth: its own task (`task_id`), how that stands or ended and why, and what it says of it.

    `action_id` is the action that started it. `stopped` says why somebody ended it before it was done. `file_changes`
    counts what it changed itself, and `report` is the sentence that its parent got about it.
    """

    subagent_id: str
    task_id: str
    action_id: str
    title: str
    depth: int
    status: TaskStatus
    reason: str = ""
    report: str | None = None
    stopped: str | None = None
    file_changes: int = 0
    positions: tuple[int, ...]


class SteeringLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What changed the task's course: a message, another plan, more room, or a stop. Lists are of step ids."""

    at: str
    kind: SteeringKind
    by: str | None = None
    text: str
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    positions: tuple[int, ...]


class Claim(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an agent says about a step of its plan (`about`), unchecked."""

    by: str
    about: str
    text: str
    positions: tuple[int, ...]


class TaskSummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a task did. Paths and an agent's words are as recorded; sentences have visible characters only.

    Outputs, changes to files, questions and what is left open are those of its subagents, too, each with the subagent
    named; their actions and commands are in the summaries of their own tasks.
    """

    task_id: str
    title: str
    outputs: tuple[Output, ...]
    file_changes: tuple[FileChange, ...]
    action_log: tuple[ActionLogLine, ...]
    commands: tuple[CommandRun, ...]
    subagents: tuple[SubagentLine, ...]
    steering: tuple[SteeringLine, ...]
    followups: tuple[Followup, ...]
    skipped: tuple[Skipped, ...]
    questions: tuple[QuestionLine, ...]
    claims: tuple[Claim, ...]
