"""Time windows: whether an instant lies in one. Zones are those of the IANA time zone database."""

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .json_text import cited
from .policy_document import DAYS, TimeWindow

_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00)")
_MINUTES_OF_DAY: Final = 24 * 60


def is_open(window: TimeWindow, now: datetime) -> bool:
    """Whether the instant lies in the window. Raises ValueError for a window that `find_fault` would name."""
    if window.not_before and now < _instant(window.not_before):
        return False
    if window.not_after and now >= _instant(window.not_after):
        return False
    local = now.astimezone(_zone(window.tz))
    minute = local.hour * 60 + local.minute
    start, end = _minutes(window.from_), _minutes(window.to)
    today = DAYS[local.weekday()]
    if start < end:
        return today in window.days and start <= minute < end
    if start == end:
        return False
    yesterday = DAYS[(local - timedelta(days=1)).weekday()]
    return (today in window.days and minute >= start) or (yesterday in window.days and minute < end)


def find_fault(window: TimeWindow) -> str:
    """Return what is wrong with a window, in words; nothing for one that is right."""
    for text in (window.from_, window.to):
        if not _CLOCK.fullmatch(text):
            return f"`{cited(text)}` is not a time of day such as 08:30"
    for text in (window.not_before, window.not_after):
        try:
            if text:
                _instant(text)
        except ValueError:
            return f"`{cited(text)}` is not an instant such as 2026-03-01T00:00:00Z"
    try:
        _zone(window.tz)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"`{cited(window.tz)}` is not a time zone such as Europe/Berlin"
    return ""


@lru_cache(maxsize=256)
def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(text)
    return instant


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=256)
def _minutes(text: str) -> int:
    if not _CLOCK.fullmatch(text):
        raise ValueError(text)
    hours, _, minutes = text.partition(":")
    return min(int(hours) * 60 + int(minutes), _MINUTES_OF_DAY)
