"""The JSON object `ActionOutput`: what an action brought back, described."""

from typing import Literal

import msgspec

from ..domain.effect import Result
from ..domain.task import ActionFailed, ActionSucceeded


class ActionOutput(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an action brought back: digests and sizes, not the bytes. `position` is that of its end in the log."""

    task_id: str
    action_id: str
    outcome: Literal["succeeded", "failed"]
    reason: str = ""
    position: int
    result: Result


def output_of(event: ActionSucceeded | ActionFailed, position: int) -> ActionOutput | None:
    """Return what an action that ended brought back; None for nothing."""
    if event.result is None:
        return None
    has_failed = isinstance(event, ActionFailed)
    return ActionOutput(
        task_id=event.task_id,
        action_id=event.action_id,
        outcome="failed" if has_failed else "succeeded",
        reason=event.reason if isinstance(event, ActionFailed) else "",
        position=position,
        result=event.result,
    )
