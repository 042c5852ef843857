"""What a person sees of commands: while they run, when they have ended, and afterwards; never a raw control byte."""

import json
import re
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.adapters.cli.branch import SHOWN_CONNECTIONS_MAX, Line
from cowork.adapters.cli.event_words import what_happened
from cowork.adapters.cli.printed_text import UNFINISHED_CHARACTERS_MAX, PrintedText, printed_lines
from cowork.adapters.cli.progress import Progress
from cowork.domain.action import Content, Location, ShellExec
from cowork.domain.effect import CommandReport, Output, Result
from cowork.domain.event import Event, Origin, Recorded
from cowork.domain.grant import HostGranted, HostRevoked
from cowork.domain.task import (
    ActionFailed,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    ChangesStaged,
    ConnectionDecided,
    StepBegun,
)
from cowork.projections.place_names import PlaceNames
from tests.adapters.cli.command_line import CommandLine

BY = Origin(actor="engine", cause="test", command_id="command-1", at=datetime(2026, 6, 1, tzinfo=UTC))
NAMES = PlaceNames("g", {"g": "inbox"})
NAME = "task-1.1"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


# Lines out of chunks


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_what_is_printed_in_pieces_is_shown_like_what_is_printed_at_once(data: bytes, cuts: list[int]) -> None:
    at_once, in_pieces = PrintedText(), PrintedText()
    ends = sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})
    whole = [*at_once.take("a", "stdout", data), *at_once.end("a")]
    pieces = [line for start, end in pairwise(ends) for line in in_pieces.take("a", "stdout", data[start:end])]
    pieces += in_pieces.end("a")
    assert [line.text for line in pieces] == [line.text for line in whole]
    assert tuple(line.text for line in whole) == printed_lines(data)
    assert not any(CONTROL.search(line.shown()) for line in whole)


def test_the_streams_of_two_commands_do_not_run_into_each_other() -> None:
    printed = PrintedText()
    assert list(printed.take("a", "stdout", b"one ")) == []
    assert [line.shown() for line in printed.take("b", "stdout", b"two\n")] == ["| two"]
    assert [line.shown() for line in printed.take("a", "stderr", b"three\n")] == ["! three"]
    assert [line.shown() for line in printed.take("a", "stdout", b"four\n")] == ["| one four"]
    assert list(printed.end("a")) == []


def test_a_line_without_end_is_shown_piece_by_piece() -> None:
    printed = PrintedText()
    lines = list(printed.take("a", "stdout", b"x" * (UNFINISHED_CHARACTERS_MAX * 3 + 5)))
    assert [len(line.text) for line in lines] == [UNFINISHED_CHARACTERS_MAX] * 3
    assert [line.text for line in printed.end("a")] == ["xxxxx"]


def test_the_last_line_is_what_a_program_drew_last() -> None:
    printed = PrintedText()
    list(printed.take("a", "stdout", b"building\n\n10 %\r20 %\r\x1b[2K30 %\r"))
    assert printed.last == "\\x1b[2K30 %"
    list(printed.end("a"))
    assert printed.last == ""


# Words


def recorded(event: Event) -> Recorded[Event]:
    return Recorded(position=7, stream="task-1", version=1, origin=BY, event=event)


def started(progress: Progress, actions: int = 1) -> None:
    action = ShellExec(argv=("make", "all"), cwd=Location("g", "."), network=("api.example",))
    for event in (
        StepBegun(task_id="task-1", step_id="s", actions=actions),
        ActionProposed(task_id="task-1", action_id=NAME, step_id="s", action=action, digest="d", proposed_by="agent"),
        ActionStarted(task_id="task-1", action_id=NAME, digest="d", attempt=1),
    ):
        list(progress.on(recorded(event)))


def lines(progress: Progress, event: Event) -> list[Line]:
    return list(progress.on(recorded(event)))


EMPTY = Output(content=Content("sha256:e", 0))
REPORT = CommandReport(
    exit_code=3,
    stdout=Output(content=Content("sha256:o", 40)),
    stderr=EMPTY,
    milliseconds=1200,
    hidden=3,
    left_out=("`a` is a link", "`b\x1b` is a device"),
)


def test_the_end_of_a_command_says_how_long_how_much_and_what_was_hidden() -> None:
    progress = Progress()
    started(progress)
    result = Result(summary="`make`: exit code 0, 1.20 s, 40 bytes of output", command=REPORT)
    (line,) = lines(progress, ActionSucceeded(task_id="task-1", action_id=NAME, digest="d", attempt=1, result=result))
    assert line.word == "done"
    assert line.text == 'run "make" "all", with api.example within reach'
    assert "1.20 s, 40 bytes of output, 3 files hidden by policy, 2 changes left out" in line.note


def test_a_command_that_failed_says_with_what_exit_code_and_what_is_known_besides() -> None:
    progress = Progress()
    started(progress)
    result = Result(summary="`make`: ended with exit code 3", command=REPORT)
    failed = ActionFailed(
        task_id="task-1",
        action_id=NAME,
        digest="d",
        attempt=1,
        reason_code="exit",
        reason="`make` ended with exit code 3",
        result=result,
    )
    (line,) = lines(progress, failed)
    assert line.word == "failed"
    assert line.note.startswith("`make` ended with exit code 3  (1.20 s, 40 bytes of output, 3 files hidden")
    assert "exit code 3  (1.20 s" in what_happened(failed, NAMES)


def test_a_history_names_all_that_was_left_out() -> None:
    result = Result(summary="`make`: exit code 0", command=REPORT)
    words = what_happened(
        ActionSucceeded(task_id="task-1", action_id=NAME, digest="d", attempt=1, result=result), NAMES
    )
    assert "left out: `a` is a link; left out: `b\\x1b` is a device" in words


def test_changes_are_announced_and_their_step_grows_with_them() -> None:
    progress = Progress()
    started(progress)
    staged = ChangesStaged(task_id="task-1", action_id=NAME, step_id="s", actions=30, step_actions=31)
    (line,) = lines(progress, staged)
    assert (line.word, line.text) == ("note", "30 changes to decide about")
    ((title, step),) = progress.large_steps()
    assert (title, step.actions, step.is_large) == ("s", 31, True)
    assert what_happened(staged, NAMES) == f"{NAME}  30 changes to decide about"


def test_refused_connections_are_said_at_once_but_not_by_the_hundred() -> None:
    progress = Progress()
    started(progress)
    refused = ConnectionDecided(
        task_id="task-1", action_id=NAME, host="evil\x1b.example", port=443, reason_code="net_denied", reason="no"
    )
    allowed = ConnectionDecided(task_id="task-1", action_id=NAME, host="api.example", port=443, address="192.0.2.7")
    assert lines(progress, allowed) == []
    said = [line for _ in range(50) for line in lines(progress, refused)]
    assert len(said) == SHOWN_CONNECTIONS_MAX + 1
    assert said[0].text == "no connection to evil\\x1b.example:443: no"
    assert "further connections" in said[-1].text
    assert what_happened(allowed, NAMES) == f"{NAME}  connection to api.example:443 at 192.0.2.7"


def test_hosts_have_their_words() -> None:
    assert what_happened(HostGranted(grant_id="g", session_id="s", host="*.example\x1b"), NAMES) == "*.example\\x1b"
    assert what_happened(HostRevoked(grant_id="g", reason="enough"), NAMES) == "enough"


# The whole way


SHELL = """title = "Shell"
[[step]]
id = "sh"
action = { kind = "shell.exec", argv = ["sh", "-c", "%s"] }
"""
HOSTILE = SHELL % "printf 'one\\\\033[31mtwo\\\\n'; printf 'no\\\\033]0;x\\\\007end' >&2; exit 0"


def task_of(cowork: CommandLine) -> str:
    return str(cowork.only_task()["taskId"])


def test_what_a_command_prints_is_seen_while_it_runs_where_that_is_asked_for(cowork: CommandLine) -> None:
    run = cowork.run_plan(HOSTILE, "--answer", "approve", "--verbose")
    assert run.status == 0, run
    shown = [line.strip() for line in run.out.splitlines()]
    assert "| one\\x1b[31mtwo" in shown
    assert "! no\\x1b]0;x\\x07end" in shown
    quiet = cowork.run_plan(HOSTILE, "--answer", "approve")
    assert "| one" not in quiet.out
    assert not CONTROL.search(run.out + quiet.out)


def test_with_json_the_lines_are_events_and_nothing_else(cowork: CommandLine) -> None:
    run = cowork.run_plan(HOSTILE, "--answer", "approve", "--verbose", "--json")
    assert run.status == 0
    assert all("event" in line or "taskId" in line for line in run.lines())


def test_output_is_read_afterwards_safely_or_as_it_was(cowork: CommandLine) -> None:
    assert cowork.run_plan(HOSTILE, "--answer", "approve").status == 0
    name = f"{task_of(cowork)}.1"
    assert cowork.run("task", "output", name).out == "one\\x1b[31mtwo\n"
    assert cowork.run("task", "output", name, "--stderr").out == "no\\x1b]0;x\\x07end\n"
    assert cowork.run("task", "output", name, "--raw").out == "one\x1b[31mtwo\n"
    assert cowork.run("task", "output", name, "--stderr", "--raw").out == "no\x1b]0;x\x07end"
    described = cowork.run("task", "output", name, "--json").json()
    assert (described["actionId"], described["outcome"]) == (name, "succeeded")
    assert described["result"]["command"]["exitCode"] == 0


def test_the_output_of_a_command_that_failed_is_kept(cowork: CommandLine) -> None:
    run = cowork.run_plan(SHELL % "echo half; exit 7", "--answer", "approve")
    assert (run.status, "exit code 7" in run.out) == (1, True)
    name = f"{task_of(cowork)}.1"
    assert cowork.run("task", "output", name).out == "half\n"
    assert cowork.run("task", "output", name, "--json").json()["outcome"] == "failed"
    summary = cowork.run("task", "summary", task_of(cowork))
    assert f"cowork task output {name}" in summary.out
    assert "exit code 7" in summary.out


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("nonsense", (), "is no action's id"),
        ("task-0000000000000000.1", (), "there is no task"),
        ("TASK.9", (), "has not ended, or there is none"),
        ("TASK.1", ("--raw", "--json"), "exclude each other"),
        ("TASK.2", ("--stderr",), "is no command"),
    ],
)
def test_what_has_no_output_is_said_in_one_sentence(
    cowork: CommandLine, name: str, more: tuple[str, ...], said: str
) -> None:
    cowork.fill("a.txt")
    plan = f'{SHELL % "true"}[[step]]\nid = "look"\naction = {{ kind = "file.read", path = "a.txt" }}\n'
    assert cowork.run_plan(plan, "--answer", "approve").status == 0
    run = cowork.run("task", "output", name.replace("TASK", task_of(cowork)), *more)
    assert run.status != 0
    assert run.says(said)


def test_a_command_that_printed_nothing_prints_nothing(cowork: CommandLine) -> None:
    cowork.run_plan(SHELL % "true", "--answer", "approve")
    run = cowork.run("task", "output", f"{task_of(cowork)}.1")
    assert (run.status, run.out) == (0, "")
    assert "brought nothing back" in run.err


def test_in_a_terminal_the_last_line_moves_and_is_gone_afterwards(cowork: CommandLine) -> None:
    # Some hundred bytes are always held back: a secret that is masked may begin in them.
    loop = "for i in 1 2 3 4 5; do printf 'step \\\\033[31m%s %0700d\\\\n' $i 0; sleep 0.4; done"
    plan = SHELL % loop
    with cowork.terminal("run", cowork.plan(plan), "--folder", "inbox", "--answer", "approve") as terminal:
        assert terminal.ended() == 0, terminal.text
        raw, text = terminal.raw, terminal.text
    assert re.search(r"\| step \\x1b\[31m[1-5]", text)
    assert b"\x1b[31m1" not in raw
    assert "step" not in text.rpartition("completed")[2]


def test_the_json_of_a_result_has_the_names_of_the_reference(cowork: CommandLine) -> None:
    cowork.run_plan(SHELL % "echo x", "--answer", "approve")
    summary = json.loads(cowork.run("task", "summary", task_of(cowork), "--json").out)
    (run,) = summary["commands"]
    assert (run["exitCode"], run["stdoutBytes"], run["leftOut"], run["connections"]) == (0, 2, [], [])
