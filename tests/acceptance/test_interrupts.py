"""What other processes do while a task runs or waits: it takes effect after the action at hand, and nothing is lost."""

import json
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from cowork.domain.action import FileDelete, Location
from tests.acceptance.engine import MovableClock, Person, opened_engine
from tests.acceptance.workplace import Ended, Forks, Running, Workplace, fork_server, workplace

FILES: Final = 600
MOVE_ALL: Final = """
title = "Move all"
[[step]]
id = "move"
action = { kind = "file.move", match = "*.txt", to = "moved/" }
"""
OVERWRITE: Final = """
title = "Overwrite"
[[step]]
id = "write"
action = { kind = "file.write", path = "a.txt", content = "the agent's" }
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with fork_server() as server:
        yield server


@pytest.fixture
def place(forks: Forks) -> Iterator[Workplace]:
    with workplace(forks) as made:
        made.write({"overwrite.toml": OVERWRITE, "move.toml": MOVE_ALL, "inbox/a.txt": "a\n"})
        yield made


def moving(place: Workplace) -> tuple[Running, str]:
    """Start a run that moves hundreds of files, and hold it still in the middle of them; return it and its task."""
    place.write({f"inbox/f{number:03}.txt": f"{number}\n" for number in range(FILES - 1)})
    running = place.start("run", "move.toml", "--folder", "inbox", "--answer", "approve", "--plain")
    until = time.monotonic() + 30
    # Two events tell of each proposal, and two of each move.
    while place.recorded() < 2 * FILES + 40 and time.monotonic() < until:
        time.sleep(0.001)
    running.send(signal.SIGSTOP)
    while place.is_being_written():
        running.send(signal.SIGCONT)
        time.sleep(0.0005)
        running.send(signal.SIGSTOP)
    return running, place.only_task()


def let_go(running: Running) -> Ended:
    """Let the held run go on, and wait for its end."""
    running.send(signal.SIGCONT)
    return running.wait()


def moved(place: Workplace) -> int:
    """Return how many files have been moved; every file is in one place and whole."""
    moved = sorted(path.name for path in (place.inbox / "moved").iterdir())
    left = sorted(path.name for path in place.inbox.glob("*.txt"))
    assert sorted(moved + left) == sorted(["a.txt", *(f"f{number:03}.txt" for number in range(FILES - 1))])
    assert all((place.inbox / "moved" / name).read_text() == f"{int(name[1:4])}\n" for name in moved if name != "a.txt")
    return len(moved)


def history(place: Workplace, task_id: str) -> list[dict[str, Any]]:
    """Return the events of a task's history."""
    return [json.loads(line) for line in place.run("replay", task_id, "--json").out.splitlines()]


def assert_every_start_has_an_outcome(events: list[dict[str, Any]]) -> None:
    outcomes = ("task.action_succeeded", "task.action_failed")
    started = [one["data"]["actionId"] for one in events if one["event"] == "task.action_started"]
    ended = [one["data"]["actionId"] for one in events if one["event"] in outcomes]
    assert sorted(started) == sorted(ended)
    assert len(set(started)) == len(started)


def position_of(events: list[dict[str, Any]], name: str) -> int:
    (position,) = (one["position"] for one in events if one["event"] == name)
    return int(position)


def test_a_task_is_run_by_one_process_and_the_second_is_told_so(place: Workplace) -> None:
    running, task_id = moving(place)
    second = place.run("resume", task_id, "--answer", "approve")
    all_of_them = place.run("resume", "--answer", "approve")
    first = let_go(running)
    assert first.status == 0, first.err
    assert second.status == 1
    assert second.err.startswith(f"error: task `{task_id}` is being run by another process")
    assert all_of_them.status == 0
    assert "left alone" in all_of_them.err
    assert moved(place) == FILES
    assert_every_start_has_an_outcome(history(place, task_id))
    assert place.run("audit", "check").status == 0


def test_a_pause_from_elsewhere_takes_effect_after_the_action_at_hand(place: Workplace) -> None:
    running, task_id = moving(place)
    assert place.run("task", "pause", task_id, "--reason", "lunch").status == 0
    ended = let_go(running)
    assert ended.status == 3, ended
    assert "lunch" in ended.out
    events = history(place, task_id)
    paused = position_of(events, "task.paused")
    assert 0 < moved(place) < FILES
    assert_every_start_has_an_outcome(events)
    assert not [e for e in events if e["event"] == "task.action_started" and e["position"] > paused]
    assert place.run("resume", task_id).status == 0
    assert moved(place) == FILES
    assert_every_start_has_an_outcome(history(place, task_id))
    assert place.run("audit", "check").status == 0


def test_a_cancel_from_elsewhere_ends_the_task_and_leaves_no_action_without_an_outcome(place: Workplace) -> None:
    running, task_id = moving(place)
    assert place.run("task", "cancel", task_id, "--reason", "wrong folder").status == 0
    ended = let_go(running)
    assert ended.status == 4, ended
    done = moved(place)
    assert 0 < done < FILES
    events = history(place, task_id)
    cancelled = position_of(events, "task.cancelled")
    assert not [e for e in events if e["event"] == "task.action_started" and e["position"] > cancelled]
    assert_every_start_has_an_outcome(events)
    assert place.run("resume", task_id).status == 5
    assert moved(place) == done
    assert place.run("audit", "check").status == 0


def test_nothing_starts_under_a_grant_that_was_revoked_while_the_task_runs(place: Workplace) -> None:
    running, task_id = moving(place)
    (grant,) = place.run("grant", "list", "--json").json()
    assert place.run("grant", "revoke", grant["id"]).status == 0
    ended = let_go(running)
    assert ended.status in (1, 4), ended
    events = history(place, task_id)
    revoked = position_of(events, "grant.revoked")
    assert not [e for e in events if e["event"] == "task.action_started" and e["position"] > revoked]
    assert 0 < moved(place) < FILES
    assert_every_start_has_an_outcome(events)
    refused = [e for e in events if e["event"] == "task.action_declined"]
    assert {e["data"]["reasonCode"] for e in refused} == {"no_grant"}
    assert len(refused) == FILES - moved(place)
    assert place.run("audit", "check").status == 0


def test_a_revoked_grant_stops_an_action_that_was_approved_and_waits(place: Workplace) -> None:
    place.run("run", "overwrite.toml", "--folder", "inbox", "--answer", "wait")
    task_id = place.only_task()
    (question,) = place.questions()
    assert place.approve(question).status == 0
    (grant,) = place.run("grant", "list", "--json").json()
    assert place.run("grant", "revoke", grant["id"]).status == 0
    ended = place.run("resume", task_id, "--answer", "approve")
    assert ended.status in (1, 4), ended
    assert (place.inbox / "a.txt").read_text() == "a\n"
    assert "task.action_started" not in place.events(task_id)
    assert place.run("audit", "check").status == 0


def test_an_approval_given_when_nobody_runs_the_task_is_used_by_the_next_who_does(place: Workplace) -> None:
    waiting = place.run("run", "overwrite.toml", "--folder", "inbox", "--answer", "wait")
    assert waiting.status == 3
    (question,) = place.questions()
    assert place.approve(question).status == 0
    assert (place.inbox / "a.txt").read_text() == "a\n"
    assert place.approve(question).status == 5
    assert place.run("resume", place.only_task()).status == 0
    assert (place.inbox / "a.txt").read_text() == "the agent's"


def test_a_file_that_changed_after_the_approval_is_asked_about_and_not_overwritten(place: Workplace) -> None:
    place.run("run", "overwrite.toml", "--folder", "inbox", "--answer", "wait")
    task_id = place.only_task()
    (question,) = place.questions()
    assert place.approve(question).status == 0
    place.write({"inbox/a.txt": "the user's own words\n"})
    assert place.run("resume", task_id, "--answer", "wait").status == 3
    assert (place.inbox / "a.txt").read_text() == "the user's own words\n"
    (again,) = place.questions()
    assert again["confirmationId"] != question["confirmationId"]
    (changed,) = (block["lines"] for block in again["card"]["blocks"] if block["role"] == "changed")
    assert any("`a.txt` has changed" in line for line in changed)
    assert place.approve(again).status == 0
    assert place.run("resume", task_id).status == 0
    assert (place.inbox / "a.txt").read_text() == "the agent's"
    assert place.events(task_id).count("task.action_started") == 1
    assert place.run("audit", "check").status == 0


@pytest.mark.anyio
async def test_a_question_that_nobody_answered_in_time_is_a_no(place: Workplace) -> None:
    clock = MovableClock()
    clock.later = timedelta(hours=-25)
    with opened_engine(place.store, clock=clock) as engine:
        task_id = await engine.start(FileDelete(at=Location("", "a.txt")), folders=(place.inbox,))
        await engine.app.carry_on(task_id, Person())
    (question,) = place.questions()
    late = place.approve(question)
    assert late.status == 5, late
    assert "expired" in late.err
    ended = place.run("resume", task_id, "--answer", "approve")
    assert ended.status in (1, 4), ended
    assert (place.inbox / "a.txt").exists()
    assert "confirmation.expired" in place.events(task_id)
    assert "task.action_started" not in place.events(task_id)
    assert place.run("audit", "check").status == 0


def test_a_process_that_dies_at_its_question_leaves_it_open(place: Workplace) -> None:
    waiting = place.run("run", "overwrite.toml", "--folder", "inbox", "--answer", "wait")
    assert waiting.status == 3
    task_id = place.only_task()
    running = place.start("resume", task_id, "--answer", "wait")
    running.kill()
    (question,) = place.questions()
    assert place.run("resume", task_id, "--answer", "wait").status == 3
    assert [one["confirmationId"] for one in place.questions()] == [question["confirmationId"]]
    assert (place.inbox / "a.txt").read_text() == "a\n"
    assert Path(place.store).exists()
