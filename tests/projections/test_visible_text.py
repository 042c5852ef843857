"""Nothing hides, and no two texts look the same."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cowork.domain.path import text_of_name
from cowork.projections.card_places import name_shown
from cowork.projections.visible_text import has_escapes, quoted, visible, visible_line, visible_lines

# Mostly characters that something is done about, so that collisions would be found.
TRICKY = st.text(
    st.one_of(
        st.sampled_from(
            " \\\"'{}024xuabe\t\n\x1b\x7f\x85\xa0\u0301\u0308\u0338\u1100\u1161\u11a8\u200b\u202e\u2028\u2044\u212b"
            "\u3164\ufe0f\uac00\U000e0041\U0010fee9\u00e9\u0b47\u0b3e\u0b4b\u2126\u03a9"
        ),
        st.characters(codec="utf-8"),
    ),
    max_size=12,
)
SHOWERS = pytest.mark.parametrize("show", [visible, visible_line, quoted, name_shown])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("reports/2023/q1 draft.docx", "reports/2023/q1 draft.docx"),
        ("Bücher/日本語/Ελλ/עברית.txt", "Bücher/日本語/Ελλ/עברית.txt"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\tb\r\nc\x00\x7f", "a\\tb\\r\\nc\\x00\\x7f"),
        ("\x85\x9b", "\\u0085\\u009b"),
        ("txt.\u202egnp", "txt.\\u202egnp"),
        ("a\u200bb\u2060c\ufeffd\u00ade", "a\\u200bb\\u2060c\\ufeffd\\u00ade"),
        ("a\U000e0041", "a\\U000e0041"),
        ("x\ufe0f", "x\\ufe0f"),
        ("n\u0303", "n\\u0303"),
        ("q\u0303\u0302\u0301", "q\u0303\u0302\\u0301"),
        ("\u0301a", "\\u0301a"),
        ("\ue000", "\\ue000"),
        ("a\u00a0b\u3000c\u2003d", "a\\u00a0b\\u3000c\\u2003d"),
        ("a  b", "a\\x20\\x20b"),
        (" a ", "\\x20a\\x20"),
        ("a\\x20b", "a\\\\x20b"),
        ("etc\u2215passwd", "etc\\u2215passwd"),
        ("\u3164\u115f\u2800", "\\u3164\\u115f\\u2800"),
        (text_of_name(b"caf\xe9"), "caf\\xe9"),
        (text_of_name("\U0010fee9".encode()), "\\xf4\\x8f\\xbb\\xa9"),
        ("", ""),
    ],
)
def test_what_hides_is_written_out_and_what_people_write_stays(text: str, shown: str) -> None:
    assert visible(text) == shown


@SHOWERS
@settings(max_examples=400)
@given(TRICKY, TRICKY)
@example("e\u0301", "\u00e9")
@example("\\x20", " ")
@example("", '""')
@example("\u212b", "\u00c5")
@example("\u1100\u1161", "\uac00")
@example("a\u0301\u0302\u0303b", "a\u0301\u0302\\u0303b")
def test_two_texts_never_look_the_same(show: Callable[[str], str], first: str, second: str) -> None:
    if first != second:
        # Canonically equivalent texts are drawn alike, so they count as the same.
        assert unicodedata.normalize("NFC", show(first)) != unicodedata.normalize("NFC", show(second))


@SHOWERS
@given(TRICKY)
def test_what_is_shown_has_nothing_that_hides(show: Callable[[str], str], text: str) -> None:
    shown = show(text)
    assert unicodedata.is_normalized("NFC", shown)
    assert shown.isprintable()
    hiding = {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}
    assert not {unicodedata.category(c) for c in shown} & hiding
    assert all(c == " " for c in shown if unicodedata.category(c) == "Zs")


def test_lines_keep_their_indentation_but_no_text_is_pushed_out_of_sight() -> None:
    assert visible_line("    return x  # y") == "    return x  # y"
    assert visible_line("end  ") == "end\\x20\\x20"
    assert visible_line("a" + " " * 39 + "b") == "a" + " " * 39 + "b"
    assert visible_line("a" + " " * 40 + "b") == "a\\x20{40}b"
    assert visible_line("a" + " " * 40 + "{40}b") == "a\\x20{40}{40}b"


def test_only_a_line_feed_ends_a_line() -> None:
    assert visible_lines("a\nb\r\n\x0bc\u2028d") == ("a", "b\\r", "\\x0bc\\u2028d")


def test_a_quoted_text_ends_where_its_quotes_end() -> None:
    assert quoted('a" -> "b') == '"a\\" -> \\"b"'
    assert name_shown("plain.txt") == "plain.txt"
    assert name_shown("two words.txt") == '"two words.txt"'
    assert name_shown("") == '""'


@pytest.mark.parametrize(("text", "hides"), [("C:\\x a  b", False), ("é", False), ("\u202e", True), ("\x1b", True)])
def test_hiding_is_noticed(text: str, hides: bool) -> None:
    assert has_escapes(text) is hides
