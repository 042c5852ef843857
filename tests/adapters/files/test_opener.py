"""Which folders can be granted, and under which path."""

import os
from pathlib import Path

import pytest

from cowork.adapters.files.opener import FileFolderOpener
from cowork.domain.errors import DomainError
from cowork.domain.path import name_of_text
from cowork.domain.scope import FolderIdentity
from tests.adapters.files.cases.direct import RESOLVERS


@pytest.fixture(params=list(RESOLVERS))
def opener(tmp_path: Path, request: pytest.FixtureRequest) -> FileFolderOpener:
    (tmp_path / "store").mkdir()
    return FileFolderOpener(tmp_path / "store", RESOLVERS[request.param]())


def test_a_folder_is_told_by_its_real_path_and_identity(opener: FileFolderOpener, tmp_path: Path) -> None:
    folder = tmp_path / "real" / "inner"
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    status = folder.stat()
    expected = (str(folder), FolderIdentity(status.st_dev, status.st_ino))
    for path in (folder, tmp_path / "link" / "inner", f"{folder}/", f"{tmp_path}/real/../real/inner", f"{folder}/."):
        assert opener.identify(str(path)) == expected


def test_a_relative_path_is_relative_to_where_one_stands(
    opener: FileFolderOpener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "x").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert opener.identify("x")[0] == str(tmp_path / "here" / "x")
    assert opener.identify(".")[0] == str(tmp_path / "here")


def test_a_name_that_is_not_utf_8_comes_back_as_text(opener: FileFolderOpener, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/x\xff"
    os.mkdir(name)
    path, _ = opener.identify(os.fsdecode(name))
    assert name_of_text(path) == name
    path.encode()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("missing", "not_found"),
        ("missing/below", "not_found"),
        ("file", "invalid"),
        ("file/below", "invalid"),
        ("link", "invalid"),
        ("loop", "invalid"),
        ("pipe", "invalid"),
        ("", "invalid"),
        ("a\0b", "invalid"),
        ("/", "invalid"),
        ("//", "invalid"),
        ("store", "invalid"),
        ("store/", "invalid"),
        ("store/blobs", "invalid"),
        (".", "invalid"),
        ("..", "invalid"),
        ("to-store/blobs", "invalid"),
    ],
)
def test_what_is_refused(path: str, code: str, opener: FileFolderOpener, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "store" / "blobs").mkdir()
    (tmp_path / "to-store").symlink_to("store")
    os.mkfifo(tmp_path / "pipe")
    asked = path if path.startswith("/") or not path.strip("\0") else f"{tmp_path}/{path}"
    with pytest.raises(DomainError) as caught:
        opener.identify(asked)
    assert caught.value.code == code
    assert not caught.value.message.endswith(".")


@pytest.mark.parametrize("granted", ["home", "home/.config", "home/.config/cowork", "home/.config/cowork/deeper"])
def test_where_policy_documents_lie_or_may_be_put_is_never_granted(tmp_path: Path, granted: str) -> None:
    (tmp_path / granted).mkdir(parents=True)
    opener = FileFolderOpener(tmp_path / "store", policy_dirs=(tmp_path / "home/.config/cowork",))
    with pytest.raises(DomainError, match="an agent could write its own rules"):
        opener.identify(str(tmp_path / granted))
    (tmp_path / "home/inbox").mkdir(exist_ok=True)
    assert opener.identify(str(tmp_path / "home/inbox"))[0] == str(tmp_path / "home/inbox")
