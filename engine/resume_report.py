"""What changed while a task was not running, as people and programs get it before the task goes on."""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from ..domain.action import ActionKind, Location
from ..domain.scope import Verb

GrantMove: TypeAlias = Literal["given", "narrowed", "revoked", "expired", "replaced", "missing"]
FileMove: TypeAlias = Literal["changed", "missing", "new", "unreadable"]
QuestionStanding: TypeAlias = Literal["waits", "outdated", "approved", "rejected", "expired", "withdrawn"]


class LastRun(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The last time that a process took the task on, and the version of the engine that it was."""

    at: datetime
    position: int
    engine: str


class LayerChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A policy layer whose document is another one now: both digests, empty where there was or is none."""

    layer: str
    then: str
    now: str


class PolicyChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The policy as a whole is another one: the digests of all layers together, and the layers that differ."""

    then: str
    now: str
    layers: tuple[LayerChange, ...]


class GrantChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A grant that is not what it was.

    `name` is the folder's name in plans, or the host. `change` is `replaced` where another folder stands at the path
    than the one that was granted, `missing` where none does. `at` is null where it did not happen through an event.
    """

    grant_id: str
    name: str
    change: GrantMove
    detail: str
    at: datetime | None = None


class RightsLost(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a task could do at a grant when it last ran, and can't any more.

    `verbs` are those that a folder lost, `left` those that it still has; `output_roots` the places at which new files
    were made unasked; `parts` the parts of it that are no longer covered. A host has none of them: it is closed.
    """

    task_id: str
    grant_id: str
    name: str
    verbs: tuple[Verb, ...] = ()
    left: tuple[Verb, ...] = ()
    output_roots: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


class FileChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A place that a question showed, or that what is left of the plan touches, and that is not as the log knows it.

    `then` and `now` are digests, empty for nothing. `action_id` is empty where a step is meant that was not begun.
    """

    task_id: str
    step_id: str
    action_id: str
    place: Location
    change: FileMove
    then: str
    now: str
    detail: str = ""


class VersionChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that the task runs on is another version now."""

    part: Literal["engine", "sandbox", "filter", "landlock"]
    then: str
    now: str


class QuestionNow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A question of the task, and how it stands: it still waits, or it is void, and why.

    `outdated`: what it shows has changed, so that after a yes it is asked again. An answer is bound to the `digest`.
    """

    confirmation_id: str
    task_id: str
    headline: str
    digest: str
    expires_at: datetime
    standing: QuestionStanding
    reason: str = ""


class OpenAttempt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An action that was started and has no outcome. `found` says what a look at it showed, where there was one."""

    task_id: str
    action_id: str
    kind: ActionKind
    attempt: int
    started_at: datetime
    found: str = ""


class ResumeReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What changed since a task, with all its subagents, was last at work. Nothing is changed by making it.

    `away_since` is the time of the last event of the task. `scope_then` and `scope_now` are the digests of what its
    session opened then and opens now; `rights` is what the task and its subagents lost by that: they never have more
    than before. `looked_at` counts the actions whose places were looked at, `not_looked_at` those that were too many.
    """

    task_id: str
    title: str
    status: str
    away_since: datetime
    position: int
    last_run: LastRun | None = None
    policy: PolicyChange | None = None
    scope_then: str
    scope_now: str
    grants: tuple[GrantChange, ...] = ()
    rights: tuple[RightsLost, ...] = ()
    files: tuple[FileChange, ...] = ()
    versions: tuple[VersionChange, ...] = ()
    questions: tuple[QuestionNow, ...] = ()
    under_way: tuple[OpenAttempt, ...] = ()
    looked_at: int = 0
    not_looked_at: int = 0

    @property
    def is_quiet(self) -> bool:
        """Whether nothing changed: what waits and was under way is as it was left, but for answers that were given."""
        changed = (self.policy, self.grants, self.rights, self.files, self.versions)
        standing = ("waits", "approved", "rejected")
        return not any(changed) and all(one.standing in standing for one in self.questions)
