"""Three ways to kill a run at a chosen part of it: by the clock, by what it has recorded, and by what it calls."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from tests.acceptance.workplace import Ended, Workplace


class Whole(msgspec.Struct, frozen=True):
    """An undisturbed run: how long it took, how many events there were in the end, how many calls it made."""

    seconds: float
    events: int
    calls: int


Kill = Callable[[Workplace, tuple[str, ...], float, Whole], Ended]
"""Runs a command and kills it when about this part of a whole run (0 to 1) is done."""


def by_the_clock(place: Workplace, arguments: tuple[str, ...], part: float, whole: Whole) -> Ended:
    """Kill at a moment of the run's length."""
    running = place.start(*arguments)
    time.sleep(part * whole.seconds)
    return running.kill()


def after_events(place: Workplace, arguments: tuple[str, ...], part: float, whole: Whole) -> Ended:
    """Kill when another process sees that so many events are recorded."""
    before = place.recorded()
    wanted = before + 1 + int(part * max(whole.events - before, 0))
    running = place.start(*arguments)
    until = time.monotonic() + whole.seconds * 4
    while place.recorded() < wanted and not running.has_ended() and time.monotonic() < until:
        time.sleep(0.0002)
    return running.kill()


def before_a_call(place: Workplace, arguments: tuple[str, ...], part: float, whole: Whole) -> Ended:
    """Kill right before a call of the operating system."""
    return place.run(*arguments, kill_at_call=1 + int(part * whole.calls))


WAYS: Final[tuple[Kill, ...]] = (by_the_clock, after_events, before_a_call)
