"""The rows that a digest is made of: what happened since, and what stands open now."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from ..domain.ids import task_chain
from ..domain.task import FINAL_STATUSES
from .confirmation_inbox import titles_in
from .place_names import PlaceNames, names_in_rows
from .row import Row, micros, number_of, text_of
from .row_source import RowSource


class DigestRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of `digest_items` since then, of `tasks` by id, of `confirmations`, and of what the items are about.

    `questions` are those that wait for an answer and those that expired since. `actions` are by their ids, `steps` (of
    `summary_steps`) by task and step; `names` are the place names of each session that any of this is about, `titles`
    those of tasks. `changes` counts the changes to files of each task that ended since then or has not ended yet.
    """

    items: Sequence[Row]
    tasks: Mapping[str, Row]
    questions: Sequence[Row]
    actions: Mapping[str, Row]
    steps: Mapping[tuple[str, str], Row]
    names: Mapping[str, PlaceNames]
    titles: Mapping[str, str]
    changes: Mapping[str, int]


def digest_rows(rows: RowSource, *, since: int = 0, since_at: datetime | None = None) -> DigestRows:
    """Return what happened after the position `since`, and at `since_at` or later."""
    from_at = 0 if since_at is None else micros(since_at)
    items = [
        row for row in rows("digest_items") if number_of(row, "position") > since and number_of(row, "at") >= from_at
    ]
    with_actions = {text_of(row, "task_id") for row in items if text_of(row, "kind") == "action"}
    with_steps = {text_of(row, "task_id") for row in items if text_of(row, "kind") == "step"}
    expired = {text_of(row, "subject") for row in items if text_of(row, "kind") == "expired"}
    tasks = {text_of(row, "task_id"): row for row in rows("tasks")}
    sessions = {text_of(tasks[task_id], "session_id") for task_id in with_actions}
    return DigestRows(
        items=items,
        tasks=tasks,
        questions=[
            *rows("confirmations", {"status": "pending"}),
            *(row for name in sorted(expired) for row in rows("confirmations", {"confirmation_id": name})),
        ],
        actions={
            text_of(row, "action_id"): row
            for task_id in sorted(with_actions)
            for row in rows("actions", {"task_id": task_id})
        },
        steps={
            (task_id, text_of(row, "step_id")): row
            for task_id in sorted(with_steps)
            for row in rows("summary_steps", {"task_id": task_id})
        },
        titles=titles_in(tasks.values()),
        changes={task_id: _changes(rows, task_id) for task_id in sorted(_told_about(items, tasks))},
        names={one: names_in_rows(rows("grants", {"session_id": one})) for one in sorted(sessions)},
    )


def _told_about(items: Sequence[Row], tasks: Mapping[str, Row]) -> set[str]:
    """Return the tasks that ended and those that have not, with all beneath them."""
    ended = {text_of(row, "task_id") for row in items if text_of(row, "kind") == "ended"}
    still_open = {task_id for task_id, row in tasks.items() if text_of(row, "status") not in FINAL_STATUSES}
    return {task_id for task_id in tasks if not (ended | still_open).isdisjoint(task_chain(task_id))}


def _changes(rows: RowSource, task_id: str) -> int:
    where = {"task_id": task_id}
    return sum(1 for row in rows("actions", where) if text_of(row, "change")) + len(rows("more_effects", where))
