"""What a command can't get at: files, the engine, the network, the kernel's corners, and its own bounds' other side."""

import os
import socket
import tempfile
import textwrap
from pathlib import Path

import msgspec
import pytest

from cowork.adapters.sandbox.view import find_taken
from cowork.domain.scope import FolderIdentity
from tests.adapters.sandbox.attacks import PRELUDE
from tests.adapters.sandbox.ground import Ground, Listeners, Manifest, Ran

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Which event loop the engine runs on is nothing to the walls."""
    return "asyncio"


async def attack(ground: Ground, source: str, *arguments: str, writes: bool = True) -> dict[str, str]:
    """Run Python inside and return what it reported, by name."""
    ran = await ground.run(ground.code(PRELUDE + textwrap.dedent(source), *arguments, writes=writes))
    assert ran.report.exit_code == 0, ran.err
    return dict(line.split(" ", 1) for line in ran.out.splitlines())


def require_no_canary(ground: Ground, ran: Ran) -> None:
    assert ground.canary not in ran.out + ran.err + str(ran.outcome)


class TestFiles:
    @pytest.mark.parametrize("writes", [False, True])
    async def test_what_was_not_granted_is_not_there(self, ground: Ground, writes: bool) -> None:
        before = Manifest.of(ground.out, ground.base / "grant-evil", ground.base / "grant2")
        line = f"""
            cat {ground.out}/secret.txt; cat {ground.base}/grant-evil/f; cat {ground.base}/grant2/other.txt
            ls {ground.base} {ground.base}/state ~/.ssh /root /home /var/log /run /mnt /srv /opt /boot
            cat /etc/shadow /etc/hostname /etc/machine-id /proc/kcore
            cat ../out/secret.txt /proc/self/root{ground.out}/secret.txt /proc/self/cwd/../out/secret.txt
            cat /proc/1/root{ground.out}/secret.txt /dev/fd/../../../out/secret.txt
            """
        ran = await ground.run(ground.line(line, writes=writes))
        require_no_canary(ground, ran)
        assert ran.failed().reason_code == "exit"
        # Of all of these only the parents of the granted folder are there, and empty but for it.
        assert ran.out == f"{ground.base}:\ngrant\n"
        assert Manifest.of(ground.out, ground.base / "grant-evil", ground.base / "grant2") == before

    @pytest.mark.parametrize("writes", [False, True])
    async def test_nothing_is_written_but_in_the_copy_and_in_tmp(self, ground: Ground, writes: bool) -> None:
        places = [
            "/etc/x",
            "/usr/x",
            "/x",
            "/bin/x",
            "/proc/x",
            "/dev/x",
            "/run/x",
            f"{ground.base}/x",
            "/proc/sys/kernel/x",
        ]
        places += [str(ground.out / "x"), "/usr/bin/python3", "/etc/passwd", "/run/cowork/code.py", "/etc/ld.so.cache"]
        line = "; ".join(f"(echo evil >{place}) 2>/dev/null && echo wrote {place}" for place in places)
        before = Manifest.of(ground.out)
        ran = await ground.run(
            ground.line(f"{line}; echo ok >/tmp/x && echo ok >/dev/shm/x && cat /tmp/x", writes=writes)
        )
        assert ran.out == "ok\n"
        assert Manifest.of(ground.out) == before

    async def test_a_link_leads_to_nothing_outside(self, ground: Ground) -> None:
        (ground.grant / "link").symlink_to(ground.out / "secret.txt")
        (ground.grant / "up").symlink_to("../out")
        ran = await ground.run(
            ground.line("cat link up/secret.txt; echo evil >up/new; ls -l /proc/self/exe >/dev/null", writes=True)
        )
        require_no_canary(ground, ran)
        assert not (ground.out / "new").exists()

    async def test_a_second_name_of_a_file_outside_changes_only_in_the_copy(self, ground: Ground) -> None:
        (ground.grant / "hl").hardlink_to(ground.out / "linked.txt")
        before = (ground.out / "linked.txt").read_bytes()
        ran = await ground.run(ground.line("echo evil >>hl; chmod 600 hl; truncate -s 1 hl; cat hl", writes=True))
        ran.done()
        assert (ground.out / "linked.txt").read_bytes() == before

    async def test_what_policy_hides_is_absent_from_both_tiers(self, ground: Ground) -> None:
        (ground.grant / ".env").write_text(ground.canary)
        (ground.grant / "keys").mkdir()
        (ground.grant / "keys" / "id").write_text(ground.canary)
        hidden = frozenset([".env", "keys"])
        for writes in (False, True):
            ran = await ground.run(ground.line("ls -A; cat .env keys/id; true", writes=writes), hidden=hidden)
            require_no_canary(ground, ran)
            assert (ran.out, ran.report.hidden) == ("", 2)

    async def test_a_pipe_or_socket_in_the_folder_is_not_there(self, ground: Ground) -> None:
        os.mkfifo(ground.grant / "pipe")
        with socket.socket(socket.AF_UNIX) as inside:
            inside.bind(str(ground.grant / "sock"))
            inside.listen()
            ran = await ground.run(ground.line("ls -A", writes=True))
        assert ran.out == ""


class TestEngine:
    @pytest.mark.parametrize("writes", [False, True])
    async def test_the_engines_environment_and_paths_are_not_known_inside(
        self, ground: Ground, writes: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COWORK_TEST_SECRET", ground.canary)
        line = """
            env; cat /proc/self/environ /proc/1/environ /proc/1/cmdline /proc/self/mountinfo /proc/1/mountinfo
            cat /proc/1/stat /proc/1/status /proc/1/maps; ls -l /proc/1/fd /proc/1/cwd /proc/1/exe
            for p in /proc/[0-9]*; do cat $p/environ $p/cmdline; done; true
            """
        ran = await ground.run(ground.line(line, writes=writes))
        require_no_canary(ground, ran)
        assert str(ground.base / "state") not in ran.out + ran.err
        assert "COWORK" not in ran.out

    async def test_the_environment_is_a_short_list_and_what_the_action_adds(self, ground: Ground) -> None:
        ran = await ground.run(ground.shell("env", env=(("APP_MODE", "x y"), ("TZ", "Europe/Berlin"))))
        names = {line.partition("=")[0] for line in ran.out.splitlines()}
        assert names == {
            "PATH",
            "HOME",
            "TMPDIR",
            "USER",
            "LOGNAME",
            "SHELL",
            "LANG",
            "PYTHONDONTWRITEBYTECODE",
            "APP_MODE",
            "TZ",
        }
        assert "APP_MODE=x y\n" in ran.out

    async def test_pid_1_can_be_neither_read_nor_traced_nor_ended(self, ground: Ground) -> None:
        found = await attack(
            ground,
            """
            def opened(path, flags):
                try:
                    os.close(os.open(path, flags)); return "opened"
                except OSError as error:
                    return "held"
            report(**{path.replace("/", "_"): opened(path, flags) for path, flags in (
                ("/proc/1/mem", os.O_RDWR), ("/proc/1/mem", os.O_RDONLY), ("/proc/1/environ", os.O_RDONLY),
                ("/proc/1/maps", os.O_RDONLY), ("/proc/1/root/usr", os.O_RDONLY),
                *((f"/proc/1/fd/{n}", os.O_RDONLY) for n in range(20)),
                ("/proc/1/auxv", os.O_RDONLY), ("/proc/self/mem", os.O_RDWR), ("/proc/sysrq-trigger", os.O_WRONLY),
            )})
            def kill(number):
                try:
                    os.kill(1, number); return "sent"
                except OSError:
                    return "held"
            report(kill=kill(9), term=kill(15), stop=kill(19), ptrace=call("ptrace", 16, 1, 0, 0))
            """,
        )
        assert {name: what for name, what in found.items() if what not in ("held", "EPERM")} == {}

    async def test_no_descriptor_of_the_engine_is_open(self, ground: Ground) -> None:
        secret = os.open(ground.out / "secret.txt", os.O_RDONLY)
        try:
            os.set_inheritable(secret, True)
            os.dup2(secret, 57, inheritable=True)
            ran = await ground.run(
                ground.code("import os\nprint(sorted(int(n) for n in os.listdir('/proc/self/fd')))\nos.read(57, 9)")
            )
        finally:
            os.close(57)
            os.close(secret)
        assert ran.out == "[0, 1, 2, 3]\n", "the fourth is the listing's own"
        assert "Bad file descriptor" in ran.err

    async def test_other_processes_are_not_there(self, ground: Ground) -> None:
        ran = await ground.run(ground.line("ls -d /proc/[0-9]* | wc -l; kill -0 $PPID; kill -9 -1; cat /proc/1/comm"))
        assert ran.out.splitlines()[0] in ("3", "4", "5")
        assert os.getpid() > 0


class TestNetwork:
    @pytest.mark.parametrize("writes", [False, True])
    async def test_nobody_is_reached(self, ground: Ground, listeners: Listeners, writes: bool) -> None:
        found = await attack(
            ground,
            """
            tcp, tcp6, udp, path, datagrams, abstract = sys.argv[1:]
            def reach(family, kind, address, protocol=0):
                try:
                    with socket.socket(family, kind, protocol) as made:
                        made.settimeout(1)
                        made.connect(address)
                        made.send(b"x")
                    return "reached"
                except OSError:
                    return "held"
            stream, dgram = socket.SOCK_STREAM, socket.SOCK_DGRAM
            report(tcp=reach(socket.AF_INET, stream, ("127.0.0.1", int(tcp))),
                   tcp6=reach(socket.AF_INET6, stream, ("::1", int(tcp6))),
                   mptcp=reach(socket.AF_INET, stream, ("127.0.0.1", int(tcp)), 262),
                   udp=reach(socket.AF_INET, dgram, ("127.0.0.1", int(udp))),
                   far=reach(socket.AF_INET, dgram, ("192.0.2.1", 53)),
                   unix=reach(socket.AF_UNIX, stream, path),
                   datagrams=reach(socket.AF_UNIX, dgram, datagrams),
                   abstract=reach(socket.AF_UNIX, stream, chr(0) + abstract))
            families = dict(raw=(2, 3), packet=(17, 3), netlink=(16, 3), vsock=(40, 1), alg=(38, 5), bluetooth=(31, 3),
                            can=(29, 3), xdp=(44, 3), tipc=(30, 5), smc=(43, 1), kcm=(41, 5), rds=(21, 5), key=(15, 3))
            report(**{name: call("socket", family, kind, 0) for name, (family, kind) in families.items()})
            high = 1 << 32
            report(high_unix=call("socket", high | 1, 1, 0), high_inet=call("socket", high | 2, 1, 0),
                   pair_dgram=call("socketpair", 1, 2, 0, ctypes.byref((ctypes.c_int * 2)())))
            """,
            *(str(one.getsockname()[1]) for one in (listeners.tcp, listeners.tcp6, listeners.udp)),
            *(str(ground.out / name) for name in ("s.sock", "d.sock")),
            listeners.abstract_name,
            writes=writes,
        )
        assert {name: what for name, what in found.items() if what not in ("held", "EPERM")} == {}
        assert listeners.visitors() == []

    async def test_names_are_not_looked_up(self, ground: Ground) -> None:
        ran = await ground.run(ground.code("import socket\nprint(socket.getaddrinfo('data.evil.test', 80))"))
        assert ran.out == ""
        assert "gaierror" in ran.err

    async def test_a_pair_of_sockets_works(self, ground: Ground) -> None:
        ran = await ground.run(
            ground.code(
                "import socket\na, b = socket.socketpair()\na.send(b'x')\nprint(b.recv(1))\nimport asyncio\n"
                "async def f(): await asyncio.sleep(0)\nasyncio.run(f())"
            )
        )
        assert ran.out == "b'x'\n"


class TestKernel:
    @pytest.mark.parametrize("writes", [False, True])
    async def test_the_corners_of_the_kernel_are_shut(self, ground: Ground, writes: bool) -> None:
        found = await attack(
            ground,
            """
            flags = dict(user=0x10000000, mount=0x20000, net=0x40000000, pid=0x20000000, uts=0x4000000, ipc=0x8000000)
            report(**{f"unshare_{name}": call("unshare", flag) for name, flag in flags.items()})
            report(**{f"clone_{name}": call("clone", flag | 17, 0, 0, 0, 0) for name, flag in flags.items()})
            report(mount=call("mount", b"none", b"/tmp", b"tmpfs", 0, 0),
                   remount=call("mount", b"none", b"/usr", b"", 32, 0),
                   umount=call("umount2", os.getcwd().encode(), 2), chroot=call("chroot", b"/tmp"),
                   keyctl=call("keyctl", 0, -3, 0), bpf=call("bpf", 0, 0, 0), perf=call("perf", 0, 0, -1, -1, 0),
                   userfaultfd=call("userfaultfd", 0),
                   io_uring=call("io_uring_setup", 1, ctypes.create_string_buffer(120)),
                   open_tree=call("open_tree", -100, b"/", 1),
                   move_mount=call("move_mount", -100, b"/", -100, b"/tmp", 0),
                   fsopen=call("fsopen", b"tmpfs", 0), setattr=call("mount_setattr", -100, b"/", 0, 0, 0),
                   handle=call("handle", -100, 0, 0), name=call("name", -100, b"/", 0, 0, 0), acct=call("acct", 0),
                   statmount=call("statmount", 0, 0, 0, 0), getfd=call("pidfd_getfd", 0, 0, 0),
                   personality=call("personality", 0x0040000), char=call("mknodat", -100, b"/tmp/c", 0o20600, 0x103),
                   block=call("mknodat", -100, b"/tmp/b", 0o60600, 0x700))
            """,
            writes=writes,
        )
        worked = {name: what for name, what in found.items() if what not in ("EPERM", "EACCES")}
        assert worked == {}

    async def test_calls_that_hide_their_arguments_are_missing(self, ground: Ground) -> None:
        found = await attack(
            ground,
            """
            report(clone3=call("clone3", ctypes.create_string_buffer(88), 88),
                   openat2=call("openat2", -100, b"/usr", ctypes.create_string_buffer(24), 24),
                   fchmodat2=call("fchmodat2", -100, b"own", 0o4755, 0),
                   open_tree_attr=call("open_tree_attr", -100, b"/", 1, 0, 0), future=call("future"))
            """,
        )
        assert set(found.values()) == {"ENOSYS"}

    @pytest.mark.parametrize("number", ["0x40000000 + 39", "0x40000000 + 41"])
    async def test_the_x32_interface_is_the_end(self, ground: Ground, number: str) -> None:
        ran = await ground.run(ground.code(PRELUDE + f"call({number})\nprint('alive')"))
        assert (ran.report.signal, ran.out) == (31, "")

    async def test_the_32_bit_interface_is_the_end(self, ground: Ground) -> None:
        if os.uname().machine != "x86_64":
            pytest.fail("this machine has no such interface: give it a test of its own")
        source = PRELUDE + textwrap.dedent(
            r"""
            import mmap
            # mov eax, 20 (getpid); int 0x80; ret
            code = mmap.mmap(-1, 4096, prot=7)
            code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
            address = ctypes.addressof(ctypes.c_char.from_buffer(code))
            print("pid", ctypes.CFUNCTYPE(ctypes.c_int)(address)())
            """
        )
        ran = await ground.run(ground.code(source))
        assert (ran.report.signal, ran.out) == (31, "")

    async def test_nothing_is_typed_into_a_terminal(self, ground: Ground) -> None:
        found = await attack(
            ground,
            """
            import fcntl, pty, termios
            mine, theirs = pty.openpty()
            def typed(request, argument):
                try:
                    fcntl.ioctl(theirs, request, argument); return "typed"
                except OSError as error:
                    return errno.errorcode[error.errno]
            def tty():
                try:
                    os.close(os.open("/dev/tty", os.O_RDWR)); return "opened"
                except OSError as error:
                    return errno.errorcode[error.errno]
            report(sti=typed(termios.TIOCSTI, b"x"), linux=typed(0x541C, b"\\x02"),
                   size=typed(termios.TIOCGWINSZ, b" " * 8), tty=tty())
            """,
        )
        assert found == {"sti": "EPERM", "linux": "EPERM", "size": "typed", "tty": "ENXIO"}

    async def test_no_file_gets_its_owners_rights(self, ground: Ground) -> None:
        line = """
            cp /usr/bin/true own; chmod 4755 own; chmod 2755 own; chmod u+s own; install -m 6755 /usr/bin/true other
            mkdir -m 2755 folder; cp -p /usr/bin/true third; chmod 755 third; ls -l own other third | cut -c1-10
            """
        ran = await ground.run(ground.line(line, writes=True))
        assert "s" not in ran.out.replace("sandbox", "")
        assert "rwxr-xr-x" in ran.out
        for path in ground.grant.rglob("*"):
            raise AssertionError(f"{path} is in the folder itself")

    async def test_every_privilege_is_gone(self, ground: Ground) -> None:
        ran = await ground.run(ground.line("cat /proc/self/status; su -c id; sudo id; passwd; true"))
        status = dict(line.split(":\t", 1) for line in ran.out.splitlines() if ":\t" in line)
        assert {status[f"Cap{name}"].strip() for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
        assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
        assert "uid=0" not in ran.out


class TestPlacesOfTheSandbox:
    @pytest.mark.parametrize("path", ["/", "/usr", "/usr/share", "/etc", "/proc", "/dev", "/tmp", "/dev/shm", "/run"])
    async def test_a_folder_that_the_sandbox_needs_is_no_place_for_commands(self, ground: Ground, path: str) -> None:
        status = os.stat(path)
        identity = FolderIdentity(status.st_dev, status.st_ino)
        folder = msgspec.structs.replace(ground.scope.folders[0], root_path=path, identity=identity)
        ground.scope = msgspec.structs.replace(ground.scope, folders=(folder,))
        facts = await ground.facts(ground.shell("true"))
        assert facts.obstacle is not None
        assert facts.obstacle.code == "unavailable"
        outcome = ground.read(await ground.executor().perform(ground.permit(ground.shell("true"), facts)))
        assert outcome.failed().reason_code == "unavailable"

    @pytest.mark.parametrize(
        ("path", "taken"),
        [
            ("/", "/"),
            ("//", "/"),
            ("/usr/local/share/x", "/usr"),
            ("/lib64", "/lib64"),
            ("/proc/1/root/home", "/proc"),
            ("/dev/shm", "/dev/shm"),
            ("/dev/pts", "/dev"),
            ("/dev/shm/x", None),
            ("/tmp/x", None),
            ("/run/cowork/x", "/run/cowork"),
            ("/run/user/1000/x", None),
            ("/usrlocal", None),
            ("/home", None),
            ("/home/usr", None),
            ("/root/etc", None),
        ],
    )
    def test_which_places_the_sandbox_needs(self, path: str, taken: str | None) -> None:
        assert find_taken(path) == taken

    @pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
    async def test_a_folder_in_the_machines_tmp_is_seen_in_the_commands_own(self, ground: Ground, place: str) -> None:
        with tempfile.TemporaryDirectory(dir=place) as made:
            (Path(made) / "secret.txt").write_text(ground.canary)
            granted = Path(made) / "granted"
            granted.mkdir()
            (granted / "a.txt").write_text("hello\n")
            status = granted.stat()
            folder = msgspec.structs.replace(
                ground.scope.folders[0],
                root_path=str(granted),
                identity=FolderIdentity(status.st_dev, status.st_ino),
            )
            ground.scope = msgspec.structs.replace(ground.scope, folders=(folder,))
            line = f"cat a.txt ../secret.txt; ls {made}; echo x >b.txt; rm -rf {made}"
            ran = await ground.run(ground.line(line, writes=True))
            require_no_canary(ground, ran)
            assert ran.out == "hello\ngranted\n"
            assert sorted(path.name for path in granted.iterdir()) == ["a.txt"]
            assert (Path(made) / "secret.txt").read_text() == ground.canary
