"""`cowork run` and `cowork resume`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from . import output
from .exit_status import ExitStatus, worst
from .granting import NOTHING_GRANTED, Granting, kept_if_granted, print_notices, requested
from .opening import opened
from .options import DEFAULT_VIEWING, PLAIN_OPTIONS, AnswerMode, AnswerOption, Options, TaskId, Viewing

if TYPE_CHECKING:
    from ...engine.application import Application, ResumeReport, RunRequest


def run(
    plan: Annotated[Path, Parameter(help="The plan, a TOML or JSON file.")],
    /,
    *,
    granting: Granting = NOTHING_GRANTED,
    answer: AnswerOption = "ask",
    viewing: Viewing = DEFAULT_VIEWING,
    options: Options = PLAIN_OPTIONS,
) -> ExitStatus:
    """Run a plan under the rules, asking where they say so.

    Paths in a plan are relative to the first folder, or begin with a folder's name and a colon (`photos:a.jpg`).
    A folder is granted for read, create, write, move and delete, or for the verbs after `=`.

        cowork run tidy.toml --folder ~/inbox --output ~/inbox/reports
        cowork run tidy.toml --folder ~/inbox=read,move --folder ~/photos=read
        cowork run tidy.toml --folder ~/inbox --answer wait --json
        cowork run fetch.toml --folder ~/inbox --host api.example.com --host 127.0.0.1:8080
        cowork run report.toml --workspace --upload figures.csv
    """
    request, session_folder = requested(plan, granting, options)
    with opened(options, create=True) as app:
        print_notices(app, request)
        with kept_if_granted(app, session_folder):
            return carried(app, options, viewing, answer, request=request)


def resume(
    task_id: TaskId | None = None,
    /,
    *,
    answer: AnswerOption = "ask",
    report_only: Annotated[
        bool,
        Parameter(
            name=["--report-only", "--dry-run"],
            negative="",
            help="Only say what changed while it did not run, and do not go on.",
        ),
    ] = False,
    viewing: Viewing = DEFAULT_VIEWING,
    options: Options = PLAIN_OPTIONS,
) -> ExitStatus:
    """Go on with a task that waits, was paused, or was left by a crash; without an id, with all of them in turn.

    First it says what changed meanwhile: rules, grants, files, versions, questions. What a crash left half done is
    looked at before anything else, and nothing is done twice. A task that another process is running is named and left
    alone.

        cowork resume
        cowork resume task-06bq2wr0t0x5k9qz
        cowork resume task-06bq2wr0t0x5k9qz --report-only --json
    """
    with opened(options, absent_is_empty=task_id is None) as app:
        if task_id is not None:
            app.task(task_id)
        waiting = app.resumable() if task_id is None else [task_id]
        if not waiting and not (report_only and options.json):
            if not options.json:
                output.line("nothing to resume")
            return ExitStatus.DONE
        if report_only:
            return reported(app, options, waiting, leave_busy=task_id is None)
        return carried(app, options, viewing, answer, task_ids=waiting, leave_busy=task_id is None)


def reported(app: "Application", options: Options, task_ids: Sequence[str], *, leave_busy: bool) -> ExitStatus:
    """Print what changed while the tasks did not run: one JSON object of a task that was named, else a list.

    With `leave_busy`, what another process is running is named and left alone.
    """
    import anyio

    from ...engine.application import TaskBusyError
    from ...projections.place_names import names_in_rows
    from .resume_view import report_lines

    reports: list[ResumeReport] = []
    for task_id in task_ids:
        try:
            reports.append(anyio.run(app.resume_report, task_id))
        except TaskBusyError as error:
            if not leave_busy:
                raise
            output.note(f"{error.message}: left alone")
    if options.json:
        output.document(reports if leave_busy else reports[0])
        return ExitStatus.DONE
    for report in reports:
        session_id = app.task(report.task_id).session_id
        for text in report_lines(report, names_in_rows(app.rows("grants", {"session_id": session_id}))):
            output.line(text)
    return ExitStatus.DONE


def carried(
    app: "Application",
    options: Options,
    viewing: Viewing,
    answer: AnswerMode,
    *,
    request: "RunRequest | None" = None,
    task_ids: Sequence[str] = (),
    leave_busy: bool = False,
) -> ExitStatus:
    """Start what is requested, carry it and the named tasks on, and return what came of it."""
    import anyio

    from .carrying import Carrier

    carrier = Carrier(app, options, viewing, answer)
    return worst(anyio.run(lambda: carrier.work(request, task_ids, leave_busy=leave_busy)))
