"""What a summary tells of commands: how they ended, what they were not shown, whom they reached and did not reach."""

from cowork.domain import task
from cowork.domain.action import Content, FileRead, Location, ShellExec
from cowork.domain.effect import CommandReport, Output, Result
from cowork.domain.plan import Step
from cowork.domain.reason import ReasonCode
from cowork.projections.report_words import besides_words, report_notes, result_words
from tests.projections.story import TASK, Story

COMMAND = ShellExec(argv=("fetch", "--all"), cwd=Location("grant-1", "."), network=("api.example",))


def output(size: int, cut: int = 0) -> Output:
    return Output(content=Content("sha256:out", size), cut=cut)


REPORT = CommandReport(
    exit_code=0,
    stdout=output(1200, cut=4000),
    stderr=output(30),
    milliseconds=1500,
    hidden=3,
    left_out=("`a` is a link", "`b\u202e` is a device"),
    bytes_sent=100,
    bytes_received=20_000,
)


def running(*connections: tuple[str, int, ReasonCode | None]) -> Story:
    """A task whose first step runs a command that asked for these connections."""
    story = Story()
    story.begin(
        *(Step(step_id=name, title=name, request=FileRead(at=Location("grant-1", "a"))) for name in ("go", "b"))
    )
    (name,) = story.propose_step("go", COMMAND)
    story.start(name, COMMAND)
    for host, port, code in connections:
        asked = task.RecordConnection(
            action_id=name,
            host=host,
            port=port,
            address="" if code else "192.0.2.7",
            reason_code=code,
            reason="it was not granted" if code else "",
        )
        story.tell(asked)
    return story


def ended(story: Story, report: CommandReport = REPORT) -> None:
    result = Result(summary="fetch: exit code 0, 1.50 s", command=report)
    story.tell(task.RecordSuccess(action_id=f"{TASK}.1", effects=(), result=result))


def test_a_command_that_ended_is_told_with_all_that_its_report_says() -> None:
    story = running()
    ended(story)
    (run,) = story.summary().commands
    assert (run.action_id, run.step_id, run.exit_code, run.signal) == (f"{TASK}.1", "go", 0, None)
    assert (run.milliseconds, run.stdout_bytes, run.stderr_bytes, run.cut_bytes) == (1500, 1200, 30, 4000)
    assert (run.hidden, run.bytes_sent, run.bytes_received) == (3, 100, 20_000)
    assert run.left_out == REPORT.left_out
    assert run.positions[-1] == story.position_of(task.ActionSucceeded, f"{TASK}.1")


def test_what_a_command_could_not_keep_is_left_open_in_visible_characters() -> None:
    story = running()
    ended(story)
    texts = [one.text for one in story.summary().followups]
    assert any(text.startswith("left out of what a command changed: `a` is a link. To do: ") for text in texts)
    assert any("`b\\u202e` is a device" in text for text in texts)


def test_a_refused_connection_is_seen_even_where_its_command_succeeded() -> None:
    story = running(("api.example", 443, None), ("evil.example", 443, "net_denied"))
    ended(story)
    summary = story.summary()
    (run,) = summary.commands
    assert [(one.host, one.addresses, one.refused, one.reason_code) for one in run.connections] == [
        ("api.example", ("192.0.2.7",), None, None),
        ("evil.example", (), "it was not granted", "net_denied"),
    ]
    (text,) = [one.text for one in summary.followups if "not reached" in one.text]
    assert text.startswith("not reached, evil.example:443: it was not granted. To do: grant the host")


def test_the_same_refusal_a_hundred_times_is_one_line() -> None:
    refused: tuple[str, int, ReasonCode] = ("evil.example", 443, "net_denied")
    story = running(*[refused] * 100, ("evil.example", 22, "net_denied"))
    (run,) = story.summary().commands
    assert [(one.port, one.times) for one in run.connections] == [(443, 100), (22, 1)]
    assert len(run.connections[0].positions) == 100
    assert run.exit_code is None
    assert len([one for one in story.summary().followups if "not reached" in one.text]) == 2


def test_a_host_with_hidden_characters_is_shown_with_them_written_out() -> None:
    story = running(("evil\x1b[31m\u202e", 443, "net_denied"))
    (text,) = [one.text for one in story.summary().followups if "not reached" in one.text]
    assert "\x1b" not in text
    assert "evil\\x1b[31m\\u202e:443" in text


def test_a_failed_command_keeps_its_exit_code_and_its_report() -> None:
    story = running()
    report = CommandReport(exit_code=3, stdout=output(0), stderr=output(9))
    result = Result(summary="fetch: ended with exit code 3", command=report)
    failure = task.RecordFailure(action_id=f"{TASK}.1", reason_code="exit", reason="it ended with 3", result=result)
    story.tell(failure)
    (run,) = story.summary().commands
    assert (run.exit_code, run.stderr_bytes) == (3, 9)
    (text,) = [one.text for one in story.summary().followups]
    assert f"(cowork task output {TASK}.1)" in text
    (line,) = story.summary().action_log
    assert (line.outcome, "without success: it ended with 3" in line.details) == ("failed", True)


def test_actions_that_are_no_commands_are_not_among_them() -> None:
    story = running()
    read = FileRead(at=Location("grant-1", "a"))
    (name,) = story.propose_step("b", read)
    story.start(name, read)
    story.tell(task.RecordSuccess(action_id=name, effects=(), result=Result(summary="3 lines")))
    assert story.summary().commands == ()


def test_a_report_in_words_says_what_a_person_would_not_guess() -> None:
    assert report_notes(REPORT) == (
        "30 bytes of errors",
        "4.0 KB more than is kept",
        "3 files hidden by policy",
        "2 changes left out",
        "100 bytes sent, 20 KB received",
    )
    quiet = CommandReport(exit_code=0, stdout=output(5), stderr=output(0))
    assert report_notes(quiet) == ()
    one = CommandReport(exit_code=0, stdout=output(5), stderr=output(0), hidden=1, left_out=("`a\x1b` is a link",))
    assert report_notes(one) == ("1 file hidden by policy", "left out: `a\\x1b` is a link")
    assert result_words(Result(summary="x: exit code 0", command=one)).startswith("x: exit code 0, 1 file hidden")
    assert result_words(Result(summary="3 lines\x1b")) == "3 lines\\x1b"
    assert besides_words(Result(summary="x: exit code 0", command=REPORT)).startswith(
        "1.50 s, 1.2 KB of output, 30 bytes"
    )
    assert besides_words(Result(summary="3 lines\x1b")) == "3 lines\\x1b"
