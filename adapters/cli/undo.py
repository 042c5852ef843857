"""`cowork undo …`: taking back what a task or one action changed, and nothing else."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from . import output
from .exit_status import ExitStatus
from .layout import plural
from .opening import opened, person
from .options import DEFAULT_VIEWING, PLAIN_OPTIONS, AnswerOption, Id, Options, Viewing
from .run import carried

if TYPE_CHECKING:
    from ...engine.application import Application, UndoDeed, UndoLine, UndoReport
    from ...projections.place_names import PlaceNames

_WORDS: Final[dict["UndoDeed", str]] = {
    "remove": "remove",
    "put_back": "put back",
    "move_back": "move back",
    "write_back": "write back",
    "merge": "merge",
    "set_mode": "set mode",
    "move_aside": "move aside",
    "gone": "gone",
    "left": "left",
}


def undo(
    name: Annotated[Id, Parameter(help="The id of a task that has ended, or of one of its actions.")],
    /,
    *,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Only say what would be taken back, and what would be left and why.")
    ] = False,
    policy: Annotated[
        Path | None, Parameter(help="A policy document in place of the one that the task ran under.")
    ] = None,
    answer: AnswerOption = "ask",
    viewing: Viewing = DEFAULT_VIEWING,
    options: Options = PLAIN_OPTIONS,
) -> ExitStatus:
    """Take back what a task and its subagents changed, or what one action did; what you changed since stays.

    A file that changed since is merged where it is text and the two changes do not meet; else it is left and named.
    An undo is a task of its own: it asks where the rules say so, can be resumed, and can be undone.

        cowork undo task-06bq2wr0t0x5k9qz --dry-run
        cowork undo task-06bq2wr0t0x5k9qz
        cowork undo task-06bq2wr0t0x5k9qz.4
    """
    import anyio

    from ..bootstrap import root_document

    own = None if policy is None else (root_document(policy),)
    with opened(options) as app:
        report = anyio.run(lambda: app.undo(name, by=person(), own=own, dry_run=dry_run, to_carry_on=True))
        left = ExitStatus.CONFLICT if report.left else ExitStatus.DONE
        if not options.json:
            _print_report(report, dry_run=dry_run)
        elif dry_run or not report.task_id:
            output.document(report)
        else:
            output.object_line(report)
        if not report.task_id:
            return ExitStatus.DONE if dry_run else left
        status = carried(app, options, viewing, answer, task_ids=[report.task_id])
        if status == ExitStatus.DONE:
            if report.left and not options.json:
                output.line(f"{plural(len(report.left), 'thing')} left as they are: see above")
            return left
        return _unfinished(app, report.task_id, options) if status == ExitStatus.FAILED else status


def _unfinished(app: "Application", task_id: str, options: Options) -> ExitStatus:
    """Say what of an undo could not be done, and return what that is: a conflict, where things changed meanwhile."""
    from ...projections.place_names import names_in_rows
    from ...projections.row import text_of
    from ...projections.summary_words import action_words
    from ...projections.task_actions import outcome_in

    names = names_in_rows(app.rows("grants", {"session_id": app.task(task_id).session_id}))
    rows = [row for row in app.rows("actions", {"task_id": task_id}) if row["outcome"] != "succeeded"]
    for row in rows if not options.json else ():
        output.line(f"  left       {action_words(row, outcome_in(row), names)}")
    output.flush()
    codes = {text_of(row, "outcome_code") for row in rows}
    return ExitStatus.CONFLICT if codes <= {"conflict", "not_found"} else ExitStatus.FAILED


def _print_report(report: "UndoReport", *, dry_run: bool) -> None:
    from ...projections.place_names import PlaceNames
    from ...projections.visible_text import visible

    would = "would undo" if dry_run else "undoing"
    if not report.lines:
        output.line(f"nothing to undo: {report.undoes} changed no file, or everything is as it was before")
        return
    output.line(f'{would} {report.undoes} "{visible(report.title)}"')
    names = PlaceNames(next(iter(report.folders), ""), report.folders)
    for line in report.lines:
        output.line(f"  {_WORDS[line.deed]:<11}{_line(line, names)}")
    if not report.done:
        output.line("nothing of it can be taken back" if report.left else "all of it is as it was before")
    output.flush()


def _line(line: "UndoLine", names: "PlaceNames") -> str:
    from ...projections.visible_text import visible

    places = [visible(names.at(at)) for at in (line.at, line.to) if at is not None]
    if len(places) < 2:
        text = "".join(places)
    elif line.deed == "left":
        text = f"{places[0]} (it was {places[1]})"
    else:
        text = f"{places[0]} -> {places[1]}"
    return f"{text}{': ' if text and line.reason else ''}{visible(line.reason)}"
