"""`cowork store …`: how large the store is, and letting go of what nothing needs any more."""

from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from . import output
from .exit_status import ExitStatus
from .opening import opened, person, store_folder
from .options import PLAIN_OPTIONS, Options

if TYPE_CHECKING:
    from ...engine.application import CollectionReport, StoreStatus

app = App(name="store", help="See how large the store is, and let go of what nothing needs any more.")

_LARGEST: Final = 10


@app.command(name="status")
def show_status(*, options: Options = PLAIN_OPTIONS) -> None:
    """Show how large the store is, part by part, and which tasks need most of it.

    cowork store status
    cowork store status --json
    """
    import anyio
    import msgspec

    from ..bootstrap import retention

    with opened(options) as engine:
        status = anyio.run(lambda: engine.keeping.status(retention(), tasks_max=_LARGEST))
    status = msgspec.structs.replace(status, folder=str(store_folder(options)))
    if options.json:
        output.document(status)
    else:
        _print_status(status)


@app.command(name="gc")
def collect(
    *,
    dry_run: Annotated[bool, Parameter(name="--dry-run", negative="", help="Only say what would go.")] = False,
    keep_days: Annotated[
        int | None,
        Parameter(help="For how many days after its end a task's bytes are kept; by default the setting, or 90."),
    ] = None,
    max_bytes: Annotated[
        str | None,
        Parameter(
            help="How much may be kept in all, such as `500MB` or `20GB`: where it is more, the tasks that ended first"
            " lose theirs. By default the setting, or 20 GiB.",
        ),
    ] = None,
    options: Options = PLAIN_OPTIONS,
) -> ExitStatus:
    """Let go of contents, deleted files and leftovers that nothing needs any more.

    A task that is open keeps everything. One that has ended keeps what it needs to be undone, and what it brought back,
    for as long as the retention says. The log is never shortened: what was done stays on record.

        cowork store gc --dry-run
        cowork store gc --keep-days 30
        cowork store gc --max-bytes 2GB --json
    """
    import anyio

    from ..bootstrap import retention

    rules = retention(keep_days=keep_days, max_bytes=max_bytes)
    with opened(options) as engine:
        if dry_run:
            report = anyio.run(lambda: engine.keeping.look(rules))
        else:
            report = anyio.run(lambda: engine.keeping.collect(rules, by=person()))
    if options.json:
        output.document(report)
    else:
        _print_report(report)
    return ExitStatus.FAILED if report.problems else ExitStatus.DONE


def _print_status(status: "StoreStatus") -> None:
    from ...projections.measure import count_words, size_words
    from ...projections.visible_text import visible
    from .layout import in_columns

    output.line(visible(status.folder))
    rows = [(part.name, size_words(part.size_bytes), count_words(part.files, "file")) for part in status.parts]
    if status.deleted_in_folders_bytes:
        rows.append(("deleted files in granted folders", size_words(status.deleted_in_folders_bytes), ""))
    for line in in_columns(rows):
        output.line(f"  {line}")
    if status.tasks:
        output.line("tasks that need most:")
        tasks = [
            (task.task_id, size_words(task.needed_bytes), "open" if task.open else "ended", visible(task.title))
            for task in status.tasks
        ]
        for line in in_columns(tasks):
            output.line(f"  {line}")
    kept = f"{count_words(status.keep_days, 'day')} after its end, {size_words(status.bytes_max)} in all"
    output.line(f"`cowork store gc` keeps a task's bytes for {kept}")


def _print_report(report: "CollectionReport") -> None:
    from ...projections.measure import count_words, size_words
    from ...projections.visible_text import visible
    from .layout import in_columns

    verb = "would remove" if report.dry_run else "removed"
    if report.blobs or report.quarantined or report.leftovers:
        parts = [
            (report.blobs, "content", "contents"),
            (report.quarantined, "deleted file or folder", "deleted files and folders"),
            (report.leftovers, "leftover of a command", "leftovers of commands"),
        ]
        said = ", ".join(count_words(number, one, many) for number, one, many in parts if number)
        output.line(f"{verb} {said}: {size_words(report.freed_bytes)}")
    else:
        output.line("nothing would be removed" if report.dry_run else "nothing to remove")
    if report.unreferenced:
        output.line(f"  {count_words(report.unreferenced, 'content')} belonged to nothing on record")
    if report.tasks:
        can = "could no longer be undone" if report.dry_run else "can no longer be undone"
        output.line(f"what these tasks did {can} whole, and some of what they brought back is gone:")
        rows = [
            (
                loss.task_id,
                f"ended {loss.ended_at:%Y-%m-%d}",
                size_words(loss.freed_bytes),
                "too old" if loss.because == "age" else "too much in all",
                visible(loss.title),
            )
            for loss in report.tasks
        ]
        for line in in_columns(rows):
            output.line(f"  {line}")
    output.line(f"{size_words(report.left_bytes)} {'would be' if report.dry_run else 'are'} left")
    if report.too_new_bytes:
        output.line(f"  {size_words(report.too_new_bytes)} of it can go in two hours: it was put a short while ago")
    if not report.within_bytes_max:
        output.note(
            f"that is more than the {size_words(report.bytes_max)} that may be kept: it belongs to open tasks, or was"
            " put a short while ago"
        )
    if report.spared:
        output.note(f"{count_words(report.spared, 'thing')} stayed: needed again meanwhile, or not to be removed")
    for sentence in report.problems:
        output.note(visible(sentence))
