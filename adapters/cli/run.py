"""`cowork run` and `cowork resume`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from ...domain.errors import DomainError
from . import output
from .exit_status import ExitStatus, worst
from .opening import opened, store_folder, user_name
from .options import DEFAULT_VIEWING, PLAIN_OPTIONS, AnswerMode, AnswerOption, Options, TaskId, Viewing

if TYPE_CHECKING:
    from ...engine.application import Application, ResumeReport, RunRequest
    from .workspace import Workspace


def run(
    plan: Annotated[Path, Parameter(help="The plan, a TOML or JSON file.")],
    /,
    *,
    folder: Annotated[
        list[str] | None,
        Parameter(negative="", help="A folder to grant, with the verbs that it is granted for; may be given again."),
    ] = None,
    output_folder: Annotated[
        list[str] | None,
        Parameter(name="--output", negative="", help="Where new files may be made unasked; may be given again."),
    ] = None,
    host: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="A host that requests and commands may reach, asked about or not as the rules say: a name, `*.` and a"
            " name, or an address, with a port where it is not that of the web; may be given again.",
        ),
    ] = None,
    workspace: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=(0, 1),
            negative="",
            help="Make a folder for the session in this one, by default the setting, or `cowork` in your documents:"
            " `outputs:` for results, `uploads:` for files to be read only.",
        ),
    ] = None,
    upload: Annotated[
        list[Path] | None,
        Parameter(negative="", help="A file to copy into the session's `uploads:`; may be given again."),
    ] = None,
    policy: Annotated[
        Path | None,
        Parameter(help="A policy document in place of the baseline; on a machine that is managed it only narrows."),
    ] = None,
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
    request, made = run_request(plan, folder or [], output_folder or [], policy, hosts=host or [])
    session_folder = _workspace(workspace, upload or [], request, options)
    if session_folder is not None:
        request = msgspec.structs.replace(request, folders=(*request.folders, *session_folder.requests()))
        made.append(session_folder.sentence())
    for sentence in made:
        output.note(sentence)
    if not request.folders:
        output.note("no folder is granted (--folder), so every action on a file will be denied")
    with opened(options, create=True) as app:
        # A folder that can't be granted is named when the task starts.
        folders = [granted.path for granted in request.folders if os.path.isdir(granted.path)]
        for notice in app.policies.standing(folders).notices:
            output.note(notice)
        try:
            return carried(app, options, viewing, answer, request=request)
        except DomainError:
            if session_folder is not None and not _was_granted(app, session_folder):
                session_folder.discard()
            raise


def _workspace(
    wish: list[Path] | None, uploads: list[Path], request: "RunRequest", options: Options
) -> "Workspace | None":
    """Make the session's folder, where one is asked for. Raises `DomainError`; then nothing was made."""
    if wish is None:
        if uploads:
            raise DomainError("invalid", "files to upload need a workspace", "add `--workspace`")
        return None
    if len(wish) > 1:
        raise DomainError("invalid", "a session has one workspace", "give `--workspace` once")
    from datetime import datetime

    from ..bootstrap import default_config_dir, default_workspace_dir
    from .workspace import make_workspace, planned_uploads

    return make_workspace(
        wish[0] if wish else default_workspace_dir(),
        request.planned.plan.title,
        planned_uploads(uploads),
        today=datetime.now().astimezone(),
        closed=(store_folder(options), default_config_dir()),
        folders=request.folders,
    )


def _was_granted(app: "Application", workspace: "Workspace") -> bool:
    """Whether a task was started with the workspace: then it is that task's, whatever went wrong afterwards."""
    paths = {granted.path for granted in workspace.requests()}
    return any(row["root_path"] in paths for row in app.rows("grants"))


def resume(
    task_id: TaskId = "",
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
    with opened(options, absent_is_empty=not task_id) as app:
        if task_id:
            app.task(task_id)
        waiting = [task_id] if task_id else app.resumable()
        if not waiting and not (report_only and options.json):
            if not options.json:
                output.line("nothing to resume")
            return ExitStatus.DONE
        if report_only:
            return reported(app, options, waiting, leave_busy=not task_id)
        return carried(app, options, viewing, answer, task_ids=waiting, leave_busy=not task_id)


def reported(app: "Application", options: Options, task_ids: Sequence[str], *, leave_busy: bool) -> ExitStatus:
    """Print what changed while the tasks did not run: one JSON object of a task that was named, else a list.

    With `leave_busy`, what another process is running, or has ended meanwhile, is named and left alone.
    """
    import anyio

    from ...domain.errors import DomainError
    from ...projections.place_names import names_in_rows
    from .resume_view import report_lines

    reports: list[ResumeReport] = []
    for task_id in task_ids:
        try:
            reports.append(anyio.run(app.resume_report, task_id))
        except DomainError as error:
            if not leave_busy or error.code != "unavailable":
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


def run_request(
    plan: Path, folders: list[str], outputs: list[str], policy: Path | None, *, hosts: Sequence[str] = ()
) -> tuple["RunRequest", list[str]]:
    """Return what the command asks for, and sentences about folders that had to be made. Raises `DomainError`."""
    import anyio

    from ...engine.application import RunRequest
    from ..bootstrap import plan_from_file, root_document
    from .folders import folder_requests, refuse_policy_within

    planned = anyio.run(plan_from_file(plan).plan)
    granted, made = folder_requests(folders, outputs)
    if policy is not None:
        refuse_policy_within(granted, policy)
    own = () if policy is None else (root_document(policy),)
    request = RunRequest(
        planned=planned,
        planner=plan_from_file(plan).name,
        folders=granted,
        hosts=tuple(hosts),
        own=own,
        user=user_name(),
        device=os.uname().nodename,
        platform=sys.platform,
    )
    return request, made


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
