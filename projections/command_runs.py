"""What a summary says of commands: how each ended, what it was not shown, what could not be kept, whom it reached."""

from collections.abc import Iterator, Sequence

import msgspec

from ..domain.reason import ReasonCode
from .row import Row, choice_of, number_of, positions_of, text_of
from .task_actions import POSITIONS as ACTION_POSITIONS
from .task_actions import report_in


class ConnectionLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A host that a command asked to reach, and how often. `refused` says why it was not reached."""

    host: str
    port: int
    times: int
    addresses: tuple[str, ...] = ()
    refused: str | None = None
    reason_code: ReasonCode | None = None
    positions: tuple[int, ...]


class CommandRun(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One command. Neither `exit_code` nor `signal` is there where a bound ended it, or where it has not ended.

    `hidden` counts the files and folders that policy kept from it, `left_out` says what of its changes can be no
    action, and `cut_bytes` how much of its output was let go.
    """

    action_id: str
    step_id: str
    exit_code: int | None = None
    signal: int | None = None
    milliseconds: int = 0
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    cut_bytes: int = 0
    hidden: int = 0
    left_out: tuple[str, ...] = ()
    bytes_sent: int = 0
    bytes_received: int = 0
    connections: tuple[ConnectionLine, ...] = ()
    positions: tuple[int, ...]


def command_runs(actions: Sequence[Row], connections: Sequence[Row]) -> Iterator[CommandRun]:
    """Yield the commands among rows of `actions`, each with its rows of `connections`, in the order of `actions`."""
    reached: dict[str, list[Row]] = {}
    for row in sorted(connections, key=lambda row: number_of(row, "position")):
        reached.setdefault(text_of(row, "action_id"), []).append(row)
    for row in actions:
        action_id = text_of(row, "action_id")
        report, asked = report_in(row), reached.get(action_id, [])
        if report is None and not asked:
            continue
        run = CommandRun(
            action_id=action_id,
            step_id=text_of(row, "step_id"),
            connections=tuple(_connection_lines(asked)),
            positions=positions_of(row, *ACTION_POSITIONS),
        )
        if report is not None:
            run = msgspec.structs.replace(
                run,
                exit_code=report.exit_code,
                signal=report.signal,
                milliseconds=report.milliseconds,
                stdout_bytes=report.stdout.content.size,
                stderr_bytes=report.stderr.content.size,
                cut_bytes=report.stdout.cut + report.stderr.cut,
                hidden=report.hidden,
                left_out=report.left_out,
                bytes_sent=report.bytes_sent,
                bytes_received=report.bytes_received,
            )
        yield run


def _connection_lines(rows: Sequence[Row]) -> Iterator[ConnectionLine]:
    """Yield a line for each host and answer: a command may ask for the same one a hundred times."""
    alike: dict[tuple[str, int, str, str], list[Row]] = {}
    for row in rows:
        same = (text_of(row, "host"), number_of(row, "port"), text_of(row, "reason_code"), text_of(row, "reason"))
        alike.setdefault(same, []).append(row)
    for (host, port, code, reason), group in alike.items():
        refused: ReasonCode | None = choice_of(group[0], "reason_code", ReasonCode) if code else None
        yield ConnectionLine(
            host=host,
            port=port,
            times=len(group),
            addresses=tuple(dict.fromkeys(text_of(row, "address") for row in group if text_of(row, "address"))),
            refused=reason if refused else None,
            reason_code=refused,
            positions=tuple(number_of(row, "position") for row in group),
        )
