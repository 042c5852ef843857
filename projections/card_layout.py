"""The plain text of which a card is made: labelled lines, and lists beneath a label."""

from collections.abc import Sequence
from typing import Final

LABEL_WIDTH: Final = 12


def field(label: str, text: str) -> str:
    """Return `label      text`, or the label alone."""
    return f"{label:<{LABEL_WIDTH}}{text}" if text else label


def block(label: str, texts: Sequence[str]) -> list[str]:
    """Return a labelled line for each text, the label in the first only; nothing for no texts."""
    return [field(label if number == 0 else "", text) for number, text in enumerate(texts)]
