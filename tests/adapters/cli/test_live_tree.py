"""The view with work beside each other: a question stands alone on the screen, and dozens of agents stay readable."""

import re

import pytest

from tests.adapters.cli.command_line import CommandLine, Terminal
from tests.adapters.cli.test_asker import KEYS
from tests.adapters.cli.test_task_control import SUBAGENTS

COMMANDS_ALLOWED = """
version = "1.1"
defaults = { fallback = "allow_with_confirm" }
[[rules]]
id = "allowed"
action = ["shell.exec", "file.list", "subagent.spawn"]
decision = "allow"
"""
ASKS_AND_WORKS = """
title = "Both at once"
[[step]]
id = "asks"
action = { kind = "file.delete", path = "a.txt" }
""" + "".join(
    f'[[step]]\nid = "work{n}"\naction = {{ kind = "shell.exec", argv = ["sh", "-c", "sleep 0.4; echo w{n}"] }}\n'
    for n in range(6)
)
AGENT = """
[[step]]
id = "agentNUMBER"
[step.action]
kind = "subagent.spawn"
title = "agent NUMBER"
scope.folders = ["."]
scope.kinds = ["shell.exec", "file.list"]
[[step.action.step]]
id = "wait"
action = { kind = "shell.exec", argv = ["sleep", "0.2"] }
[[step.action.step]]
id = "list"
needs = ["wait"]
action = { kind = "file.list", path = "." }
"""
MANY_AGENTS = 'title = "Sixty-four"\n' + "".join(AGENT.replace("NUMBER", str(n)) for n in range(64))
_FRAME = re.compile(rb"\x1b\[2K")


@pytest.fixture
def ruled(cowork: CommandLine) -> CommandLine:
    cowork.fill("a.txt", "b.txt")
    (cowork.folder / "rules.toml").write_text(COMMANDS_ALLOWED)
    return cowork


def run(cowork: CommandLine, plan: str, *more: str, rows: int = 40) -> Terminal:
    arguments = ("run", cowork.plan(plan), "--folder", "inbox", "--policy", "rules.toml", *more)
    return cowork.terminal(*arguments, rows=rows)


@pytest.mark.parametrize("more", [(), ("--plain",), ("--verbose",)])
def test_what_goes_on_while_a_question_is_open_is_told_afterwards(ruled: CommandLine, more: tuple[str, ...]) -> None:
    with run(ruled, ASKS_AND_WORKS, *more) as terminal:
        terminal.read_until(KEYS)
        asked = len(terminal.text)
        # All the other work is done by then, and nothing of it has disturbed the question.
        deadline = 60
        while deadline and len([e for e in _ended(ruled) if e == "task.action_succeeded"]) < 6:
            terminal.read(0.5)
            deadline -= 1
        assert deadline
        assert terminal.text[asked:].strip() == ""
        terminal.press("a")
        assert terminal.ended() == 0, terminal.text
        after = terminal.text[asked:]
    assert after.index("approved") < min(after.index(f"w{number}") for number in range(6))
    assert ruled.files() == ["b.txt"]


def _ended(cowork: CommandLine) -> list[str]:
    events = cowork.events(cowork.only_task()["taskId"])
    assert all("event" in event for event in events), events[-1]
    return [event["event"] for event in events]


def test_questions_of_two_agents_are_asked_one_after_the_other_and_stay_open_while_their_tasks_wait(
    cowork: CommandLine,
) -> None:
    cowork.fill("a.txt", "b.txt")
    with cowork.terminal("run", cowork.plan(SUBAGENTS), "--folder", "inbox") as terminal:
        for number in (1, 2):
            terminal.read_until(KEYS, count=number)
            # Whoever asks came to rest meanwhile: the question stays all the same.
            terminal.read(1.5)
            assert terminal.process.poll() is None, terminal.text
            assert "the task is" not in terminal.text
            terminal.press("a")
        assert terminal.ended() == 0, terminal.text
    assert cowork.files() == []


def test_sixty_four_agents_at_once_fit_on_a_small_screen(ruled: CommandLine) -> None:
    with run(ruled, MANY_AGENTS, rows=24) as terminal:
        assert terminal.ended(120) == 0, terminal.text[-3000:]
        raw, text = terminal.raw, terminal.text
    # What moves is drawn with as many movements upwards as it has lines.
    heights = [len(found.group().split(b"\x1b[1A")) - 1 for found in re.finditer(rb"(?:\x1b\[1A|\x1b\[2K|\r)+", raw)]
    assert 3 < max(heights) <= 16
    assert re.search(r"running   and \d+ more", text)
    done = re.findall(r"done       *agent \d+ › ", text)
    assert len(done) == 128
    assert "64 done" in text or "192 done" in text


def test_a_plan_of_thousands_of_steps_is_shown_about_as_fast_as_it_is_carried_out(cowork: CommandLine) -> None:
    steps = "".join(f'[[step]]\nid = "s{n}"\naction = {{ kind = "file.list", path = "d{n}" }}\n' for n in range(1500))
    for number in range(1500):
        (cowork.inbox / f"d{number}").mkdir()
    plan = cowork.plan(f'title = "Long"\n{steps}')
    with cowork.terminal("run", plan, "--folder", "inbox") as terminal:
        assert terminal.ended(110) == 0
        assert "1500 done" in terminal.text
