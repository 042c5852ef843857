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
STOPS: Final = ("task.paused", "task.interrupted")
DEAD_WITHIN_S: Final = 3.0
"""How long it may take until a command is dead and its outcome on record, on a busy machine."""
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


def test_a_second_signal_cuts_the_command_off_and_its_outcome_is_on_record(place: Sleeper) -> None:
    running = place.begin()
    running.send(signal.SIGINT)
    assert until_said(place, "Ctrl-C: the task is paused after what is under way; once more to cut that off")
    assert place.sleepers(), "the first signal waits"
    running.send(signal.SIGINT)
    sent_at = time.monotonic()
    assert wait_until_all_gone(place) == []
    ended = running.wait()
    assert time.monotonic() - sent_at < DEAD_WITHIN_S
    assert ended.status == 3, ended
    assert "what is under way is cut off, and what became of it is looked at; once more to leave at once" in ended.err
    assert place.files() == {**BEFORE, "reports/old.md": "old"}
    (failed,) = named(place.history(), "task.action_failed")
    assert (failed["data"]["reasonCode"], failed["data"]["actionId"]) == ("interrupted", f"{place.only_task()}.1")
    assert [one["event"] for one in place.history() if one["event"] in STOPS] == ["task.paused", "task.interrupted"]
    place.assert_nothing_is_left()


def test_a_third_signal_leaves_at_once_and_the_command_ends_with_it(place: Sleeper) -> None:
    running = place.begin()
    # Three different ones: of the same kind, those that are not heard yet count as one.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        running.send(number)
    ended = running.wait()
    assert ended.status == 3, ended
    assert wait_until_all_gone(place) == []
    assert place.files() == {**BEFORE, "reports/old.md": "old"}
    resumed = place.run("resume", "--report-only", "--json")
    assert resumed.status == 0, resumed
    assert place.run("audit", "check").status == 0


@pytest.mark.parametrize(("command", "status"), [("interrupt", 3), ("cancel", 4)])
def test_from_another_terminal_a_command_is_cut_off_and_what_it_changed_is_dropped(
    command: str, status: int, place: Sleeper
) -> None:
    running = place.begin()
    assert place.run("task", command, place.only_task(), "--reason", "wrong folder").status == 0
    sent_at = time.monotonic()
    assert wait_until_all_gone(place) == []
    ended = running.wait()
    assert time.monotonic() - sent_at < DEAD_WITHIN_S
    assert ended.status == status, ended
    assert place.files() == {**BEFORE, "reports/old.md": "old"}
    history = place.history()
    (failed,) = named(history, "task.action_failed")
    assert failed["data"]["reasonCode"] == "interrupted"
    assert not named(history, "task.changes_staged")
    place.assert_nothing_is_left()
    if command == "cancel":
        assert place.run("resume").out == "nothing to resume\n"
    else:
        # What was cut off had failed: it is not begun a second time, and what needs nothing of it goes on.
        assert place.run("resume", "--answer", "approve", "--plain").status == 1
        assert place.files() == {**BEFORE, "reports/old.md": "old", "reports/after.md": "after"}


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
