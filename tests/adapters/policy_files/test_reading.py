"""A policy is read from an ordinary file of the right owner that nobody else may write, and from nothing else."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from cowork.adapters.policy_files.document import load_layer
from cowork.adapters.policy_files.reading import check_owner, read_policy
from cowork.domain.errors import DomainError

TEXT = '{"version": "1.0", "defaults": {"fallback": "deny"}, "rules": []}'
ME = os.getuid()
SOMEBODY_ELSE = ME + 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "policy.json"
    path.write_text(TEXT)
    path.chmod(0o644)
    return path


def refused(path: Path, owners: frozenset[int] | None = None) -> DomainError:
    with pytest.raises(DomainError) as caught:
        read_policy(path, owners=owners)
    assert str(path) in caught.value.message
    return caught.value


def a_link(path: Path) -> None:
    path.rename(path.with_name("real.json"))
    path.symlink_to("real.json")


def a_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nothing")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("make", [a_link, a_link_to_nothing, a_folder, a_pipe, a_socket])
def test_what_is_no_ordinary_file_is_never_read(make: Callable[[Path], None], path: Path) -> None:
    make(path)

    error = refused(path)

    assert (error.code, error.message) == ("invalid", f"the policy `{path}` is not an ordinary file")


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    error = refused(tmp_path / "none.json")

    assert (error.code, error.message) == ("not_found", f"there is no policy file `{tmp_path / 'none.json'}`")


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "a\x00b").code == "invalid"
    assert refused(tmp_path / ("a" * 300)).code == "invalid"


def test_a_file_that_everybody_may_write_is_never_read(path: Path) -> None:
    path.chmod(0o646)

    error = refused(path)

    assert error.message == f"everybody may write the policy `{path}`"
    assert error.hint == f"run `chmod o-w {path}`"


def test_a_file_of_another_owner_is_never_read_where_the_owner_matters(path: Path) -> None:
    assert read_policy(path, owners=frozenset((ME, SOMEBODY_ELSE))) == TEXT.encode()
    assert f"belongs to user `{ME}`, not to you" in refused(path, frozenset((SOMEBODY_ELSE,))).message


def test_what_root_owns_no_group_may_write() -> None:
    def found(mode: int, uid: int = 0) -> os.stat_result:
        return os.stat_result((mode, 1, 1, 1, uid, 0, 1, 0, 0, 0))

    at = Path("/etc/cowork/policy.toml")
    check_owner(found(0o100644), at, frozenset((0,)))
    check_owner(found(0o100664), at, frozenset((0, 1000)))
    check_owner(found(0o041777), at, frozenset((0, 1000)))
    for mode, uid, says in (
        (0o100664, 0, "others than root may write the policy"),
        (0o040775, 0, "others than root may write the folder"),
        (0o041777, 0, "everybody may write the folder"),
        (0o100644, 1000, "belongs to user `1000`, not to root"),
        (0o040755, 1000, "the folder `/etc/cowork/policy.toml` belongs to user"),
    ):
        with pytest.raises(DomainError, match=says):
            check_owner(found(mode, uid), at, frozenset((0,)))
    with pytest.raises(DomainError, match="everybody may write the folder"):
        check_owner(found(0o040777, 1000), at, frozenset((0, 1000)))


def test_a_file_that_takes_the_name_while_it_is_read_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = path.with_name("other.json")
    other.write_text("the other")
    other.chmod(0o666)
    really_open = os.open

    def open_then_swap(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        opened = really_open(name, flags, mode, dir_fd=dir_fd)
        other.replace(path)
        return opened

    monkeypatch.setattr(os, "open", open_then_swap)

    assert read_policy(path) == TEXT.encode()
    monkeypatch.undo()
    assert "everybody may write" in refused(path).message


def test_nothing_is_left_open(path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    load_layer(path, "user")
    path.chmod(0o666)
    refused(path)
    path.chmod(0o644)
    path.write_text("{")
    with pytest.raises(DomainError):
        load_layer(path, "user")
    assert len(os.listdir("/proc/self/fd")) == before
