"""One self test: what lies around to be found, the two commands that look for it, and what the host saw of them."""

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

import msgspec

from ...domain.action import Action, CodeRun, Content, FileCreate, Location, ShellExec, digest_of
from ...domain.errors import DomainError
from ...domain.facts import FileState
from ...domain.sandbox import Canary
from ...domain.scope import VERBS, FolderIdentity, FolderScope, Scope
from ...engine.ports import Connection, Done, Executor, Failed, ListeningSocket, Outcome, Permit, Traffic, Witness
from .bubblewrap import PYTHON
from .starting import ENVIRONMENT

_SECONDS_MAX: Final = 20
_GRANT: Final = "self-test"

WALLS: Final[dict[str, tuple[str, str]]] = {
    # name: what is said where it holds, and where it does not
    "outside-read": ("files outside of the granted folder can't be read", "a file outside could be read"),
    "outside-write": ("nothing can be written outside of the granted folder", "a file could be written outside"),
    "system-write": ("the system's folders can't be written to", "the system's folders could be written to"),
    "other-grant": ("other granted folders can't be seen", "another granted folder could be seen"),
    "symlink-out": ("a symbolic link leads nowhere outside", "a symbolic link led outside"),
    "hard-link": ("a file's second name does not lead outside", "a file outside was changed by its second name"),
    "hidden-file": ("what policy hides is not there", "a hidden file could be read"),
    "engine-environment": ("the engine's environment is not known inside", "the engine's environment is known"),
    "engine-memory": ("the engine's processes can't be looked into", "a process of the engine could be looked into"),
    "engine-paths": ("the engine's folder is not known inside", "the engine's folder is known inside"),
    "network-tcp": ("no connection can be made", "a connection could be made"),
    "network-udp": ("no packet can be sent", "a packet could be sent"),
    "unix-socket": ("programs of this machine can't be reached", "a program of this machine could be reached"),
    "user-namespace": ("no user namespace can be made", "a user namespace could be made"),
    "mount": ("nothing can be mounted", "something could be mounted"),
    "setuid": ("no file can be given its owner's rights", "a file could be given its owner's rights"),
    "confinement": ("filter, bounds and the lack of rights are on", "the command runs with too many rights"),
    "own-copy": ("a command writes to its own copy, and only there", "a command could not write to its copy"),
    "staged": ("what it wrote comes back as a proposal", "what it wrote did not come back as a proposal"),
    "daemon": ("nothing is left running", "a process was left running"),
    "read-only": ("a command that only reads can't write", "a command that only reads could write"),
    "code-isolated": ("code finds no modules in the granted folder", "code finds modules in the granted folder"),
}
"""Every wall that is tried, with the sentence for both results."""

_HINT: Final = "update bubblewrap and the kernel, and report this: the sandbox must not let this through"


class Trial:
    """A granted folder, another one, and an outside, each with something to be found; and listeners of the host."""

    def __init__(self, place: Path) -> None:
        self.blobs = _Blobs()
        self._place = place
        self._stack = ExitStack()
        self._folder = place / "folder"
        self._outside = place / "outside"
        self._other = place / "other"
        # A number of seconds that nobody else sleeps for.
        self._marker = f"86400.{int.from_bytes(os.urandom(6))}"
        self._abstract = f"cowork-{os.urandom(8).hex()}"
        self._secret = os.urandom(16).hex()

    def __enter__(self) -> "Trial":
        with ExitStack() as undoing:
            undoing.push(self._stack)
            self._lay_out()
            undoing.pop_all()
        return self

    def _lay_out(self) -> None:
        with suppress(FileExistsError):
            self._place.parent.mkdir(mode=0o700)
        self._place.mkdir(mode=0o700)
        self._stack.callback(shutil.rmtree, self._place, ignore_errors=True)
        for folder in (self._folder, self._outside, self._other):
            folder.mkdir()
        for path in (self._outside / "secret.txt", self._outside / "linked.txt", self._other / "file.txt"):
            path.write_text(self._secret, encoding="ascii")
        (self._folder / "hidden.txt").write_text(self._secret, encoding="ascii")
        (self._folder / "link.txt").symlink_to(self._outside / "secret.txt")
        (self._folder / "hard.txt").hardlink_to(self._outside / "linked.txt")
        (self._folder / "json.py").write_text("planted = 1\n", encoding="ascii")
        self._listeners = [
            self._listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            self._listen(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self._abstract}"),
            self._listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        ]
        # The path of a socket is short; a descriptor's path is, too, wherever the store lies.
        outside = os.open(self._outside, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stack.callback(os.close, outside)
        short = f"/proc/self/fd/{outside}/socket"
        self._listeners.append(self._listen(socket.AF_UNIX, socket.SOCK_STREAM, short))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _listen(self, family: int, kind: int, address: tuple[str, int] | str) -> socket.socket:
        made = self._stack.enter_context(socket.socket(family, kind))
        made.bind(address)
        if kind == socket.SOCK_STREAM:
            made.listen()
        made.settimeout(0)
        return made

    @contextmanager
    def hold(self, folder: FolderScope) -> Iterator[int]:
        """Hold the folder: the `FolderHolder` port for a folder that was made a moment ago."""
        descriptor = os.open(folder.root_path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def serve(
        self,
        listener: ListeningSocket,  # noqa: ARG002 - the port's
        hosts: Sequence[str],  # noqa: ARG002
        addresses: Sequence[str],  # noqa: ARG002
        witness: Witness,  # noqa: ARG002
    ) -> AbstractAsyncContextManager[Traffic]:
        """Open no way out: nothing here asks for one."""
        raise DomainError("unavailable", "the self test has no way out")

    async def try_shell(self, executor: Executor) -> list[Canary]:
        """Run a command that writes, and look at what came of it here."""
        places = json.dumps({**self._places(), "writes": "1"})
        action = ShellExec(
            argv=(PYTHON, "-I", "-B", "-c", _probes(), places),
            cwd=Location(_GRANT, "."),
            writes="staged",
            timeout_s=_SECONDS_MAX,
        )
        outcome = await self._perform(executor, action)
        found = self._found(outcome)
        if found is not None:
            found |= self._seen_from_here(outcome)
        return list(_canaries("shell", found, outcome))

    async def try_code(self, executor: Executor) -> list[Canary]:
        """Run code that only reads."""
        action = CodeRun(
            python=_probes(), args=(json.dumps(self._places()),), cwd=Location(_GRANT, "."), timeout_s=_SECONDS_MAX
        )
        outcome = await self._perform(executor, action)
        found = self._found(outcome)
        if found is not None:
            found |= self._unseen()
        return list(_canaries("code", found, outcome))

    async def _perform(self, executor: Executor, action: Action) -> Outcome:
        folder = self._scope_of_folder()
        now = datetime.now(UTC)
        [facts] = await executor.observe([action], Scope((folder,)), now, batch=1)
        if facts.obstacle is not None:
            return Failed(facts.obstacle.code, facts.obstacle.message)
        return await executor.perform(
            Permit(
                position=0,
                action_id=self._place.name,
                attempt=0 if isinstance(action, ShellExec) else 1,
                action=action,
                digest=digest_of(action),
                facts=facts,
                scope=Scope((folder,)),
                sight=OneHidden(),
                witness=_NobodyLooks(),
            )
        )

    def _scope_of_folder(self) -> FolderScope:
        status = self._folder.stat()
        return FolderScope(
            grant_id=_GRANT,
            name=_GRANT,
            root_path=str(self._folder.resolve()),
            verbs=VERBS,
            identity=FolderIdentity(status.st_dev, status.st_ino),
        )

    def _places(self) -> Mapping[str, str]:
        return {
            "folder": str(self._folder.resolve()),
            "outside": str(self._outside),
            "other": str(self._other),
            "state": str(self._place.parent.parent / "commands" / self._place.name) + "-",
            "socket": str(self._outside / "socket"),
            "abstract": self._abstract,
            "tcp": str(self._listeners[0].getsockname()[1]),
            "udp": str(self._listeners[2].getsockname()[1]),
            "marker": self._marker,
            "names": " ".join([*ENVIRONMENT, "PWD", "LC_CTYPE"]),
        }

    def _found(self, outcome: Outcome) -> dict[str, str] | None:
        """Return what the probes said, None where they did not run to their end."""
        if not isinstance(outcome, Done) or outcome.result is None:
            return None
        try:
            return msgspec.json.decode(self.blobs.get(outcome.result.digest), type=dict[str, str])
        except (DomainError, msgspec.DecodeError):
            return None

    def _seen_from_here(self, outcome: Outcome) -> dict[str, str]:
        """Return what the host sees of the writing command, in the form of the probes."""
        linked = (self._outside / "linked.txt").read_text(encoding="ascii") != self._secret
        written = (self._folder / "own.txt").exists()
        staged = isinstance(outcome, Done) and any(
            isinstance(change.action, FileCreate) and change.action.at.path == "own.txt" for change in outcome.staged
        )
        return {
            **self._unseen(),
            "hard-link": "the file outside was changed" if linked else "",
            "staged": "the folder itself was changed" if written else "" if staged else "nothing was proposed",
            "daemon": "it is still alive" if self._marker in _arguments_of_all() else "",
        }

    def _unseen(self) -> dict[str, str]:
        """Return whom the listeners saw; what is not there adds nothing to what the probes say."""
        names = ("network-tcp", "unix-socket", "network-udp", "unix-socket")
        return {name: "somebody came" for name, one in zip(names, self._listeners, strict=True) if _has_visitor(one)}


def _has_visitor(listener: socket.socket) -> bool:
    try:
        if listener.type == socket.SOCK_DGRAM:
            listener.recv(1)
        else:
            listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _arguments_of_all() -> set[str]:
    """Return every argument of every process of this machine that can be read."""
    found: set[str] = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with suppress(OSError), open(f"/proc/{entry.name}/cmdline", "rb") as file:
                found.update(file.read().decode("utf-8", "replace").split("\0"))
    return found


def _canaries(path: Literal["shell", "code"], found: Mapping[str, str] | None, outcome: Outcome) -> Iterator[Canary]:
    if found is None:
        why = outcome.reason if isinstance(outcome, Failed) else "its probes did not answer"
        yield Canary(name="sandbox", path=path, standing="absent", detail=why, hint=hint_of_system())
        return
    for name, said in found.items():
        holds, fails = WALLS[name]
        if said:
            yield Canary(name=name, path=path, standing="absent", detail=f"{fails} ({said})", hint=_HINT)
        else:
            yield Canary(name=name, path=path, standing="enforced", detail=holds)


def hint_of_system(settings: Path = Path("/proc/sys")) -> str:
    """Return what on this machine most often keeps a sandbox from being made, and what to do about it."""
    for setting, value, hint in (
        ("user/max_user_namespaces", "0", "set the sysctl `user.max_user_namespaces` to more than 0"),
        ("user/max_net_namespaces", "0", "set the sysctl `user.max_net_namespaces` to more than 0"),
        ("kernel/unprivileged_userns_clone", "0", "set the sysctl `kernel.unprivileged_userns_clone` to 1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "allow `/usr/bin/unshare` user namespaces in AppArmor, or set `apparmor_restrict_unprivileged_userns` to 0",
        ),
    ):
        with suppress(OSError):
            if (settings / setting).read_text(encoding="ascii").strip() == value:
                return hint
    return "use a kernel and a container that let ordinary users make user namespaces and mount overlays in them"


def _probes() -> str:
    return Path(__file__).with_name("probes.py").read_text(encoding="utf-8")


class OneHidden(msgspec.Struct, frozen=True):
    """Hides one file."""

    def hides(self, grant_id: str, path: str, state: FileState) -> bool:  # noqa: ARG002 - the port's
        """Whether it is the one."""
        return path == "hidden.txt"


class _NobodyLooks(msgspec.Struct, frozen=True):
    """A witness of a self test, of which nothing is kept but the result."""

    async def connection(self, connection: Connection) -> None:
        """Refuse to be told: nothing here may ask for a connection."""
        raise DomainError("denied", f"the self test asked for `{connection.host}`")

    def output(self, stream: Literal["stdout", "stderr"], chunk: bytes) -> None:
        """Show it to nobody."""


class _Blobs:
    """Content kept for the length of a self test: it is not the store's."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def put(self, data: bytes) -> Content:
        """Keep the bytes."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._kept[digest] = data
        return Content(digest, len(data))

    def put_stream(self, chunks: Iterable[bytes]) -> Content:
        """Keep what the chunks make up."""
        return self.put(b"".join(chunks))

    def get(self, digest: str) -> bytes:
        """Return the bytes. Raises `DomainError` not_found."""
        try:
            return self._kept[digest]
        except KeyError:
            raise DomainError("not_found", f"no content `{digest}` is kept") from None

    def has(self, digest: str) -> bool:
        """Whether these bytes are kept."""
        return digest in self._kept
