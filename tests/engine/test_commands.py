"""Commands in the engine: how they end, which hosts they reach, and that they run only in a sandbox that holds."""

from pathlib import Path

import msgspec
import pytest

from cowork.domain.baseline import BASELINE
from cowork.domain.errors import DomainError
from cowork.domain.facts import Input
from cowork.domain.grant import HostGranted, HostRevoked
from cowork.domain.policy_document import Rule
from cowork.domain.sandbox import Canary, SandboxChecked
from cowork.domain.task import (
    ActionConfirmationRequired,
    ActionDenied,
    ActionFailed,
    ConnectionDecided,
)
from tests.engine.commands import (
    Run,
    change_all,
    command,
    rules,
    with_commands,
    with_executors,
    write_both,
)
from tests.engine.rig import PERSON, Rig, Says

pytestmark = pytest.mark.anyio


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a", "b.txt": "b", "c.txt": "c", ".env": "KEY=1"})


async def test_a_command_that_fails_changes_nothing_and_its_output_is_kept(rig: Rig) -> None:
    async def fail(run: Run) -> None:
        await write_both(run)
        run.say("half way\n")
        run.fail("exit", "it ended with status 3", exit_code=3)

    with_commands(rig, tidy=fail)
    seen: list[tuple[str, str, bytes]] = []
    rig.app.watch(lambda *shown: seen.append(shown))
    task = await rig.run(command("tidy"), rules=rules())
    assert task.status == "failed"
    (failed,) = rig.events(ActionFailed)
    assert failed.result is not None
    assert failed.result.command is not None
    assert (failed.reason_code, failed.result.command.exit_code) == ("exit", 3)
    assert rig.app.result(failed.result.command.stdout.content.digest) == b"half way\n"
    assert seen == [(failed.action_id, "stdout", b"half way\n")]
    assert rig.files()["a.txt"] == "a"
    rig.assert_clean()


async def test_a_command_reaches_only_hosts_that_are_granted(rig: Rig) -> None:
    commands = with_commands(rig, fetch=change_all)
    task = await rig.run(command("fetch", hosts=("api.example",)))
    assert task.status == "blocked"
    (denied,) = rig.events(ActionDenied)
    assert (denied.decision.rule_id, denied.decision.reason_code) == ("no-network", "net_denied")
    assert commands.ran == []
    rig.assert_clean()


async def test_connections_are_on_record_before_the_end_of_their_command(rig: Rig) -> None:
    async def fetch(run: Run) -> None:
        await run.connect("api.example")
        await run.connect("evil.example", refused="no granted host")

    with_commands(rig, fetch=fetch)
    task = await rig.run(command("fetch", hosts=("api.example",)), hosts=("api.example",), asker=Says(approve=True))
    assert task.status == "completed"
    assert [one.host for one in rig.events(HostGranted)] == ["api.example"]
    assert [(one.host, one.address, one.reason_code) for one in rig.events(ConnectionDecided)] == [
        ("api.example", "192.0.2.7", None),
        ("evil.example", "", "net_denied"),
    ]
    rig.assert_clean()


async def test_a_host_that_is_revoked_after_the_question_stops_its_command(rig: Rig) -> None:
    commands = with_commands(rig, fetch=write_both)
    task = await rig.run(command("fetch", hosts=("api.example",)), hosts=("api.example",))
    await rig.answer()
    (granted,) = rig.events(HostGranted)
    await rig.app.revoke(granted.grant_id, by=PERSON)
    assert len(rig.events(HostRevoked)) == 1
    assert (await rig.app.carry_on(task.task_id)).status == "blocked"
    assert commands.ran == []
    rig.assert_clean()


async def test_a_host_that_is_revoked_while_a_command_runs_is_closed_to_it_from_then_on(rig: Rig) -> None:
    async def fetch(run: Run) -> None:
        await run.connect("api.example")
        (granted,) = rig.events(HostGranted)
        await rig.app.revoke(granted.grant_id, by=PERSON)
        with pytest.raises(DomainError, match="taken back while the command ran"):
            await run.connect("api.example")

    with_commands(rig, fetch=fetch)
    await rig.run(command("fetch", hosts=("api.example",)), hosts=("api.example",), asker=Says(approve=True))
    assert [(one.address, one.reason_code) for one in rig.events(ConnectionDecided)] == [
        ("192.0.2.7", None),
        ("", "net_denied"),
    ]
    rig.assert_clean()


async def test_a_host_that_is_none_opens_no_session(rig: Rig) -> None:
    with pytest.raises(DomainError, match="is not a host") as refused:
        await rig.start(command("fetch"), hosts=("https://api.example/x",))
    assert refused.value.code == "invalid"
    assert rig.log() == []


async def test_without_a_sandbox_that_holds_no_command_runs_and_it_says_what_to_do(rig: Rig) -> None:
    rig.self_test.canaries = (
        Canary(
            name="bubblewrap", path="shell", standing="absent", detail="bwrap is missing", hint="install bubblewrap"
        ),
    )
    commands = with_commands(rig, tidy=write_both)
    task = await rig.run(command("tidy"), rules=rules(Rule("all", ("*",), "allow")))
    assert task.status == "blocked"
    (denied,) = rig.events(ActionDenied)
    assert denied.decision.reason_code == "unavailable"
    assert "bwrap is missing; install bubblewrap" in denied.decision.reason
    assert commands.ran == []
    rig.assert_clean()


async def test_the_sandbox_is_tried_out_once_for_a_machine_and_again_for_another(rig: Rig) -> None:
    commands = with_commands(rig, tidy=write_both)
    for _ in range(2):
        await rig.run(command("tidy"), command("tidy"), rules=rules())
    assert (rig.self_test.runs, len(rig.events(SandboxChecked))) == (1, 1)
    with_executors(rig, commands)
    await rig.run(command("tidy"), rules=rules())
    assert rig.self_test.runs == 1
    rig.self_test.machine = "another"
    await rig.run(command("tidy"), rules=rules())
    assert (rig.self_test.runs, len(rig.events(SandboxChecked))) == (2, 2)
    rig.assert_clean()


async def test_an_approval_is_bound_to_the_sandbox_that_was_shown(rig: Rig) -> None:
    commands = with_commands(rig, tidy=write_both)
    task = await rig.run(command("tidy"))
    await rig.answer()
    commands.confinement = type(commands.confinement)(sandbox="other 1.0", seccomp="sha256:filter", landlock=7)
    assert (await rig.app.carry_on(task.task_id)).status == "awaiting_confirmation"
    assert commands.ran == []
    assert rig.events(ActionConfirmationRequired)[-1].changed == "the sandbox that would hold it has changed"
    rig.assert_clean()


async def test_what_a_command_may_see_is_what_may_be_read(rig: Rig) -> None:
    seen: dict[str, bool] = {}

    async def look(run: Run) -> None:
        seen.update({path: run.hides(path) for path in ("a.txt", ".env", "server.pem", ".hidden/x")})

    with_commands(rig, look=look)
    await rig.run(command("look"), rules=BASELINE, asker=Says(approve=True))
    assert seen == {"a.txt": False, ".env": True, "server.pem": True, ".hidden/x": True}


async def test_of_files_that_a_command_names_and_will_not_see_nothing_is_on_record(rig: Rig) -> None:
    commands = with_commands(rig, look=nothing)
    shown = Input("run.sh", "sha256:shown", 10)
    commands.inputs = (shown, Input(".env", "sha256:secret", 10), Input("second-name.txt", "sha256:linked", 10, 2))
    task = await rig.run(command("look"), rules=BASELINE, asker=Says(approve=True))
    assert task.status == "completed"
    assert commands.ran[0].facts.inputs == (shown,)
    log = b"".join(msgspec.json.encode(recorded.event) for recorded in rig.app.store.read_log(after=0, limit=1000))
    assert b"sha256:shown" in log
    assert b"sha256:secret" not in log
    assert b"sha256:linked" not in log


async def nothing(run: Run) -> None:
    """Do nothing."""
