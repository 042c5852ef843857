"""What a measurement comes to: values of several rounds, what was aimed at, and the table that shows it."""

import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

Better = Literal["more", "less"]


class Figure(msgspec.Struct, kw_only=True, frozen=True):
    """One measured property. `rounds` has one value a round, in `unit`; `absolute` says the same in plain units.

    `aim` is the value to reach, None where the figure is only for information. A figure for which `better` is `less`
    reaches its aim from above.
    """

    key: str
    title: str
    unit: str
    rounds: tuple[float, ...]
    aim: float | None = None
    better: Better = "more"
    absolute: str = ""

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.rounds)

    @property
    def verdict(self) -> str:
        """Whether the median reaches the aim, in words."""
        if self.aim is None:
            return "no aim"
        reached = self.median >= self.aim if self.better == "more" else self.median <= self.aim
        return "met" if reached else "missed"


def number(value: float) -> str:
    """Return a value with three figures or so."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value below which `part` (0 to 1) of the values are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def cells_of(figure: Figure) -> tuple[str, ...]:
    """Return a row of the table."""
    sign = "≥" if figure.better == "more" else "≤"
    return (
        figure.title,
        "" if figure.aim is None else f"{sign} {figure.aim:g}",
        f"{number(figure.median)} {figure.unit}".strip(),
        f"{number(min(figure.rounds))} to {number(max(figure.rounds))}",
        figure.verdict,
        figure.absolute,
    )


HEADINGS = ("what", "aim", "median", "min to max", "aim met?", "in plain units")


def table_of(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table, which a person can read as it is."""
    rows = [HEADINGS, *map(cells_of, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |" for row in rows]
    lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "\n".join(lines)
