"""Commands that look, and those that stop something: the JSON shapes of the contract, and text for people."""

import json
import sqlite3
from datetime import datetime
from typing import Any

import pytest

from tests.adapters.cli.command_line import DELETE, DELETE_ALL, LOOK, CommandLine

HOSTILE = "evil\x1b[2J\u202e\n.txt"
SHOWN = "evil\\x1b[2J\\u202e\\n.txt"

TASK_FIELDS = {"taskId", "sessionId", "title", "prompt", "status", "plan", "createdAt", "updatedAt", "waitingFor"}
SUMMARY_FIELDS = {"taskId", "outputs", "fileChanges", "actionLog", "followups", "skipped", "questions", "claims"}
GRANT_FIELDS = {
    "id",
    "rootPath",
    "allowRead",
    "allowWrite",
    "allowCreate",
    "allowMove",
    "allowDelete",
    "outputRoots",
    "identity",
}
AUDIT_FIELDS = {
    "position",
    "at",
    "sessionId",
    "taskId",
    "actionId",
    "kind",
    "target",
    "verdict",
    "ruleId",
    "reason",
    "riskTags",
    "actor",
    "outcome",
}


@pytest.fixture
def done(cowork: CommandLine) -> CommandLine:
    """A task that has deleted two files, one of them with a hostile name."""
    cowork.fill("a.txt", HOSTILE)
    run = cowork.run_plan(DELETE_ALL.replace("Delete all", f"All {HOSTILE}".translate(_TOML)), "--answer", "approve")
    assert run.status == 0, run
    return cowork


_TOML = str.maketrans({"\x1b": "\\u001b", "\n": "\\n"})


def _is_time(text: str) -> bool:
    return text.endswith("Z") and datetime.fromisoformat(text).tzinfo is not None


@pytest.mark.parametrize("columns", ["40", "200"])
def test_a_task_shows_the_whole_ids_of_its_actions(cowork: CommandLine, columns: str) -> None:
    cowork.fill("a.txt")
    assert cowork.run_plan(LOOK).status == 0
    task_id = cowork.only_task()["taskId"]
    shown = cowork.run("task", "show", task_id, env={"COLUMNS": columns}).out
    (row,) = shown.partition("\nactions\n")[2].splitlines()
    assert row.split()[:4] == [f"{task_id}.1", "list", "succeeded", "file.list"]
    found = cowork.run("task", "output", row.split()[0])
    assert (found.status, "a.txt" in found.out) == (0, True), found


def test_tasks_are_listed_shown_and_summarised_in_the_shapes_of_the_contract(done: CommandLine) -> None:
    (task,) = done.run("task", "list", "--json").json()
    shown = done.run("task", "show", task["taskId"], "--json").json()
    summary = done.run("task", "summary", task["taskId"], "--json").json()
    assert shown == {**task, "usage": shown["usage"]}
    assert set(task) >= TASK_FIELDS
    assert _is_time(task["createdAt"])
    assert _is_time(task["updatedAt"])
    of_plan = "planId steps dependencies riskTags estimatedActions onAsk answerWithinS"
    assert set(task["plan"]) == set(of_plan.split())
    assert set(summary) >= SUMMARY_FIELDS
    assert sorted(change["path"] for change in summary["fileChanges"]) == sorted(["a.txt", HOSTILE])
    assert [line["outcome"] for line in summary["actionLog"]] == ["succeeded", "succeeded"]


@pytest.mark.parametrize(
    "command",
    [
        ["task", "list"],
        ["task", "show", "ID"],
        ["task", "summary", "ID"],
        ["audit", "log"],
        ["audit", "log", "--task", "ID"],
        ["replay", "ID"],
        ["confirmation", "list", "--all"],
        ["grant", "list", "--all"],
    ],
    ids=" ".join,
)
def test_text_from_files_and_agents_is_shown_with_its_hidden_characters_written_out(
    done: CommandLine, command: list[str]
) -> None:
    task_id = done.only_task()["taskId"]
    run = done.run(*(word.replace("ID", task_id) for word in command))
    assert run.status == 0
    assert "\x1b" not in run.out
    assert "\u202e" not in run.out
    if command[0] != "grant" and command != ["confirmation", "list", "--all"]:
        assert SHOWN in run.out
    assert "\\\\x1b" not in run.out


def test_tasks_can_be_listed_by_status_and_an_unknown_one_is_refused(done: CommandLine) -> None:
    assert len(done.run("task", "list", "--status", "completed", "--json").json()) == 1
    assert done.run("task", "list", "--status", "paused", "--json").json() == []
    run = done.run("task", "list", "--status", "asleep")
    assert run.status == 2
    assert run.says("`asleep` is no status")


def test_the_audit_log_has_a_line_for_each_action_with_its_rule_and_outcome(done: CommandLine) -> None:
    rows: list[dict[str, Any]] = done.run("audit", "log", "--json").json()
    actions = [row for row in rows if row["actionId"]]
    assert all(set(row) >= AUDIT_FIELDS for row in rows)
    assert [row["position"] for row in rows] == sorted(row["position"] for row in rows)
    assert {row["target"] for row in actions} == {"a.txt", HOSTILE}
    assert {(row["ruleId"], row["outcome"]) for row in actions} == {("delete-needs-a-person", "succeeded")}
    assert all(row["answeredBy"].startswith("person:") for row in actions)


def test_the_audit_log_of_a_task_leaves_other_tasks_out(done: CommandLine) -> None:
    first = done.only_task()["taskId"]
    done.run_plan(LOOK)
    rows = done.run("audit", "log", "--task", first, "--json").json()
    everything = done.run("audit", "log", "--json").json()
    assert {row["taskId"] for row in rows} <= {first, ""}
    assert len({row["sessionId"] for row in rows}) == 1
    assert len(everything) > len(rows)


def test_an_audit_check_says_what_it_checked_and_finds_what_was_forged(done: CommandLine) -> None:
    sound = done.run("audit", "check", "--json")
    assert (sound.status, sound.json()["violations"]) == (0, [])
    assert sound.json()["checked"]["actions"] == 2
    with sqlite3.connect(done.store / "events.db") as log:
        for (trigger,) in log.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            log.execute(f"DROP TRIGGER {trigger}")
        log.execute(
            "UPDATE stored_events SET state = CAST(replace(CAST(state AS TEXT), 'a.txt', 'b.txt') AS BLOB)"
            " WHERE topic = 'task.action_proposed.v1'"
        )
    log.close()
    found = done.run("audit", "check")
    assert found.status == 6, found
    assert "invariant" in found.out


def test_hosts_are_granted_by_their_names_listed_beside_the_folders_and_revoked(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    run = cowork.run_plan(DELETE, "--host", "api.example.com", "--host", "127.0.0.1:8080", "--answer", "wait")
    assert run.status == 3
    folder, first, second = cowork.run("grant", "list", "--json").json()
    assert set(folder) >= GRANT_FIELDS
    assert set(first) == {"id", "sessionId", "host", "status", "givenBy", "givenAt", "revokedAt", "revokeReason"}
    assert [(one["host"], one["status"]) for one in (first, second)] == [
        ("api.example.com", "in_force"),
        ("127.0.0.1:8080", "in_force"),
    ]
    listed = cowork.run("grant", "list").out.splitlines()
    assert [line.split() for line in listed[2:]] == [
        ["grant", "status", "host"],
        [first["id"], "in", "force", "api.example.com"],
        [second["id"], "in", "force", "127.0.0.1:8080"],
    ]
    revoked = cowork.run("grant", "revoke", first["id"], "--reason", "enough", "--json").json()
    assert (revoked["status"], revoked["revokeReason"]) == ("revoked", "enough")
    said = cowork.run("grant", "revoke", second["id"]).out
    assert said == f"grant {second['id']} of 127.0.0.1:8080 is revoked\n"
    assert [one["id"] for one in cowork.run("grant", "list", "--json").json()] == [folder["id"]]
    assert len(cowork.run("grant", "list", "--all", "--json").json()) == 3


def test_grants_are_listed_while_in_force_and_can_be_revoked(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    cowork.run_plan(DELETE, "--answer", "wait")
    (grant,) = cowork.run("grant", "list", "--json").json()
    assert set(grant) >= GRANT_FIELDS
    assert grant["rootPath"] == str(cowork.inbox)
    revoked = cowork.run("grant", "revoke", grant["id"], "--reason", "enough", "--json")
    assert (revoked.status, revoked.json()["status"]) == (0, "revoked")
    assert cowork.run("grant", "list").out == "nothing is granted\n"
    resumed = cowork.run("resume", "--answer", "approve")
    assert resumed.status == 4
    assert cowork.files() == ["a.txt"]


def test_a_task_is_paused_and_cancelled_by_its_id(cowork: CommandLine) -> None:
    cowork.fill("a.txt")
    cowork.run_plan(DELETE, "--answer", "wait")
    task_id = cowork.only_task()["taskId"]
    assert "is paused" in cowork.run("task", "pause", task_id).out
    assert "is paused already" in cowork.run("task", "pause", task_id).out
    cancelled = cowork.run("task", "cancel", task_id, "--json")
    assert (cancelled.status, cancelled.json()["status"]) == (0, "cancelled")
    assert [question["status"] for question in cowork.questions()] == ["withdrawn"]
    late = cowork.run("task", "pause", task_id)
    assert late.status == 5
    assert late.says("has ended")


def test_replay_shows_the_recorded_states_and_runs_nothing_again(done: CommandLine) -> None:
    task_id = done.only_task()["taskId"]
    done.fill("a.txt")
    frames = done.events(task_id)
    statuses = [frame["task"]["status"] for frame in frames if frame["task"]]
    assert list(dict.fromkeys(statuses)) == ["queued", "planning", "ready", "running", "completed"]
    assert frames[-1]["task"]["steps"][0]["succeeded"] == 2
    started = next(frame for frame in frames if frame["event"] == "task.action_started")
    text = done.run("replay", task_id, "--at", str(started["position"])).out
    assert "as it was then: running" in text
    assert "nothing was run again" in text
    cut = done.run("replay", task_id, "--at", str(started["position"]), "--json").lines()
    assert cut == frames[: frames.index(started) + 1]
    assert done.files() == ["a.txt"]


def test_replay_step_by_step_waits_for_a_key(done: CommandLine) -> None:
    task_id = done.only_task()["taskId"]
    with done.terminal("replay", task_id, "--step") as terminal:
        terminal.read_until("policy.document_stored")
        terminal.read(0.3)
        assert "session.started" not in terminal.text
        terminal.press(" ", after=0)
        terminal.read_until("session.started")
        terminal.press("q", after=0.1)
        assert terminal.ended() == 0
        assert "session.policy_adopted" not in terminal.text


def test_rebuilt_projections_say_the_same_as_before(done: CommandLine) -> None:
    task_id = done.only_task()["taskId"]
    looks = (["task", "list"], ["task", "summary", task_id], ["audit", "log"], ["grant", "list", "--all"])
    before = [done.run(*look, "--json").out for look in looks]
    rebuilt = done.run("projections", "rebuild", "--json")
    assert rebuilt.json() == {"position": done.events(task_id)[-1]["position"]}
    assert [done.run(*look, "--json").out for look in looks] == before


def test_doctor_names_what_holds_here_and_changes_nothing(done: CommandLine) -> None:
    # The first one puts its result on record, the second one has it in the read model; from then on nothing is new.
    for _ in range(2):
        assert done.run("doctor").status == 0
    before = {path: path.stat().st_mtime_ns for path in done.store.rglob("*.db")}
    run = done.run("doctor", "--json")
    checks = {check["name"]: check for check in run.json()["checks"]}
    assert run.status == 0
    assert {one["standing"] for one in run.json()["canaries"] if one.get("needed", True)} == {"enforced"}
    names = {"python", "system", "paths", "account", "file system", "free room", "store", "log"}
    assert set(checks) >= names
    assert checks["store"]["verdict"] == checks["log"]["verdict"] == "ok"
    assert {path: path.stat().st_mtime_ns for path in done.store.rglob("*.db")} == before


def test_doctor_without_a_store_makes_none(cowork: CommandLine) -> None:
    run = cowork.run("doctor")
    assert run.status == 0
    assert "there is none" in run.out
    assert not cowork.store.exists()


def test_doctor_says_what_is_wrong_with_a_damaged_store(done: CommandLine) -> None:
    log = done.store / "events.db"
    data = bytearray(log.read_bytes())
    data[100:] = b"\xff" * (len(data) - 100)
    log.write_bytes(bytes(data))
    run = done.run("doctor", "--json")
    assert run.status == 6
    assert "problem" in {check["verdict"] for check in run.json()["checks"]}


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["run"],
        ["resume"],
        ["task"],
        ["task", "list"],
        ["task", "show"],
        ["task", "summary"],
        ["task", "pause"],
        ["task", "cancel"],
        ["confirmation"],
        ["confirmation", "list"],
        ["confirmation", "show"],
        ["confirmation", "approve"],
        ["confirmation", "reject"],
        ["grant"],
        ["grant", "list"],
        ["grant", "revoke"],
        ["audit"],
        ["audit", "log"],
        ["audit", "check"],
        ["replay"],
        ["projections"],
        ["projections", "rebuild"],
        ["doctor"],
        ["demo"],
    ],
    ids=" ".join,
)
def test_every_command_explains_itself_with_an_example_and_the_exit_statuses(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from cowork.adapters.cli.main import app

    app([*command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Exit status: 0 done" in text
    has_commands = not command or command in (["task"], ["confirmation"], ["grant"], ["audit"], ["projections"])
    assert has_commands or text.count(f"cowork {' '.join(command)}") >= 2


def test_the_version_is_that_of_the_package(cowork: CommandLine) -> None:
    from importlib.metadata import version

    assert cowork.run("--version").out.strip() == f"cowork {version('cowork')}"


def test_json_of_a_list_is_one_document_even_when_it_is_empty(cowork: CommandLine) -> None:
    cowork.run_plan(LOOK)
    for command in (["confirmation", "list"], ["grant", "list"], ["task", "list", "--status", "failed"]):
        assert json.loads(cowork.run(*command, "--json").out) == []


@pytest.mark.parametrize("at", ["0", "-5"])
@pytest.mark.parametrize("command", [("replay", "task-1"), ("policy", "explain")])
def test_a_position_before_the_first_is_refused(cowork: CommandLine, command: tuple[str, ...], at: str) -> None:
    cowork.run_plan(LOOK)
    ended = cowork.run(*command, "--at", at)
    assert ended.status == 2
    assert ended.says(f"`{at}` is no position of the log")


def test_one_byte_and_one_step_are_one(cowork: CommandLine) -> None:
    plan = '[[step]]\nid = "a"\naction = { kind = "file.create", path = "n.txt", content = "x" }\n'
    assert cowork.run_plan(plan, "--answer", "approve").status == 0
    told = cowork.run("audit", "log").out + cowork.run("replay", cowork.only_task()["taskId"]).out
    assert "1 step" in told
    assert "(1 byte)" in told
    assert "1 steps" not in told
    assert "1 bytes" not in told
