"""The area of a command is made fresh, and nothing that a command can leave in it withstands its removal."""

import os
import time
from pathlib import Path

import pytest

from cowork.adapters.sandbox.area import area_names, clear, prepare
from cowork.domain.errors import DomainError
from tests.adapters.sandbox.overlay import Stage, hiding, stage_in, write_tree


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return stage_in(tmp_path)


def test_nobody_else_can_look_into_an_area(stage: Stage) -> None:
    area = stage.prepare()
    assert (stage.state / "commands").stat().st_mode & 0o777 == 0o700
    assert Path(area.mask).parent.stat().st_mode & 0o777 == 0o700


def test_a_command_that_only_reads_has_nothing_to_write_to(stage: Stage) -> None:
    write_tree(stage.root, {"a": "1"})
    area = stage.prepare(writes=False)
    assert not Path(area.upper).exists()
    assert (
        "Read-only" in stage.run(area, "cat a; echo x 2>&1 > b; true", writes=False) or not (stage.root / "b").exists()
    )
    assert stage.run(area, "cat a", writes=False) == "1"
    assert (stage.root / "a").read_text() == "1"


_LEFT_BEHIND = {
    "locked folders": "mkdir -p l/m/n; touch l/m/n/f; chmod 000 l/m/n l/m l",
    "locked files": "touch f; chmod 000 f",
    "links": "ln -s / root; ln -s .. up; mkdir d; ln -s ../../.. d/up",
    "special files": "mkfifo p; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'",
    "a tree deeper than any path": (
        'python3 -c \'import os\nfor _ in range(600):\n os.mkdir("d" * 200); os.chdir("d" * 200)\nopen("f", "w")\''
    ),
    "names of numbers": "mkdir -p 0/0/0 1/1/1 2/0/1; touch 0/f 1/1/0 2/0/1/2",
    "odd names": "touch -- -rf \"$(printf 'two\\nlines')\" \"$(printf '\\377\\376')\"",
    "whiteouts": "rm -r sub; rm a; mkdir sub; touch sub/new",
}


@pytest.mark.parametrize("line", list(_LEFT_BEHIND.values()), ids=list(_LEFT_BEHIND))
def test_whatever_a_command_left_is_removed(stage: Stage, line: str) -> None:
    write_tree(stage.root, {"a": "1", "sub/b": "2"})
    area = stage.prepare(hiding("a"))
    stage.run(area, line)
    assert list(Path(area.upper).iterdir()) != []

    area.remove()

    assert list((stage.state / "commands").iterdir()) == []
    assert (stage.root / "sub/b").read_text() == "2"


def test_removing_does_not_follow_links(stage: Stage) -> None:
    outside = stage.place / "outside"
    write_tree(outside, {"precious/1": "1"})
    area = stage.prepare()
    (Path(area.upper) / "link").symlink_to(outside)
    (Path(area.upper) / "inner").symlink_to(outside / "precious")
    area.remove()
    assert (outside / "precious/1").read_text() == "1"


def test_a_removal_that_was_broken_off_is_finished_by_the_next(stage: Stage) -> None:
    area = stage.prepare()
    # As a removal leaves it half way: folders lifted to the top under numbers, some full, some empty, some in the way.
    for inner in ("0/a/b", "1", "2/0/1"):
        (Path(area.upper).parent / inner).mkdir(parents=True)
    (Path(area.upper).parent / "3").write_text("a file")
    (Path(area.upper) / "d/e/f/g").mkdir(parents=True)
    clear(stage.state, area.name)
    clear(stage.state, area.name)
    assert list((stage.state / "commands").iterdir()) == []


def test_there_is_nothing_to_clear_before_the_first_command(stage: Stage) -> None:
    clear(stage.state, "act_1")
    assert area_names(stage.state) == []
    assert list(stage.state.iterdir()) == []


def test_after_a_crash_the_areas_that_are_left_can_be_found_and_cleared(stage: Stage) -> None:
    for name in ("act_2", "act_1", "act_3"):
        stage.run(stage.prepare(name=name), "mkdir x; chmod 000 x")
    assert area_names(stage.state) == ["act_1", "act_2", "act_3"]
    clear(stage.state, "act_1")
    clear(stage.state, "act_3")
    assert area_names(stage.state) == ["act_2"]


def test_an_area_that_was_left_is_replaced_by_a_fresh_one(stage: Stage) -> None:
    stage.run(stage.prepare(), "echo old > old; mkdir x; chmod 000 x")
    area = stage.prepare()
    assert stage.run(area, "ls -A") == ""


def test_a_store_that_takes_nothing_is_told_in_a_sentence(stage: Stage) -> None:
    with stage.held() as root, pytest.raises(DomainError, match="no place for the command can be made") as refused:
        prepare(stage.place / "absent", "act_1", root, stage.folder(), hiding(), writes=True)
    assert refused.value.code == "unavailable"


def test_what_was_written_just_before_an_area_is_made_is_older_than_its_marker(stage: Stage) -> None:
    for count in range(50):
        file = stage.root / f"{count}"
        file.write_text("x")
        area = stage.prepare()
        assert file.stat().st_ctime_ns < area.marked_ns
        later = stage.root / f"later-{count}"
        later.write_text("x")
        assert later.stat().st_ctime_ns >= area.marked_ns


def test_making_and_removing_an_area_for_a_small_folder_is_cheap(stage: Stage) -> None:
    write_tree(stage.root, {f"{n}.txt": "x" for n in range(20)})
    took: list[float] = []
    for _ in range(20):
        begun = time.perf_counter()
        stage.prepare().remove()
        took.append(time.perf_counter() - begun)
    # About 3 ms on the reference machine; the bound only tells a mistake from noise.
    assert sorted(took)[len(took) // 2] < 0.05


def test_an_area_holds_no_descriptors(stage: Stage) -> None:
    write_tree(stage.root, {"a/b/.env": "1", "c": "2"})
    before = os.listdir("/proc/self/fd")
    area = stage.prepare(hiding("a/b/.env"), pinned={"c": b"2"})
    stage.changes(area)
    area.remove()
    assert len(os.listdir("/proc/self/fd")) == len(before)
