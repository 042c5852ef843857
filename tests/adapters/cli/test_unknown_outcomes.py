"""What became of an attempt that nobody can tell about: a person says so, in one of three ways, and nobody else."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.adapters.cli.command_line import DELETE, CommandLine

KEYS = "h it happened   x it did not   t try again   q decide later   ? why"
PLAN = """
title = "Report"

[[step]]
id = "send"
action = { kind = "network.request", method = "POST", url = "http://127.0.0.1:PORT/report", body = "All well." }

[[step]]
id = "list"
needs = ["send"]
action = { kind = "file.list", path = "." }
"""


class Server:
    """A server that notes every request, and answers only from when it is told to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.received: list[str] = []
        self.answers = False
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                taken, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(taken,), daemon=True).start()

    def _talk(self, taken: socket.socket) -> None:
        with taken, suppress(OSError):
            data = b""
            while not data.endswith(b"All well."):
                data += taken.recv(65536)
            self.received.append(data.decode())
            if self.answers:
                taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            else:
                taken.recv(1)

    def close(self) -> None:
        self._listener.close()

    def keys(self) -> list[str]:
        return [key for text in self.received for key in re.findall(r"(?im)^idempotency-key: (.*)\r$", text)]


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture
def interrupted(cowork: CommandLine, server: Server) -> CommandLine:
    """A task whose request was sent, and whose process was killed before the answer came."""
    plan = cowork.plan(PLAN.replace("PORT", str(server.port)))
    host = f"127.0.0.1:{server.port}"
    running = cowork.start("run", plan, "--folder", "inbox", "--host", host, "--answer", "approve")
    until = time.monotonic() + 30
    while not server.received and time.monotonic() < until:
        time.sleep(0.02)
    running.kill()
    running.communicate()
    assert len(server.received) == 1
    server.answers = True
    return cowork


@pytest.fixture
def asked(interrupted: CommandLine) -> CommandLine:
    """The same, resumed: it waits for the answer to the question what became of it."""
    assert interrupted.run("resume", "--answer", "wait").status == 3
    return interrupted


def answer(cowork: CommandLine, *how: str) -> None:
    question = cowork.question()
    ended = cowork.run("confirmation", "approve", question["confirmationId"], "--digest", question["digest"], *how)
    assert ended.status == 0, ended.err


@pytest.mark.parametrize("mode", ["approve", "reject"])
def test_a_blanket_answer_does_not_say_what_became_of_an_attempt(
    interrupted: CommandLine, server: Server, mode: str
) -> None:
    for _ in range(2):
        resumed = interrupted.run("resume", "--answer", mode)
        assert resumed.status == 3, resumed.err
        question = interrupted.question()
        assert f"{question['confirmationId']} is left open: `--answer {mode}` does not say" in resumed.err
        for option in ("--happened", "--did-not-happen", "--try-again"):
            assert f"--digest {question['digest'][7:15]} {option}\n" in resumed.err
    assert len(server.received) == 1


def test_the_card_says_what_was_seen_where_to_look_and_what_each_answer_does(asked: CommandLine) -> None:
    card = asked.question()["card"]
    assert card["headline"].startswith("Did this happen? Send POST to http://127.0.0.1:")
    lines = " ".join(line for block in card["blocks"] if block["role"] == "changed" for line in block["lines"])
    for words in ("Nobody can tell", "may have been sent", "/report whether the request arrived", "Idempotency-Key"):
        assert words in lines
    assert all(f"{label} " in lines for label in ("happened", "did not", "try again"))


def test_it_happened_counts_as_done_and_nothing_is_sent(asked: CommandLine, server: Server) -> None:
    answer(asked, "--happened")
    assert asked.run("resume").status == 0
    assert asked.only_task()["status"] == "completed"
    assert len(server.received) == 1
    done = [
        event["data"] for event in asked.events(asked.only_task()["taskId"]) if "action_succeeded" in event["topic"]
    ]
    assert done[0]["saidBy"].startswith("person:")


def test_it_did_not_happen_counts_as_failed_and_nothing_is_sent(asked: CommandLine, server: Server) -> None:
    answer(asked, "--did-not-happen")
    assert asked.run("resume").status == 1
    assert asked.only_task()["status"] == "failed"
    assert len(server.received) == 1


def test_try_again_sends_it_once_more_with_the_same_key(asked: CommandLine, server: Server) -> None:
    answer(asked, "--try-again")
    assert asked.run("resume").status == 0
    assert asked.only_task()["status"] == "completed"
    first, second = server.keys()
    assert first == second


def test_a_plain_yes_is_refused_with_the_three_answers(asked: CommandLine, server: Server) -> None:
    question = asked.question()
    given = ("confirmation", "approve", question["confirmationId"], "--digest", question["digest"])
    refused = asked.run(*given)
    assert refused.status == 2
    assert refused.says("asks what became of an attempt: a plain yes is no answer to that")
    assert all(option in refused.err for option in ("--happened", "--did-not-happen", "--try-again"))
    both = asked.run(*given, "--happened", "--try-again")
    assert both.status == 2
    assert both.says("`--happened` and `--try-again` exclude each other")
    kept = asked.run(*given, "--remember", "task", "--try-again")
    assert kept.says("can't be remembered")
    assert asked.question() == question
    assert len(server.received) == 1


@pytest.mark.parametrize("option", ["--happened", "--did-not-happen", "--try-again"])
def test_another_question_takes_no_such_answer(cowork: CommandLine, option: str) -> None:
    cowork.fill("a.txt")
    cowork.run_plan(DELETE, "--answer", "wait")
    question = cowork.question()
    given = ("confirmation", "approve", question["confirmationId"], "--digest", question["digest"], option)
    refused = cowork.run(*given)
    assert refused.status == 2
    assert refused.says(f"`{option}` is no answer to `{question['confirmationId']}`")
    assert cowork.question() == question


def test_a_refusal_leaves_it_unknown(asked: CommandLine, server: Server) -> None:
    question = asked.question()
    assert asked.run("confirmation", "reject", question["confirmationId"], "--digest", question["digest"]).status == 0
    assert asked.run("resume").status == 1
    assert len(server.received) == 1


def test_where_nobody_is_there_the_three_commands_are_printed(interrupted: CommandLine) -> None:
    resumed = interrupted.run("resume")
    assert resumed.status == 3
    question = interrupted.question()
    short = f"cowork confirmation approve {question['confirmationId']} --digest {question['digest'][7:15]}"
    assert f"  it happened:  {short} --happened\n" in resumed.out
    assert f"  it did not:   {short} --did-not-happen\n" in resumed.out
    assert f"  try again:    {short} --try-again\n" in resumed.out
    assert "confirmation reject" not in resumed.out


@pytest.mark.parametrize(
    ("key", "status", "requests", "said"),
    [
        ("h", 0, 1, "noted: it happened"),
        ("x", 1, 1, "noted: it did not happen"),
        ("t", 0, 2, "noted: it is to be tried again"),
    ],
)
def test_a_key_says_what_became_of_it(
    interrupted: CommandLine, server: Server, key: str, status: int, requests: int, said: str
) -> None:
    with interrupted.terminal("resume") as terminal:
        terminal.read_until(KEYS)
        terminal.press(key)
        assert terminal.ended() == status, terminal.text
        assert said in terminal.text
    assert len(server.received) == requests


def test_the_keys_of_other_questions_do_nothing(interrupted: CommandLine, server: Server) -> None:
    with interrupted.terminal("resume") as terminal:
        terminal.read_until(KEYS)
        for key in ("a", "r", "n", "m", "y", "\r", " "):
            terminal.press(key, after=0.5)
        terminal.read(0.3)
        assert terminal.process.poll() is None
        assert terminal.text.count(KEYS) == 1
        assert interrupted.question()["status"] == "pending"
        terminal.press("q")
        assert terminal.ended() == 3
    assert len(server.received) == 1


def test_in_a_terminal_a_blanket_yes_leaves_it_open_too(interrupted: CommandLine, server: Server) -> None:
    with interrupted.terminal("resume", "--answer", "approve") as terminal:
        assert terminal.ended() == 3, terminal.text
        assert "does not say what became of an attempt" in " ".join(terminal.text.split())
    assert interrupted.question()["status"] == "pending"
    assert len(server.received) == 1
