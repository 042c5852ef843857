"""What is found out about a command before it is decided, and that nothing else is what runs then."""

import hashlib
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cowork.adapters.sandbox import executor as executor_module
from cowork.adapters.sandbox.area import prepare
from cowork.adapters.sandbox.filters import load_filter
from cowork.adapters.sandbox.landlock import landlock_abi
from cowork.adapters.sandbox.starting import PROXY_PORT
from cowork.domain.action import Action, CodeRun, Content, FileRead, FileWrite, Location, ShellExec
from cowork.domain.errors import DomainError
from cowork.domain.facts import Confinement, FileState, Input
from cowork.domain.reason import ReasonCode
from cowork.domain.scope import GrantedHost, Scope
from cowork.engine.ports import ListeningSocket, NotApplied, Traffic, Unclear, Witness
from tests.adapters.sandbox.ground import NOW, Ground, Hiding, processes_with

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Which event loop it is, is nothing to what is decided."""
    return "asyncio"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class TestObserving:
    async def test_the_confinement_is_a_fact(self, ground: Ground) -> None:
        facts = await ground.facts(ground.shell("true"))
        assert facts.confinement is not None
        assert facts.confinement.sandbox.startswith("bubblewrap ")
        assert facts.confinement == Confinement(
            sandbox=facts.confinement.sandbox, seccomp=load_filter("offline").digest, landlock=landlock_abi()
        )
        online = await ground.facts(ground.shell("true", network=("good.test",)))
        assert online.confinement is not None
        assert (online.confinement.network, online.confinement.seccomp) == ("proxy", load_filter("network").digest)

    @pytest.mark.parametrize(
        ("cwd", "code"),
        [
            ("..", "escape"),
            ("sub/../..", "escape"),
            ("/", "no_grant"),
            ("link", "symlink"),
            ("link/inner", "symlink"),
            ("outlink", "symlink"),
            ("file", "not_found"),
            ("absent", "not_found"),
            ("pipe", "not_found"),
            ("", "name"),
            ("a\x00b", "name"),
            ("x" * 300, "limit"),
            ("x/" * 200, "limit"),
            ("\ud800", "name"),
        ],
    )
    async def test_a_working_folder_is_one_beneath_the_grant_without_links(
        self, ground: Ground, cwd: str, code: ReasonCode
    ) -> None:
        (ground.grant / "sub").mkdir()
        (ground.grant / "link").symlink_to("sub")
        (ground.grant / "outlink").symlink_to(ground.out)
        (ground.grant / "file").write_text("")
        os.mkfifo(ground.grant / "pipe")
        action = ground.shell("true", cwd=cwd)
        facts = await ground.facts(action)
        assert facts.obstacle is not None
        assert facts.obstacle.code == code
        failed = ground.read(await ground.executor().perform(ground.permit(action, facts))).failed()
        assert failed.reason_code == code
        ground.require_no_residue()

    async def test_a_working_folder_of_no_grant_is_none(self, ground: Ground) -> None:
        for cwd in (Location("", str(ground.out)), Location("nobody", "."), Location("", "/")):
            facts = await ground.facts(ShellExec(argv=("true",), cwd=cwd))
            assert facts.obstacle is not None
            assert facts.obstacle.code == "no_grant"

    @pytest.mark.parametrize(
        ("action", "code"),
        [
            (ShellExec(argv=(), cwd=Location("grant_1", ".")), "name"),
            (ShellExec(argv=("",), cwd=Location("grant_1", ".")), "name"),
            (ShellExec(argv=("a\x00b",), cwd=Location("grant_1", ".")), "name"),
            (ShellExec(argv=("true", "\ud800"), cwd=Location("grant_1", ".")), "name"),
            (ShellExec(argv=("true", "x" * 200_000), cwd=Location("grant_1", ".")), "limit"),
            (ShellExec(argv=("true",), cwd=Location("grant_1", "."), timeout_s=0), "limit"),
            (ShellExec(argv=("true",), cwd=Location("grant_1", "."), timeout_s=-1), "limit"),
            (ShellExec(argv=("true",), cwd=Location("grant_1", "."), timeout_s=3601), "limit"),
            (ShellExec(argv=("true",), cwd=Location("grant_1", "."), env=(("LD_PRELOAD", "x"),)), "policy"),
            (ShellExec(argv=("true",), cwd=Location("grant_1", "."), env=(("PATH", "."), ("CI", "1"))), "policy"),
            (
                ShellExec(argv=("true",), cwd=Location("grant_1", "."), stdin=Content("sha256:" + "0" * 64, 3)),
                "not_found",
            ),
            (ShellExec(argv=("true",), cwd=Location("grant_1", "."), stdin=Content("nonsense", 1 << 40)), "limit"),
            (CodeRun(python="\ud800", cwd=Location("grant_1", ".")), "name"),
            (CodeRun(python="1", args=("\x00",), cwd=Location("grant_1", ".")), "name"),
        ],
    )
    async def test_what_the_system_would_not_take_is_said_before(
        self, ground: Ground, action: Action, code: ReasonCode
    ) -> None:
        facts = await ground.facts(action)
        assert facts.obstacle is not None
        assert facts.obstacle.code == code
        failed = ground.read(await ground.executor().perform(ground.permit(action, facts))).failed()
        assert (failed.reason_code, failed.result) == (code, None)

    async def test_the_names_that_are_refused_are_named(self, ground: Ground) -> None:
        env = (("LD_PRELOAD", "x"), ("CI", "1"), ("BASH_ENV", "y"))
        facts = await ground.facts(ground.shell("true", env=env))
        assert facts.obstacle is not None
        assert facts.obstacle.message == "a command's environment can't have `LD_PRELOAD`, `BASH_ENV`"

    async def test_another_kind_of_action_is_not_carried_out(self, ground: Ground) -> None:
        action = FileRead(at=Location("grant_1", "x"))
        facts = await ground.facts(action)
        assert not facts.available
        assert (
            ground.read(await ground.executor().perform(ground.permit(action, facts))).failed().reason_code
            == "unavailable"
        )

    async def test_without_a_sandbox_commands_are_unavailable_with_what_to_install(
        self, ground: Ground, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def missing() -> None:
            raise DomainError("unavailable", "`/usr/bin/bwrap` is not there", "install it")

        action = ground.line("echo ran")
        good = await ground.facts(action)
        monkeypatch.setattr(executor_module, "find_programs", missing)
        facts = await ground.facts(action)
        assert not facts.available
        assert facts.obstacle is not None
        words = "`/usr/bin/bwrap` is not there: install it"
        assert (facts.obstacle.code, facts.obstacle.message) == ("unavailable", words)
        failed = ground.read(await ground.executor().perform(ground.permit(action, good))).failed()
        assert (failed.reason_code, failed.reason) == ("unavailable", words)

    @given(
        argv=st.lists(st.text(max_size=40), max_size=5).map(tuple),
        cwd=st.text(max_size=40),
        timeout_s=st.none() | st.integers(),
        env=st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=3).map(tuple),
        stdin=st.none() | st.builds(Content, st.text(max_size=80), st.integers()),
    )
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
    def test_observing_never_raises(
        self,
        ground: Ground,
        argv: tuple[str, ...],
        cwd: str,
        timeout_s: int | None,
        env: tuple[tuple[str, str], ...],
        stdin: Content | None,
    ) -> None:
        at = Location("grant_1", cwd)
        action = ShellExec(argv=argv, cwd=at, timeout_s=timeout_s, env=env, stdin=stdin)
        code = CodeRun(python="".join(argv), args=argv, cwd=at, timeout_s=timeout_s, env=env, stdin=stdin)

        async def observe() -> None:
            found = await ground.executor().observe([action, code], ground.scope, NOW, batch=2)
            assert [facts.batch for facts in found] == [2, 2]

        anyio.run(observe)


class TestInputs:
    async def test_the_files_that_a_command_names_are_facts(self, ground: Ground) -> None:
        (ground.grant / "sub").mkdir()
        (ground.grant / "sub" / "s.sh").write_text("echo 1\n")
        (ground.grant / "x.py").write_text("print(1)\n")
        (ground.grant / "link").symlink_to("x.py")
        (ground.grant / "big").write_bytes(b"x" * (1 << 20) + b"x")
        words: tuple[str, ...] = (
            "sh",
            "s.sh",
            "../x.py",
            f"{ground.grant}/x.py",
            "--file=s.sh",
            "../link",
            "../big",
            "..",
            ".",
            "absent",
        )
        words += (
            str(ground.out / "secret.txt"),
            "../../out/secret.txt",
            f"{ground.grant}/../out/secret.txt",
            "/etc/passwd",
        )
        facts = await ground.facts(ground.shell(*words, cwd="sub"))
        assert facts.inputs == (Input("sub/s.sh", digest(b"echo 1\n"), 7), Input("x.py", digest(b"print(1)\n"), 9))

    async def test_no_more_than_sixteen_are_bound(self, ground: Ground) -> None:
        for number in range(20):
            (ground.grant / f"f{number}").write_text(str(number))
        facts = await ground.facts(ground.shell("cat", *[f"f{number}" for number in range(20)]))
        assert [one.path for one in facts.inputs] == [f"f{number}" for number in range(16)]

    @pytest.mark.parametrize("what", ["changed", "removed", "replaced by a link", "new"])
    async def test_a_script_that_was_replaced_after_it_was_shown_is_not_run(self, ground: Ground, what: str) -> None:
        script = ground.grant / "s.sh"
        script.write_text("echo shown\n")
        action = ground.shell("sh", "s.sh", "later.txt", writes=True)
        facts = await ground.facts(action)
        if what == "new":
            (ground.grant / "later.txt").write_text("x")
        else:
            script.unlink()
            if what == "changed":
                script.write_text("echo evil\n")
            elif what == "replaced by a link":
                (ground.out / "evil.sh").write_text("echo evil\n")
                script.symlink_to(ground.out / "evil.sh")
        failed = ground.read(await ground.executor().perform(ground.permit(action, facts))).failed()
        assert (failed.reason_code, failed.result) == ("conflict", None)
        path = "later.txt" if what == "new" else "s.sh"
        assert failed.reason == f"`{path}`, which the command names, is no longer as it was shown"

    @pytest.mark.parametrize("writes", [False, True])
    async def test_the_bytes_that_run_are_the_bytes_that_were_compared(self, ground: Ground, writes: bool) -> None:
        script = ground.grant / "s.sh"
        script.write_text("")
        script.chmod(0o755)

        class Swapping(Hiding, frozen=True):
            """Asked while the area is made: after the digests were compared, and before anything runs."""

            def hides(self, grant_id: str, path: str, state: FileState) -> bool:
                script.write_text("#!/bin/sh\necho evil\n")
                return False

        for argv in (("sh", "s.sh"), ("./s.sh",), (str(script),)):
            script.write_text("#!/bin/sh\necho shown\n")
            action = ground.shell(*argv, writes=writes)
            permit = ground.permit(action, await ground.facts(action))
            ran = ground.read(await ground.executor().perform(msgspec.structs.replace(permit, sight=Swapping())))
            assert ran.out == "shown\n", ran
            assert script.read_text() == "#!/bin/sh\necho evil\n"

    async def test_a_pinned_script_can_be_changed_in_the_copy(self, ground: Ground) -> None:
        (ground.grant / "s.sh").write_text("echo more >>s.sh\n")
        ran = await ground.run(ground.shell("sh", "s.sh", writes=True))
        [change] = ran.done().staged
        assert isinstance(change.action, FileWrite)
        assert ground.blobs.get(change.action.content.digest) == b"echo more >>s.sh\nmore\n"


class TestSecrets:
    async def test_a_secret_of_the_engine_is_masked_everywhere(self, ground: Ground) -> None:
        secret = ground.canary.encode()
        (ground.grant / "leak").write_bytes(b"is " + secret + b"!\n")
        ran = await ground.run(ground.line("cat leak; cat leak >&2; exit 4"))
        assert (ran.out, ran.err) == ("is [masked]!\n", "is [masked]!\n")
        assert ran.failed().reason.endswith("its last words were `is [masked]!`")
        everything = [repr(ran.outcome).encode(), *ground.witness.shown.values()]
        assert not any(secret in one for one in everything)


class TestAfterACrash:
    async def test_a_command_without_a_network_left_no_trace(self, ground: Ground) -> None:
        action = ground.line("true", writes=True)
        permit = ground.permit(action, await ground.facts(action))
        folder = ground.scope.folders[0]
        with ground.holder.hold(folder) as root:
            area = prepare(ground.base / "state", f"{permit.action_id}-1", root, folder, Hiding(), writes=True)
        (ground.base / "state" / "commands" / area.name / "upper" / "half").touch()
        assert await ground.executor().reconcile(permit) == NotApplied()
        ground.require_no_residue()
        assert await ground.executor().reconcile(permit) == NotApplied()

    async def test_of_a_command_with_a_network_nobody_knows(self, ground: Ground) -> None:
        action = ground.shell("true", network=("good.test", "other.test:8080"))
        permit = ground.permit(action, await ground.facts(action))
        found = await ground.executor().reconcile(permit)
        assert found == Unclear("the command was running, and may have reached `good.test`, `other.test:8080`")

    async def test_of_a_command_that_was_never_let_out_the_log_knows(self, ground: Ground) -> None:
        action = ground.shell("true", network=("good.test",))
        permit = ground.permit(action, await ground.facts(action))
        executor = ground.executor()
        assert await executor.reconcile(msgspec.structs.replace(permit, reached=())) == NotApplied()
        let_out = msgspec.structs.replace(permit, reached=("good.test:443",))
        assert await executor.reconcile(let_out) == Unclear("the command was running, and had a way to `good.test:443`")


class TestInterrupted:
    @pytest.mark.parametrize("after", [0.0, 0.01, 0.05, 0.5])
    @pytest.mark.parametrize("writes", [False, True])
    async def test_a_command_is_gone_with_its_copy_at_whatever_moment(
        self, ground: Ground, after: float, writes: bool
    ) -> None:
        marker = f"{8000 + int(after * 100)}.{os.getpid()}"
        made = "echo x >made; " if writes else ""
        action = ground.line(f"(setsid sleep {marker} &) ; {made}sleep {marker}", writes=writes)
        permit = ground.permit(action, await ground.facts(action))
        executor = ground.executor()
        with anyio.move_on_after(after):
            await executor.perform(permit)
        assert processes_with(marker) == []
        ground.require_no_residue()
        assert list(ground.grant.iterdir()) == []
        assert await executor.reconcile(permit) == NotApplied()
        # The same again, from the beginning: nothing of the first attempt is in its way.
        ran = ground.read(await executor.perform(msgspec.structs.replace(permit, attempt=2, action=ground.line("ls"))))
        assert (ran.out, ran.err) == ("", "")

    async def test_a_command_that_runs_is_stopped_within_a_second(self, ground: Ground) -> None:
        marker = f"9994.{os.getpid()}"
        action = ground.line(f"trap '' TERM INT HUP; sleep {marker}; sleep {marker}")
        permit = ground.permit(action, await ground.facts(action))
        executor = ground.executor()
        began = 0.0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(executor.perform, permit)
            with anyio.fail_after(10):
                while not processes_with(marker):  # noqa: ASYNC110 - a process that begins tells nobody
                    await anyio.sleep(0.01)
            began = anyio.current_time()
            tasks.cancel_scope.cancel()
        assert anyio.current_time() - began < 1
        assert processes_with(marker) == []
        assert await executor.reconcile(permit) == NotApplied()


class Answering:
    """A way out that accepts one connection, answers it, and notes what it was opened for."""

    def __init__(self) -> None:
        self.opened: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        self.closed = 0

    def serve(
        self, listener: ListeningSocket, hosts: Sequence[str], addresses: Sequence[str], witness: Witness
    ) -> AbstractAsyncContextManager[Traffic]:
        self.opened.append((tuple(hosts), tuple(addresses)))
        return self._serve(socket.socket(fileno=listener.detach()))

    @asynccontextmanager
    async def _serve(self, listener: socket.socket) -> AsyncIterator[Traffic]:
        traffic = Traffic()

        async def answer() -> None:
            while True:
                await anyio.wait_readable(listener)
                made, _ = listener.accept()
                with made:
                    made.settimeout(0)
                    await anyio.wait_readable(made)
                    traffic.sent += len(made.recv(100))
                    made.send(b"pong")
                    traffic.received += 4

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            try:
                yield traffic
            finally:
                self.closed += 1
                listener.close()
                tasks.cancel_scope.cancel()


PING = f"""
import os, socket, sys
made = socket.create_connection(("127.0.0.1", {PROXY_PORT}), 5)
made.send(b"ping")
print(made.recv(10), os.environ["https_proxy"])
def reach(family, kind, address, protocol=0):
    try:
        with socket.socket(family, kind, protocol) as other:
            other.settimeout(1)
            other.connect(address)
        return "reached"
    except OSError as error:
        return error.errno
print(reach(2, 1, ("127.0.0.1", {PROXY_PORT}), 262), reach(2, 1, ("127.0.0.1", 80)), reach(2, 2, ("192.0.2.1", 53)),
      reach(1, 1, "/x"), reach(2, 1, ("192.0.2.1", 80)), reach(10, 1, ("::1", {PROXY_PORT})))
"""


HOSTS = ("good.test", "10.1.2.3:8080", "[fd00::1]", "*.evil.test", "192.168.0.1:*")


class TestNetwork:
    async def test_the_only_way_out_is_the_one_that_was_handed_over(self, ground: Ground) -> None:
        ground.scope = Scope(
            ground.scope.folders,
            tuple(GrantedHost(grant_id=f"h{number}", host=host) for number, host in enumerate(HOSTS)),
        )
        way = Answering()
        executor = ground.executor(egress=way)
        action = ground.shell("python3", "-c", PING, network=("good.test", "10.1.2.3:8080"))
        ran = await ground.run(action, executor=executor)
        ran.done()
        first, second = ran.out.splitlines()
        assert first == "b'pong' http://127.0.0.1:3128"
        assert second == "1 13 1 1 13 111", "EPERM by the filter, EACCES by Landlock, and nobody listens there"
        granted = ("10.1.2.3:8080", "[fd00::1]", "192.168.0.1:*")
        assert way.opened == [(("good.test", "10.1.2.3:8080"), granted)]
        assert way.closed == 1
        assert (ran.report.bytes_sent, ran.report.bytes_received) == (4, 4)

    async def test_without_the_hand_over_nothing_runs(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        from cowork.adapters.sandbox import starting

        broken = starting.stage0_source().replace("say_ready(control, listener)\n", "say_ready(control, None)\n")
        assert broken != starting.stage0_source()
        monkeypatch.setattr(starting, "stage0_source", lambda: broken)
        way = Answering()
        action = ground.line("echo ran >x", network=("good.test",), writes=True)
        failed = (await ground.run(action, executor=ground.executor(egress=way))).failed()
        assert (failed.reason_code, failed.result) == ("unavailable", None)
        assert way.opened == []

    async def test_a_way_out_that_does_not_open_is_none(self, ground: Ground) -> None:
        class Broken(Answering):
            def serve(
                self, listener: ListeningSocket, hosts: Sequence[str], addresses: Sequence[str], witness: Witness
            ) -> AbstractAsyncContextManager[Traffic]:
                raise DomainError("unavailable", "the proxy can't be opened")

        action = ground.shell("true", network=("good.test",))
        failed = (await ground.run(action, executor=ground.executor(egress=Broken()))).failed()
        assert (failed.reason_code, failed.result) == ("unavailable", None)
        assert failed.reason == "`true` was not run: its way out can't be opened: the proxy can't be opened"
        ground.require_no_residue()
