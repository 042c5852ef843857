"""Makes the report of what changed while a task was not running: a look at the log and the world that changes nothing.

The log says what was: the session's policy, its grants as they were at the task's last event, what was seen and made at
each place, what was asked, and by which version of the engine. The world says what is.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import msgspec

from ..domain import grant as grant_aggregate
from ..domain.action import SubagentSpawn, kind_of
from ..domain.confirmation import Approved, Expired, NoConfirmation, Pending, Rejected, Withdrawn
from ..domain.errors import DomainError
from ..domain.grant import FolderGrant, GrantState, scope_of
from ..domain.ids import root_task_id
from ..domain.policy import digest_of_layers
from ..domain.scope import FolderScope, Scope, attenuate
from ..domain.session import AdoptedLayer, OpenSession
from ..domain.subagent import spawned
from ..domain.task import Awaiting, Started, Task, Unknown
from .command_handler import CONFIRMATION, GRANT, SESSION, SUBAGENT, CommandHandler
from .policy_records import PolicyRecords
from .ports import Clock, EventStore, FolderOpener
from .resume_changes import find_grant_change, find_policy_change, rights_lost, version_changes
from .resume_looks import Looks
from .resume_past import Past, past_of
from .resume_report import (
    FileChange,
    GrantChange,
    OpenAttempt,
    PolicyChange,
    QuestionNow,
    QuestionStanding,
    ResumeReport,
    RightsLost,
)


class _Grants(msgspec.Struct, frozen=True):
    """What a session's grants opened at the task's last event and open now; `gone` are those of other folders now."""

    then: Scope
    now: Scope
    changes: tuple[GrantChange, ...]
    gone: frozenset[str]


class Resuming:
    """Makes the report. `engine` is the version of the engine that would take the task on."""

    def __init__(
        self,
        *,
        handler: CommandHandler,
        store: EventStore,
        policies: PolicyRecords,
        opener: FolderOpener,
        looks: Looks,
        clock: Clock,
        engine: str,
    ) -> None:
        self._handler = handler
        self._store = store
        self._policies = policies
        self._opener = opener
        self._looks = looks
        self._clock = clock
        self._engine = engine

    async def report(self, task_id: str) -> ResumeReport:
        """Return what changed since the task, or any subagent of it, was last at work.

        Raises `DomainError` not_found, conflict (it has ended), invalid or limit (a policy document of this machine).
        """
        past = past_of(self._handler, self._store, root_task_id(task_id))
        task, now = past.root, self._clock.now()
        session = self._handler.load(task.session_id, SESSION).state
        if not isinstance(session, OpenSession):
            raise DomainError("conflict", f"task `{task.task_id}` has ended: it is {task.status}")
        grants = self._grants(session, past, now)
        scopes_then, scopes_now = self._scopes(past, grants.then), self._scopes(past, grants.now)
        seen = await self._looks.look(past, scopes_now, _open_at(now, grants.gone))
        engine_then = "" if past.last_run is None else past.last_run.engine
        return ResumeReport(
            task_id=task.task_id,
            title=task.title,
            status=task.status,
            away_since=past.at,
            position=past.position,
            last_run=past.last_run,
            policy=self._policy(session),
            scope_then=grants.then.digest(),
            scope_now=grants.now.digest(),
            grants=grants.changes,
            rights=tuple(_rights(past, scopes_then, scopes_now, now, grants.gone)),
            files=seen.files,
            versions=tuple(version_changes(engine_then, self._engine, past.confinement, seen.confinement)),
            questions=tuple(one for each in past.tasks for one in self._questions(each, seen.files, now)),
            under_way=tuple(one for each in past.tasks for one in _under_way(each, past)),
            looked_at=seen.looked_at,
            not_looked_at=seen.not_looked_at,
        )

    def _policy(self, session: OpenSession) -> PolicyChange | None:
        due = self._policies.due(session)
        named = tuple(AdoptedLayer(layer.name, layer.digest) for layer in due)
        return find_policy_change(session.layers, session.policy_digest, named, digest_of_layers(due))

    # Grants

    def _grants(self, session: OpenSession, past: Past, now: datetime) -> _Grants:
        then: list[GrantState] = []
        present: list[GrantState] = []
        changes: list[GrantChange] = []
        gone: set[str] = set()
        for grant_id in session.grant_ids:
            before, after = self._grant_then(grant_id, past.position), self._handler.load(grant_id, GRANT).state
            then.append(before)
            present.append(after)
            change = find_grant_change(before, after, past.at, now)
            if change is not None:
                changes.append(msgspec.structs.replace(change, at=self._ended_at(grant_id, past.position)))
            elif isinstance(after, FolderGrant) and (other := self._find_other_folder(after.scope, now)) is not None:
                changes.append(other)
                gone.add(grant_id)
        return _Grants(scope_of(then), scope_of(present), tuple(changes), frozenset(gone))

    def _grant_then(self, grant_id: str, position: int) -> GrantState:
        state: GrantState = grant_aggregate.INITIAL
        for recorded in self._store.read_stream(grant_id):
            if recorded.position <= position:
                state = grant_aggregate.evolve(state, recorded.event)  # type: ignore[arg-type]
        return state

    def _ended_at(self, grant_id: str, position: int) -> datetime | None:
        """Return when a person last changed the grant since then; None where its time ran out by itself."""
        later = [one for one in self._store.read_stream(grant_id) if one.position > position]
        return later[-1].origin.at if later else None

    def _find_other_folder(self, folder: FolderScope, now: datetime) -> GrantChange | None:
        """Return that another folder than the granted one, or none, stands at its path; None for the right one."""
        if folder.revoked or (folder.expires_at is not None and now >= folder.expires_at):
            return None
        try:
            path, identity = self._opener.identify(folder.root_path)
        except DomainError as error:
            return GrantChange(grant_id=folder.grant_id, name=folder.name, change="missing", detail=error.message)
        if (path, identity) == (folder.root_path, folder.identity):
            return None
        detail = f"another folder stands at {folder.root_path} than the one that was granted"
        return GrantChange(grant_id=folder.grant_id, name=folder.name, change="replaced", detail=detail)

    def _scopes(self, past: Past, of_session: Scope) -> dict[str, Scope]:
        """Return what each task has of what its session opens: a subagent never more than its parent."""
        scopes: dict[str, Scope] = {}
        for task in past.tasks:
            if not task.subagent_id:
                scopes[task.task_id] = of_session
                continue
            given = spawned(self._handler.load(task.subagent_id, SUBAGENT).state).scope
            scopes[task.task_id] = attenuate(scopes[task.parent_task_id], given)
        return scopes

    # Questions

    def _questions(self, task: Task, files: Sequence[FileChange], now: datetime) -> Iterator[QuestionNow]:
        if task.is_final:
            return
        asked: dict[str, set[str]] = {}
        for action in task.open_actions.values():
            if isinstance(action.phase, Awaiting):
                asked.setdefault(action.phase.confirmation_id, set()).add(action.action_id)
        for confirmation_id in sorted(asked):
            moved = next((one for one in files if one.action_id in asked[confirmation_id]), None)
            question = self._question(task.task_id, confirmation_id, moved, now)
            if question is not None:
                yield question

    def _question(
        self, task_id: str, confirmation_id: str, moved: FileChange | None, now: datetime
    ) -> QuestionNow | None:
        state = self._handler.load(confirmation_id, CONFIRMATION).state
        if isinstance(state, NoConfirmation):
            return None
        request = state.request
        waiting = QuestionNow(
            confirmation_id=confirmation_id,
            task_id=task_id,
            headline=request.card.headline,
            digest=request.digest,
            expires_at=request.expires_at,
            standing="waits",
        )
        match state:
            case Pending() if now >= request.expires_at:
                return _void(waiting, "expired", "nobody answered in time")
            case Pending() if moved is not None:
                return _void(waiting, "outdated", f"`{moved.place.path}` is not as it was shown: {moved.change}")
            case Pending():
                return waiting
            case Approved(answered_by=by, finding=finding):
                return _void(waiting, "approved", f"by {by}{f': {finding}' if finding else ''}")
            case Rejected(answered_by=by, note=note):
                return _void(waiting, "rejected", f"by {by}{f': {note}' if note else ''}")
            case Expired():
                return _void(waiting, "expired", "nobody answered in time")
            case Withdrawn(reason=reason):
                return _void(waiting, "withdrawn", reason)


def _void(
    question: QuestionNow,
    standing: QuestionStanding,
    reason: str,
) -> QuestionNow:
    return msgspec.structs.replace(question, standing=standing, reason=reason)


def _open_at(now: datetime, gone: frozenset[str]) -> Callable[[Scope, str], bool]:
    """Return what tells whether the places of a grant may be looked at."""

    def is_open(scope: Scope, grant_id: str) -> bool:
        folder = scope.folder(grant_id)
        if folder is None or folder.revoked or grant_id in gone:
            return False
        return folder.expires_at is None or now < folder.expires_at

    return is_open


def _rights(
    past: Past, then: dict[str, Scope], now: dict[str, Scope], at: datetime, gone: frozenset[str]
) -> Iterator[RightsLost]:
    for task in past.tasks:
        if not task.is_final:
            yield from rights_lost(task.task_id, then[task.task_id], past.at, now[task.task_id], at, gone)


def _under_way(task: Task, past: Past) -> Iterator[OpenAttempt]:
    for action in sorted(task.open_actions.values(), key=lambda one: (len(one.action_id), one.action_id)):
        # A subagent is under way as long as its task is: what that was at is told of that task.
        if isinstance(action.phase, Started | Unknown) and not isinstance(action.action, SubagentSpawn):
            yield OpenAttempt(
                task_id=task.task_id,
                action_id=action.action_id,
                kind=kind_of(action.action),
                attempt=action.attempts,
                started_at=past.started[action.action_id],
                found=action.phase.observed if isinstance(action.phase, Unknown) else "",
            )
