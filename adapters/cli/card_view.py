"""A question drawn for a terminal, or as plain lines. Long lines are wrapped, never cut."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from ...domain.confirmation import Card
from .layout import padded, plural, width_of, wrapped

KEYS: Final = "a approve once   r reject   n reject with note   q decide later   ? why"


def plain_card(card: Card) -> Iterator[str]:
    """Yield the card as lines, an empty line between its blocks."""
    yield card.headline
    for block in card.blocks:
        yield ""
        yield from (f"  {line}".rstrip() for line in block.lines)


def boxed_lines(card: Card, width: int) -> list[str]:
    """Return the lines inside the box, wrapped to its width, the headline first where the frame can't hold it."""
    inner = width - 4
    lines: list[str] = []
    if not _fits_frame(card.headline, width):
        lines += [*wrapped(card.headline, inner), ""]
    for number, block in enumerate(card.blocks):
        if number:
            lines.append("")
        for line in block.lines:
            lines += wrapped(line, inner, indent="    ")
    return lines


def box_top(card: Card, right: str, width: int) -> str:
    """Return the frame's upper edge with the headline and what stands to its right."""
    left = f"┌ {card.headline} " if _fits_frame(card.headline, width) else "┌ "
    return f"{left}{'─' * (width - width_of(left) - width_of(right) - 3)} {right} ┐"


def _fits_frame(headline: str, width: int) -> bool:
    return width_of(headline) <= width - 44


def box_line(text: str, width: int) -> str:
    """Return a line between the frame's sides."""
    return f"│ {padded(text, width - 4)} │"


def box_bottom(text: str, width: int) -> Iterator[str]:
    """Yield the frame's lower edge with the keys in it; below the frame where it is too narrow for them."""
    if width_of(text) + 6 <= width:
        yield f"└ {text} {'─' * (width - width_of(text) - 4)}┘"
    else:
        yield f"└{'─' * (width - 2)}┘"
        yield from wrapped(text, width)


def time_left(expires_at: datetime, now: datetime) -> str:
    """Return `9 min left`, or `expired`."""
    seconds = int((expires_at.astimezone(UTC) - now).total_seconds())
    if seconds <= 0:
        return "expired"
    if seconds < 60:
        return f"{seconds} s left"
    if seconds < 2 * 60 * 60:
        return f"{seconds // 60} min left"
    hours = seconds // (60 * 60)
    return f"{hours} h left" if hours < 48 else f"{plural(hours // 24, 'day')} left"


def drawn_card(card: Card, right: str, width: int) -> Iterator[str]:
    """Yield the whole card in its frame, without keys."""
    yield box_top(card, right, width)
    yield from (box_line(line, width) for line in boxed_lines(card, width))
    yield f"└{'─' * (width - 2)}┘"
