"""`cowork audit …`: who did what, why it was allowed, and what came of it."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from . import output
from .exit_status import ExitStatus
from .opening import opened
from .options import PLAIN_OPTIONS, Id, Options

if TYPE_CHECKING:
    from ...engine.application import Application, AuditReport
    from ...projections.audit_log import AuditRow

app = App(name="audit", help="Read the audit log, and check that it keeps what the engine promises.")


@app.command(name="log")
def print_log(
    *,
    task: Annotated[Id | None, Parameter(help="Only what this task did.")] = None,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Print the audit log: a line for each action with its decision, its rule and its outcome, and for the rest.

    cowork audit log --task task-06bq2wr0t0x5k9qz
    cowork audit log --json
    """
    with opened(options, absent_is_empty=True) as engine:
        rows = audit_rows_in(engine, task)
    if options.json:
        output.document(rows)
        return
    print_audit_rows(rows)


@app.command(name="check")
def check(*, options: Options = PLAIN_OPTIONS) -> ExitStatus:
    """Check the whole log against what the engine promises: nothing started without leave, no effect out of bounds.

    Digests, decisions, scopes, states and read models are all made again and compared. Ends with 0 where everything
    holds, with 6 where something does not; each violation is a line: position, invariant, stream and sentence.

        cowork audit check
        cowork audit check --json
    """
    with opened(options, absent_is_empty=True) as engine:
        report = engine.audit()
    if options.json:
        output.document(report)
    else:
        print_report(report)
    return ExitStatus.DAMAGED if report.violations else ExitStatus.DONE


def print_report(report: "AuditReport") -> None:
    """Print each violation on a line, and how much was checked."""
    from ...projections.visible_text import visible
    from .layout import plural

    for one in report.violations:
        output.line(visible(f"position {one.position}: invariant {one.invariant}, {one.stream}: {one.sentence}"))
    checked = report.checked
    amounts = (
        plural(checked.events, "event"),
        plural(checked.streams, "stream"),
        plural(checked.actions, "action"),
        plural(checked.decisions, "decision"),
        plural(checked.attempts, "attempt"),
        plural(checked.effects, "effect"),
    )
    found = plural(len(report.violations), "violation")
    output.line(f"checked {', '.join(amounts)} up to position {report.position}: {found}")


def audit_rows_in(engine: "Application", task_id: str | None = None) -> list["AuditRow"]:
    """Return the lines of one task with its session, grants and questions, or of all. Raises `DomainError`."""
    from ...projections.audit_log import audit_rows
    from ...projections.place_names import names_in_rows

    if task_id is not None:
        session_id = engine.task(task_id).session_id
        sessions = {session_id}
    else:
        sessions = {str(row["session_id"]) for row in engine.rows("sessions")}
    names = {one: names_in_rows(engine.rows("grants", {"session_id": one})) for one in sessions}
    actions = engine.rows("actions", None if task_id is None else {"task_id": task_id})
    rows = audit_rows(actions, engine.rows("audit_life"), engine.rows("audit_subjects"), names)
    return [row for row in rows if row.session_id in sessions] if task_id is not None else rows


def print_audit_rows(rows: list["AuditRow"]) -> None:
    """Print the lines in columns: position, time, who, what, what it was about, verdict or outcome, and why."""
    from ...projections.visible_text import visible
    from .layout import clock_time, in_columns

    lines = [
        (
            str(row.position),
            clock_time(row.at),
            visible(row.actor),
            row.kind,
            row.verdict or "-",
            row.outcome or "-",
            _about(row),
            _why(row),
        )
        for row in rows
    ]
    header = ("position", "time (UTC)", "actor", "what", "decision", "outcome", "about", "why")
    for line in in_columns(lines, header):
        output.line(line)


def _about(row: "AuditRow") -> str:
    from ...projections.visible_text import visible

    # The headline of a question is visible text already.
    about = (row.target if row.confirmation_id and not row.action_id else visible(row.target)) or "-"
    return f"{about} to {visible(row.destination)}" if row.destination else about


def _why(row: "AuditRow") -> str:
    from ...projections.visible_text import visible

    parts = (row.rule_id, row.outcome_reason or row.reason)
    return ": ".join(visible(part) for part in parts if part) or "-"
