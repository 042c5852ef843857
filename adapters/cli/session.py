"""`cowork session …`: the sessions, what each may touch and remembers, and ending one with a list of what left it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from cyclopts import App, Parameter

from ...projections.active_grants import Session
from ...projections.session_departures import SessionDepartures
from . import output
from .opening import on_record, opened, person
from .options import PLAIN_OPTIONS, Id, Options

if TYPE_CHECKING:
    from ...domain.event import Event, Recorded
    from ...engine.application import Application

app = App(name="session", help="List, show and end sessions, and see what left them.")

SessionId: TypeAlias = Annotated[Id, Parameter(help="The session's id, as `cowork session list` prints it.")]


class MemoryOfSession(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How much the agents of a session noted down: how many entries, and how many bytes with their names.

    Of a memory that is `destroyed` it is how much there was last; nobody can read it any more.
    """

    entries: int
    held_bytes: int
    destroyed: bool


class SessionTask(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A task of a session, and how it stands; a subagent's names its parent's task."""

    task_id: str
    status: str
    title: str


class SessionShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A session with its tasks, its memory, and everything that left it so far."""

    session: Session
    tasks: tuple[SessionTask, ...]
    memory: MemoryOfSession
    left: SessionDepartures


@app.command(name="list")
def list_sessions(
    *,
    all_of_them: Annotated[bool, Parameter(name="--all", negative="", help="Also those that have ended.")] = False,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """List the sessions that are open, the newest first.

    cowork session list
    cowork session list --all --json
    """
    with opened(options, absent_is_empty=True) as engine:
        where = None if all_of_them else {"status": "open"}
        sessions = [_session(engine, row) for row in reversed(engine.rows("sessions", where, order_by="position"))]
        if options.json:
            output.document(sessions)
        else:
            _print_sessions(engine, sessions)


@app.command(name="show")
def show_session(session_id: SessionId, /, *, options: Options = PLAIN_OPTIONS) -> None:
    """Show a session: its grants, its tasks, how much it remembers, and what left it so far.

    cowork session show session-06bq2wr0t0x5k9qz
    """
    with opened(options) as engine:
        _print(_shown(engine, session_id), options)


@app.command(name="end")
def end_session(
    session_id: SessionId,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why, for the record.")] = "",
    options: Options = PLAIN_OPTIONS,
) -> None:
    """End a session: cancel its tasks, take its grants back, destroy its memory; and say what left it.

    What an action did stays done: `cowork undo` takes it back. A session ends by itself when its task has ended.

        cowork session end session-06bq2wr0t0x5k9qz --reason "enough"
    """
    import anyio

    with opened(options) as engine:
        _row(engine, session_id)
        anyio.run(lambda: engine.end_session(session_id, by=person(), reason=reason))
        with on_record():
            shown = _shown(engine, session_id)
        _print(shown, options)


def _row(engine: "Application", session_id: str) -> dict[str, object]:
    from ...domain.errors import DomainError
    from ...projections.visible_text import visible

    rows = engine.rows("sessions", {"session_id": session_id})
    if not rows:
        raise DomainError(
            "not_found", f"there is no session `{visible(session_id)}`", "see `cowork session list --all`"
        )
    return rows[0]


def _session(engine: "Application", row: dict[str, object]) -> Session:
    from datetime import UTC, datetime

    from ...projections.active_grants import session_of

    mine = {"session_id": row["session_id"]}
    return session_of(row, engine.rows("grants", mine), datetime.now(UTC), engine.rows("host_grants", mine))


def _shown(engine: "Application", session_id: str) -> SessionShown:
    from ...domain.scope import FolderScope
    from ...projections.session_departures import departures_of

    session = _session(engine, _row(engine, session_id))
    tasks = [
        SessionTask(task_id=str(row["task_id"]), status=str(row["status"]), title=str(row["title"] or ""))
        for row in engine.rows("tasks", {"session_id": session_id}, order_by="created_position")
    ]
    folders = {
        grant.id: FolderScope(
            grant_id=grant.id,
            name=grant.name,
            root_path=grant.root_path,
            verbs=(),
            output_roots=grant.output_roots,
            identity=grant.identity,
        )
        for grant in session.grants
    }
    memory = engine.memory_on_record(session_id)
    return SessionShown(
        session=session,
        tasks=tuple(tasks),
        memory=MemoryOfSession(entries=memory.entries, held_bytes=memory.held_bytes, destroyed=memory.destroyed),
        left=departures_of(_events(engine, [task.task_id for task in tasks]), folders),
    )


def _events(engine: "Application", task_ids: list[str]) -> "Iterator[Recorded[Event]]":
    """Yield the events of the tasks and of the questions that were answered for them, in order of position."""
    from ...domain.task import ActionStarted

    events = [recorded for task_id in task_ids for recorded in engine.store.read_stream(task_id)]
    started = (recorded.event for recorded in events if isinstance(recorded.event, ActionStarted))
    asked = {event.confirmation_id for event in started if event.confirmation_id}
    events += [recorded for name in asked for recorded in engine.store.read_stream(name)]
    yield from sorted(events, key=lambda recorded: recorded.position)


# Printing


def _print_sessions(engine: "Application", sessions: list[Session]) -> None:
    from ...projections.measure import size_words
    from ...projections.visible_text import visible
    from .layout import clock_time, in_columns

    if not sessions:
        output.line("no sessions")
        return
    rows = []
    for session in sessions:
        memory = engine.memory_on_record(session.session_id)
        held = "destroyed" if memory.destroyed else size_words(memory.held_bytes) if memory.entries else "-"
        started = clock_time(session.created_at)
        rows.append((session.session_id, session.status, started, held, visible(session.title) or "-"))
    for line in in_columns(rows, ("session", "status", "started (UTC)", "memory", "title")):
        output.line(line)


def _print(shown: SessionShown, options: Options) -> None:
    from ...projections.measure import count_words, size_words
    from ...projections.visible_text import visible

    if options.json:
        output.document(shown)
        return
    session = shown.session
    output.line(f'session {session.session_id} "{visible(session.title)}": {session.status}')
    _print_part("may touch", [*_folder_lines(session), *(visible(host.host) for host in session.hosts)])
    _print_part("tasks", [f"{task.task_id}  {task.status}  {visible(task.title)}" for task in shown.tasks])
    memory = shown.memory
    if memory.entries or memory.destroyed:
        held = f"{count_words(memory.entries, 'entry', 'entries')}, {size_words(memory.held_bytes)}"
        output.line(f"memory: {f'destroyed; it had {held}' if memory.destroyed else held}")
    _print_departures(shown.left)


def _folder_lines(session: Session) -> Iterator[str]:
    from ...projections.visible_text import visible

    for grant in session.grants:
        verbs = {
            "read": grant.allow_read,
            "create": grant.allow_create,
            "write": grant.allow_write,
            "move": grant.allow_move,
            "delete": grant.allow_delete,
        }
        allowed = ",".join(verb for verb, is_allowed in verbs.items() if is_allowed)
        yield f"{visible(grant.name)}:  {visible(grant.root_path)}  {allowed}  {grant.status.replace('_', ' ')}"


def _print_departures(left: SessionDepartures) -> None:
    from ...projections.measure import count_words, size_words
    from ...projections.visible_text import visible

    if not (left.outputs or left.exports or left.network):
        output.line("nothing left the session")
        return
    _print_part("files in output folders", [f"{visible(one.path)}  {one.digest}" for one in left.outputs])
    exports = [f"{visible(one.path)}  {one.digest}  {visible(_allowed(one.allowed_by))}" for one in left.exports]
    _print_part("files elsewhere", exports)
    network = [
        f"{visible(one.host)}  {_times(one.requests, one.connections)}, {size_words(one.sent_bytes)} sent"
        for one in left.network
    ]
    _print_part("network", network)
    output.line(f"{count_words(len(left.outputs) + len(left.exports), 'file')} left the session")


def _times(requests: int, connections: int) -> str:
    from ...projections.measure import count_words

    counts = [(requests, "request"), (connections, "connection")]
    return ", ".join(count_words(number, name) for number, name in counts if number)


def _allowed(by: str) -> str:
    if not by:
        return ""
    return f"approved by {by}" if ":" in by else f"allowed by {by}"


def _print_part(title: str, lines: list[str]) -> None:
    if lines:
        output.line(f"{title}:")
        for line in lines:
            output.line(f"  {line}")
