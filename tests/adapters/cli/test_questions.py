"""`cowork confirmation …`: an answer is about exactly what was shown, is given once, and is recorded as a person's."""

import pytest

from tests.adapters.cli.command_line import DELETE, CommandLine

CONFIRMATION_FIELDS = {
    "confirmationId",
    "taskId",
    "actionId",
    "digest",
    "card",
    "riskTags",
    "reason",
    "ruleId",
    "requestedAt",
    "expiresAt",
    "status",
}


@pytest.fixture
def asked(cowork: CommandLine) -> CommandLine:
    """A task that waits for the answer to one question."""
    cowork.fill("a.txt")
    assert cowork.run_plan(DELETE, "--answer", "wait").status == 3
    return cowork


def test_the_list_and_the_question_itself_have_the_fields_of_the_contract(asked: CommandLine) -> None:
    question = asked.question()
    assert set(question) >= CONFIRMATION_FIELDS
    assert asked.run("confirmation", "show", question["confirmationId"], "--json").json() == question
    assert asked.run("confirmation", "list", "--json").json() == [question]
    assert question["riskTags"] == ["delete"]
    assert question["expiresAt"].endswith("Z")


def test_the_list_shows_what_an_answer_needs(asked: CommandLine) -> None:
    question = asked.question()
    listed = asked.run("confirmation", "list").out
    for words in (question["confirmationId"], question["digest"][7:15], "deletes", "h left", "Delete a.txt"):
        assert words in listed


def test_nothing_waiting_is_said(cowork: CommandLine) -> None:
    cowork.run_plan('title = "Look"\n[[step]]\nid = "l"\naction = { kind = "file.list", path = "." }\n')
    assert cowork.run("confirmation", "list").out == "nothing is waiting for you\n"
    assert cowork.run("confirmation", "list", "--json").json() == []


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_without_a_digest_the_question_is_printed_and_nothing_is_answered(asked: CommandLine, verb: str) -> None:
    question = asked.question()
    run = asked.run("confirmation", verb, question["confirmationId"])
    assert run.status == 2
    assert question["card"]["headline"] in run.out
    assert all(line in run.out for block in question["card"]["blocks"] for line in block["lines"])
    assert run.says("an answer needs the digest")
    assert f"--digest {question['digest'][7:15]}" in run.err
    assert asked.question() == question


@pytest.mark.parametrize("digest", ["whole", "short", "spaced"])
def test_the_digest_may_be_whole_or_as_the_card_shows_it(asked: CommandLine, digest: str) -> None:
    question = asked.question()
    whole: str = question["digest"]
    given = {"whole": whole, "short": whole[7:15], "spaced": f"{whole[7:11]} {whole[11:15]}"}[digest]
    run = asked.run("confirmation", "approve", question["confirmationId"], "--digest", given, "--json")
    assert run.status == 0
    assert run.json()["status"] == "approved"


@pytest.mark.parametrize("digest", ["00000000", ""])
def test_another_digest_is_a_conflict_and_answers_nothing(asked: CommandLine, digest: str) -> None:
    question = asked.question()
    whole: str = question["digest"]
    given = digest or f"{whole}00"
    run = asked.run("confirmation", "approve", question["confirmationId"], "--digest", given)
    assert run.status == 5
    assert run.says("is not the digest of what")
    assert asked.question() == question


@pytest.mark.parametrize("prefix", ["", "sha256:"])
@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_a_digest_with_too_few_digits_is_said_to_be_too_short(asked: CommandLine, verb: str, prefix: str) -> None:
    question = asked.question()
    digits = question["digest"][7:14]
    given = f"{prefix}{digits[:4]} {digits[4:]}"
    run = asked.run("confirmation", verb, question["confirmationId"], "--digest", given)
    assert run.status == 2
    assert run.says(f"`{given}` is too short for a digest")
    assert "hint: give at least 8 digits" in run.err
    assert asked.question() == question


def test_a_question_is_answered_once(asked: CommandLine) -> None:
    question = asked.question()
    answer = ("confirmation", "approve", question["confirmationId"], "--digest", question["digest"])
    assert asked.run(*answer).status == 0
    again = asked.run("confirmation", "reject", question["confirmationId"], "--digest", question["digest"])
    assert again.status == 5
    assert again.says("was already approved by person:")
    (after,) = asked.questions()
    assert after["status"] == "approved"


def test_a_rejection_with_a_note_is_recorded_and_blocks_the_task(asked: CommandLine) -> None:
    question = asked.question()
    run = asked.run(
        "confirmation",
        "reject",
        question["confirmationId"],
        "--digest",
        question["digest"],
        "--note",
        "keep \x1b[31mthis",
    )
    assert run.status == 0
    resumed = asked.run("resume")
    assert resumed.status == 4
    assert "\x1b" not in resumed.out
    assert "keep \\x1b[31mthis" in resumed.out
    assert asked.files() == ["a.txt"]
    summary = asked.run("task", "summary", question["taskId"], "--json").json()
    assert summary["questions"][0]["note"] == "keep \x1b[31mthis"


def test_a_question_about_a_file_that_changed_is_asked_again(asked: CommandLine) -> None:
    question = asked.question()
    asked.run("confirmation", "approve", question["confirmationId"], "--digest", question["digest"])
    (asked.inbox / "a.txt").write_text("something else\n", encoding="utf-8")
    run = asked.run("resume")
    again = asked.question()
    assert run.status == 3
    assert asked.files() == ["a.txt"]
    assert again["confirmationId"] != question["confirmationId"]
    assert again["digest"] != question["digest"]
    assert "no longer as it was shown" in run.out


def test_a_question_that_does_not_exist_is_a_wrong_usage(asked: CommandLine) -> None:
    for command in (["show"], ["approve", "--digest", "00000000"], ["reject", "--digest", "00000000"]):
        run = asked.run("confirmation", command[0], "confirmation-nope", *command[1:])
        assert run.status == 2
        assert run.says("there is no confirmation `confirmation-nope`")
