"""`cowork undo`: what would be taken back is said first, what is left is named, and the status is honest."""

from typing import Any

import pytest

from tests.adapters.cli.command_line import CommandLine

PLAN = """title = "Tidy"
[[step]]
id = "list"
action = { kind = "file.write", path = "list.txt", content = "ONE\\n2\\n3\\n4\\n" }
[[step]]
id = "gone"
action = { kind = "file.delete", path = "in" }
[[step]]
id = "note"
action = { kind = "file.create", path = "notes/new.txt", content = "new" }
[[step]]
id = "name"
action = { kind = "file.move", path = "b.txt", to = "kept/b.txt" }
"""
RESTORING_DENIED = """version = "1.1"
defaults = { fallback = "allow" }
[[rules]]
id = "no-restoring"
action = "file.restore"
decision = "deny"
"""


class Tidied:
    """An inbox in which a plan was carried out."""

    def __init__(self, cowork: CommandLine) -> None:
        self.cowork = cowork
        (cowork.inbox / "in").mkdir()
        for name, text in {"list.txt": "1\n2\n3\n4\n", "in/one.txt": "one", "b.txt": "b"}.items():
            (cowork.inbox / name).write_text(text, encoding="utf-8")
        self.before = self.files()
        ended = cowork.run("run", cowork.plan(PLAN), "--folder", str(cowork.inbox), "--answer", "approve")
        assert ended.status == 0, ended.err
        self.task_id = str(cowork.only_task()["taskId"])

    def files(self) -> dict[str, str]:
        found = (path for path in self.cowork.inbox.rglob("*") if path.is_file())
        return {path.relative_to(self.cowork.inbox).as_posix(): path.read_text(encoding="utf-8") for path in found}

    def undo(self, *more: str, name: str = "") -> Any:
        return self.cowork.run("undo", name or self.task_id, *more)


@pytest.fixture
def tidied(cowork: CommandLine) -> Tidied:
    return Tidied(cowork)


def test_a_look_says_line_by_line_what_would_be_done_and_left(tidied: Tidied) -> None:
    (tidied.cowork.inbox / "list.txt").write_text("ONE\n2\n3\nfour\n", encoding="utf-8")
    (tidied.cowork.inbox / "notes/new.txt").write_text("mine", encoding="utf-8")
    after = tidied.files()
    ended = tidied.undo("--dry-run")
    assert ended.status == 0
    assert ended.out.splitlines() == [
        f'would undo {tidied.task_id} "Tidy"',
        "  merge      list.txt",
        "  put back   in",
        "  move back  kept/b.txt -> b.txt",
        "  remove     kept",
        "  left       notes: it was made here, and holds something else now",
        "  left       notes/new.txt: it was made here, and has been changed since",
    ]
    assert tidied.files() == after


def test_everything_back_is_status_0(tidied: Tidied) -> None:
    ended = tidied.undo("--answer", "approve")
    assert ended.status == 0, ended.err
    assert tidied.files() == tidied.before
    assert tidied.undo("--answer", "approve").out.startswith("nothing to undo: ")


def test_something_left_is_status_5_and_named(tidied: Tidied) -> None:
    (tidied.cowork.inbox / "list.txt").write_text("eins\n2\n3\n4\n", encoding="utf-8")
    ended = tidied.undo("--answer", "approve")
    assert ended.status == 5
    assert "  left       list.txt: it was changed since, and can't be merged: both changed the same lines" in ended.out
    assert ended.out.endswith("1 thing left as they are: see above\n")
    assert tidied.files() == {**tidied.before, "list.txt": "eins\n2\n3\n4\n"}


def test_what_turns_out_not_to_be_possible_is_status_5_and_named(tidied: Tidied) -> None:
    (tidied.cowork.inbox / "kept/b.txt").unlink()
    (tidied.cowork.inbox / "kept").rmdir()
    (tidied.cowork.inbox / "kept").write_text("mine", encoding="utf-8")
    ended = tidied.undo("--answer", "approve")
    assert ended.status == 5
    assert "left" in ended.out
    assert tidied.files()["kept"] == "mine"
    assert tidied.files()["in/one.txt"] == "one"


def test_without_anybody_to_ask_the_undo_waits_and_can_be_resumed(tidied: Tidied) -> None:
    ended = tidied.undo()
    assert ended.status == 3
    refused = tidied.undo()
    assert refused.status == 5
    assert refused.says("which undoes it or a part of it, has not ended")
    waiting = [one for one in tidied.cowork.run("task", "list", "--json").json() if one["undoes"] == tidied.task_id]
    assert [one["status"] for one in waiting] == ["awaiting_confirmation"]
    assert tidied.cowork.run("resume", waiting[0]["taskId"], "--answer", "approve").status == 0
    assert tidied.files() == tidied.before


def test_an_undo_is_undone_as_anything_is(tidied: Tidied) -> None:
    after = tidied.files()
    first = tidied.undo("--answer", "approve", "--json").lines()
    assert tidied.files() == tidied.before
    ended = tidied.undo("--answer", "approve", name=first[0]["taskId"])
    assert ended.status == 0, ended.err
    assert tidied.files() == after


def test_programs_get_the_report_first_and_then_the_events(tidied: Tidied) -> None:
    look = tidied.undo("--dry-run", "--json").json()
    assert set(look) == {"undoes", "title", "lines", "folders", "taskId"}
    assert (look["undoes"], look["taskId"]) == (tidied.task_id, "")
    assert [line["deed"] for line in look["lines"]] == ["write_back", "put_back", "move_back", "remove", "remove"]
    lines = tidied.undo("--answer", "approve", "--json").lines()
    assert lines[0]["taskId"] == lines[-1]["taskId"]
    assert lines[-1]["status"] == "completed"
    assert {line["event"] for line in lines[1:-1]} >= {"task.action_succeeded", "task.completed"}


def test_one_action_is_undone_by_its_id(tidied: Tidied) -> None:
    ended = tidied.undo("--answer", "approve", name=f"{tidied.task_id}.1")
    assert ended.status == 0, ended.err
    assert tidied.files()["list.txt"] == "1\n2\n3\n4\n"
    assert "b.txt" not in tidied.files()


def test_other_rules_than_the_tasks_may_be_given(tidied: Tidied) -> None:
    rules = tidied.cowork.folder / "rules.toml"
    rules.write_text(RESTORING_DENIED, encoding="utf-8")
    ended = tidied.undo("--answer", "approve", "--policy", str(rules))
    assert ended.status == 4
    assert "in/one.txt" not in tidied.files()
    assert tidied.undo("--answer", "approve").status == 0
    assert tidied.files() == tidied.before


def test_what_is_no_task_is_said_in_a_sentence(tidied: Tidied) -> None:
    assert tidied.undo(name="task-nosuch").says("there is no task `task-nosuch`")
    assert tidied.undo(name=f"{tidied.task_id}.99").says("there is no action")
