"""What is written: to a reader that goes away, to a full disk, in an encoding that lacks characters, and on errors."""

import json
import os
import subprocess

import pytest

from tests.adapters.cli.command_line import COWORK, DELETE_ALL, LOOK, CommandLine

FILES = [f"{number:03}.txt" for number in range(60)]


def test_a_task_goes_on_when_nobody_reads_its_output_any_more(cowork: CommandLine) -> None:
    cowork.fill(*FILES)
    process = cowork.start("run", cowork.plan(DELETE_ALL), "--folder", "inbox", "--answer", "approve", "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 0
    assert err == ""
    assert cowork.only_task()["status"] == "completed"
    assert cowork.files() == []


def test_a_list_that_nobody_reads_to_its_end_is_no_error(cowork: CommandLine) -> None:
    cowork.run_plan(LOOK)
    command = f"'{COWORK}' audit log --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    run = subprocess.run(
        ["bash", "-c", command],
        cwd=cowork.folder,
        env=cowork.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "[", "")


def test_output_that_a_full_disk_loses_is_said_and_is_a_failure(cowork: CommandLine) -> None:
    cowork.run_plan(LOOK)
    with open("/dev/full", "wb") as full:
        run = subprocess.run(
            [str(COWORK), "task", "list"],
            env=cowork.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.returncode == 1
    assert run.stderr == "error: the output can't be written: No space left on device\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_without_one_of_its_streams_does_its_work(cowork: CommandLine, closed: str) -> None:
    cowork.plan(LOOK)
    command = f'"$0" run plan.toml --folder inbox {closed}'
    run = subprocess.run(
        ["sh", "-c", command, str(COWORK)],
        cwd=cowork.folder,
        env=cowork.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, ""), run
    assert ("completed" in run.stdout) == (closed in ("<&-", "2>&-")), run
    assert cowork.only_task()["status"] == "completed"


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_refusal_that_nobody_can_read_keeps_its_status(cowork: CommandLine, closed: str) -> None:
    run = subprocess.run(
        ["sh", "-c", f'"$0" task show nope {closed}', str(COWORK)],
        cwd=cowork.folder,
        env=cowork.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, ""), run
    assert run.stderr.startswith("error: ") == (closed == ">&-")


def test_what_the_encoding_lacks_is_written_as_an_escape(cowork: CommandLine) -> None:
    cowork.fill("März.txt")
    run = cowork.run("run", cowork.plan(DELETE_ALL), "--folder", "inbox", env={"PYTHONIOENCODING": "ascii"})
    assert run.status == 3
    assert "M\\xe4rz.txt" in run.out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_json_is_utf_8_whatever_the_encoding(cowork: CommandLine, encoding: str) -> None:
    cowork.fill("März.txt")
    env = {"PYTHONIOENCODING": encoding}
    cowork.run("run", cowork.plan(DELETE_ALL), "--folder", "inbox", "--answer", "wait")
    (question,) = cowork.run("confirmation", "list", "--json", env=env).json()
    assert "März.txt" in question["card"]["headline"]
    events = cowork.run("replay", question["taskId"], "--json", env=env).lines()
    assert any("März.txt" in str(event) for event in events)
    document = cowork.run("policy", "show", "--document", "baseline", "--json", env=env).json()
    assert document["rules"]


def test_with_json_an_error_is_also_an_object_on_standard_output(cowork: CommandLine) -> None:
    cowork.run_plan(LOOK)
    run = cowork.run("task", "show", "task-nope", "--json")
    assert run.status == 2
    assert run.says("there is no task `task-nope`")
    assert run.json() == {
        "error": {
            "code": "not_found",
            "message": "there is no task `task-nope`",
            "hint": "see `cowork task list`",
        }
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], "unknown command `rnu`"),
        (["task", "lits"], "unknown command `lits`"),
        (["task", "list", "--jsno"], "unknown option: --jsno"),
        (["task", "show"], "TASK_ID requires an argument"),
        (["run", "plan.toml", "--answer", "maybe"], "invalid value `maybe`"),
        (["replay", "task-x", "--at", "soon"], "`--at` is a whole number"),
        (["resume", "a", "b"], "unexpected argument `"),
        (["task", "show", "\x1b[2J", "\x1b[2J"], "unexpected argument `"),
    ],
)
def test_a_mistake_on_the_command_line_is_a_sentence_and_status_2(
    cowork: CommandLine, arguments: list[str], words: str
) -> None:
    run = cowork.run(*arguments)
    assert run.status == 2, run
    assert run.says(words), run.err
    assert run.err.splitlines()[1].startswith("hint: ")
    assert not run.err.splitlines()[0].endswith(".")
    assert "\x1b" not in run.err
    assert not cowork.store.exists()


def test_a_bug_is_one_sentence_with_a_trace_in_a_file(cowork: CommandLine) -> None:
    broken = (
        "import sys\n"
        "from cowork.adapters import bootstrap\n"
        "def broken(*_: object, **__: object) -> None: raise ZeroDivisionError('one\\ntwo \\x1b[2J')\n"
        "bootstrap.open_application = broken\n"
        "from cowork.adapters.cli.main import main\n"
        "main()\n"
    )
    command = [str(COWORK.parent / "python"), "-c", broken, "task", "show", "task-1", "--json"]
    aside = cowork.folder / "aside"
    aside.mkdir()
    env = cowork.environment({"TMPDIR": str(aside)})
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 70
    assert not cowork.store.exists(), "an error makes no store"
    assert str(next(aside.iterdir())) in run.stderr
    cowork.store.mkdir()
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 70
    sentence, hint = run.stderr.splitlines()
    assert sentence == "error: cowork has a bug: ZeroDivisionError: one"
    assert json.loads(run.stdout)["error"]["code"] == "bug"
    (log,) = (cowork.store / "logs").iterdir()
    assert str(log) in hint
    assert "ZeroDivisionError" in log.read_text()
    assert os.stat(log.parent).st_mode & 0o777 == 0o700
    loud = subprocess.run(
        command, env=cowork.environment({"COWORK_DEBUG": "1"}), capture_output=True, text=True, check=False
    )
    assert "Traceback" in loud.stderr
    assert len(list((cowork.store / "logs").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["rnu"], "did you mean `run`? see `cowork --help`"),
        (["task", "lits"], "did you mean `list`? see `cowork task --help`"),
        (["grant", "frobnicate"], "the commands are list, narrow, revoke"),
        (
            ["run", "plan.toml", "--answer", "wiat"],
            "choose from: `ask`, `approve`, `reject`, `wait`; did you mean `wait`?",
        ),
    ],
)
def test_a_mistyped_word_is_answered_with_what_may_be_meant(
    cowork: CommandLine, arguments: list[str], hint: str
) -> None:
    ended = cowork.run(*arguments)
    assert ended.status == 2
    assert ended.err.splitlines()[1] == f"hint: {hint}"


def test_an_unknown_command_is_answered_with_all_that_there_are(cowork: CommandLine) -> None:
    hint = cowork.run("frobnicate").err.splitlines()[1]
    commands = hint.removeprefix("hint: the commands are ").split(", ")
    assert (commands[0], commands[-1], len(commands)) == ("run", "demo", 17)
