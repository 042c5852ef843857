"""A question in a terminal: nothing is cut, nothing is approved by accident, and Ctrl-C leaves it open."""

import signal

import pytest

from tests.adapters.cli.command_line import DELETE, DELETE_ALL, CommandLine, Terminal

KEYS = "a approve once"
TWO_QUESTIONS = """title = "Delete two"
[[step]]
id = "first"
action = { kind = "file.delete", path = "a.txt" }
[[step]]
id = "second"
action = { kind = "file.delete", path = "b.txt" }
"""


@pytest.fixture
def one_file(cowork: CommandLine) -> CommandLine:
    cowork.fill("a.txt")
    return cowork


def _run(
    cowork: CommandLine,
    plan: str = DELETE,
    *more: str,
    rows: int = 40,
    columns: int = 100,
    env: dict[str, str] | None = None,
) -> Terminal:
    command = ("run", cowork.plan(plan), "--folder", "inbox", *more)
    return cowork.terminal(*command, rows=rows, columns=columns, env=env)


def _answers(cowork: CommandLine) -> list[str]:
    return [question["status"] for question in cowork.questions()]


@pytest.mark.parametrize(
    ("key", "status", "answer", "left"),
    [
        ("a", 0, "approved", []),
        ("r", 4, "rejected", ["a.txt"]),
        ("q", 3, "pending", ["a.txt"]),
        ("d", 3, "pending", ["a.txt"]),
        ("\x04", 3, "pending", ["a.txt"]),
    ],
)
def test_a_key_answers(one_file: CommandLine, key: str, status: int, answer: str, left: list[str]) -> None:
    with _run(one_file) as terminal:
        terminal.read_until(KEYS)
        terminal.press(key)
        assert terminal.ended() == status, terminal.text
    assert _answers(one_file) == [answer]
    assert one_file.files() == left


def test_the_card_is_drawn_whole_in_a_frame_of_the_terminals_width(one_file: CommandLine) -> None:
    with _run(one_file, columns=80) as terminal:
        terminal.read_until(KEYS)
        terminal.press("q")
        terminal.ended()
        shown = terminal.text
    frame = [line for line in shown.splitlines() if line.startswith(("┌", "│", "└"))]
    assert {len(line) for line in frame} == {80}
    question = one_file.question()
    inside = " ".join(" ".join(line.strip("│┌└─┐┘ ").split()) for line in frame)
    lines = [question["card"]["headline"], *(line for block in question["card"]["blocks"] for line in block["lines"])]
    for line in lines:
        assert "".join(line.split()) in "".join(inside.split())


def test_enter_and_other_keys_do_nothing(one_file: CommandLine) -> None:
    with _run(one_file) as terminal:
        terminal.read_until(KEYS)
        for key in ("\r", "\n", "y", "A", " ", "\x1b"):
            terminal.press(key, after=0.5)
        terminal.read(0.3)
        assert terminal.process.poll() is None
        assert _answers(one_file) == ["pending"]
        terminal.press("q")
        assert terminal.ended() == 3
    assert one_file.files() == ["a.txt"]


def test_what_was_typed_before_the_question_appeared_is_no_answer(one_file: CommandLine) -> None:
    with _run(one_file) as terminal:
        terminal.press("aaaa", after=0.05)
        terminal.read_until(KEYS)
        terminal.press("a", after=0.0)
        terminal.press("a", after=0.1)
        terminal.press("a", after=0.1)
        terminal.read(0.5)
        assert terminal.process.poll() is None
        terminal.press("r", after=0.5)
        assert terminal.ended() == 4
    assert one_file.files() == ["a.txt"]


def test_pasted_text_is_no_answer(one_file: CommandLine) -> None:
    with _run(one_file) as terminal:
        terminal.read_until(KEYS)
        terminal.press("approve")
        terminal.press("q")
        assert terminal.ended() == 3
    assert one_file.files() == ["a.txt"]


def test_a_note_goes_with_the_rejection(one_file: CommandLine) -> None:
    with _run(one_file) as terminal:
        terminal.read_until(KEYS)
        terminal.press("n")
        terminal.read_until("why not?")
        terminal.press("keep thas")
        terminal.press("\x7f\x7fis\r", after=0.1)
        assert terminal.ended() == 4, terminal.text
    (question,) = one_file.questions()
    assert (question["status"], question["note"]) == ("rejected", "keep this")


def test_escape_goes_back_from_the_note_to_the_question(one_file: CommandLine) -> None:
    with _run(one_file) as terminal:
        terminal.read_until(KEYS)
        terminal.press("n")
        terminal.read_until("why not?")
        terminal.press("\x1b")
        terminal.read_until(KEYS, count=2)
        terminal.press("a")
        assert terminal.ended() == 0, terminal.text


def test_the_question_mark_explains_and_the_question_stays(one_file: CommandLine) -> None:
    with _run(one_file) as terminal:
        terminal.read_until(KEYS)
        terminal.press("?")
        terminal.read_until("delete-needs-a-person (baseline)", count=2)
        terminal.read_until(KEYS, count=2)
        digest = one_file.question()["digest"][7:]
        assert digest in terminal.text
        terminal.press("q")
        assert terminal.ended() == 3


def test_a_long_card_is_paged_and_can_not_be_approved_before_its_end(cowork: CommandLine) -> None:
    names = [f"{number:03}.txt" for number in range(30)]
    cowork.fill(*names)
    with _run(cowork, DELETE_ALL, rows=18) as terminal:
        terminal.read_until("lines   Space for more")
        assert KEYS not in terminal.text
        terminal.press("a")
        terminal.press("a", after=0.3)
        terminal.read(0.4)
        assert _answers(cowork) == ["pending"]
        pages = 1
        while KEYS not in terminal.text:
            terminal.press(" ", after=0.2)
            pages += 1
            assert pages < 20
            terminal.read(0.2)
        assert all(f" {name}" in terminal.text for name in names)
        terminal.press("a")
        assert terminal.ended() == 0, terminal.text
    assert pages > 3
    assert cowork.files() == []


def test_the_agents_words_are_last_labelled_and_without_control_characters(one_file: CommandLine) -> None:
    hostile = DELETE.replace('id = "gone"\n', 'id = "gone"\ndescription = "safe\\u001b[2J\\u202e[bold]yes[/bold]"\n')
    with _run(one_file, hostile) as terminal:
        terminal.read_until(KEYS)
        assert b"\x1b[2J" not in terminal.raw
        assert "\u202e" not in terminal.text
        assert "safe\\x1b[2J\\u202e[bold]yes[/bold]" in terminal.text
        assert terminal.text.index("not checked") > terminal.text.index("delete-needs-a-person")
        terminal.press("q")
        terminal.ended()


def test_an_answer_from_elsewhere_closes_the_question_and_the_task_goes_on(one_file: CommandLine) -> None:
    with _run(one_file) as terminal:
        terminal.read_until(KEYS)
        question = one_file.question()
        given = ("confirmation", "approve", question["confirmationId"], "--digest", question["digest"])
        assert one_file.run(*given).status == 0
        assert terminal.ended() == 0, terminal.text
        assert "this was approved by person:" in terminal.text
    assert one_file.files() == []


def test_a_task_cancelled_from_elsewhere_closes_the_question(one_file: CommandLine) -> None:
    with _run(one_file) as terminal:
        terminal.read_until(KEYS)
        task_id = one_file.only_task()["taskId"]
        assert one_file.run("task", "cancel", task_id).status == 0
        assert terminal.ended() == 4, terminal.text
        assert "withdrawn" in terminal.text
        # It had changed nothing that could be taken back.
        assert "cowork undo" not in terminal.text
    assert one_file.files() == ["a.txt"]


@pytest.mark.parametrize("how", ["key", signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_while_a_question_is_open_pauses_the_task(
    one_file: CommandLine, how: signal.Signals | str
) -> None:
    with _run(one_file) as terminal:
        terminal.read_until(KEYS)
        if isinstance(how, signal.Signals):
            terminal.read(0.2)
            terminal.send(how)
        else:
            terminal.press("\x03")
        assert terminal.ended(10) == 3, terminal.text
        assert f"go on with: cowork resume {one_file.only_task()['taskId']}" in terminal.text
    assert one_file.only_task()["status"] == "paused"
    assert one_file.question()["status"] == "pending"
    with one_file.terminal("resume") as terminal:
        terminal.read_until(KEYS)
        terminal.press("a")
        assert terminal.ended() == 0
    assert one_file.files() == []


@pytest.mark.parametrize("how", ["key", signal.SIGTERM, "from elsewhere"])
def test_whoever_stops_a_task_at_a_question_is_not_asked_the_next_one(
    cowork: CommandLine, how: signal.Signals | str
) -> None:
    cowork.fill("a.txt", "b.txt")
    with _run(cowork, TWO_QUESTIONS) as terminal:
        terminal.read_until(KEYS)
        if isinstance(how, signal.Signals):
            terminal.send(how)
        elif how == "key":
            terminal.press("\x03")
        else:
            assert cowork.run("task", "pause", cowork.only_task()["taskId"]).status == 0
        assert terminal.ended(10) == 3, terminal.text
        assert terminal.text.count(KEYS) == 1, terminal.text
    assert cowork.only_task()["status"] == "paused"
    assert _answers(cowork) == ["pending", "pending"]


@pytest.mark.parametrize("command", ["run", "resume", "digest"])
def test_a_terminal_that_goes_away_leaves_the_question_open(one_file: CommandLine, command: str) -> None:
    if command != "run":
        one_file.run_plan(DELETE, "--answer", "wait")
    with _run(one_file) if command == "run" else one_file.terminal(command) as terminal:
        terminal.read_until(KEYS)
        terminal.hang_up()
        assert terminal.process.wait(10) == (0 if command == "digest" else 3)
    assert not (one_file.store / "logs").exists(), "it was taken for a bug"
    assert one_file.only_task()["status"] in ("paused", "awaiting_confirmation")
    assert one_file.question()["status"] == "pending"
    assert one_file.files() == ["a.txt"]


@pytest.mark.parametrize(("more", "env"), [(("--plain",), {}), ((), {"TERM": "dumb"})])
def test_plainly_the_same_card_is_asked_without_a_frame_or_an_escape(
    one_file: CommandLine, more: tuple[str, ...], env: dict[str, str]
) -> None:
    with _run(one_file, DELETE, *more, env=env) as terminal:
        terminal.read_until(f"[{KEYS}")
        assert b"\x1b" not in terminal.raw
        assert "│" not in terminal.text
        terminal.press("a")
        assert terminal.ended() == 0
        assert b"\x1b" not in terminal.raw


def test_the_terminal_is_left_as_it_was(one_file: CommandLine) -> None:
    import termios

    with _run(one_file) as terminal:
        before = termios.tcgetattr(terminal.fd)
        terminal.read_until(KEYS)
        during = termios.tcgetattr(terminal.fd)
        terminal.press("q")
        terminal.read_until("go on with")
        after = termios.tcgetattr(terminal.fd)
        terminal.ended()
    assert during[3] != before[3]
    assert after[3] == before[3]
