"""Text in columns and frames: as wide as it should be, and never cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.adapters.cli.card_view import box_bottom, box_line, box_top, boxed_lines, drawn_card, plain_card
from cowork.adapters.cli.layout import in_columns, padded, width_of, wrapped
from cowork.domain.confirmation import Card, CardBlock

VISIBLE = st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Mn", "Me"))
TEXTS = st.text(VISIBLE, max_size=300)


@given(TEXTS, st.integers(8, 120))
def test_wrapping_keeps_every_character_and_the_width(text: str, width: int) -> None:
    lines = list(wrapped(text, width))
    assert all(width_of(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(TEXTS, st.lists(TEXTS, max_size=4), st.integers(20, 120))
def test_a_frame_is_straight_and_holds_the_whole_card(headline: str, lines: list[str], width: int) -> None:
    card = Card(headline, (CardBlock("action", tuple(lines)),))
    drawn = list(drawn_card(card, "confirmation-06h0b7g9zc8av6bb · 9 min left", width))
    assert {width_of(line) for line in drawn} == {width}
    shown = "".join("".join(drawn).replace("│", "").split())
    for text in (headline, *lines):
        assert "".join(text.replace("│", "").split()) in shown


@pytest.mark.parametrize("width", [20, 60, 100])
def test_the_lower_edge_says_the_keys_at_every_width(width: int) -> None:
    lines = list(box_bottom("a approve once   r reject   q decide later   ? why", width))
    assert all(width_of(line) <= width for line in lines)
    assert "".join("".join(lines).split()).strip("└─┘") == "aapproveoncerrejectqdecidelater?why"


def test_wide_characters_take_two_cells() -> None:
    assert width_of("a漢e\u0301") == 4
    assert padded("漢", 4) == "漢  "
    assert list(in_columns([("漢", "x"), ("abc", "y")])) == ["漢   x", "abc  y"]
    assert width_of(box_line("漢字", 20)) == 20


def test_a_short_headline_stands_in_the_frame_and_a_long_one_inside_it() -> None:
    short, long = Card("Delete a.txt", ()), Card("Delete " + "a" * 200, ())
    assert "Delete a.txt" in box_top(short, "c-1", 80)
    assert boxed_lines(short, "c-1", 80) == []
    assert "".join(boxed_lines(long, "c-1", 80)).replace(" ", "") == long.headline.replace(" ", "")


def test_a_plain_card_has_every_line_in_order() -> None:
    card = Card("Delete", (CardBlock("who", ("one", "two")), CardBlock("why", ("three",))))
    assert list(plain_card(card)) == ["Delete", "", "  one", "  two", "", "  three"]
