"""`cowork confirmation approve --remember`: what would be kept is shown first; it answers that and nothing else."""

import pytest

from tests.adapters.cli.command_line import DELETE, CommandLine

OVERWRITE = """title = "Overwrite"
[[step]]
id = "one"
action = { kind = "file.write", path = "a.txt", content = "new a" }
[[step]]
id = "two"
action = { kind = "file.write", path = "b.txt", content = "new b" }
"""


@pytest.fixture
def asked(cowork: CommandLine) -> CommandLine:
    """A task that waits for the answers to two questions of one kind."""
    cowork.fill("a.txt", "b.txt")
    assert cowork.run_plan(OVERWRITE, "--answer", "wait").status == 3
    return cowork


def first_question(cowork: CommandLine) -> list[str]:
    question = next(one for one in cowork.questions() if "a.txt" in one["card"]["headline"])
    return [question["confirmationId"], "--digest", question["digest"]]


def pending(cowork: CommandLine) -> int:
    return sum(one["status"] == "pending" for one in cowork.questions())


def approve(cowork: CommandLine, *more: str) -> list[str]:
    return ["confirmation", "approve", *first_question(cowork), *more]


def test_it_says_what_is_kept_where_until_when_and_what_it_would_not_answer(asked: CommandLine) -> None:
    run = asked.run(*approve(asked, "--remember", "task", "--within", str(asked.inbox)))
    (kept,) = asked.run("policy", "approvals", "--json").json()
    assert run.status == 0
    for words in (
        f"Without asking: file.write of `{asked.inbox}` and what lies in it, in the task task-",
        "`baseline:overwrite-needs-a-person`",
        "nothing is riskier than: overwrites",
        f"kept in {asked.folder / 'store'} as {kept['id']}",
        f"cowork policy approvals revoke {kept['id']}",
        "it would have answered 2 of the 2 questions on record",
        "it also answers now: Overwrite b.txt",
        f"`{asked.inbox}-2`: beside it, not in it",
    ):
        assert words in run.out
    assert run.out.count("\n    ") >= 5
    assert asked.run("resume").status == 0
    assert (asked.inbox / "b.txt").read_text(encoding="utf-8") == "new b"
    assert asked.run("audit", "check").status == 0


def test_the_very_file_is_all_that_is_kept_where_nothing_else_is_said(asked: CommandLine) -> None:
    run = asked.run(*approve(asked, "--remember", "task"))
    assert f"file.write of `{asked.inbox / 'a.txt'}`" in run.out
    assert "it also answers now" not in run.out
    assert pending(asked) == 1


def test_a_preview_keeps_nothing_and_answers_nothing(asked: CommandLine) -> None:
    run = asked.run(*approve(asked, "--remember", "workspace", "--preview"))
    assert (run.status, run.out.splitlines()[0].startswith("Without asking: ")) == (0, True)
    assert pending(asked) == 2
    assert asked.run("policy", "approvals", "--json").json() == []


def test_with_json_the_answer_and_what_is_kept_come_as_one_object(asked: CommandLine) -> None:
    run = asked.run(*approve(asked, "--remember", "session", "--uses", "3", "--days", "2", "--json"))
    found = run.json()
    assert found["confirmation"]["status"] == "approved"
    assert found["remembered"]["approval"]["usesLeft"] == 3
    assert found["remembered"]["approval"]["scope"]["session"].startswith("session-")
    assert len(found["remembered"]["nearMisses"]) == 2


def test_a_revoked_approval_answers_nothing(asked: CommandLine) -> None:
    asked.run(*approve(asked, "--remember", "workspace", "--within", str(asked.inbox)))
    (kept,) = asked.run("policy", "approvals", "--json").json()
    assert asked.run("policy", "approvals", "revoke", kept["id"]).status == 0
    asked.run("resume")
    assert asked.run_plan(OVERWRITE, "--answer", "wait").status == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--remember", "for ever"], "for ever"),
        (["--within", "inbox"], "nothing is to be remembered"),
        (["--remember", "task", "--within", "/"], "reaches beyond the granted folder"),
        (["--remember", "task", "--days", "1000"], "`1000` days is not from 1 to 365"),
        (["--remember", "task", "--command", "'open"], "open quote"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_answered(
    asked: CommandLine, options: list[str], sentence: str
) -> None:
    run = asked.run(*approve(asked, *options))
    assert run.status == 2
    assert run.says(sentence)
    assert pending(asked) == 2


def test_a_deletion_is_not_remembered(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    cowork.run_plan(DELETE, "--answer", "wait")
    run = cowork.run(*approve(cowork, "--remember", "task"))
    assert run.says("never remembered")
    assert pending(cowork) == 1


@pytest.mark.parametrize(("keys", "status", "left"), [("y\n", 0, 0), ("\n", 3, 2), ("n\n", 3, 2)])
def test_in_a_terminal_it_asks_before_it_keeps(asked: CommandLine, keys: str, status: int, left: int) -> None:
    with asked.terminal(*approve(asked, "--remember", "task", "--within", str(asked.inbox))) as terminal:
        terminal.read_until("keep that? [y/N]")
        terminal.press(keys)
        assert terminal.ended() == status
    assert pending(asked) == left


def test_a_policy_file_that_is_there_and_not_used_is_named(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    (cowork.inbox / ".cowork").mkdir()
    rules = 'version = "1.1"\ndefaults.fallback = "allow"\n[[rules]]\nid = "no"\naction = "file.*"\ndecision = "deny"\n'
    (cowork.inbox / ".cowork" / "policy.toml").write_text(rules, encoding="utf-8")
    look = 'title = "Look"\n[[step]]\nid = "l"\naction = { kind = "file.list", path = "." }\n'
    before = cowork.run_plan(look)
    assert (before.status, "since the folder is not trusted" in before.err) == (0, True)
    assert cowork.run("policy", "trust", str(cowork.inbox)).status == 0
    after = cowork.run_plan(look)
    assert (after.status, after.err) == (4, "")


@pytest.mark.parametrize(("keys", "kept"), [("o", "a.txt"), ("f", "")])
def test_the_key_m_of_a_question_chooses_shows_and_keeps(cowork: CommandLine, keys: str, kept: str) -> None:
    cowork.fill("a.txt", "b.txt")
    with cowork.terminal("run", cowork.plan(OVERWRITE), "--folder", "inbox") as terminal:
        terminal.read_until("m remember")
        terminal.press("m")
        terminal.read_until("in this task")
        terminal.press("t")
        terminal.read_until("only this")
        terminal.press(keys)
        terminal.read_until("keep it?")
        terminal.press("y")
        if kept:
            terminal.read_until("m remember", count=2)
            terminal.press("a")
        assert terminal.ended() == 0
        assert "Without asking: file.write of" in terminal.text
    (approval,) = cowork.run("policy", "approvals", "--json").json()
    assert approval["sentence"].count(f"`{(cowork.inbox / kept) if kept else cowork.inbox}`") == 1
    assert (cowork.inbox / "b.txt").read_text(encoding="utf-8") == "new b"


def test_the_key_m_goes_back_and_says_what_can_not_be_remembered(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    with cowork.terminal("run", cowork.plan(DELETE), "--folder", "inbox") as terminal:
        terminal.read_until("m remember")
        terminal.press("m")
        terminal.read_until("in this task")
        terminal.press("\x1b")
        terminal.read_until("m remember", count=2)
        terminal.press("m")
        terminal.read_until("in this task", count=2)
        terminal.press("t")
        terminal.read_until("only this")
        terminal.press("o")
        terminal.read_until("never remembered")
        terminal.read_until("m remember", count=3)
        terminal.press("r")
        assert terminal.ended() == 4
    assert cowork.files() == ["a.txt"]
    assert cowork.run("policy", "approvals", "--json").json() == []


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--uses", "0"), "`0` uses is not from 1 to 10000"),
        (("--days", "0"), "`0` days is not from 1 to 365"),
        (("--uses", "10001"), "`10001` uses is not from 1 to 10000"),
        (("--command", "git status"), "is about file.write, not about a command"),
        (("--command", " "), "`--command` has no words"),
    ],
)
def test_a_bound_that_bounds_nothing_is_refused_and_nothing_is_kept(
    asked: CommandLine, more: tuple[str, ...], sentence: str
) -> None:
    ended = asked.run(*approve(asked, "--remember", "task", *more))
    assert ended.status == 2
    assert sentence in ended.err
    assert pending(asked) == 2
    assert asked.run("policy", "approvals", "--json").json() == []
