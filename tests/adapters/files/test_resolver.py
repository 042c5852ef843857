"""Both resolvers open the same, refuse the same, and for the same reason."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.adapters.files import openat2
from cowork.adapters.files.failure import PathError
from cowork.adapters.files.resolver import (
    DATA,
    ENTRY,
    FOLDER,
    Openat2Resolver,
    Resolver,
    WalkResolver,
    choose_resolver,
    opened,
)
from cowork.domain.path import find_problem, name_of_text, text_of_name

BOTH: tuple[Resolver, Resolver] = (Openat2Resolver(), WalkResolver())
NAMES = st.sampled_from([b"a", b"b", b"c"])
PATHS = st.lists(NAMES, max_size=4).map(b"/".join)
TARGETS = st.sampled_from([b"a", b"b/c", b"..", b"../..", b".", b"/", b"/etc", b"c", b"../b/a", b"a/"])
KINDS = st.sampled_from(["file", "folder", "link", "pipe"])


@contextlib.contextmanager
def folder_of(path: Path) -> Iterator[int]:
    with opened(os.open(path, os.O_PATH | os.O_DIRECTORY)) as fd:
        yield fd


def outcome_of(resolver: Resolver, folder: int, path: bytes, flags: int) -> tuple[str, object]:
    """Return which object was opened, or why none was."""
    try:
        with opened(resolver.open(folder, path, flags)) as fd:
            status = os.fstat(fd)
            assert os.get_inheritable(fd) is False
            return "opened", (status.st_dev, status.st_ino)
    except OSError as error:
        return "error", errno.errorcode[error.errno or 0]
    except PathError as failure:
        return "refused", failure.code


def plant(top: Path, entries: list[tuple[bytes, str, bytes]]) -> None:
    """Make what can be made of the entries: a later one that does not fit is left out."""
    for path, kind, target in entries:
        place = os.fsencode(top) + b"/" + path
        with contextlib.suppress(OSError):
            if kind == "folder":
                os.makedirs(place)
            elif kind == "file":
                os.close(os.open(place, os.O_CREAT | os.O_EXCL, 0o600))
            elif kind == "link":
                os.symlink(target, place)
            else:
                os.mkfifo(place)


@given(
    st.lists(st.tuples(PATHS.filter(bool), KINDS, TARGETS), max_size=12),
    st.lists(PATHS, min_size=1, max_size=6),
    st.sampled_from([ENTRY, FOLDER, DATA]),
)
def test_the_resolvers_agree_on_every_tree(
    entries: list[tuple[bytes, str, bytes]], paths: list[bytes], flags: int
) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as top:
        plant(Path(top), entries)
        with folder_of(Path(top)) as folder:
            for path in paths:
                first, second = (outcome_of(resolver, folder, path, flags) for resolver in BOTH)
                assert first == second, (path, first, second)


@given(st.lists(st.tuples(PATHS.filter(bool), KINDS, TARGETS), max_size=12), PATHS)
def test_what_is_opened_lies_where_its_name_says(entries: list[tuple[bytes, str, bytes]], path: bytes) -> None:
    """No link was followed: the real path of what was opened is the root's with the request's components."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as top:
        plant(Path(top), entries)
        with folder_of(Path(top)) as folder:
            for resolver in BOTH:
                with contextlib.suppress(OSError), opened(resolver.open(folder, path, ENTRY)) as fd:
                    found = os.readlink(f"/proc/self/fd/{fd}")
                    assert found == os.path.realpath(top) + (f"/{os.fsdecode(path)}" if path else "")


@pytest.mark.parametrize("resolver", BOTH, ids=lambda r: r.name)
def test_what_should_never_have_come_here_is_refused_all_the_same(resolver: Resolver, tmp_path: Path) -> None:
    with folder_of(tmp_path) as folder:
        for path in (b"..", b"a/../..", b"/etc", b"/"):
            assert outcome_of(resolver, folder, path, ENTRY) == ("refused", "escape")
        assert outcome_of(resolver, folder, b"a\0b", ENTRY) == ("refused", "name")
    with pytest.raises(PathError):
        resolver.open_root(b"relative")
    with pytest.raises(PathError):
        resolver.open_root(b"/tmp/../etc")


@pytest.mark.parametrize("resolver", BOTH, ids=lambda r: r.name)
def test_a_root_is_not_reached_through_a_link(resolver: Resolver, tmp_path: Path) -> None:
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    with opened(resolver.open_root(os.fsencode(tmp_path / "real" / "inner"))) as fd:
        assert os.path.samestat(os.fstat(fd), (tmp_path / "real" / "inner").stat())
    for wrong in ("link", "link/inner", "file", "missing"):
        with pytest.raises(OSError, match=r"."):
            resolver.open_root(os.fsencode(tmp_path / wrong))
    with opened(resolver.open_root(b"/")) as fd:
        assert os.path.samestat(os.fstat(fd), os.stat("/"))


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_without_openat2_the_walk_is_chosen(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old kernels say ENOSYS, containers' system call filters EPERM."""

    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    assert choose_resolver().name == "openat2"
    monkeypatch.setattr(openat2, "openat2", refuse)
    assert choose_resolver().name == "walk"


def test_a_tree_that_is_renamed_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def busy(*_: object) -> int:
        calls.append(1)
        return -1

    monkeypatch.setattr(openat2, "_SYSCALL", busy)
    monkeypatch.setattr("ctypes.get_errno", lambda: errno.EAGAIN)
    with pytest.raises(BlockingIOError):
        openat2.openat2(0, b"a", 0, 0)
    assert len(calls) == 128


NAME_BYTES = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name and b"/" not in name)
HARD_NAMES = st.one_of(
    NAME_BYTES, st.text(min_size=1).map(lambda t: t.encode("utf-8", "replace")), st.just(b"\xf4\x8f\xbb\xbf")
)


@given(HARD_NAMES)
def test_every_name_has_one_text_and_the_text_gives_the_name_back(name: bytes) -> None:
    text = text_of_name(name)
    assert name_of_text(text) == name
    assert text_of_name(name_of_text(text)) == text
    text.encode()


@given(st.lists(NAME_BYTES, min_size=1, max_size=4).map(b"/".join))
def test_a_file_of_any_name_is_found_again_by_its_text(name: bytes) -> None:
    text = text_of_name(name)
    if find_problem(text, root_allowed=False) is not None:
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as top:
        place = os.fsencode(top) + b"/" + name
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with contextlib.suppress(IsADirectoryError):
            os.close(os.open(place, os.O_CREAT | os.O_RDWR, 0o600))
        with folder_of(Path(top)) as folder:
            for resolver in BOTH:
                with opened(resolver.open(folder, name_of_text(text), ENTRY)) as fd:
                    assert os.path.samestat(os.fstat(fd), os.lstat(place))
