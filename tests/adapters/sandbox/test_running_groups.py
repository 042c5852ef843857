"""Control groups: where there is a place for them, and what is written there. No machine of the tests has controllers:
the files are ordinary ones here, and what the kernel makes of them is not tested.
"""

import os
from pathlib import Path

import pytest

from cowork.adapters.sandbox.cgroups import find_place, make_group


def process_in(place: Path, group: str, *, root: str = "/", kind: str = "cgroup2") -> Path:
    process = place / "process"
    process.mkdir()
    (process / "cgroup").write_text(f"12:pids:/elsewhere\n0::{group}\n")
    (process / "mountinfo").write_text(
        f"22 1 0:20 / /proc rw - proc proc rw\n30 1 0:26 {root} {place}/fs rw,nosuid shared:9 - {kind} cgroup2 rw\n"
    )
    return process


def group_folder(place: Path, group: str, controllers: str) -> Path:
    folder = place / "fs" / group.strip("/")
    folder.mkdir(parents=True)
    (folder.parent / "cgroup.subtree_control").write_text(controllers)
    (folder.parent / "cgroup.procs").write_text("")
    return folder.parent


def test_the_place_is_beside_the_engines_own_group(tmp_path: Path) -> None:
    parent = group_folder(tmp_path, "/user.slice/app.slice/engine.scope", "cpu memory pids\n")
    assert find_place(process_in(tmp_path, "/user.slice/app.slice/engine.scope")) == parent


def test_a_mount_that_shows_a_part_of_the_tree_is_understood(tmp_path: Path) -> None:
    parent = group_folder(tmp_path, "/app.slice/engine.scope", "memory pids")
    assert find_place(process_in(tmp_path, "/user.slice/app.slice/engine.scope", root="/user.slice")) == parent


@pytest.mark.parametrize("controllers", ["", "memory", "pids cpu"])
def test_without_both_controllers_there_is_no_place(tmp_path: Path, controllers: str) -> None:
    group_folder(tmp_path, "/app/engine", controllers)
    assert find_place(process_in(tmp_path, "/app/engine")) is None


def test_a_place_that_may_not_be_written_to_is_none(tmp_path: Path) -> None:
    parent = group_folder(tmp_path, "/app/engine", "memory pids")
    process = process_in(tmp_path, "/app/engine")
    (parent / "cgroup.procs").unlink()
    assert find_place(process) is None


def test_the_topmost_group_has_no_place_beside_it(tmp_path: Path) -> None:
    group_folder(tmp_path, "/x", "memory pids")
    assert find_place(process_in(tmp_path, "/")) is None


def test_groups_of_the_first_version_are_no_place(tmp_path: Path) -> None:
    group_folder(tmp_path, "/app/engine", "memory pids")
    assert find_place(process_in(tmp_path, "/app/engine", kind="cgroup")) is None


@pytest.mark.parametrize("text", ["", "nonsense", "0::", "1:name=systemd:/x\n"])
def test_what_can_not_be_read_is_no_place(tmp_path: Path, text: str) -> None:
    process = process_in(tmp_path, "/app/engine")
    (process / "cgroup").write_text(text)
    assert find_place(process) is None


def test_the_bounds_are_written(tmp_path: Path) -> None:
    made = make_group("action-1", tmp_path, memory_bytes=1000, processes=10)
    assert made is not None
    assert made.folder == tmp_path / f"cowork-{os.getpid()}-action-1"
    found = {path.name: path.read_text() for path in made.folder.iterdir()}
    assert found == {"memory.max": "1000", "memory.oom.group": "1", "pids.max": "18"}


def test_without_a_place_there_is_no_group(tmp_path: Path) -> None:
    assert make_group("action-1", None) is None
    assert make_group("action-1", tmp_path / "absent") is None
