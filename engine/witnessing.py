"""What an executor tells while a command runs: its connections go on record, what it prints is passed on."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from ..domain.errors import DomainError
from ..domain.policy_host import is_listed, parse_host
from ..domain.task import RecordConnection, existing
from . import limits
from .command_handler import TASK, CommandHandler, StaleRead, order_task
from .ports import Connection
from .session_view import SessionView, SessionViews

OutputListener: TypeAlias = Callable[[str, Literal["stdout", "stderr"], bytes], None]
"""Shown what a command prints while it runs: the action's id, the stream, masked bytes. Nothing is kept of it."""


class Witnessing:
    """The `Witness` of one attempt. A host whose grant is taken back meanwhile is closed to it from then on."""

    def __init__(
        self,
        handler: CommandHandler,
        views: SessionViews,
        view: SessionView,
        task_id: str,
        action_id: str,
        on_output: OutputListener,
    ) -> None:
        self._handler = handler
        self._views = views
        self._view = view
        self._task_id = task_id
        self._action_id = action_id
        self._on_output = on_output
        self.reached: tuple[str, ...] = ()
        """The places that the attempt was let out to so far."""

    async def connection(self, connection: Connection) -> None:
        """See the port `Witness`. Raises `DomainError` denied for a host that is no longer granted."""
        for _ in range(limits.COMMAND_RETRIES_MAX):
            view = self._views.view_of(existing(self._handler.known(self._task_id, TASK).state))
            closed = connection.is_allowed and self._was_closed(connection, view)
            told = _refused(connection) if closed else connection
            try:
                await self._record(told, view)
            except StaleRead:
                continue
            if closed:
                raise DomainError("denied", told.reason)
            if told.is_allowed:
                self.reached = (*self.reached, f"{told.host}:{told.port}")
            return
        raise DomainError("conflict", "the grants change too often to open a connection under them", "try again")

    def output(self, stream: Literal["stdout", "stderr"], chunk: bytes) -> None:
        """See the port `Witness`."""
        self._on_output(self._action_id, stream, chunk)

    def _was_closed(self, connection: Connection, now: SessionView) -> bool:
        host = parse_host(f"{connection.host}:{connection.port}")
        if host is None:
            return True
        return is_listed(host, self._view.scope.open_hosts) and not is_listed(host, now.scope.open_hosts)

    async def _record(self, connection: Connection, view: SessionView) -> None:
        command = RecordConnection(
            action_id=self._action_id,
            host=connection.host,
            port=connection.port,
            address=connection.address,
            reason_code=connection.reason_code,
            reason=connection.reason,
        )
        order = order_task(self._task_id, command)
        await self._handler.execute(order, actor="engine", cause=self._action_id, guards=view.guards)


def _refused(connection: Connection) -> Connection:
    return msgspec.structs.replace(
        connection, address="", reason_code="net_denied", reason="its grant was taken back while the command ran"
    )
