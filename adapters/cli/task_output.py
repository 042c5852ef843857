"""`cowork task output`: what an action brought back, as it was kept."""

from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from . import output
from .opening import opened
from .options import PLAIN_OPTIONS, Options

if TYPE_CHECKING:
    from ...domain.action import Content
    from ...domain.effect import Result
    from ...domain.task import ActionFailed, ActionSucceeded
    from ...engine.application import Application


class ActionOutput(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an action brought back. `result` has digests and sizes; the bytes themselves are printed with `--raw`."""

    task_id: str
    action_id: str
    outcome: str
    reason: str = ""
    position: int
    result: "Result"


def show_output(
    action_id: Annotated[str, Parameter(help="The action's id, as `cowork task show` and `replay` print it.")],
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
        data = b"" if content is None else engine.result(content.digest)
    if raw:
        output.raw(data)
    else:
        for line in printed_lines(data):
            output.line(line)
    if content is None or not data:
        output.note(f"action {visible(action_id)} brought nothing back here")
    elif cut:
        output.note(f"{cut:,} more bytes were not kept")


def _ended(engine: "Application", action_id: str) -> ActionOutput:
    """Return how an action ended last. Raises `DomainError` not_found, conflict (it has not ended)."""
    from ...domain.errors import DomainError
    from ...domain.task import ActionFailed, ActionSucceeded
    from ...projections.visible_text import visible

    task_id = action_id.rpartition(".")[0]
    name = f"`{visible(action_id)}`"
    if not task_id:
        raise DomainError("invalid", f"{name} is no action's id", "it is a task's id, a dot and a number")
    engine.task(task_id)
    ends = [
        frame.recorded
        for frame in engine.replay(task_id)
        if isinstance(frame.recorded.event, ActionSucceeded | ActionFailed)
        and frame.recorded.event.action_id == action_id
    ]
    if not ends:
        raise DomainError("not_found", f"action {name} has not ended, or there is none", f"cowork task show {task_id}")
    event: ActionSucceeded | ActionFailed = ends[-1].event  # type: ignore[assignment]
    if event.result is None:
        raise DomainError("not_found", f"action {name} brought nothing back", f"cowork task show {task_id}")
    return _described(event, event.result, ends[-1].position)


def _described(event: "ActionSucceeded | ActionFailed", result: "Result", position: int) -> ActionOutput:
    from ...domain.task import ActionFailed

    return ActionOutput(
        task_id=event.task_id,
        action_id=event.action_id,
        outcome="failed" if isinstance(event, ActionFailed) else "succeeded",
        reason=event.reason if isinstance(event, ActionFailed) else "",
        position=position,
        result=result,
    )


def _content(found: ActionOutput, *, stderr: bool) -> "tuple[Content | None, int]":
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
