"""Looking through a copy while its command goes on changing it: what comes and goes meanwhile stops no command."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cowork.adapters.sandbox.watching import StagedLimits, find_excess

LOOKS = 400
LIMITS = StagedLimits(files_max=50, free_bytes_min=0)


@contextmanager
def _again_and_again(change: Callable[[], None]) -> Iterator[None]:
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            change()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _replaced(upper: Path, put: Callable[[Path], None]) -> Callable[[], None]:
    """Return a turn in which each of some folders is removed, and something else stands there for a moment."""

    def turn() -> None:
        for number in range(8):
            place = upper / str(number)
            (place / "inner").mkdir(parents=True)
            (place / "inner" / "file").touch()
        for number in range(8):
            place = upper / str(number)
            (place / "inner" / "file").unlink()
            (place / "inner").rmdir()
            place.rmdir()
            put(place)
        for number in range(8):
            (upper / str(number)).unlink()

    return turn


@pytest.mark.parametrize("mode", ["file", "link"])
def test_a_folder_that_makes_room_for_something_else_is_no_reason_to_stop(tmp_path: Path, mode: str) -> None:
    upper, elsewhere = tmp_path / "upper", tmp_path / "elsewhere"
    upper.mkdir()
    elsewhere.mkdir()
    for number in range(100):
        (elsewhere / f"{number}").touch()
    put: dict[str, Callable[[Path], None]] = {"file": Path.touch, "link": lambda place: place.symlink_to(elsewhere)}
    with _again_and_again(_replaced(upper, put[mode])):
        assert {find_excess(str(upper), LIMITS) for _ in range(LOOKS)} == {None}


def test_what_lies_in_folders_of_the_copy_counts_and_what_a_link_leads_to_does_not(tmp_path: Path) -> None:
    upper, elsewhere = tmp_path / "upper", tmp_path / "elsewhere"
    (upper / "a" / "b").mkdir(parents=True)
    elsewhere.mkdir()
    for number in range(40):
        (upper / "a" / "b" / f"{number}").touch()
        (elsewhere / f"{number}").touch()
    (upper / "link").symlink_to(elsewhere)
    assert find_excess(str(upper), LIMITS) is None
    for number in range(8):
        (upper / f"{number}").touch()
    assert find_excess(str(upper), LIMITS) == "it changed more than 50 files"


def test_a_folder_that_may_not_be_listed_is_passed_over(tmp_path: Path) -> None:
    for mode in (0o000, 0o444):
        shut = tmp_path / f"{mode:o}"
        shut.mkdir()
        (shut / "file").touch()
        shut.chmod(mode)
    try:
        assert find_excess(str(tmp_path), LIMITS) is None
        with pytest.raises(PermissionError):
            os.stat(tmp_path / "444" / "file")
    finally:
        for shut in tmp_path.iterdir():
            shut.chmod(0o700)
