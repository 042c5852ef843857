"""What policy hides is not there for a command, and what it may see looks as it is."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cowork.adapters.sandbox.area import prepare
from cowork.domain.errors import DomainError
from cowork.domain.facts import FileState
from tests.adapters.sandbox.overlay import NamedSight, Stage, hiding, stage_in, write_tree

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return stage_in(tmp_path)


def layer_of(path: str) -> dict[str, str]:
    """Return what is in a mask: `hidden`, `folder` or the text of a pinned file, by path."""
    found: dict[str, str] = {}
    for place, folders, files in os.walk(path):
        for name in folders:
            found[os.path.relpath(f"{place}/{name}", path)] = "folder"
        for name in files:
            status = os.lstat(f"{place}/{name}")
            is_whiteout = stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
            found[os.path.relpath(f"{place}/{name}", path)] = (
                "hidden" if is_whiteout else Path(f"{place}/{name}").read_text()
            )
    return found


@pytest.mark.parametrize("writes", [True, False])
def test_what_policy_hides_is_absent_for_a_command(stage: Stage, writes: bool) -> None:
    write_tree(stage.root, {".env": "secret", "a": "1", "sub/id_rsa": "secret", "sub/b": "2", "keys/k/1": "secret"})

    area = stage.prepare(hiding(".env", "sub/id_rsa", "keys"), writes=writes)
    seen = stage.run(area, "find . | sort; cat .env sub/id_rsa keys/k/1 2>&1; true", writes=writes)

    assert seen.splitlines()[:4] == [".", "./a", "./sub", "./sub/b"]
    assert "secret" not in seen
    assert area.hidden == 3


def test_of_a_hidden_folder_only_the_folder_is_asked_about(stage: Stage) -> None:
    write_tree(stage.root, {"keys/inner/1": "", "open/2": ""})
    asked: list[str] = []

    def answer(path: str, _state: FileState) -> bool:
        asked.append(path)
        return path == "keys"

    stage.prepare(NamedSight(answer))

    assert sorted(asked) == [".", "keys", "open", "open/2"]


def test_policy_is_asked_with_what_stands_there(stage: Stage) -> None:
    write_tree(stage.root, {"a": "four"})
    (stage.root / "a").chmod(0o640)
    asked: dict[str, FileState] = {}

    def answer(path: str, state: FileState) -> bool:
        asked[path] = state
        return False

    stage.prepare(NamedSight(answer))

    status = (stage.root / "a").stat()
    assert asked["a"] == FileState(
        "file", status.st_dev, status.st_ino, 4, mtime_ns=status.st_mtime_ns, mode=0o640, links=1
    )
    assert asked["."].kind == "folder"


def test_a_folder_that_may_not_be_listed_at_all_is_laid_before_a_command_empty(stage: Stage) -> None:
    write_tree(stage.root, {"a": "1", "b/c": "2"})
    area = stage.prepare(hiding("."))
    assert stage.run(area, "ls -A") == ""
    assert area.hidden == 2


def test_where_nothing_is_hidden_the_mask_is_empty(stage: Stage) -> None:
    write_tree(stage.root, {"a": "1", "b/c/d": "2"})
    area = stage.prepare()
    assert layer_of(area.mask) == {}
    assert area.hidden == 0


def test_special_files_are_hidden(stage: Stage) -> None:
    os.mkfifo(stage.root / "pipe")
    (stage.root / "sub").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(stage.root / "sub", os.O_PATH)
        server.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
    area = stage.prepare()
    assert stage.run(area, "find . | sort").split() == [".", "./sub"]
    assert area.hidden == 2


def test_the_engines_own_folder_and_files_are_hidden(stage: Stage) -> None:
    write_tree(
        stage.root, {".cowork/quarantine/x": "deleted", ".cowork-0123": "half written", ".COWORK/y": "1", "a": "1"}
    )
    area = stage.prepare()
    assert stage.run(area, "find . | sort").split() == [".", "./a"]


def test_links_stay_visible_and_show_nothing_that_is_hidden(stage: Stage) -> None:
    write_tree(stage.root, {".env": "secret"})
    (stage.root / "link").symlink_to(".env")
    area = stage.prepare(hiding(".env"))
    assert stage.run(area, "readlink link; cat link 2>/dev/null || echo nothing").split() == [".env", "nothing"]


def test_a_name_of_any_bytes_can_be_hidden(stage: Stage) -> None:
    names = [b"\xff\xfe", b"two\nlines", b"-rf", "\U0010feff".encode(), b"x" * 255, b" ", b"\x1b[31m"]
    for name in names:
        with open(os.fsencode(stage.root) + b"/" + name, "wb"):
            pass
    area = stage.prepare(NamedSight(lambda path, _state: path != "."))
    assert stage.run(area, "ls -A") == ""
    assert area.hidden == len(names)


def test_parents_of_what_is_hidden_look_as_they_are(stage: Stage) -> None:
    write_tree(stage.root, {"a/b/.env": "secret", "a/b/x": "1"})
    (stage.root / "a/b").chmod(0o750)
    for place, moment in (("a/b", 1_000_000_000), ("a", 1_100_000_000), (".", 1_200_000_000)):
        os.utime(stage.root / place, (moment, moment))
    stage.root.chmod(0o711)

    area = stage.prepare(hiding("a/b/.env"))
    seen = stage.run(area, "stat -c '%a %Y' . a a/b").split()

    assert seen == ["711", "1200000000", "755", "1100000000", "750", "1000000000"]
    stage.root.chmod(0o755)


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o400])
def test_a_folder_that_cannot_be_looked_through_is_hidden(stage: Stage, mode: int) -> None:
    write_tree(stage.root, {"locked/.env": "secret", "a": "1"})
    (stage.root / "locked").chmod(mode)
    try:
        area = stage.prepare(hiding("locked/.env"))
        seen = stage.run(area, "chmod 700 locked 2>/dev/null; find . | sort; cat locked/.env 2>/dev/null; true")
    finally:
        (stage.root / "locked").chmod(0o700)
    # For root no folder is locked: then only what is in it is hidden.
    assert seen.split() == ([".", "./a", "./locked"] if IS_ROOT else [".", "./a"])
    assert area.hidden == 1


def test_what_is_too_deep_for_any_action_is_hidden(stage: Stage) -> None:
    deep = "/".join(["d"] * 128)
    write_tree(stage.root, {f"{deep}/too-deep": "1"})
    area = stage.prepare()
    assert area.hidden == 1
    assert stage.run(area, "find . -name too-deep") == ""


def test_a_folder_with_too_much_in_it_is_refused_in_one_sentence(stage: Stage) -> None:
    write_tree(stage.root, {f"{n}": "" for n in range(6)} | {"s/1": "", "s/2": "", "s/3": "", "s/4": ""})
    with stage.held() as root:
        prepare(stage.state, "act_1", root, stage.folder(), hiding(), writes=True, entries_max=11)
        with pytest.raises(DomainError, match="`docs` has more than 10 files and folders") as refused:
            prepare(stage.state, "act_1", root, stage.folder(), hiding(), writes=True, entries_max=10)
    assert refused.value.code == "limit"
    assert list((stage.state / "commands").iterdir()) == []


_MOUNTED = """
set -e
mount -t tmpfs tmpfs "$1/grant/other"
mkdir "$1/grant/other/inner"
mount --bind "$1/elsewhere" "$1/grant/bound here"
exec "$2" -c "
import sys
from pathlib import Path
from tests.adapters.sandbox.overlay import Stage, hiding
area = Stage(place=Path(sys.argv[1])).prepare(hiding())
print(area.hidden, *sorted(area.seen.hidden))
" "$1"
"""


def test_what_other_file_systems_are_mounted_on_is_hidden_bind_mounts_too(stage: Stage) -> None:
    write_tree(stage.root, {"other/under": "1", "bound here/under": "2", "a": "3"})
    (stage.place / "elsewhere").mkdir()
    tests = Path(__file__).parents[3]
    done = subprocess.run(
        ["unshare", "-U", "-r", "-m", "sh", "-c", _MOUNTED, "sh", str(stage.place), sys.executable],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{tests / 'tests/_src'}:{tests}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "2 b'bound here' b'other'", done.stderr


# Frozen copies


def test_a_pinned_file_is_what_was_hashed_whatever_the_host_does(stage: Stage) -> None:
    write_tree(stage.root, {"bin/s.sh": "echo approved", "bin/other": "1"})
    (stage.root / "bin/s.sh").chmod(0o754)
    os.utime(stage.root / "bin/s.sh", (1_000_000_000, 1_000_000_000))
    os.utime(stage.root / "bin", (1_100_000_000, 1_100_000_000))

    area = stage.prepare(pinned={"bin/s.sh": b"echo approved"})
    (stage.root / "bin/s.sh").write_text("echo evil")
    (stage.root / "bin/s.sh").rename(stage.root / "bin/away")
    (stage.root / "bin/s.sh").write_text("echo worse")
    seen = stage.run(area, "sh bin/s.sh; stat -c '%a %Y %s' bin/s.sh; stat -c %Y bin")

    assert seen.split() == ["approved", "754", "1000000000", "13", "1100000000"]
    assert area.hidden == 0


def test_a_pinned_file_that_policy_hides_stays_hidden(stage: Stage) -> None:
    write_tree(stage.root, {".env": "secret", "keys/k": "secret"})
    area = stage.prepare(hiding(".env", "keys"), pinned={".env": b"secret", "keys/k": b"secret"})
    assert layer_of(area.mask) == {".env": "hidden", "keys": "hidden"}


@pytest.mark.parametrize("now", ["absent", "link", "folder"])
def test_a_pinned_file_that_is_no_file_any_more_is_a_conflict(stage: Stage, now: str) -> None:
    write_tree(stage.root, {"other": "1"})
    if now == "link":
        (stage.root / "s.sh").symlink_to("other")
    elif now == "folder":
        (stage.root / "s.sh").mkdir()
    with pytest.raises(DomainError, match=r"`s\.sh` is no file any more") as refused:
        stage.prepare(pinned={"s.sh": b"echo"})
    assert refused.value.code == "conflict"
    assert list((stage.state / "commands").iterdir()) == []
