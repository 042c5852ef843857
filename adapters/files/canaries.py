"""Tries the file tools out on this machine: reaches, in a folder of its own, for what no path may lead to."""

import hashlib
import os
import platform
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread
import msgspec

from ...domain.action import Content, FileAction, FileCreate, FileDelete, FileRead, Location
from ...domain.facts import Facts
from ...domain.path import text_of_name
from ...domain.sandbox import Canary
from ...domain.scope import VERBS, FolderIdentity, FolderScope, Scope
from ...engine.ports import BlobStore
from .executor import FileExecutor
from .resolver import choose_resolver

_SECRET = b"what no path may lead to\n"


class FileSelfTest:
    """The `SelfTest` port for the file tools. Nothing but a temporary folder is touched."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def fingerprint(self) -> str:
        """See the port `SelfTest`: the way paths are resolved, the kernel and the account."""
        parts = ("files", choose_resolver().name, platform.release(), str(os.geteuid()))
        return f"sha256:{hashlib.sha256(' '.join(parts).encode()).hexdigest()}"

    async def run(self) -> tuple[Canary, ...]:
        """See the port `SelfTest`."""
        return await anyio.to_thread.run_sync(self._run)

    def _run(self) -> tuple[Canary, ...]:
        try:
            with tempfile.TemporaryDirectory(prefix="cowork-canary-") as folder:
                return tuple(self._tried(Path(os.path.realpath(folder))))
        except OSError as error:
            detail = f"the file tools could not be tried out: {(error.strerror or str(error)).lower()}"
            return (Canary(name="file-tools", path="files", standing="absent", detail=detail),)

    def _tried(self, folder: Path) -> Iterator[Canary]:
        granted, outside, state = folder / "granted", folder / "outside", folder / "state"
        for one in (granted, outside, state):
            one.mkdir()
        secret = outside / "secret.txt"
        secret.write_bytes(_SECRET)
        (granted / "link.txt").symlink_to(secret)
        (granted / "way").symlink_to(outside)
        os.link(secret, granted / "second-name.txt")
        os.mkfifo(granted / "pipe")
        status = granted.stat()
        scope = FolderScope(
            grant_id="canary",
            name="granted",
            root_path=text_of_name(os.fsencode(granted)),
            verbs=VERBS,
            identity=FolderIdentity(status.st_dev, status.st_ino),
        )
        tools = FileExecutor(self._blobs, state)
        try:
            yield from _looks(tools, Scope((scope,)), self._blobs.put(b"planted\n"))
        finally:
            tools.close()
        untouched = secret.read_bytes() == _SECRET and os.listdir(outside) == ["secret.txt"]
        yield _canary("outside-unchanged", untouched, "a folder beside the granted one is as it was", "it was changed")


def _looks(tools: FileExecutor, scope: Scope, planted: Content) -> Iterator[Canary]:
    def facts(action: FileAction) -> Facts:
        (found,) = tools.observe_now([action], scope, datetime.now(UTC), 1)
        return found

    at = [Location("canary", path) for path in ("link.txt", "way/secret.txt", "../outside/secret.txt", "pipe")]
    names = ("symlink-out", "symlink-on-the-way", "path-upwards", "pipe")
    for name, place in zip(names, at, strict=True):
        found = facts(FileRead(at=place))
        unseen = found.obstacle is not None or found.target is None
        yield _canary(name, unseen, f"nothing is seen of `{place.path}`")
    through = Location("canary", "way/planted.txt")
    refused = facts(FileCreate(at=through, content=planted)).obstacle is not None
    yield _canary("write-through-symlink", refused, f"creating `{through.path}` is refused")
    removal = facts(FileDelete(at=Location("canary", "way/secret.txt"))).obstacle is not None
    yield _canary("delete-through-symlink", removal, "deleting `way/secret.txt` is refused")
    seen = facts(FileRead(at=Location("canary", "second-name.txt"))).target
    told = seen is not None and seen.links > 1
    yield _canary("hard-link", told, "a file with another name outside is told from others, and asked about")


def _canary(name: str, held: bool, detail: str, otherwise: str = "it was not") -> Canary:
    canary = Canary(name=name, path="files", standing="enforced", detail=detail)
    return canary if held else msgspec.structs.replace(canary, standing="absent", detail=f"{detail}: {otherwise}")
