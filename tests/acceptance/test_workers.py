"""Several workers on one store, killed and stopped at any moment: every task is carried on by one, and none is lost."""

import json
import random
import signal
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.acceptance.command_place import DISK, RULES
from tests.acceptance.workplace import Forks, Running, Workplace, fork_server, workplace

TASKS: Final = 8
FILES: Final = 12
PLAN: Final = 'title = "Task NUMBER"\n' + "".join(
    f'[[step]]\nid = "s{n}"\naction = {{ kind = "file.create", path = "out/NUMBER-{n}.txt", content = "{n}" }}\n'
    for n in range(FILES)
)
SLOW: Final = """
title = "Slow"
[[step]]
id = "sleep"
action = { kind = "shell.exec", argv = ["sleep", "4"] }
[[step]]
id = "after"
needs = ["sleep"]
action = { kind = "file.list", path = "." }
"""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with fork_server() as server:
        yield server


@pytest.fixture
def place(forks: Forks) -> Iterator[Workplace]:
    with workplace(forks) as made:
        (made.inbox / "out").mkdir()
        yield made


def queued(place: Workplace) -> None:
    place.write({f"{number}.toml": PLAN.replace("NUMBER", str(number)) for number in range(TASKS)})
    plans = [f"{number}.toml" for number in range(TASKS)]
    done = place.run("queue", *plans, "--folder", "inbox", "--output", "inbox/out")
    assert done.status == 0, done


def history(place: Workplace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for task in place.run("task", "list", "--json").json():
        found += [json.loads(line) for line in place.run("replay", task["taskId"], "--json").out.splitlines()]
    return found


def assert_all_is_done_once(place: Workplace) -> None:
    """Every task has completed, every file is there, and no action succeeded twice."""
    tasks = place.run("task", "list", "--json").json()
    assert [task["status"] for task in tasks] == ["completed"] * TASKS
    made = {path.name: path.read_text() for path in (place.inbox / "out").iterdir()}
    assert made == {f"{number}-{n}.txt": str(n) for number in range(TASKS) for n in range(FILES)}
    done = [one["data"]["actionId"] for one in history(place) if one["event"] == "task.action_succeeded"]
    assert len(done) == len(set(done)) == TASKS * FILES
    assert place.run("audit", "check").status == 0


def test_workers_share_the_work_and_one_that_is_killed_leaves_nothing_undone(place: Workplace) -> None:
    queued(place)
    chance = random.Random(20261123)
    before = place.recorded()
    workers = [place.start("work", "--tasks", "2") for _ in range(3)]
    for victim in range(2):
        target = before + chance.randrange(40, 300)
        until = time.monotonic() + 60
        while place.recorded() < target and time.monotonic() < until:
            time.sleep(0.005)
        assert workers[victim].kill().status == -9
        workers[victim] = place.start("work", "--tasks", "2")
    wait_until_idle(place)
    for worker in workers:
        worker.send(signal.SIGTERM)
    ends = [worker.wait() for worker in workers]
    assert [end.status for end in ends] == [0] * 3, ends
    assert_all_is_done_once(place)


def wait_until_idle(place: Workplace) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if {task["status"] for task in place.run("task", "list", "--json").json()} == {"completed"}:
            return
        time.sleep(0.1)


def test_workers_that_end_by_themselves_leave_nothing_undone(place: Workplace) -> None:
    queued(place)
    workers = [place.start("work", "--once") for _ in range(3)]
    ends = [worker.wait() for worker in workers]
    assert [end.status for end in ends] == [0] * 3, ends
    begun = [line for end in ends for line in end.out.splitlines() if "carried on, it was ready" in line]
    assert len(begun) == TASKS
    assert_all_is_done_once(place)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_end_waits_for_what_is_under_way_and_pauses_nothing(
    forks: Forks, number: signal.Signals
) -> None:
    with workplace(forks, DISK) as place:
        place.write({"slow.toml": SLOW, "rules.toml": RULES})
        queue = place.run("queue", "slow.toml", "--folder", "inbox", "--policy", "rules.toml")
        assert queue.status == 0, queue
        worker = place.start("work")
        wait_for(place, "task.action_started")
        worker.send(number)
        ended = worker.wait()
        assert ended.status == 0, ended
        assert "ending after what is under way" in ended.err
        (task,) = place.run("task", "list", "--json").json()
        assert task["status"] == "running"
        names = place.events(task["taskId"])
        assert names.count("task.action_succeeded") == 1
        assert not {"task.paused", "task.interrupted"} & set(names)
        assert place.run("work", "--once").status == 0
        (task,) = place.run("task", "list", "--json").json()
        assert task["status"] == "completed"
        assert place.events(task["taskId"]).count("task.action_started") == 2
        assert place.run("audit", "check").status == 0


def wait_for(place: Workplace, name: str) -> None:
    task_id = place.only_task()
    until = time.monotonic() + 60
    while name not in place.events(task_id) and time.monotonic() < until:
        time.sleep(0.05)


def test_a_worker_that_hears_a_second_signal_leaves_at_once_and_the_next_one_goes_on(place: Workplace) -> None:
    queued(place)
    worker: Running = place.start("work")
    until = time.monotonic() + 60
    while place.recorded() < 60 and time.monotonic() < until:
        time.sleep(0.005)
    worker.send(signal.SIGTERM)
    worker.send(signal.SIGINT)
    assert worker.wait().status in (0, 3)
    assert place.run("work", "--once").status == 0
    assert_all_is_done_once(place)
