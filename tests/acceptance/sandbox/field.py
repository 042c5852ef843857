"""The ground of the cases of commands and requests: that of the cases of files, with the engine's store as its state.

Every secret begins with `CANARY-`. The engine's environment holds two: one under a name that is taken for a secret's,
which is masked in what a command prints, and one under a name that is not, so that a leak of the environment is seen.
"""

import os
import shutil
import uuid
from pathlib import Path

from tests.adapters.files.cases.ground import Ground, Manifest, manifest_of
from tests.adapters.sandbox.ground import Listeners

CANARY = b"CANARY-"
OF_THE_STORE = frozenset(
    [
        *(f"{name}.db{end}" for name in ("events", "read") for end in ("", "-wal", "-shm", ".lock")),
        *("blobs", "commands", "locks", "quarantine", "planted.txt"),
    ]
)
"""What may stand in the engine's folder: its own files, and the one that the case put there."""


class Field(Ground):
    """`BASE` with everything in it that a case must not touch. `tried` is a log in which the self test is on record."""

    def __init__(self, base: Path, tried: Path | None = None) -> None:
        self._environment = dict(os.environ)
        super().__init__(base)
        for name in [name for name in os.environ if name.startswith(("COWORK_", "XDG_"))]:
            del os.environ[name]
        self.masked, self.plain = (f"CANARY-{uuid.uuid4()}" for _ in range(2))
        os.environ.update(COWORK_TEST_SECRET=self.masked, COWORK_TEST_PLAIN=self.plain, HOME=str(self.home))
        self.marker = f"case-{uuid.uuid4()}"
        (self.home / ".ssh").mkdir()
        (self.home / ".ssh" / "id_ed25519").write_text(self.canary)
        (self.state / "planted.txt").write_text(self.canary)
        (self.grant2 / "other.txt").write_text("of another granted folder\n")
        (self.out / "more").mkdir()
        self.listeners = Listeners(self.out / "more")
        self.connections_allowed = 0
        if tried is not None:
            shutil.copyfile(tried, self.state / "events.db")

    @property
    def port(self) -> int:
        """Where the listener is that nobody may reach."""
        return int(self.listener.getsockname()[1])

    def write(self, files: dict[str, str | bytes]) -> None:
        """Write files into the granted folder."""
        for name, content in files.items():
            path = self.grant / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def tree(self) -> dict[str, bytes]:
        """Return the ordinary files of the granted folder."""
        found = (path for path in self.grant.rglob("*") if path.is_file() and not path.is_symlink())
        return {str(path.relative_to(self.grant)): path.read_bytes() for path in found}

    def untouchable(self, *, links_may_drop: bool = False) -> Manifest:
        """Return what must be the same before and after a case."""
        manifest: Manifest = {}
        for folder in (self.out, self.evil, self.home):
            manifest |= manifest_of(folder, links_may_drop=links_may_drop)
        planted = self.state / "planted.txt"
        return manifest | {str(planted): (planted.lstat().st_mtime_ns, planted.lstat().st_ino, planted.read_bytes())}

    def strangers(self) -> list[str]:
        """Return what stands in the engine's folder, or beside all folders, and should not."""
        beside = {path.name for path in self.base.iterdir()}
        beside -= {"grant", "grant2", "grant-evil", "out", "state", "home", "plan.json"}
        own = {path.name for path in self.state.iterdir()} - OF_THE_STORE
        left = [path for name in ("commands", "blobs/unfinished") for path in (self.state / name).glob("*")]
        return sorted([*beside, *own, *(str(path.relative_to(self.state)) for path in left)])

    def leaks(self) -> list[str]:
        """Return every file of the store, and of the granted folders, that holds a secret."""
        kept = (path for path in self.state.rglob("*") if path.is_file() and path.name != "planted.txt")
        in_store = [str(path) for path in kept if CANARY in path.read_bytes()]
        return in_store + self.files_with(CANARY)

    def visitors(self) -> list[str]:
        """Return who came to a listener that is there to be missed."""
        found = self.listeners.visitors()
        while self.has_visitors():
            found.append("tcp")
        return found

    def close(self) -> None:
        """Let go of sockets and the environment."""
        self.listeners.close()
        super().close()
        os.environ.clear()
        os.environ.update(self._environment)
