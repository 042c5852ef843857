"""CNF-15: under a policy file that can't be trusted nothing runs. CNF-19: on a full disk nothing is done."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.normal import tree_of
from tests.acceptance.workplace import Forks, Workplace, fork_server, workplace

READ = 'title = "Read"\n[[step]]\nid = "read"\naction = { kind = "file.read", path = "a.txt" }\n'
DELETE = 'title = "Delete"\n[[step]]\nid = "delete"\naction = { kind = "file.delete", path = "a.txt" }\n'
DEFAULTS = '"version": "1.1", "defaults": {"fallback": "deny"}'
ALLOW_ALL = f'{{{DEFAULTS}, "rules": [{{"id": "all", "action": "*", "decision": "allow"}}]}}'


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with fork_server() as server:
        yield server


@pytest.fixture
def place(forks: Forks) -> Iterator[Workplace]:
    with workplace(forks) as made:
        made.write({"inbox/a.txt": "a\n", "read.toml": READ, "delete.toml": DELETE})
        yield made


def write(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding="utf-8")


def open_to_all(path: Path) -> None:
    path.write_text(ALLOW_ALL, encoding="utf-8")
    path.chmod(0o666)


def link(path: Path) -> None:
    path.with_name("real.json").write_text(ALLOW_ALL, encoding="utf-8")
    path.symlink_to("real.json")


BAD: dict[str, Callable[[Path], object]] = {
    "missing": lambda _path: None,
    "empty": write(""),
    "not JSON": write("{rules"),
    "no object": write("[1]"),
    "no rules": write(f"{{{DEFAULTS}}}"),
    "no version": write(ALLOW_ALL.replace('"version": "1.1", ', "")),
    "no fallback": write(ALLOW_ALL.replace('"fallback": "deny"', "")),
    "an unknown action": write(ALLOW_ALL.replace('"*"', '"file.explode"')),
    "an unknown decision": write(ALLOW_ALL.replace('"allow"', '"maybe"')),
    "an unknown condition": write(ALLOW_ALL.replace('"allow"', '"allow", "when": {"moonPhase": 1}')),
    "a fallback that is no answer": write(ALLOW_ALL.replace('"deny"', '"ask"')),
    "a key twice": write(ALLOW_ALL.replace('"rules"', '"version": "1.0", "rules"')),
    "not text": lambda path: path.write_bytes(b"\xff\xfe\0"),
    "too deep": write("[" * 100_000),
    "writable for everybody": open_to_all,
    "a link": link,
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("bad", BAD)
def test_nothing_runs_under_a_policy_that_can_not_be_trusted(bad: str, place: Workplace) -> None:
    BAD[bad](place.folder / "policy.json")
    ended = place.run("run", "read.toml", "--folder", "inbox", "--policy", "policy.json", "--answer", "approve")
    assert ended.status == 2, ended
    assert ended.err.startswith("error: ")
    assert "policy" in ended.err
    assert "Traceback" not in ended.err
    assert place.run("task", "list", "--json").json() == []


def test_a_policy_that_the_agent_could_write_is_never_read(place: Workplace) -> None:
    before = tree_of(place.inbox)
    place.write({"inbox/rules/policy.json": ALLOW_ALL, "policy.json": ALLOW_ALL})
    for inside in ("inbox/rules/policy.json", f"{place.inbox}/../inbox/rules/policy.json"):
        ended = place.run("run", "delete.toml", "--folder", "inbox", "--policy", inside)
        assert ended.status == 2, ended
        assert "granted folder" in ended.err
    assert (place.inbox / "a.txt").exists()
    assert place.run("task", "list", "--json").json() == []
    assert place.run("run", "delete.toml", "--folder", "inbox", "--policy", "policy.json").status == 0
    assert not (place.inbox / "a.txt").exists()
    assert before


def test_what_a_full_disk_can_not_record_is_not_done(place: Workplace) -> None:
    place.run("run", "delete.toml", "--folder", "inbox", "--answer", "wait")
    task_id = place.only_task()
    (question,) = place.questions()
    assert place.approve(question).status == 0
    before = tree_of(place.inbox)
    for file_bytes_max in (1024, 2048, 4096):
        full = place.run("resume", task_id, file_bytes_max=file_bytes_max)
        assert full.status == 1, full
        assert full.err.startswith("error: "), full
        assert "Traceback" not in full.err
        assert tree_of(place.inbox) == before
        assert "task.action_started" not in place.events(task_id)
    assert place.run("resume", task_id).status == 0
    assert not (place.inbox / "a.txt").exists()
    assert place.events(task_id).count("task.action_started") == 1
    assert place.run("audit", "check").status == 0
