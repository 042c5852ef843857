"""`cowork session …`: which sessions there are, ending one, and what left it."""

from collections.abc import Iterator

import anyio
import pytest

from cowork.adapters.bootstrap import open_application
from tests.acceptance.workplace import Forks, Workplace, fork_server, workplace

PLAN = """
title = "Tidy"
[[step]]
id = "made"
action = { kind = "file.create", path = "out/made.md", content = "made" }
[[step]]
id = "changed"
action = { kind = "file.write", path = "a.txt", content = "changed" }
"""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with fork_server() as server:
        yield server


@pytest.fixture
def place(forks: Forks) -> Iterator[Workplace]:
    with workplace(forks) as made:
        made.write({"plan.toml": PLAN, "inbox/a.txt": "before"})
        (made.inbox / "out").mkdir()
        yield made


def run(place: Workplace, answer: str) -> str:
    """Run the plan and return the session's id."""
    place.run("run", "plan.toml", "--folder", "inbox", "--output", "inbox/out", "--answer", answer)
    sessions = place.run("session", "list", "--all", "--json").json()
    return str(sessions[0]["sessionId"])


def test_open_sessions_are_listed_and_with_all_those_that_ended(place: Workplace) -> None:
    assert place.run("session", "list").out == "no sessions\n"
    ended, waiting = run(place, "reject"), run(place, "wait")
    assert [one["sessionId"] for one in place.run("session", "list", "--json").json()] == [waiting]
    every = place.run("session", "list", "--all", "--json").json()
    assert [(one["sessionId"], one["status"]) for one in every] == [(waiting, "open"), (ended, "ended")]
    lines = place.run("session", "list", "--all").out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [[waiting, "open"], [ended, "ended"]]


def test_ending_a_session_cancels_its_task_and_says_what_left_it(place: Workplace) -> None:
    session = run(place, "wait")
    ended = place.run("session", "end", session, "--reason", "enough", "--json")
    assert ended.status == 0, ended.err
    shown = ended.json()
    assert (shown["session"]["status"], [task["status"] for task in shown["tasks"]]) == ("ended", ["cancelled"])
    (made,) = shown["left"]["outputs"]
    assert made["path"] == str(place.inbox / "out" / "made.md")
    assert shown["left"]["exports"] == shown["left"]["network"] == []
    assert (place.inbox / "a.txt").read_text() == "before"
    assert place.run("resume").out == "nothing to resume\n"


def test_a_file_elsewhere_bears_the_name_of_who_said_yes(place: Workplace) -> None:
    session = run(place, "approve")
    shown = place.run("session", "show", session)
    assert shown.status == 0
    assert f"{place.inbox}/a.txt  sha256:" in shown.out
    assert "approved by person:somebody" in shown.out
    assert "2 files left the session" in shown.out


def test_what_its_agents_noted_down_is_gone_when_it_is_ended(place: Workplace) -> None:
    session = run(place, "wait")
    app = open_application(place.store)
    anyio.run(lambda: app.memory(session).put("canary-name", b"canary-value"))
    app.close()
    assert "memory: 1 entry, 23 bytes" in place.run("session", "show", session).out
    assert len(list((place.store / "memory").iterdir())) == 2
    shown = place.run("session", "end", session)
    assert "memory: destroyed; it had 1 entry, 23 bytes" in shown.out
    assert list((place.store / "memory").iterdir()) == []
    for path in (path for path in place.folder.rglob("*") if path.is_file()):
        assert b"canary" not in path.read_bytes(), path


@pytest.mark.parametrize("command", ["show", "end"])
def test_an_unknown_session_is_named(place: Workplace, command: str) -> None:
    run(place, "reject")
    ended = place.run("session", command, "session-nowhere")
    assert ended.status == 2
    assert ended.err == "error: there is no session `session-nowhere`\nhint: see `cowork session list --all`\n"
