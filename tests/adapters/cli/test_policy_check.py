"""`cowork policy check` and `evaluate`: mistakes with their lines, and questions as JSON lines."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cowork.domain.canonical_json import origin_digest
from tests.adapters.cli.command_line import COWORK, CommandLine, Ended
from tests.adapters.cli.in_process import InProcess


@pytest.fixture
def cowork(tmp_path: Path) -> CommandLine:
    return InProcess(tmp_path)


TEAM = """version = "1.1"
defaults = { fallback = "deny" }

[[rules]]
id = "notes"
action = ["file.read", "file.list"]
decision = "allow"
when = { matchesPattern = ["/home/ann/notes/**"] }
match = [{ path = "/home/ann/notes/a.md" }]
notMatch = [{ path = "/home/ann/other/a.md" }]

[[rules]]
id = "private"
action = "file.*"
decision = "deny"
when = { matchesPattern = ["**/private/**"] }

[[limits]]
id = "reads"
action = "file.read"
max = 100
"""


def write(cowork: CommandLine, text: str, name: str = "team.toml") -> str:
    (cowork.folder / name).write_text(text, encoding="utf-8")
    return name


def ask(cowork: CommandLine, *lines: object) -> list[dict[str, Any]]:
    """Return the answers of `policy evaluate`; a text stands for itself, any other value for its JSON."""
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    ran = subprocess.run(
        [str(COWORK), "policy", "evaluate"],
        input=text,
        cwd=cowork.folder,
        env=cowork.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return Ended(0, ran.stdout, ran.stderr).lines()


def test_a_file_that_can_be_loaded_is_said_to_be_fine_with_its_digests(cowork: CommandLine) -> None:
    ended = cowork.run("policy", "check", write(cowork, TEAM))
    assert ended.status == 0, ended
    first, digest, origin = ended.out.splitlines()
    assert first == "team.toml: ok: 2 rules, 1 limit, 2 examples, version 1.1"
    (checked,) = cowork.run("policy", "check", "team.toml", "--json").json()
    assert digest.strip() == checked["sha256"]
    assert origin.strip() == f"origin {checked['origin']}"
    assert checked["sha256"].startswith("sha256:")


def test_the_digests_are_those_of_the_same_document_as_json(cowork: CommandLine) -> None:
    document = {
        "version": "1.0",
        "defaults": {"fallback": "deny"},
        "rules": [{"id": "a", "action": "file.read", "decision": "allow"}],
    }
    write(cowork, json.dumps(document, indent=3), "a.json")
    toml = (
        'version = "1.0"\ndefaults.fallback = "deny"\nrules = [{id = "a", decision = "allow", action = "file.read"}]\n'
    )
    write(cowork, toml, "a.toml")
    one, other = cowork.run("policy", "check", "a.json", "a.toml", "--json").json()
    assert {**one, "file": ""} == {**other, "file": ""}
    assert one["origin"] == origin_digest(document)


def test_every_mistake_is_told_with_its_line(cowork: CommandLine) -> None:
    broken = (
        TEAM.replace('"allow"', '"alow"').replace('id = "private"', 'id = "notes"').replace("max = 100", "max = -1")
    )
    ended = cowork.run("policy", "check", write(cowork, broken))
    assert ended.status == 2
    lines = [line for line in ended.out.splitlines() if not line.startswith(" ")]
    numbers = [int(line.split(":")[1]) for line in lines]
    assert [broken.splitlines()[number - 1].split(" ")[0] for number in numbers] == ["decision", "id", "max"]
    (checked,) = cowork.run("policy", "check", "team.toml", "--json").json()
    assert [mistake["line"] for mistake in checked["mistakes"]] == numbers
    assert "sha256" not in checked


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("gone.toml", None, "there is no policy file"),
        ("broken.json", '{"version": "1.1",, }', "not JSON"),
        ("twice.json", '{"version": "1.1",\n "version": "1.1"}', "given twice"),
        ("nan.json", '{"version": "1.1", "defaults": {"fallback": "deny"}, "rules": NaN}', "NaN"),
        ("deep.json", "[" * 100_000, "deep"),
    ],
)
def test_a_file_that_can_not_be_read_is_one_sentence(
    cowork: CommandLine, name: str, text: str | None, words: str
) -> None:
    if text is not None:
        write(cowork, text, name)
    ended = cowork.run("policy", "check", name)
    assert ended.status == 2
    assert words in ended.out
    assert "Traceback" not in ended.out + ended.err


def test_one_bad_file_among_good_ones_is_enough(cowork: CommandLine) -> None:
    write(cowork, TEAM)
    ended = cowork.run("policy", "check", "team.toml", "gone.toml")
    assert ended.status == 2
    assert "team.toml: ok" in ended.out


def test_a_file_name_that_deceives_is_shown_as_it_is(cowork: CommandLine) -> None:
    ended = cowork.run("policy", "check", "a\x1b[31m\u202e.toml")
    assert ended.status == 2
    assert "\x1b" not in ended.out
    assert "\\x1b[31m\\u202e" in ended.out


def test_questions_are_answered_in_order_and_a_bad_one_stops_nothing(cowork: CommandLine) -> None:
    policy = {"version": "1.1", "defaults": {"fallback": "deny"}, "rules": []}
    frames = [{"scope": {"grants": [{"root": "/ws"}]}, "layers": [{"name": "team", "policy": policy}]}]
    decide = {"kind": "decide", "frames": frames, "request": {"action": "file.read", "path": "/ws/a"}}
    glob = {"kind": "glob", "pattern": "/ws/*", "text": "/ws/a"}
    first, second, third, fourth = ask(cowork, decide, "{", {"kind": "riddle"}, glob)
    assert (first["decision"], first["ruleId"], first["layer"]) == ("deny", None, "team")
    assert set(second) == set(third) == {"error"}
    assert fourth == {"result": True}


def test_mistakes_and_digests_of_a_document_are_answered(cowork: CommandLine) -> None:
    bad = {"version": "1.0", "rules": []}
    good = {**bad, "defaults": {"fallback": "deny"}}
    errors, fine, digests = ask(
        cowork, *({"kind": "load", "doc": doc} for doc in (bad, good)), {"kind": "hash", "doc": good}
    )
    assert errors == {"errors": ["defaults"]}
    assert fine == {"errors": []}
    assert digests["origin"] == origin_digest(good)


def test_the_same_document_has_the_same_digest_in_both_commands(cowork: CommandLine, tmp_path: Path) -> None:
    document = {"version": "1.1", "defaults": {"fallback": "deny"}, "rules": []}
    (tmp_path / "a.json").write_text(json.dumps(document), encoding="utf-8")
    (checked,) = cowork.run("policy", "check", "a.json", "--json").json()
    (hashed,) = ask(cowork, {"kind": "hash", "doc": document})
    assert checked["sha256"] == f"sha256:{hashed['sha256']}"
