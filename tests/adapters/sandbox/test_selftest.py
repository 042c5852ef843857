"""The self test: every wall holds here, and each probe finds what it looks for where there is no wall."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cowork.adapters.sandbox import bubblewrap, canaries, starting, trial
from cowork.adapters.sandbox.bubblewrap import find_programs, trusted_program
from cowork.adapters.sandbox.canaries import SandboxSelfTest
from cowork.adapters.sandbox.view import Descriptors, Person, arguments_of_view
from cowork.adapters.sandbox.watching import StagedLimits
from cowork.domain.errors import DomainError
from tests.adapters.sandbox.ground import Ground

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Which event loop it is, is nothing to the walls."""
    return "asyncio"


SHELL_WALLS = set(trial.WALLS) - {"read-only", "code-isolated"}
CODE_WALLS = set(trial.WALLS) - {"own-copy", "staged", "daemon", "hard-link", "setuid"}


async def test_every_wall_holds_on_this_machine(ground: Ground) -> None:
    found = await SandboxSelfTest(ground.base / "state").run()
    assert {canary.name for canary in found if canary.path == "shell"} == SHELL_WALLS
    assert {canary.name for canary in found if canary.path == "code"} == CODE_WALLS
    assert [canary for canary in found if canary.standing != "enforced"] == []
    assert all(canary.needed and canary.detail for canary in found)
    ground.require_no_residue()


async def test_the_result_is_the_same_every_time(ground: Ground) -> None:
    self_test = SandboxSelfTest(ground.base / "state")
    assert await self_test.run() == await self_test.run() == await SandboxSelfTest().run()


async def test_a_disk_without_room_is_said_with_what_helps_and_tried_again_once_there_is(ground: Ground) -> None:
    full = SandboxSelfTest(ground.base / "state", limits=StagedLimits(free_bytes_min=1 << 60))
    for canary in await full.run():
        assert (canary.name, canary.standing) == ("sandbox", "absent")
        assert canary.detail.startswith("the disk of the store has less than ")
        assert canary.hint == "make room on it: `cowork store gc --dry-run` shows what the store can let go of"
    assert full.fingerprint() != SandboxSelfTest(ground.base / "state").fingerprint()
    ground.require_no_residue()


async def test_it_takes_less_than_a_second_when_nothing_else_runs(ground: Ground) -> None:
    self_test = SandboxSelfTest(ground.base / "state")
    await self_test.run()
    times: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        await self_test.run()
        times.append(time.perf_counter() - began)
    assert min(times) < 1.0


def probes_outside(ground: Ground, *, writes: bool) -> dict[str, str]:
    """Run the probes on the host itself, with nothing around them."""
    as_root = os.geteuid() == 0
    folder, outside, other = ground.grant, ground.out, ground.base / "grant2"
    (folder / "hidden.txt").write_text("x")
    (folder / "link.txt").symlink_to(outside / "secret.txt")
    (folder / "hard.txt").hardlink_to(outside / "linked.txt")
    for place in (ground.base, folder, outside, other, folder / "hard.txt"):
        place.chmod(0o777)
    (folder / "json.py").write_text("from importlib import import_module\nplanted = 1\n")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        udp.bind(("127.0.0.1", 0))
        unix.bind(str(outside / "socket"))
        (outside / "socket").chmod(0o777)
        unix.listen()
        places = {
            "folder": str(folder),
            "outside": str(outside),
            "other": str(other),
            "state": "/proc",
            "socket": str(outside / "socket"),
            "abstract": "nobody",
            "marker": "0.1",
            "names": "PATH",
            "tcp": str(tcp.getsockname()[1]),
            "udp": str(udp.getsockname()[1]),
            **({"writes": "1"} if writes else {}),
        }
        probes = Path(trial.__file__).with_name("probes.py")
        run = subprocess.run(
            [bubblewrap.PYTHON, "-I", str(probes), json.dumps(places)],
            env={"PATH": "/usr/bin", "ENGINE_SECRET": "x"},
            cwd=folder,
            capture_output=True,
            check=True,
            text=True,
            # Never as root, who could do on the host all that is tried.
            user=65534 if as_root else None,
            group=65534 if as_root else None,
            extra_groups=[] if as_root else None,
        )
    found: dict[str, str] = json.loads(run.stdout)
    return found


def test_each_probe_notices_when_there_is_no_wall(ground: Ground) -> None:
    found = probes_outside(ground, writes=True)
    # What an ordinary user may not do anyway proves nothing here.
    by_the_system = {"system-write", "engine-memory", "engine-paths", "mount"}
    silent = {name for name, said in found.items() if not said}
    assert silent <= {"own-copy", *by_the_system}
    assert found["confinement"].startswith("Seccomp, NoNewPrivs")
    assert "ENGINE_SECRET" in found["engine-environment"]


def test_a_write_that_works_is_noticed_where_it_should_not(ground: Ground) -> None:
    assert probes_outside(ground, writes=False)["read-only"] == "it worked"


def without(*lacking: str) -> Callable[..., list[str]]:
    """The arguments of bubblewrap without some, and what belongs to them."""

    def arguments(folder: str, person: Person, descriptors: Descriptors, *, writes: bool) -> list[str]:
        made = arguments_of_view(folder, person, descriptors, writes=writes)
        for flag in lacking:
            at = made.index(flag)
            del made[at : at + (1 if made[at + 1].startswith("--") else 2)]
        return made

    return arguments


@pytest.mark.parametrize(
    ("lacking", "fallen"),
    [
        (("--cap-drop",), {"confinement"}),
        # Without the filter a packet can be sent, if only to the empty network; Landlock still refuses connections.
        (("--seccomp",), {"confinement", "setuid", "network-udp"}),
        (("--unshare-net", "--seccomp"), {"confinement", "setuid", "network-udp"}),
        (("--disable-userns", "--seccomp"), {"confinement", "setuid", "network-udp", "user-namespace"}),
    ],
)
async def test_a_missing_wall_is_told_by_its_name(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, lacking: tuple[str, ...], fallen: set[str]
) -> None:
    monkeypatch.setattr(starting, "arguments_of_view", without(*lacking))
    found = await SandboxSelfTest(ground.base / "state").run()
    assert {canary.name for canary in found if canary.standing == "absent"} == fallen
    assert all(canary.hint for canary in found if canary.standing == "absent")


@pytest.mark.parametrize("abi", [1, 2, 3, 4, 5, 6, 99])
async def test_the_walls_hold_with_every_landlock_from_the_first_on(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, abi: int
) -> None:
    asked = "abi = call('Landlock is not there', CREATE_RULESET, 0, 0, 1)"
    source = starting.stage0_source()
    assert asked in source
    monkeypatch.setattr(starting, "stage0_source", lambda: source.replace(asked, f"abi = {abi}"))
    found = await SandboxSelfTest(ground.base / "state").run()
    assert [canary for canary in found if canary.standing != "enforced"] == []
    assert len(found) == len(SHELL_WALLS) + len(CODE_WALLS)


@pytest.mark.parametrize(
    ("setting", "value", "hint"),
    [
        ("user/max_user_namespaces", "0\n", "max_user_namespaces"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1\n", "AppArmor"),
        ("kernel/unprivileged_userns_clone", "0\n", "unprivileged_userns_clone"),
        ("user/max_user_namespaces", "96365\n", "use a kernel and a container"),
    ],
)
def test_what_keeps_a_sandbox_from_being_made_is_named(tmp_path: Path, setting: str, value: str, hint: str) -> None:
    path = tmp_path / setting
    path.parent.mkdir()
    path.write_text(value)
    assert hint in trial.hint_of_system(tmp_path)


async def test_without_landlock_the_engine_can_be_looked_into(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    open_door = starting.stage0_source().replace("restrict([", "(lambda *_: None)([")
    assert open_door != starting.stage0_source()
    monkeypatch.setattr(starting, "stage0_source", lambda: open_door)
    found = await SandboxSelfTest(ground.base / "state").run()
    assert {canary.name for canary in found if canary.standing == "absent"} == {"engine-environment", "engine-memory"}


async def test_hidden_files_that_show_are_found_out(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial.OneHidden, "hides", lambda *_: False)
    found = await SandboxSelfTest(ground.base / "state").run()
    assert {(canary.path, canary.name) for canary in found if canary.standing != "enforced"} == {
        ("shell", "hidden-file"),
        ("code", "hidden-file"),
    }


async def test_a_sandbox_that_can_not_be_made_is_absent_with_the_reason(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "arguments_of_view", lambda *_args, **_more: ["--no-such-option"])
    found = await SandboxSelfTest(ground.base / "state").run()
    assert [(canary.name, canary.path, canary.standing) for canary in found] == [
        ("sandbox", "shell", "absent"),
        ("sandbox", "code", "absent"),
    ]
    assert "Unknown option" in found[0].detail
    ground.require_no_residue()


async def test_a_missing_program_is_a_result_with_what_to_install(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bubblewrap, "BUBBLEWRAP", "/usr/bin/no-such-bwrap")
    found = await SandboxSelfTest(ground.base / "state").run()
    assert {canary.standing for canary in found} == {"absent"}
    assert found[0].detail == "`/usr/bin/no-such-bwrap` is not there"
    assert found[0].hint == "install it with `apt install bubblewrap`, or the like of your system"


class TestFingerprint:
    def test_it_is_cheap_and_stays_the_same(self, ground: Ground) -> None:
        self_test = SandboxSelfTest(ground.base / "state")
        first = self_test.fingerprint()
        began = time.perf_counter()
        assert {self_test.fingerprint() for _ in range(20)} == {first}
        assert time.perf_counter() - began < 0.5

    def test_it_changes_with_the_kernel_the_version_and_the_programs(
        self, ground: Ground, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self_test = SandboxSelfTest(ground.base / "state")
        prints = {self_test.fingerprint()}
        with monkeypatch.context() as patched:
            patched.setattr("platform.release", lambda: "9.9.9")
            prints.add(self_test.fingerprint())
        with monkeypatch.context() as patched:
            patched.setattr(canaries, "_version", lambda: "9.9.9")
            prints.add(self_test.fingerprint())
        with monkeypatch.context() as patched:
            patched.setattr(bubblewrap, "BUBBLEWRAP", str(ground.base / "bwrap"))
            prints.add(self_test.fingerprint())
        with monkeypatch.context() as patched:
            patched.setattr("os.geteuid", lambda: 4321)
            prints.add(self_test.fingerprint())
        assert len(prints) == 5


class TestPrograms:
    def program(self, folder: Path, content: bytes = b"\x7fELF rest", mode: int = 0o755) -> str:
        path = folder / "bwrap"
        path.write_bytes(content)
        path.chmod(mode)
        return str(path)

    def test_what_is_installed_is_found(self) -> None:
        programs = find_programs()
        assert programs.landlock >= 1
        assert programs.bubblewrap[0].isdecimal()

    def test_a_shim_in_the_path_or_the_working_folder_is_not_looked_at(
        self, ground: Ground, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shim = Path(self.program(ground.grant, b"#!/bin/sh\necho shim >shim-ran\n"))
        monkeypatch.chdir(ground.grant)
        monkeypatch.setenv("PATH", f"{ground.grant}:.:{os.environ['PATH']}")
        expected = find_programs()
        bubblewrap.probe.cache_clear()
        assert find_programs() == expected
        assert sorted(path.name for path in ground.grant.iterdir()) == [shim.name]

    def test_a_script_is_not_the_program(self, ground: Ground) -> None:
        path = self.program(ground.out, b"#!/bin/sh\nexec /usr/bin/bwrap --share-everything\n")
        with pytest.raises(DomainError, match="is a script and not the program itself"):
            trusted_program(path, "", owner=os.getuid())

    @pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o722])
    def test_a_program_that_others_can_write_is_not_trusted(self, ground: Ground, mode: int) -> None:
        with pytest.raises(DomainError, match="can be changed by others than root"):
            trusted_program(self.program(ground.out, mode=mode), "", owner=os.getuid())

    def test_a_program_that_is_not_roots_is_not_trusted(self, ground: Ground) -> None:
        path = self.program(ground.out)
        trusted_program(path, "", owner=os.getuid())
        if os.getuid() == 0:
            os.chown(path, 1001, 1001)
        with pytest.raises(DomainError, match="can be changed by others than root"):
            trusted_program(path, "")

    def test_a_folder_on_the_way_that_others_can_write_is_not_trusted(self, ground: Ground) -> None:
        path = self.program(ground.out)
        ground.out.chmod(0o777)
        with pytest.raises(DomainError, match="can be changed by others than root"):
            trusted_program(path, "", owner=os.getuid())

    def test_a_link_is_followed_and_its_way_is_looked_at_too(self, ground: Ground) -> None:
        loose = ground.base / "loose"
        loose.mkdir()
        self.program(loose)
        link = ground.out / "link"
        link.symlink_to("../loose/bwrap")
        state = trusted_program(str(link), "", owner=os.getuid())
        assert state.path == str(link)
        loose.chmod(0o777)
        with pytest.raises(DomainError, match="loose` can be changed"):
            trusted_program(str(link), "", owner=os.getuid())

    def test_a_loop_of_links_ends(self, ground: Ground) -> None:
        (ground.out / "a").symlink_to("b")
        (ground.out / "b").symlink_to("a")
        with pytest.raises(DomainError, match="too many links"):
            trusted_program(str(ground.out / "a"), "", owner=os.getuid())

    @pytest.mark.parametrize("content", [None, b""])
    def test_what_is_no_program_is_none(self, ground: Ground, content: bytes | None) -> None:
        path = str(ground.out) if content is None else self.program(ground.out, mode=0o644)
        with pytest.raises(DomainError, match="is no program"):
            trusted_program(path, "", owner=os.getuid())

    def test_an_option_that_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bubblewrap, "OPTIONS", (*bubblewrap.OPTIONS, "--from-the-future"))
        bubblewrap.probe.cache_clear()
        with pytest.raises(DomainError, match="is too old: it has no `--from-the-future`"):
            find_programs()
        bubblewrap.probe.cache_clear()

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("landlock_abi", lambda: 0, "the kernel has no Landlock"),
            ("PYTHON_OLDEST", (4, 0), "commands need 3.9 or newer"),
        ],
    )
    def test_what_else_is_missing_is_said(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: object, message: str
    ) -> None:
        monkeypatch.setattr(bubblewrap, name, value)
        bubblewrap.probe.cache_clear()
        with pytest.raises(DomainError, match=message):
            find_programs()
        bubblewrap.probe.cache_clear()

    @pytest.mark.parametrize(
        ("attribute", "value", "message"),
        [
            ("sys.platform", "darwin", "commands need Linux with bubblewrap"),
            ("platform.machine", lambda: "riscv64", "commands need an x86-64 or 64 bit ARM machine"),
        ],
    )
    def test_another_system_has_no_commands(
        self, monkeypatch: pytest.MonkeyPatch, attribute: str, value: object, message: str
    ) -> None:
        monkeypatch.setattr(attribute, value)
        with pytest.raises(DomainError, match=message) as caught:
            find_programs()
        assert caught.value.code == "unavailable"
