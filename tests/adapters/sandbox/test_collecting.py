"""What dead commands left is found and removed; what somebody may still work in is not."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cowork.adapters.sandbox.collecting import AreaCollector


def make_area(state: Path, name: str) -> Path:
    upper = state / "commands" / name / "upper"
    (upper / "locked").mkdir(parents=True)
    (upper / "locked" / "file").write_bytes(b"1")
    (upper / "file").write_bytes(b"1234")
    (upper / "locked").chmod(0o000)
    return state / "commands" / name


def test_areas_are_found_and_removed_however_a_command_locked_them(tmp_path: Path) -> None:
    areas = {name: make_area(tmp_path, name) for name in ("task-1.1", "self-test-7-1")}
    collector = AreaCollector(tmp_path)
    items = {item.name: item for item in collector.kept()}
    assert set(items) == set(areas)
    assert items["task-1.1"].size >= 4
    before = datetime.now(UTC) + timedelta(hours=1)
    assert collector.remove(items["task-1.1"], untouched_since=before)
    assert not collector.remove(items["task-1.1"], untouched_since=before)
    assert os.listdir(tmp_path / "commands") == ["self-test-7-1"]


def test_an_area_that_was_made_a_short_while_ago_stays(tmp_path: Path) -> None:
    area = make_area(tmp_path, "task-1.1")
    (item,) = AreaCollector(tmp_path).kept()
    assert not AreaCollector(tmp_path).remove(item, untouched_since=datetime.now(UTC) - timedelta(hours=1))
    assert area.exists()
    (area / "upper" / "locked").chmod(0o700)


def test_a_store_without_commands_has_no_areas(tmp_path: Path) -> None:
    assert list(AreaCollector(tmp_path).kept()) == []
