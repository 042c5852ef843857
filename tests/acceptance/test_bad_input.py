"""Whatever is put in: a sentence that says what is wrong, the right exit status, no trace, and nothing lost or done."""

import os
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from cowork.adapters import bootstrap
from cowork.adapters.blobs.store import FileBlobStore
from cowork.adapters.event_store import open_sqlite_store
from cowork.adapters.files.executor import FileExecutor
from cowork.adapters.files.finder import GlobFinder
from cowork.adapters.files.opener import FileFolderOpener
from cowork.adapters.read_model.sqlite import SqliteReadModel
from cowork.adapters.system.ids import RandomIds
from cowork.adapters.system.task_locks import FileTaskLocks
from cowork.engine.application import FolderRequest, RunRequest
from cowork.engine.policy_records import NoPolicyFiles
from cowork.projections.registry import TABLES
from tests.adapters.cli.command_line import COWORK, DELETE, LOOK, CommandLine, Ended

HEAD = 'title = "Bad"\n'
STEP = '[[step]]\nid = "a"\naction = { kind = "file.list", path = "." }\n'


def _nothing_was_recorded(cowork: CommandLine) -> bool:
    return not (cowork.store / "events.db").exists() or cowork.run("task", "list", "--json").json() == []


# Plans


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = ", "plan.toml"),
        ("", "step"),
        ("\x00\x01\x02", "plan.toml"),
        (HEAD, "step"),
        (HEAD + "step = 3\n", "step"),
        (HEAD + STEP + STEP, "`a`"),
        (HEAD + STEP + 'needs = ["b"]\n', "`b`"),
        (HEAD + STEP + 'needs = ["b"]\n' + STEP.replace('"a"', '"b"') + 'needs = ["a"]\n', "`a` -> `b` -> `a`"),
        (HEAD + STEP.replace("file.list", "file.shred"), "file.shred"),
        (HEAD + STEP.replace("path", "where"), "path"),
        (HEAD + STEP + 'color = "red"\n', "color"),
        (HEAD + "urgent = true\n" + STEP, "urgent"),
        (HEAD + 'on_ask = "guess"\n' + STEP, "guess"),
        (HEAD + STEP.replace('"."', "7"), "path"),
        (HEAD + STEP.replace('id = "a"\n', ""), "id"),
    ],
)
def test_a_plan_that_is_none_is_refused_with_what_is_wrong_in_it(cowork: CommandLine, text: str, words: str) -> None:
    cowork.fill("a.txt")
    run = cowork.run_plan(text)
    assert run.status == 2, run
    assert run.says(words), run.err
    assert _nothing_was_recorded(cowork)
    assert cowork.files() == ["a.txt"]


@pytest.mark.parametrize("text", ["{", "[]", '{"title": "x", "steps": []}', "null", '{"title": "x", "title": "y"}'])
def test_a_json_plan_that_is_none_is_refused(cowork: CommandLine, text: str) -> None:
    run = cowork.run("run", cowork.plan(text, "plan.json"), "--folder", "inbox")
    assert run.status == 2
    assert run.says("plan.json")
    assert _nothing_was_recorded(cowork)


@pytest.mark.parametrize("plan", ["missing.toml", "inbox", "no/such/folder/plan.toml", "", "pipe", "loop"])
def test_what_is_no_file_is_no_plan(cowork: CommandLine, plan: str) -> None:
    os.mkfifo(cowork.folder / "pipe")
    (cowork.folder / "loop").symlink_to("loop")
    run = cowork.run("run", plan, "--folder", "inbox")
    assert run.status in (1, 2), run
    assert run.says(plan)
    assert _nothing_was_recorded(cowork)


def test_a_policy_that_is_none_stops_everything(cowork: CommandLine) -> None:
    (cowork.folder / "rules.toml").write_text("[[rules]]\nid = 3\n", encoding="utf-8")
    for name in ("rules.toml", "missing.toml"):
        run = cowork.run_plan(LOOK, "--policy", name)
        assert run.status == 2
        assert run.says(name)
        assert _nothing_was_recorded(cowork)


# Folders


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("missing", "missing"),
        ("a-file", "not a folder"),
        ("a-link", "symbolic link"),
        ("a-link/.", "symbolic link"),
        ("/", "can't be granted"),
        (".", "contains the store"),
        ("store", "store"),
        ("", "folder"),
        ("inbox/../../..", "contains the store"),
    ],
)
def test_a_folder_that_can_not_be_granted_is_refused(cowork: CommandLine, folder: str, words: str) -> None:
    (cowork.folder / "a-file").write_text("x")
    (cowork.folder / "a-link").symlink_to("inbox" if folder == "a-link" else "missing")
    cowork.run_plan(LOOK)
    before = cowork.run("audit", "log", "--json").out
    run = cowork.run("run", cowork.plan(LOOK), "--folder", folder)
    assert run.status == 2, run
    assert run.says(words), run.err
    assert cowork.run("audit", "log", "--json").out == before


def test_a_folder_is_granted_once_whatever_it_is_called(cowork: CommandLine) -> None:
    run = cowork.run("run", cowork.plan(LOOK), "--folder", "inbox", "--folder", "inbox/../inbox")
    assert run.status == 2
    assert run.says("is granted twice")
    assert _nothing_was_recorded(cowork)


# Paths in a plan


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "sub/../../secret.txt", "a\\u0000.txt", "link.txt", "link/secret.txt", "pipe", "", "/etc/passwd"],
)
@pytest.mark.parametrize("kind", ["file.read", "file.delete"])
def test_a_path_that_leads_elsewhere_is_refused_and_nothing_is_touched(
    cowork: CommandLine, path: str, kind: str
) -> None:
    (cowork.folder / "secret.txt").write_text("secret\n", encoding="utf-8")
    (cowork.inbox / "link.txt").symlink_to("../secret.txt")
    (cowork.inbox / "link").symlink_to("..")
    os.mkfifo(cowork.inbox / "pipe")
    plan = f'{HEAD}[[step]]\nid = "a"\naction = {{ kind = "{kind}", path = "{path}" }}\n'
    run = cowork.run_plan(plan, "--answer", "approve")
    assert run.status in (2, 4), run
    assert "secret\n" not in run.out
    assert "Traceback" not in run.err
    assert (cowork.folder / "secret.txt").read_text() == "secret\n"
    assert sorted(os.listdir(cowork.inbox)) == ["link", "link.txt", "pipe"]


# Stores


def _text_file(cowork: CommandLine) -> None:
    (cowork.store / "events.db").write_text("dear diary, nothing here is a database at all\n" * 20)


def _other_database(cowork: CommandLine) -> None:
    with sqlite3.connect(cowork.store / "events.db") as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()


def _newer_version(cowork: CommandLine) -> None:
    cowork.run_plan(LOOK)
    with sqlite3.connect(cowork.store / "events.db") as log:
        log.execute("PRAGMA user_version = 99")
    log.close()


def _damaged(cowork: CommandLine) -> None:
    cowork.run_plan(LOOK)
    log = cowork.store / "events.db"
    data = log.read_bytes()
    log.write_bytes(data[:200] + b"\x55" * (len(data) - 200))


def _folder_in_its_place(cowork: CommandLine) -> None:
    (cowork.store / "events.db").mkdir()


@pytest.mark.parametrize(
    ("spoil", "status", "words"),
    [
        (_text_file, 2, "is not an event store"),
        (_other_database, 2, "another program"),
        (_newer_version, 2, "format 99"),
        (_damaged, 6, "damaged"),
        (_folder_in_its_place, 2, "is not a file"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_store_that_is_none_is_named_and_left_as_it_is(
    cowork: CommandLine, spoil: Callable[[CommandLine], None], status: int, words: str
) -> None:
    cowork.store.mkdir()
    spoil(cowork)
    log = cowork.store / "events.db"
    before = log.read_bytes() if log.is_file() else b""
    for run in (cowork.run_plan(LOOK), cowork.run("task", "list"), cowork.run("resume")):
        assert run.status == status, run
        assert run.says(words), run.err
    assert (log.read_bytes() if log.is_file() else b"") == before
    assert cowork.run("doctor").status == status


def test_a_file_in_the_place_of_the_stores_folder_is_left_as_it_is(cowork: CommandLine) -> None:
    cowork.store.write_text("mine\n")
    for run in (cowork.run_plan(LOOK), cowork.run("task", "list"), cowork.run("doctor")):
        assert run.status in (1, 2), run
        assert "Traceback" not in run.err
    assert cowork.store.read_text() == "mine\n"


def test_a_store_that_another_process_keeps_locked_is_named_and_nothing_is_recorded(cowork: CommandLine) -> None:
    cowork.run_plan(LOOK)
    before = cowork.run("audit", "log", "--json").out
    other = sqlite3.connect(cowork.store / "events.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        run = cowork.run_plan(LOOK)
        looked = cowork.run("audit", "log", "--json")
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert run.status == 1
    assert run.says("in use by another program")
    assert (looked.status, looked.out) == (0, before)
    assert cowork.run_plan(LOOK).status == 0


# A disk of its own, so that it can be full or read-only

_MOUNTED = """
set -eu
mkdir "$1"
mount -t tmpfs -o size="$2" tmpfs "$1"
shift 2
"$@"
"""


_AS_MYSELF = """#!/bin/sh
exec unshare --user --map-user={uid} --map-group={gid} {cowork} "$@"
"""


def _on_own_disk(cowork: CommandLine, size: str, script: str) -> Ended:
    """Run a shell script with a small file system at `disk`; fails where this machine can't make one.

    The script is 0 of a user namespace, which may mount; the command, which 0 may not run, is this user again in it.
    """
    command = cowork.folder / "cowork"
    command.write_text(_AS_MYSELF.format(uid=os.getuid(), gid=os.getgid(), cowork=COWORK), encoding="utf-8")
    command.chmod(0o755)
    run = subprocess.run(
        ["unshare", "-rm", "sh", "-c", _MOUNTED, "sh", "disk", size, "sh", "-c", script, "sh", str(command)],
        cwd=cowork.folder,
        env=cowork.environment({"COWORK_STORE": str(cowork.folder / "disk" / "store")}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "unshare:" not in run.stderr, run.stderr
    assert "mount:" not in run.stderr, run.stderr
    return Ended(run.returncode, run.stdout, run.stderr)


def test_on_a_full_disk_nothing_is_acknowledged_that_was_not_kept(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    cowork.plan(DELETE)
    cowork.plan(LOOK, "look.toml")
    script = """
        "$1" run look.toml --folder inbox >/dev/null || exit 90
        dd if=/dev/zero of=disk/filler bs=4k 2>/dev/null
        "$1" run plan.toml --folder inbox --answer approve; status=$?
        rm disk/filler
        "$1" task list --json >tasks.json || exit 91
        "$1" doctor >doctor.txt; [ $? -le 1 ] || exit 92
        "$1" resume --answer approve >resumed.txt; echo $? >resumed.status
        exit $status
    """
    run = _on_own_disk(cowork, "4m", script)
    assert run.status == 1, (run, (cowork.folder / "doctor.txt").read_text())
    assert run.says("full"), run.err
    # What was not recorded was not done, or it is known and finished afterwards.
    resumed = int((cowork.folder / "resumed.status").read_text())
    assert resumed == 0, (cowork.folder / "resumed.txt").read_text()


def test_a_read_only_store_can_be_looked_at_or_says_why_not_and_takes_nothing(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    cowork.plan(DELETE)
    script = """
        "$1" run plan.toml --folder inbox --answer wait >/dev/null
        mount -o remount,ro,bind disk
        "$1" task list >list.txt 2>list.err; echo $? >list.status
        "$1" resume --answer approve
    """
    run = _on_own_disk(cowork, "8m", script)
    assert run.status == 1, run
    assert run.says("events.db"), run.err
    assert cowork.files() == ["a.txt"]
    looked = int((cowork.folder / "list.status").read_text())
    assert looked in (0, 1)
    assert "Traceback" not in (cowork.folder / "list.err").read_text()


# Answers


class _Earlier:
    """A clock that runs two days behind."""

    def now(self) -> datetime:
        return datetime.now(UTC) - timedelta(days=2)


def _ask_two_days_ago(cowork: CommandLine) -> None:
    """Record a question with the engine's own parts, at a time that is over by now."""
    cowork.fill("a.txt")
    cowork.store.mkdir(mode=0o700)
    blobs = FileBlobStore(cowork.store / "blobs")
    engine = bootstrap.assemble(
        store=open_sqlite_store(cowork.store / bootstrap.LOG_FILE),
        read_model=SqliteReadModel(cowork.store / bootstrap.READ_MODEL_FILE, TABLES),
        blobs=blobs,
        executors=(FileExecutor(blobs, cowork.store),),
        finder=GlobFinder(),
        opener=FileFolderOpener(cowork.store),
        locks=FileTaskLocks(cowork.store / "locks"),
        policy_source=NoPolicyFiles(),
        clock=_Earlier(),
        ids=RandomIds(),
    )

    async def ask() -> None:
        planner = bootstrap.plan_from_file(cowork.folder / cowork.plan(DELETE))
        request = RunRequest(
            planned=await planner.plan(),
            planner=planner.name,
            folders=(FolderRequest(path=str(cowork.inbox)),),
            user="ada",
            device="desk",
            platform="linux",
        )
        await engine.carry_on(await engine.start(request))

    try:
        anyio.run(ask)
    finally:
        engine.close()


def test_a_question_whose_time_is_over_can_not_be_approved(cowork: CommandLine) -> None:
    _ask_two_days_ago(cowork)
    question = cowork.question()
    (listed,) = cowork.run("confirmation", "list", "--json").json()
    assert listed["status"] == "expired"
    run = cowork.run("confirmation", "approve", question["confirmationId"], "--digest", question["digest"])
    assert run.status == 5
    assert run.says("expired at")
    assert "hint: it counts as rejected; to have it done, run the task again and answer in time\n" in run.err
    resumed = cowork.run("resume", "--answer", "approve")
    assert resumed.status == 4, resumed
    assert "nobody answered in time" in resumed.out
    assert cowork.files() == ["a.txt"]


def test_answers_that_do_not_fit_change_nothing(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    cowork.run_plan(DELETE, "--answer", "wait")
    question = cowork.question()
    name, digest = question["confirmationId"], question["digest"]
    wrong = cowork.run("confirmation", "approve", name, "--digest", "sha256:" + "0" * 64)
    assert (wrong.status, wrong.says("is not the digest")) == (5, True)
    assert cowork.run("confirmation", "reject", name, "--digest", digest).status == 0
    twice = cowork.run("confirmation", "approve", name, "--digest", digest)
    assert (twice.status, twice.says("was already rejected")) == (5, True)
    assert cowork.run("resume").status == 4
    assert cowork.files() == ["a.txt"]


@pytest.mark.parametrize(
    "command",
    [
        ["task", "show"],
        ["task", "summary"],
        ["task", "pause"],
        ["task", "cancel"],
        ["resume"],
        ["replay"],
        ["audit", "log", "--task"],
        ["confirmation", "show"],
        ["grant", "revoke"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("name", ["task-nope", "no\x1b[2Jsuch\u202ething"])
def test_a_name_that_nothing_has_is_said_back_visibly(cowork: CommandLine, command: list[str], name: str) -> None:
    cowork.run_plan(LOOK)
    before = cowork.run("audit", "log", "--json").out
    run = cowork.run(*command, name)
    assert run.status == 2, run
    assert run.says("there is no"), run.err
    assert "\x1b" not in run.err
    assert "\u202e" not in run.err
    assert cowork.run("audit", "log", "--json").out == before


@pytest.mark.parametrize(
    "command",
    [
        ["undo", "--dry-run"],
        ["task", "show"],
        ["task", "cancel"],
        ["task", "output"],
        ["task", "budget"],
        ["resume"],
        ["replay"],
        ["audit", "log", "--task"],
        ["confirmation", "show"],
        ["grant", "revoke"],
        ["session", "show"],
        ["policy", "approvals", "revoke"],
    ],
    ids=" ".join,
)
def test_an_id_that_is_no_text_is_refused(cowork: CommandLine, command: list[str]) -> None:
    cowork.run_plan(LOOK)
    run = cowork.run(*command, os.fsdecode(b"task-\xff"))
    assert run.status == 2, run
    assert run.says("is no id: it is not text in UTF-8"), run.err
    assert "`task-\\" in run.err


def test_a_store_that_does_not_exist_is_empty_to_look_at_and_is_not_made_by_looking(
    cowork: CommandLine, tmp_path: Path
) -> None:
    for command in (["task", "list"], ["confirmation", "list"], ["grant", "list"], ["audit", "log"], ["resume"]):
        run = cowork.run(*command)
        assert run.status == 0, run
        assert "there is no store" in run.err
    assert cowork.run("task", "list", "--json").out.strip() == "[]"
    for command in (["projections", "rebuild"], ["task", "show", "task-1"], ["resume", "task-1"]):
        run = cowork.run(*command)
        assert run.status == 2
        assert run.says("there is no store")
    assert not (tmp_path / "store").exists()
