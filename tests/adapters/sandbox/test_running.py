"""Commands run, print, are given input, end, are ended, and leave nothing behind."""

import hashlib
import os
import resource
import shutil
import textwrap
import time

import anyio
import msgspec
import pytest

from cowork.adapters.sandbox.performing import Bounds
from cowork.adapters.sandbox.starting import Limits
from cowork.adapters.sandbox.watching import StagedLimits
from cowork.domain.action import Action, FileCreate, FileWrite
from cowork.domain.errors import DomainError
from tests.adapters.sandbox.ground import Ground, Ran, processes_with

pytestmark = pytest.mark.anyio


def open_descriptors() -> set[str]:
    found: set[str] = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:
            continue
    return found


def children() -> list[str]:
    """The processes whose parent is this one, dead or alive."""
    found: list[str] = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    text = file.read()
            except OSError:
                continue
            if int(text.rpartition(")")[2].split()[1]) == os.getpid():
                found.append(text)
    return found


on_one_loop = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
"""For what is nothing to the event loop."""


class TestOutcomes:
    async def test_a_command_sees_its_folder_and_its_output_is_kept(self, ground: Ground) -> None:
        (ground.grant / "a.txt").write_text("hello\n")
        ran = await ground.run(ground.shell("cat", "a.txt"))
        assert (ran.out, ran.report.exit_code, ran.report.signal) == ("hello\n", 0, None)
        assert ground.witness.shown["stdout"] == b"hello\n"
        assert ran.result is not None
        assert (ran.result.digest, ran.result.size) == (ran.report.stdout.content.digest, 6)
        ground.require_no_residue()

    async def test_what_a_writing_command_changes_is_proposed_and_not_done(self, ground: Ground) -> None:
        (ground.grant / "a.txt").write_text("hello\n")
        ran = await ground.run(ground.line("echo more >>a.txt; echo new >b.txt", writes=True))
        staged = ran.done().staged
        assert [type(change.action) for change in staged] == [FileWrite, FileCreate]
        assert (ground.grant / "a.txt").read_text() == "hello\n"
        assert not (ground.grant / "b.txt").exists()
        ground.require_no_residue()

    async def test_a_command_that_fails_changes_nothing_and_says_why(self, ground: Ground) -> None:
        ran = await ground.run(ground.line("echo new >b.txt; echo 'no such\033 thing' >&2; exit 3", writes=True))
        failed = ran.failed()
        assert (failed.reason_code, ran.report.exit_code) == ("exit", 3)
        assert failed.reason == "`sh` ended with exit code 3; its last words were `no such\ufffd thing`"
        assert ran.err == "no such\033 thing\n"
        assert list(ground.grant.iterdir()) == []
        ground.require_no_residue()

    @pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (15, "SIGTERM"), (11, "SIGSEGV")])
    async def test_a_signal_is_told_from_an_exit(self, ground: Ground, number: int, name: str) -> None:
        ran = await ground.run(ground.line(f"kill -{number} $$"))
        assert (ran.failed().reason_code, ran.report.signal, ran.report.exit_code) == ("exit", number, None)
        assert name in ran.failed().reason

    async def test_a_program_that_is_not_there_is_not_run(self, ground: Ground) -> None:
        failed = (await ground.run(ground.shell("no-such-program"))).failed()
        assert (failed.reason_code, failed.result) == ("not_found", None)
        assert failed.reason == "`no-such-program` was not run: there is no such program in the sandbox"

    async def test_a_program_of_the_folder_is_run_by_its_path_only(self, ground: Ground) -> None:
        script = ground.grant / "tool"
        script.write_text("#!/bin/sh\necho mine\n")
        script.chmod(0o755)
        assert (await ground.run(ground.shell("./tool"))).out == "mine\n"
        assert (await ground.run(ground.shell("tool"))).failed().reason_code == "not_found"

    async def test_a_file_without_its_bit_is_not_run(self, ground: Ground) -> None:
        (ground.grant / "tool").write_text("#!/bin/sh\necho mine\n")
        failed = (await ground.run(ground.shell("./tool"))).failed()
        assert (failed.reason_code, failed.reason) == (
            "exit",
            "`./tool` was not run: it can't be run: permission denied",
        )

    async def test_too_many_arguments_are_refused_before_anything_runs(self, ground: Ground) -> None:
        failed = (await ground.run(ground.shell("true", *["x" * 100_000] * 30))).failed()
        assert (failed.reason_code, failed.reason) == ("limit", "`true` was not run: its arguments are too long")

    async def test_arguments_are_what_was_asked_for_byte_by_byte(self, ground: Ground) -> None:
        odd = ("", " ", "a b", "$HOME", "`id`", "--", "*", "\n", "ü", "\U0010feff")
        ran = await ground.run(ground.shell("printf", "%s|", *odd))
        assert ran.out == "| |a b|$HOME|`id`|--|*|\n|ü|\udcff|"

    async def test_input_comes_from_the_store(self, ground: Ground) -> None:
        data = os.urandom(300_000)
        ran = await ground.run(ground.shell("sha256sum", stdin=data))
        assert ran.out.split()[0] == hashlib.sha256(data).hexdigest()

    async def test_without_input_there_is_none(self, ground: Ground) -> None:
        assert (await ground.run(ground.shell("cat"))).out == ""

    async def test_a_pipeline_ends_as_anywhere(self, ground: Ground) -> None:
        assert (await ground.run(ground.line("yes | head -n 2"))).out == "y\ny\n"

    async def test_the_working_folder_is_the_one_that_was_asked_for(self, ground: Ground) -> None:
        (ground.grant / "sub dir,with:odd\\name").mkdir()
        ran = await ground.run(ground.shell("pwd", cwd="sub dir,with:odd\\name"))
        assert ran.out == f"{ground.grant}/sub dir,with:odd\\name\n"


@on_one_loop
class TestCode:
    async def test_code_runs_isolated_with_arguments_and_input(self, ground: Ground) -> None:
        for name in ("json.py", "sitecustomize.py", "usercustomize.py", "site.py", "x.pth", "python3"):
            (ground.grant / name).write_text("#!/bin/sh\nprint('planted')\n")
        source = "import json, sys\nprint(sys.argv[1:], sys.stdin.read(), sys.flags.isolated, json.dumps(1))\n"
        ran = await ground.run(ground.code(source, "a", "b c", stdin=b"in"))
        assert ran.out == "['a', 'b c'] in 1 1\n"

    async def test_a_traceback_has_the_right_line(self, ground: Ground) -> None:
        ran = await ground.run(ground.code("x = 1\n\ny = x / 0\n"))
        assert 'code.py", line 3, in <module>\n    y = x / 0\n' in ran.err
        assert (
            ran.failed().reason
            == "the code ended with exit code 1; its last words were `ZeroDivisionError: division by zero`"
        )

    async def test_the_source_is_in_no_file_of_the_folder_and_can_be_long(self, ground: Ground) -> None:
        source = f"data = '{'x' * 300_000}'\nimport os\nprint(len(data), os.listdir('.'))\n"
        ran = await ground.run(ground.code(source, writes=True))
        assert ran.out == "300000 []\n"
        assert ran.done().staged == ()

    async def test_code_that_only_reads_can_write_nowhere_but_in_tmp(self, ground: Ground) -> None:
        ran = await ground.run(ground.code("open('/tmp/x', 'w').write('1')\nopen('x', 'w')"))
        assert "Read-only file system" in ran.err


class TestEnds:
    @pytest.mark.parametrize(
        "line",
        [
            "setsid sleep {marker} & exit 0",
            "setsid nohup sleep {marker} >/dev/null 2>&1 & exit 0",
            "(sleep {marker} &) ; (setsid sh -c '(sleep {marker} &)' &) ; sleep 0.05",
        ],
    )
    async def test_a_daemon_ends_with_its_command_and_nobody_waits_for_it(self, ground: Ground, line: str) -> None:
        marker = f"9999.{os.getpid()}"
        began = time.monotonic()
        ran = await ground.run(ground.line(line.format(marker=marker), writes=True))
        ran.done()
        assert time.monotonic() - began < 5
        assert processes_with(marker) == []

    async def test_a_command_is_stopped_when_its_time_is_up(self, ground: Ground) -> None:
        marker = f"9998.{os.getpid()}"
        line = f"trap '' TERM INT HUP; echo begun; echo x >new; (setsid sleep {marker} &); sleep {marker}"
        ran = await ground.run(ground.line(line, writes=True, timeout_s=1))
        assert ran.failed().reason_code == "limit"
        assert ran.failed().reason == "`sh` was stopped: it took longer than 1 s"
        assert (ran.out, ran.report.exit_code, ran.report.signal) == ("begun\n", None, None)
        assert 1000 <= ran.report.milliseconds < 4000
        assert processes_with(marker) == []
        ground.require_no_residue()

    @pytest.mark.parametrize("after", [0.0, 0.003, 0.01, 0.02, 0.03, 0.05, 0.3])
    async def test_a_cancelled_command_leaves_nothing_behind(self, ground: Ground, after: float) -> None:
        marker = f"9997.{os.getpid()}"
        executor = ground.executor()
        action = ground.line(f"(setsid sleep {marker} &); sleep {marker}", writes=True)
        permit = ground.permit(action, await ground.facts(action))
        before = open_descriptors()
        with anyio.move_on_after(after):
            await executor.perform(permit)
        assert processes_with(marker) == []
        ground.require_no_residue()
        assert [one for one in children() if "(bwrap)" in one or "(unshare)" in one or "(sleep)" in one] == []
        assert len(open_descriptors()) <= len(before) + 2, open_descriptors() - before

    async def test_no_descriptor_and_no_process_is_lost(self, ground: Ground) -> None:
        actions: list[Action] = [
            ground.line("echo x", writes=True),
            ground.shell("nope"),
            ground.line("exit 1"),
            ground.code("1"),
        ]
        for action in actions:
            await ground.run(action)
        before = open_descriptors()
        for action in actions * 2:
            await ground.run(action)
        assert len(open_descriptors()) == len(before), open_descriptors() ^ before
        assert [one for one in children() if ") Z " in one] == []

    async def test_commands_run_beside_each_other(self, ground: Ground) -> None:
        ended: list[Ran] = []

        async def one(number: int) -> None:
            ended.append(await ground.run(ground.line(f"sleep 0.2; echo {number}", writes=True)))

        began = time.monotonic()
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(one, number)
        assert sorted(int(ran.out) for ran in ended) == list(range(8))
        assert time.monotonic() - began < 8 * 0.2 + 2
        ground.require_no_residue()


@on_one_loop
class TestBounds:
    async def test_a_flood_without_a_newline_is_cut_and_counted(self, ground: Ground) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        bounds = Bounds(output_bytes=1 << 20)
        ran = await ground.run(ground.line("head -c 300000000 /dev/zero | tr '\\0' x; echo end >&2"), bounds=bounds)
        ran.done()
        report = ran.report
        assert report.stdout.content.size + report.stdout.cut == 300_000_000
        assert 1_000_000 < report.stdout.content.size <= 1 << 20
        assert ran.err == "end\n"
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024

    async def test_a_command_that_floods_does_not_hold_up_the_engine(self, ground: Ground) -> None:
        longest = 0.0

        async def watch() -> None:
            nonlocal longest
            while True:
                began = time.monotonic()
                await anyio.sleep(0.001)
                longest = max(longest, time.monotonic() - began)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await ground.run(ground.line("timeout 1 yes ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; true"))
            tasks.cancel_scope.cancel()
        assert longest < 0.5

    async def test_a_fork_bomb_stays_small_and_ends(self, ground: Ground) -> None:
        # The kernel exempts root from this bound, which is one reason why the engine refuses to be root.
        assert os.geteuid() != 0, "run the tests as an ordinary user (make test does)"
        bounds = Bounds(limits=Limits(processes=40))
        source = """
            import os, time
            made = 0
            try:
                while True:
                    if os.fork() == 0:
                        time.sleep(30)
                        os._exit(0)
                    made += 1
            except BlockingIOError:
                print(made)
            """
        ran = await ground.run(ground.code(textwrap.dedent(source)), bounds=bounds)
        assert 30 <= int(ran.out) <= 40
        bomb = ground.line("f() { f | f & f; }; f; sleep 5", timeout_s=2)
        ran = await ground.run(bomb, bounds=bounds)
        ran.failed()
        ground.require_no_residue()

    @pytest.mark.parametrize("way", ["bytearray(900 << 20)", "__import__('mmap').mmap(-1, 3 << 30)"])
    async def test_memory_is_bounded(self, ground: Ground, way: str) -> None:
        bounds = Bounds(limits=Limits(data_bytes=512 << 20, address_bytes=2 << 30))
        ran = await ground.run(ground.code(f"x = {way}"), bounds=bounds)
        assert ran.failed().reason_code == "exit"
        assert "MemoryError" in ran.err or "Cannot allocate memory" in ran.err

    async def test_processor_time_is_bounded(self, ground: Ground) -> None:
        ran = await ground.run(ground.code("while True: pass"), bounds=Bounds(limits=Limits(cpu_s=1)))
        assert ran.failed().reason == "the code was ended: it used up its processor time"
        assert ran.failed().reason_code == "limit"

    async def test_the_size_of_a_file_is_bounded(self, ground: Ground) -> None:
        bounds = Bounds(limits=Limits(file_bytes=1 << 20))
        ran = await ground.run(ground.line("exec head -c 2000000 /dev/zero >big", writes=True), bounds=bounds)
        assert ran.failed().reason_code == "limit"
        assert ran.failed().reason == "`sh` was ended: it wrote a file that is too large"
        assert list(ground.grant.iterdir()) == []

    async def test_tmp_is_bounded_in_bytes_and_in_files(self, ground: Ground) -> None:
        bounds = Bounds(limits=Limits(tmp_bytes=1 << 20, tmp_files=50))
        ran = await ground.run(ground.line("head -c 2000000 /dev/zero >/tmp/big; stat -c %s /tmp/big"), bounds=bounds)
        assert ran.out == f"{1 << 20}\n"
        ran = await ground.run(
            ground.line("i=0; while : >/tmp/$i || exit 0; do i=$((i+1)); [ $i -lt 99 ] || exit 1; done"), bounds=bounds
        )
        assert "No space left" in ran.err
        ran = await ground.run(
            ground.line("head -c 2000000 /dev/zero >/dev/shm/big; stat -c %s /dev/shm/big"), bounds=bounds
        )
        assert ran.out == f"{1 << 20}\n"

    async def test_open_files_are_bounded(self, ground: Ground) -> None:
        source = "files = []\ntry:\n    while True: files.append(open('/dev/null'))\nexcept OSError: print(len(files))"
        ran = await ground.run(ground.code(source), bounds=Bounds(limits=Limits(open_files=64)))
        assert ran.out == "61\n"

    async def test_a_copy_that_grows_too_large_ends_its_command(self, ground: Ground) -> None:
        bounds = Bounds(staged=StagedLimits(bytes_max=5 << 20))
        line = "for i in 1 2 3 4 5 6 7 8 9; do head -c 1000000 /dev/zero >f$i; done; sleep 30"
        ran = await ground.run(ground.line(line, writes=True), bounds=bounds)
        assert ran.failed().reason == "`sh` was stopped: it wrote more than 5,242,880 bytes"
        assert list(ground.grant.iterdir()) == []
        ground.require_no_residue()

    async def test_a_copy_with_too_many_files_ends_its_command(self, ground: Ground) -> None:
        bounds = Bounds(staged=StagedLimits(files_max=100))
        line = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); : >f$i; done; sleep 30"
        ran = await ground.run(ground.line(line, writes=True), bounds=bounds)
        assert ran.failed().reason == "`sh` was stopped: it changed more than 100 files"
        ground.require_no_residue()

    async def test_a_copy_that_is_too_deep_to_be_looked_through_ends_its_command(self, ground: Ground) -> None:
        source = """
            import os, time
            for _ in range(300):
                os.mkdir("d" * 200)
                os.chdir("d" * 200)
            time.sleep(30)
            """
        ran = await ground.run(ground.code(textwrap.dedent(source), writes=True))
        assert ran.failed().reason == "the code was stopped: its copy can't be looked through: file name too long"
        ground.require_no_residue()

    async def test_a_full_disk_ends_the_command_and_not_the_engine(self, ground: Ground) -> None:
        bounds = Bounds(staged=StagedLimits(free_bytes_min=1 << 60))
        ran = await ground.run(ground.line("echo x >f; sleep 30", writes=True), bounds=bounds)
        assert ran.failed().reason_code == "limit"
        assert "the disk of the store" in ran.failed().reason

    async def test_common_programs_start_within_the_bounds(self, ground: Ground) -> None:
        for argv in (["python3", "-c", "import ssl, json, threading"], ["git", "--version"], ["perl", "-e", "1"]):
            if shutil.which(argv[0], path="/usr/bin"):
                (await ground.run(ground.shell(*argv))).done()


@on_one_loop
class TestFailingClosed:
    async def test_a_folder_that_was_replaced_is_not_run_in(self, ground: Ground) -> None:
        action = ground.line("cat secret.txt")
        permit = ground.permit(action, await ground.facts(action))
        ground.grant.rename(ground.base / "moved")
        ground.grant.symlink_to(ground.out)
        failed = ground.read(await ground.executor().perform(permit)).failed()
        assert failed.reason_code == "conflict"
        ground.require_no_residue()

    async def test_a_folder_replaced_after_it_was_held_is_noticed_by_the_script(self, ground: Ground) -> None:
        executor, action = ground.executor(), ground.line("cat secret.txt f")
        permit = ground.permit(action, await ground.facts(action))
        with ground.holder.hold(ground.scope.folders[0]):
            pass

        class Swapping:
            """A sight that is asked while the area is made: just before the command starts."""

            def hides(self, *_: object) -> bool:
                if ground.grant.exists() and not ground.grant.is_symlink():
                    ground.grant.rename(ground.base / "moved")
                    ground.grant.symlink_to(ground.out)
                return False

        (ground.grant / "f").write_text("inside\n")
        outcome = ground.read(await executor.perform(msgspec.structs.replace(permit, sight=Swapping())))
        assert ground.canary not in outcome.out
        assert outcome.failed().reason_code == "conflict"

    async def test_stage_0_that_can_not_close_a_door_runs_nothing(
        self, ground: Ground, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from cowork.adapters.sandbox import starting

        broken = starting.stage0_source().replace("445, 446", "445, 9999")
        assert broken != starting.stage0_source()
        monkeypatch.setattr(starting, "stage0_source", lambda: broken)
        failed = (await ground.run(ground.line("echo ran >x", writes=True))).failed()
        assert (failed.reason_code, failed.result) == ("unavailable", None)
        assert "Landlock does not shut" in failed.reason

    async def test_a_sandbox_that_ends_before_it_is_ready_has_run_nothing(
        self, ground: Ground, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from cowork.adapters.sandbox import starting

        monkeypatch.setattr(starting, "arguments_of_view", lambda *_args, **_more: ["--no-such-option"])
        failed = (await ground.run(ground.line("echo ran >x", writes=True))).failed()
        assert failed.reason_code == "unavailable"
        assert "Unknown option --no-such-option" in failed.reason
        ground.require_no_residue()

    async def test_a_working_folder_that_policy_hides_is_none(self, ground: Ground) -> None:
        (ground.grant / "hidden").mkdir()
        ran = await ground.run(ground.shell("pwd", cwd="hidden"), hidden=frozenset(["hidden"]))
        assert ran.failed().reason_code == "not_found"
        assert ran.failed().reason == "`pwd` was not run: the working folder can't be seen by commands"

    async def test_what_can_not_be_kept_is_no_success(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(chunks: object) -> None:
            raise DomainError("unavailable", "content can't be kept: no space left on device")

        monkeypatch.setattr(ground.blobs, "put_stream", full)
        failed = (await ground.run(ground.line("echo x"))).failed()
        assert (failed.reason_code, failed.reason) == ("unavailable", "content can't be kept: no space left on device")
        ground.require_no_residue()
