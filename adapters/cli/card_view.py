"""A question drawn for a terminal, or as plain lines. Long lines are wrapped, never cut."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from ...domain.confirmation import Card
from .layout import padded, plural, width_of, wrapped

KEYS: Final = "a approve once   r reject   n reject with note   m remember   q decide later   ? why"


def plain_card(card: Card) -> Iterator[str]:
    """Yield the card as lines, an empty line between its blocks."""
    yield card.headline
    for block in card.blocks:
        yield ""
        yield from (f"  {line}".rstrip() for line in block.lines)


def boxed_lines(card: Card, right: str, width: int) -> list[str]:
    """Return the lines inside the box, wrapped to its width; first what its upper edge can't hold."""
    inner = width - 4
    in_edge = _in_edge(card.headline, right, width)
    lines = [part for text in (card.headline, right) if text not in in_edge for part in wrapped(text, inner)]
    if lines and card.blocks:
        lines.append("")
    for number, block in enumerate(card.blocks):
        if number:
            lines.append("")
        for line in block.lines:
            lines += wrapped(line, inner, indent="    ")
    return lines


def box_top(card: Card, right: str, width: int) -> str:
    """Return the frame's upper edge with the headline and what stands to its right, as far as they fit."""
    in_edge = _in_edge(card.headline, right, width)
    left = f"┌ {card.headline} " if card.headline in in_edge else "┌"
    end = f" {right} ┐" if right in in_edge else "┐"
    return f"{left}{'─' * (width - width_of(left) - width_of(end))}{end}"


def _in_edge(headline: str, right: str, width: int) -> tuple[str, ...]:
    """Return what the upper edge holds: both, only what stands to the right, or nothing."""
    if width_of(headline) + width_of(right) + 8 <= width:
        return headline, right
    return (right,) if width_of(right) + 6 <= width else ()


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
    yield from (box_line(line, width) for line in boxed_lines(card, right, width))
    yield f"└{'─' * (width - 2)}┘"
