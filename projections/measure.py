"""Sizes, counts and spans of time in words."""

from datetime import timedelta
from typing import Final

from ..domain.facts import FileState

_UNITS: Final = ("KB", "MB", "GB", "TB", "PB")


def size_words(size: int) -> str:
    """Return a size in bytes as people write it, in powers of 1000: `120 bytes`, `212 KB`, `3.4 MB`."""
    if size < 1000:
        return count_words(size, "byte")
    value = float(size)
    for unit in _UNITS:
        value /= 1000
        if value < 999.5 or unit == _UNITS[-1]:
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    raise AssertionError


def count_words(number: int, thing: str, things: str = "") -> str:
    """Return the number with its noun: `1 file`, `12 files`, `3 entries`."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"


def span_words(span: timedelta) -> str:
    """Return a span of time, rounded down to its largest unit or two: `45 s`, `9 min`, `23 h 59 min`, `2 days`."""
    return _seconds_words(int(span.total_seconds()))


def _seconds_words(seconds: int) -> str:
    if seconds < 60:
        return f"{max(seconds, 0)} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min"
    if days >= 2:
        return count_words(days, "day")
    return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"


def milliseconds_words(milliseconds: int) -> str:
    """Return a time in milliseconds, rounded down: below an hour to the second, below a second to the millisecond."""
    seconds = milliseconds // 1000
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if seconds < 60 or seconds >= 3600 or not seconds % 60:
        # Without a `timedelta`, which holds no more than a thousand million days: a log may have a longer time.
        return _seconds_words(seconds)
    return f"{seconds // 60} min {seconds % 60} s"


def state_words(state: FileState | None) -> str:
    """Return what stands at a place: `file, 212 KB`, `folder with 3 entries, 1.2 MB`, `nothing`, `not known`."""
    if state is None:
        return "not known"
    match state.kind:
        case "absent":
            return "nothing"
        case "file":
            return f"file, {size_words(state.size)}"
        case "folder":
            return f"folder with {count_words(state.entries, 'entry', 'entries')}, {size_words(state.size)}"
        case "link":
            return "symbolic link"
        case "special":
            return "neither a file nor a folder"


def mode_words(mode: int) -> str:
    """Return permission bits as people write them: `755 (executable)`, `644`."""
    return f"{mode:03o}{' (executable)' if mode & 0o111 else ''}"


def executable_word(mode: int | None) -> str:
    """Return `, executable` for a mode that lets somebody run the file, nothing for any other or none."""
    return ", executable" if mode is not None and mode & 0o111 else ""
