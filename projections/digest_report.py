"""The JSON object `Digest`: what happened while nobody looked, and what waits for a person, made of rows."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from ..domain.confirmation import DIGEST_PREFIX_MIN
from ..domain.ids import task_chain
from ..domain.task import FAILURE_CODES, FINAL_STATUSES, TaskStatus
from .confirmation_inbox import AskedBy, Confirmation, asking_chain, confirmation_of
from .digest_rows import DigestRows
from .outcome import Outcome
from .place_names import NO_NAMES
from .row import Row, choice_of, number_of, positions_of, rfc3339, text_of, time_of
from .summary_words import action_words, advice_words, step_words
from .task_actions import POSITIONS as ACTION_POSITIONS
from .task_actions import outcome_in
from .task_status import Task, task_of

_REFUSED: Final[frozenset[Outcome]] = frozenset(["denied", "rejected"])
_SKIPPED: Final[frozenset[Outcome]] = frozenset(["skipped", "withdrawn"])


class DigestTask(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A task that ended since then, or that is not ended yet. `to_do` is the command to look at it or to go on.

    `chain` leads from the task that a person started to this one. `waits_for_it` says that a person has to do that.
    `file_changes` counts what it and all beneath it changed.
    """

    task_id: str
    chain: tuple[AskedBy, ...]
    title: str
    status: TaskStatus
    interrupted: bool = False
    at: str
    reason: str
    waits_for_it: bool = False
    file_changes: int
    to_do: str
    positions: tuple[int, ...]


class DigestQuestion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A question that waits for an answer. `digest` is as much of it as an answer has to give.

    `is_new` says that it was put since then; `to_show` is the command that shows all of it, `to_answer` those that
    answer it: a person should look at the first before giving one of the others.
    """

    confirmation_id: str
    task_id: str
    chain: tuple[AskedBy, ...]
    headline: str
    purpose: str
    risk_tags: tuple[str, ...]
    digest: str
    requested_at: str
    expires_at: str
    is_new: bool
    to_show: str
    to_answer: tuple[str, ...]
    positions: tuple[int, ...]


class DigestLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that was not done, or of which nobody knows, in a sentence, with what a person can do about it."""

    at: str
    task_id: str
    chain: tuple[AskedBy, ...]
    action_id: str | None = None
    step_id: str | None = None
    confirmation_id: str | None = None
    text: str
    to_do: str
    positions: tuple[int, ...]


class Digest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What happened after the position `since` (and not before `since_at`), and what waits for a person at `at`.

    `ended` are the tasks that ended, subagents' included; `open` those of all times that have not, without subagents'.
    `waiting` are all questions that wait, those that expire first at the top; `expired` those that nobody answered in
    time. What was not done is in `denied` (by policy or a person), `skipped` (the plan says to go on without asking, or
    it was taken back) and `failed`; `unknown` is what nobody knows about and still has to be cleared up. `stopped` are
    pauses and interruptions, `budget_stops` where a budget was used up.
    """

    since: int
    since_at: str | None
    at: str
    ended: tuple[DigestTask, ...]
    open: tuple[DigestTask, ...]
    waiting: tuple[DigestQuestion, ...]
    expired: tuple[DigestLine, ...]
    unknown: tuple[DigestLine, ...]
    denied: tuple[DigestLine, ...]
    skipped: tuple[DigestLine, ...]
    failed: tuple[DigestLine, ...]
    budget_stops: tuple[DigestLine, ...]
    stopped: tuple[DigestLine, ...]


def digest_of(rows: DigestRows, *, since: int = 0, since_at: datetime | None = None, now: datetime) -> Digest:
    """Return the digest of rows that were read with the same `since` and `since_at`."""
    questions = _questions(rows, now)
    by_outcome: dict[Outcome, list[DigestLine]] = {}
    for outcome, line in _actions(rows):
        by_outcome.setdefault(outcome, []).append(line)
    steps = list(_steps(rows))
    return Digest(
        since=since,
        since_at=None if since_at is None else rfc3339(since_at),
        at=rfc3339(now),
        ended=tuple(_ended(rows)),
        open=tuple(_open(rows)),
        waiting=tuple(_waiting(one, since, since_at) for one in questions if one.status == "pending"),
        expired=tuple(_expired(one) for one in questions if one.status == "expired"),
        unknown=tuple(by_outcome.get("unknown", ())),
        denied=_in_order(by_outcome, _REFUSED),
        skipped=(*_in_order(by_outcome, _SKIPPED), *(line for is_left_out, line in steps if is_left_out)),
        failed=(*by_outcome.get("failed", ()), *(line for is_left_out, line in steps if not is_left_out)),
        budget_stops=tuple(_stops(rows, "budget")),
        stopped=tuple(_stops(rows, "stopped")),
    )


def _in_order(by_outcome: dict[Outcome, list[DigestLine]], outcomes: frozenset[Outcome]) -> tuple[DigestLine, ...]:
    lines = (line for outcome in outcomes for line in by_outcome.get(outcome, ()))
    return tuple(sorted(lines, key=lambda line: line.positions[-1]))


def _of_kind(rows: DigestRows, kind: str) -> Iterator[Row]:
    return (row for row in rows.items if text_of(row, "kind") == kind)


def _chain(rows: DigestRows, task_id: str) -> tuple[AskedBy, ...]:
    return asking_chain(task_id, rows.titles)


# Tasks


def _ended(rows: DigestRows) -> Iterator[DigestTask]:
    for item in _of_kind(rows, "ended"):
        task_id = text_of(item, "task_id")
        status: TaskStatus = choice_of(item, "status", TaskStatus)
        yield DigestTask(
            task_id=task_id,
            chain=_chain(rows, task_id),
            title=text_of(rows.tasks[task_id], "title"),
            status=status,
            at=time_of(item, "at"),
            reason=text_of(item, "reason"),
            file_changes=_file_changes(rows, task_id),
            to_do=f"cowork task summary {task_id}",
            positions=positions_of(item, "position"),
        )


def _open(rows: DigestRows) -> Iterator[DigestTask]:
    for row in sorted(rows.tasks.values(), key=lambda row: number_of(row, "created_position")):
        if text_of(row, "parent_task_id") or text_of(row, "status") in FINAL_STATUSES:
            continue
        task = task_of(row)
        yield DigestTask(
            task_id=task.task_id,
            chain=_chain(rows, task.task_id),
            title=task.title,
            status=task.status,
            interrupted=task.interrupted,
            at=task.updated_at,
            reason=", ".join(task.waiting_for),
            waits_for_it=task.status in ("paused", "budget_exhausted", "awaiting_confirmation"),
            file_changes=_file_changes(rows, task.task_id),
            to_do=_to_do(task),
            positions=(task.position,),
        )


def _file_changes(rows: DigestRows, task_id: str) -> int:
    """Return how many changes a task and all beneath it made."""
    return sum(count for one, count in rows.changes.items() if task_id in task_chain(one))


def _to_do(task: Task) -> str:
    if task.exhausted is not None:
        return task.exhausted.to_do
    if task.status == "awaiting_confirmation":
        return "cowork confirmation list"
    return f"cowork resume {task.task_id}"


def _stops(rows: DigestRows, kind: str) -> Iterator[DigestLine]:
    for item in _of_kind(rows, kind):
        task_id = text_of(item, "task_id")
        task = task_of(rows.tasks[task_id])
        still = task.status == ("budget_exhausted" if kind == "budget" else "paused")
        word = text_of(item, "status").replace("_", " ")
        yield DigestLine(
            at=time_of(item, "at"),
            task_id=task_id,
            chain=_chain(rows, task_id),
            text=f"{word}: {text_of(item, 'reason')}",
            to_do=_to_do(task) if still else f"nothing: it is {task.status.replace('_', ' ')} now",
            positions=positions_of(item, "position"),
        )


# Questions


def _questions(rows: DigestRows, now: datetime) -> list[Confirmation]:
    """Return each question once, those that expire first at the top; one whose time is over is expired."""
    known = {text_of(row, "confirmation_id"): row for row in rows.questions}
    told = (confirmation_of(row, now, rows.titles) for row in known.values())
    return sorted(told, key=lambda one: (one.expires_at, one.positions))


def _waiting(one: Confirmation, since: int, since_at: datetime | None) -> DigestQuestion:
    short = one.digest.removeprefix("sha256:")[:DIGEST_PREFIX_MIN]
    is_late = since_at is None or one.requested_at >= rfc3339(since_at)
    return DigestQuestion(
        confirmation_id=one.confirmation_id,
        task_id=one.task_id,
        chain=one.chain,
        headline=one.card.headline,
        purpose=one.purpose,
        risk_tags=one.risk_tags,
        digest=short,
        requested_at=one.requested_at,
        expires_at=one.expires_at,
        is_new=is_late and one.positions[0] > since,
        to_show=f"cowork confirmation show {one.confirmation_id}",
        to_answer=_answers(one, short),
        positions=one.positions,
    )


def _answers(one: Confirmation, digest: str) -> tuple[str, ...]:
    yes, no = (f"cowork confirmation {verb} {one.confirmation_id} --digest {digest}" for verb in ("approve", "reject"))
    if one.purpose == "unknown_outcome":
        return tuple(f"{yes} {option}" for option in ("--happened", "--did-not-happen", "--try-again"))
    return yes, no


def _expired(one: Confirmation) -> DigestLine:
    return DigestLine(
        at=one.answered_at or one.expires_at,
        task_id=one.task_id,
        chain=one.chain,
        step_id=one.step_id,
        confirmation_id=one.confirmation_id,
        text=f"nobody answered in time: {one.card.headline}",
        to_do="run the task again and answer in time",
        positions=one.positions,
    )


# What was not done


def _actions(rows: DigestRows) -> Iterator[tuple[Outcome, DigestLine]]:
    """Yield the actions that something befell since then, each once, as it stands now."""
    last = {text_of(item, "subject"): item for item in _of_kind(rows, "action")}
    for action_id, item in last.items():
        row, task_id = rows.actions[action_id], text_of(item, "task_id")
        names = rows.names.get(text_of(rows.tasks[task_id], "session_id"), NO_NAMES)
        outcome = outcome_in(row)
        if outcome == "unknown" and number_of(row, "ended_position"):
            continue
        # What was denied because the world is not as the plan expects was forbidden by nobody: its step failed.
        has_failed = outcome == "denied" and text_of(row, "outcome_code") in FAILURE_CODES
        yield (
            "failed" if has_failed else outcome,
            DigestLine(
                at=time_of(item, "at"),
                task_id=task_id,
                chain=_chain(rows, task_id),
                action_id=action_id,
                step_id=text_of(row, "step_id"),
                text=action_words(row, outcome, names),
                to_do=advice_words(row, outcome),
                positions=positions_of(row, *ACTION_POSITIONS),
            ),
        )


def _steps(rows: DigestRows) -> Iterator[tuple[bool, DigestLine]]:
    """Yield the steps that were not begun, each with whether it was only left out, because of one that it needs."""
    for item in _of_kind(rows, "step"):
        task_id, step_id = text_of(item, "task_id"), text_of(item, "subject")
        row = rows.steps[task_id, step_id]
        text, _, to_do = step_words(row).partition(". To do: ")
        yield (
            not text_of(row, "skipped_code"),
            DigestLine(
                at=time_of(item, "at"),
                task_id=task_id,
                chain=_chain(rows, task_id),
                step_id=step_id,
                text=text,
                to_do=to_do,
                positions=positions_of(item, "position"),
            ),
        )
