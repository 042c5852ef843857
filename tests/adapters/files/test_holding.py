"""The FolderHolder port: what is held is the granted folder, and nothing that has taken its place."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cowork.adapters.files.holding import GrantedFolders
from cowork.domain.errors import DomainError
from cowork.domain.scope import FolderScope
from cowork.engine.ports import FolderHolder
from tests.adapters.files.cases.direct import RESOLVERS
from tests.adapters.files.cases.ground import Ground


def as_a_port(made: FolderHolder) -> FolderHolder:
    return made


@pytest.fixture(params=list(RESOLVERS))
def holder(request: pytest.FixtureRequest) -> Iterator[FolderHolder]:
    made = GrantedFolders(RESOLVERS[request.param]())
    yield as_a_port(made)
    made.close()


@pytest.fixture
def folder(ground: Ground) -> FolderScope:
    found = ground.scope.folder("g")
    assert found is not None
    return found


def test_the_descriptor_is_of_the_granted_folder_and_can_only_be_looked_through(
    holder: FolderHolder, folder: FolderScope, ground: Ground
) -> None:
    with holder.hold(folder) as fd:
        assert os.path.samestat(os.fstat(fd), ground.grant.stat())
        assert not os.get_inheritable(fd)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.listdir(fd)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fchmod(fd, 0o777)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_it_stays_the_granted_folder_when_another_takes_its_path_meanwhile(
    holder: FolderHolder, folder: FolderScope, ground: Ground
) -> None:
    (ground.grant / "mine").touch()
    with holder.hold(folder) as fd:
        ground.grant.rename(ground.base / "elsewhere")
        ground.grant.symlink_to("out")
        assert os.listdir(f"/proc/self/fd/{fd}") == ["mine"]


@pytest.mark.parametrize("instead", ["another folder", "a link", "a link to itself", "a file", "nothing"])
def test_what_has_taken_its_place_is_a_conflict(
    instead: str, holder: FolderHolder, folder: FolderScope, ground: Ground
) -> None:
    with holder.hold(folder):
        pass
    gone = ground.base / "elsewhere"
    ground.grant.rename(gone)
    if instead == "another folder":
        ground.grant.mkdir()
    elif instead.startswith("a link"):
        ground.grant.symlink_to(gone if instead == "a link" else ground.grant)
    elif instead == "a file":
        ground.grant.touch()
    with pytest.raises(DomainError, match="no longer the folder that was granted") as caught, holder.hold(folder):
        pytest.fail("it was held")
    assert caught.value.code == "conflict"


def test_a_link_on_the_way_is_a_conflict(holder: FolderHolder, folder: FolderScope, ground: Ground) -> None:
    (ground.base.parent / f"{ground.base.name}-link").symlink_to(ground.base)
    link = ground.base.parent / f"{ground.base.name}-link"
    try:
        through = msgspec.structs.replace(folder, root_path=str(link / "grant"))
        with pytest.raises(DomainError) as caught, holder.hold(through):
            pytest.fail("it was held")
        assert caught.value.code == "conflict"
    finally:
        link.unlink()


def test_an_error_of_whoever_holds_it_stays_theirs_and_nothing_is_left_open(
    holder: FolderHolder, folder: FolderScope
) -> None:
    with holder.hold(folder):
        pass
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError), holder.hold(folder) as fd:
        Path(f"/proc/self/fd/{fd}/missing").stat()
    assert len(os.listdir("/proc/self/fd")) == before
