"""What a pause, a cancellation, a revocation and a kill do to a command that is running, and to what it changed."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.command_place import DISK, RULES, processes_about
from tests.acceptance.workplace import Ended, Forks, Running, Workplace, fork_server, workplace

PLAN: Final = r"""
title = "Change slowly"

[[step]]
id = "change"
[step.action]
kind = "shell.exec"
argv = ["sh", "-c", "printf new > reports/new.md; printf more >> a.txt; rm b.txt; sleep MARK; echo over"]
writes = "staged"

[[step]]
id = "after"
action = { kind = "file.create", path = "reports/after.md", content = "after" }
"""
RUN: Final = (
    *("run", "plan.toml", "--folder", "inbox", "--output", "inbox/reports", "--policy", "rules.toml"),
    *("--answer", "approve", "--plain"),
)
BEFORE: Final = {"a.txt": "a", "b.txt": "b"}
CHANGED: Final = {"a.txt": "amore", "reports/new.md": "new", "reports/after.md": "after"}


class Sleeper(Workplace):
    """A workplace whose one command sleeps until it is woken."""

    mark = ""

    def sleepers(self) -> list[int]:
        """Return the processes that sleep in a sandbox of this place."""
        wanted = f"sleep\0{self.mark}\0".encode()
        found: list[int] = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if Path("/proc", name, "cmdline").read_bytes() == wanted:
                    found.append(int(name))
            except OSError:
                continue
        return found

    def begin(self, *arguments: str) -> Running:
        """Start a run and return when its command sleeps."""
        running = self.start(*(arguments or RUN))
        until = time.monotonic() + 60
        while not self.sleepers() and time.monotonic() < until:
            time.sleep(0.005)
        assert self.sleepers(), (self.folder / "err-1").read_text()
        return running

    def wake(self) -> None:
        """Let the command go on."""
        for pid in self.sleepers():
            os.kill(pid, signal.SIGKILL)

    def files(self) -> dict[str, str]:
        """Return what is in the folder."""
        paths = (path for path in self.inbox.rglob("*") if path.is_file())
        return {str(path.relative_to(self.inbox)): path.read_text() for path in paths}

    def history(self) -> list[dict[str, Any]]:
        """Return the events of the one task."""
        return [json.loads(line) for line in self.run("replay", self.only_task(), "--json").out.splitlines()]

    def assert_nothing_is_left(self) -> None:
        """No process, no area, and an audit without a finding."""
        assert processes_about(self.folder) == []
        assert list((self.store / "commands").iterdir()) == []
        assert self.run("audit", "check").status == 0


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with fork_server() as server:
        yield server


@pytest.fixture
def place(forks: Forks) -> Iterator[Sleeper]:
    with workplace(forks, DISK) as plain:
        made = Sleeper(forks, plain.folder)
        made.mark = f"600.{os.getpid()}{time.monotonic_ns() % 10**9}"
        made.write({"plan.toml": PLAN.replace("MARK", made.mark), "rules.toml": RULES, "inbox/reports/old.md": "old"})
        made.write({f"inbox/{name}": text for name, text in BEFORE.items()})
        try:
            yield made
        finally:
            made.wake()


def named(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [one for one in events if one["event"] == name]


def until_recorded(place: Sleeper, name: str) -> None:
    until = time.monotonic() + 60
    while not named(place.history(), name) and time.monotonic() < until:
        time.sleep(0.02)


def test_a_pause_waits_for_the_command_and_its_changes_wait_for_the_resume(place: Sleeper) -> None:
    running = place.begin()
    running.send(signal.SIGINT)
    until_recorded(place, "task.paused")
    assert place.sleepers(), "what has begun is not interrupted"
    place.wake()
    ended = running.wait()
    assert ended.status == 3, ended
    assert place.files() == {**BEFORE, "reports/old.md": "old"}
    history = place.history()
    assert len(named(history, "task.action_succeeded")) == 1
    assert len(named(history, "task.changes_staged")) == 1
    place.assert_nothing_is_left()
    resumed = place.run("resume", "--answer", "approve", "--plain")
    assert resumed.status == 0, resumed
    assert place.files() == {**CHANGED, "reports/old.md": "old"}
    assert len(named(place.history(), "task.changes_staged")) == 1, "the command is not run again"
    place.assert_nothing_is_left()


def test_who_does_not_want_to_wait_leaves_the_command_behind_and_it_ends(place: Sleeper) -> None:
    running = place.begin()
    said = []
    for name in ("Ctrl-C", "waiting for the outcome"):
        running.send(signal.SIGINT)
        said.append(until_said(place, name))
    running.send(signal.SIGINT)
    ended = running.wait()
    assert ended.status == 3, ended
    assert all(said), ended
    assert wait_until_all_gone(place) == []
    assert place.files() == {**BEFORE, "reports/old.md": "old"}
    again = place.begin("resume", "--answer", "approve", "--plain")
    place.wake()
    assert again.wait().status == 0
    assert place.files() == {**CHANGED, "reports/old.md": "old"}
    assert [one["data"]["attempt"] for one in named(place.history(), "task.action_started")][:2] == [1, 2]
    place.assert_nothing_is_left()


def test_a_cancellation_lets_the_command_end_and_drops_what_it_changed(place: Sleeper) -> None:
    running = place.begin()
    assert place.run("task", "cancel", place.only_task(), "--reason", "wrong folder").status == 0
    assert place.sleepers(), "what has begun is not interrupted"
    place.wake()
    ended = running.wait()
    assert ended.status == 4, ended
    assert place.files() == {**BEFORE, "reports/old.md": "old"}
    history = place.history()
    (succeeded,) = named(history, "task.action_succeeded")
    assert succeeded["data"]["result"]["command"]["leftOut"] == ["3 changes were dropped: its task had ended"]
    assert not named(history, "task.changes_staged")
    assert place.run("resume").out == "nothing to resume\n"
    place.assert_nothing_is_left()


def test_what_is_changed_under_a_grant_that_was_revoked_meanwhile_stays_out(place: Sleeper) -> None:
    running = place.begin()
    (grant,) = place.run("grant", "list", "--json").json()
    assert place.run("grant", "revoke", grant["id"]).status == 0
    place.wake()
    ended = running.wait()
    assert ended.status == 4, ended
    assert place.files() == {**BEFORE, "reports/old.md": "old"}
    history = place.history()
    assert len(named(history, "task.action_succeeded")) == 1
    denied = named(history, "task.action_denied")
    assert [one["data"]["decision"]["reasonCode"] for one in denied] == ["no_grant"] * 4
    assert len(named(history, "task.action_started")) == 1
    place.assert_nothing_is_left()


def killed_alone(place: Sleeper, running: Running) -> Ended:
    return running.kill()


def cancelled_first(place: Sleeper, running: Running) -> Ended:
    assert place.run("task", "cancel", place.only_task()).status == 0
    return running.kill()


@pytest.mark.parametrize("end", [killed_alone, cancelled_first])
def test_a_killed_engine_takes_the_command_and_all_below_with_it(
    end: Callable[[Sleeper, Running], Ended], place: Sleeper
) -> None:
    running = place.begin()
    programs = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in processes_about(place.folder)}
    assert {"bwrap", "sh", "sleep"} <= programs, "the test does not see what it is about"
    assert end(place, running).status == -9
    assert wait_until_all_gone(place) == []
    if end is cancelled_first:
        # What is left is to find out what became of the attempt: nothing, and nothing is run again.
        assert place.run("resume", "--answer", "approve", "--plain").status == 4
        assert place.files() == {**BEFORE, "reports/old.md": "old"}
        (failed,) = named(place.history(), "task.action_failed")
        assert failed["data"]["reasonCode"] == "withdrawn"
    else:
        again = place.begin("resume", "--answer", "approve", "--plain")
        place.wake()
        assert again.wait().status == 0
        assert place.files() == {**CHANGED, "reports/old.md": "old"}
    place.assert_nothing_is_left()


def until_said(place: Sleeper, words: str) -> bool:
    """Return whether the run says this within a while."""
    until = time.monotonic() + 30
    files = [place.folder / "out-1", place.folder / "err-1"]
    while time.monotonic() < until:
        if any(words in file.read_text() for file in files):
            return True
        time.sleep(0.01)
    return False


def wait_until_all_gone(place: Sleeper) -> list[int]:
    until = time.monotonic() + 10
    while (there := [*processes_about(place.folder), *place.sleepers()]) and time.monotonic() < until:
        time.sleep(0.01)
    return there
