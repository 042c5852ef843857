"""`cowork task output`: what an action brought back, as it was kept."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from . import output
from .opening import opened
from .options import PLAIN_OPTIONS, Id, Options

if TYPE_CHECKING:
    from ...domain.action import Content
    from ...engine.application import Application
    from ...projections.action_output import ActionOutput


def show_output(
    action_id: Annotated[Id, Parameter(help="The action's id, as `cowork task show` and `replay` print it.")],
    /,
    *,
    stderr: Annotated[
        bool, Parameter(name="--stderr", negative="", help="What a command printed to its standard error.")
    ] = False,
    raw: Annotated[
        bool, Parameter(name="--raw", negative="", help="The very bytes, with nothing written out or added.")
    ] = False,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Print what an action brought back: what a command printed, the body of an answer, what a reading found.

    Control characters are written out, into a pipe as well: a terminal may be at its other end. `--raw` gives the
    bytes as they were kept, secrets masked. With `--json` it is the result's description, without the bytes.

        cowork task output task-06bq2wr0t0x5k9qz.3
        cowork task output task-06bq2wr0t0x5k9qz.3 --stderr
        cowork task output task-06bq2wr0t0x5k9qz.3 --raw > totals.csv
    """
    from ...domain.errors import DomainError
    from ...projections.visible_text import visible
    from .printed_text import printed_lines

    if raw and options.json:
        raise DomainError("invalid", "`--raw` and `--json` exclude each other", "leave one of them out")
    with opened(options) as engine:
        found = _ended(engine, action_id)
        if options.json:
            output.document(found)
            return
        content, cut = _content(found, stderr=stderr)
        data = b"" if content is None else engine.result(content.digest, of=action_id)
    if raw:
        output.raw(data)
    else:
        for line in printed_lines(data):
            output.line(line)
    if content is None or not data:
        output.note(f"action {visible(action_id)} brought nothing back here")
    elif cut:
        output.note(f"{cut:,} more bytes were not kept")


def _ended(engine: "Application", action_id: str) -> "ActionOutput":
    """Return how an action ended last. Raises `DomainError` invalid (no action's id) or not_found."""
    from ...domain.errors import DomainError
    from ...domain.task import ActionFailed, ActionSucceeded
    from ...projections.action_output import output_of
    from ...projections.visible_text import visible

    task_id = action_id.rpartition(".")[0]
    name = f"`{visible(action_id)}`"
    if not task_id:
        raise DomainError("invalid", f"{name} is no action's id", "it is a task's id, a dot and a number")
    engine.task(task_id)
    ends = [
        output_of(recorded.event, recorded.position)
        for recorded in (frame.recorded for frame in engine.replay(task_id))
        if isinstance(recorded.event, ActionSucceeded | ActionFailed) and recorded.event.action_id == action_id
    ]
    if not ends:
        raise DomainError("not_found", f"action {name} has not ended, or there is none", f"cowork task show {task_id}")
    if ends[-1] is None:
        raise DomainError("not_found", f"action {name} brought nothing back", f"cowork task show {task_id}")
    return ends[-1]


def _content(found: "ActionOutput", *, stderr: bool) -> "tuple[Content | None, int]":
    """Return what was kept of one stream and how many bytes were not. Raises `DomainError` invalid."""
    from ...domain.action import Content
    from ...domain.errors import DomainError

    result = found.result
    if result.command is not None:
        printed = result.command.stderr if stderr else result.command.stdout
        return printed.content, printed.cut
    if stderr:
        raise DomainError("invalid", f"action `{found.action_id}` is no command", "leave `--stderr` out")
    return (Content(result.digest, result.size) if result.digest else None), 0
