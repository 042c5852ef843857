"""Amounts as people write them on a command line: sizes, spans of time, money, and times of day."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from ...domain.errors import DomainError
from ...projections.visible_text import visible

_SIZE: Final = re.compile(r"(\d{1,15})(?:\.(\d{1,6}))?\s*([A-Za-z]*)", re.ASCII)
_SIZE_UNITS: Final[dict[str, int]] = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", 1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgtp", 1)},
}
_SPAN: Final = re.compile(r"(\d{1,9})\s*(d|h|min|m|s)\s*", re.ASCII)
_SPAN_UNITS: Final = {"d": 86_400, "h": 3600, "min": 60, "m": 60, "s": 1}
_MONEY: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,6}))?", re.ASCII)
_MILLION: Final = 1_000_000


def size_in(text: str) -> int:
    """Return a size in bytes: `500`, `10MB`, `1.5 GiB`. Raises `DomainError` invalid."""
    match = _SIZE.fullmatch(text.strip())
    factor = None if match is None else _SIZE_UNITS.get(match[3].lower())
    if match is None or factor is None:
        raise DomainError("invalid", f"`{visible(text)}` is not a size", "write `500`, `10MB` or `1.5GiB`")
    whole, part = match[1], match[2] or ""
    scale: int = 10 ** len(part)
    return int(whole + part) * factor // scale


def seconds_in(text: str) -> int:
    """Return a span of time in seconds: `90s`, `15min`, `2h`, `1d12h`. Raises `DomainError` invalid."""
    parts = _SPAN.findall(text)
    if not parts or _SPAN.sub("", text.strip()):
        raise DomainError("invalid", f"`{visible(text)}` is not a span of time", "write `90s`, `15min` or `1d12h`")
    return sum(int(number) * _SPAN_UNITS[unit] for number, unit in parts)


def micros_in(text: str) -> int:
    """Return an amount of money in millionths: `2.50`. Raises `DomainError` invalid."""
    match = _MONEY.fullmatch(text.strip())
    if match is None:
        raise DomainError("invalid", f"`{visible(text)}` is not an amount of money", "write it as `2.50`")
    return int(match[1]) * _MILLION + int((match[2] or "").ljust(6, "0"))


def moment_in(text: str, now: datetime) -> datetime:
    """Return a moment of the past: a span before `now` (`8h`), or a time (`2026-06-14`, `2026-06-14T22:00`).

    A time without a zone is of the zone of this machine. Raises `DomainError` invalid.
    """
    try:
        if _SPAN.match(text):
            return now - timedelta(seconds=seconds_in(text))
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        hint = "write how long ago (`8h`, `2d`) or a time (`2026-06-14`, `2026-06-14T22:00`)"
        raise DomainError("invalid", f"`{visible(text)}` is no moment", hint) from error
    if moment > now:
        raise DomainError("invalid", f"`{visible(text)}` has not come yet", "name a moment of the past")
    return moment
