"""Merging texts: what one side changed is taken over, and no word of anybody's is lost or chosen over another's."""

from collections import Counter
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowork.domain.text_merge import MergeBounds, Unmergeable, is_text, merge

ENDS: Final = st.sampled_from([b"\n", b"\r\n"])
LINES: Final = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"", b"}", "\u00e9".encode()]), ENDS), max_size=14)
TEXTS: Final = st.builds(
    lambda lines, cut: b"".join(text + end for text, end in lines)[: -1 if cut else None], LINES, st.booleans()
)


BOUNDS: Final = MergeBounds(bytes_max=10_000, lines_max=1_000, changes_max=1_000)


def merged(base: bytes, one: bytes, other: bytes) -> bytes | Unmergeable:
    return merge(base, one, other, BOUNDS)


@pytest.mark.parametrize(
    ("base", "one", "other", "both"),
    [
        (b"1\n2\n3\n", b"1\n2\n3\n4\n", b"0\n1\n2\n3\n", b"0\n1\n2\n3\n4\n"),
        (b"1\n2\n3\n", b"one\n2\n3\n", b"1\n2\nthree\n", b"one\n2\nthree\n"),
        (b"1\n2\n3\n", b"1\n3\n", b"1\n2\n3\n4\n", b"1\n3\n4\n"),
        (b"1\r\n2\r\n3\r\n", b"1\r\n2\r\nthree\r\n", b"one\r\n2\r\n3\r\n", b"one\r\n2\r\nthree\r\n"),
        (b"1\n2\n3", b"one\n2\n3", b"1\n2\nthree", b"one\n2\nthree"),
        (b"1\n2\n3", b"one\n2\n3", b"1\n2\n3\n", b"one\n2\n3\n"),
        (b"1\n2\n3\n", b"1\n2\n3", b"one\n2\n3\n", b"one\n2\n3"),
        (b"1\n2\n3\n", b"1\nx\n2\n3\n", b"1\nx\n2\n3\ny\n", b"1\nx\n2\n3\ny\n"),
        (b"", b"1\n", b"1\n", b"1\n"),
    ],
)
def test_changes_with_a_line_between_them_are_both_made(base: bytes, one: bytes, other: bytes, both: bytes) -> None:
    assert merged(base, one, other) == both
    assert merged(base, other, one) == both


@pytest.mark.parametrize(
    ("base", "one", "other"),
    [
        (b"1\n", b"one\n", b"uno\n"),
        (b"1\n2\n", b"one\n2\n", b"1\ntwo\n"),
        (b"1\n2\n", b"1\n", b"1\ntwo\n"),
        (b"1\n", b"1\na\n", b"1\nb\n"),
        (b"1\n", b"1\na", b"1\nb\n"),
        (b"1", b"1\na", b"1\nb"),
        (b"", b"a", b"b"),
        (b"1\n2\n3\n", b"1\r\n2\r\n3\r\n", b"1\n2\n3\n4\n"),
    ],
)
def test_changes_that_touch_each_other_are_not_merged(base: bytes, one: bytes, other: bytes) -> None:
    assert isinstance(merged(base, one, other), Unmergeable)
    assert isinstance(merged(base, other, one), Unmergeable)


@pytest.mark.parametrize("data", [b"a\x00b\n", b"\xff\xfe1\n", "\u00e9".encode("latin-1")])
def test_what_is_not_text_is_merged_only_where_one_side_changed_nothing(data: bytes) -> None:
    assert not is_text(data)
    assert merged(b"1\n2\n3\n", b"0\n1\n2\n3\n", b"1\n2\n3\n" + data) == Unmergeable("a version is not text")
    assert merged(data, data, b"other") == b"other"
    assert merged(data, b"other", data) == b"other"
    assert merged(b"base", data, data) == data


def test_long_texts_and_long_differences_are_not_merged() -> None:
    base = b"".join(b"%d\n" % n for n in range(500))
    other = base.replace(b"\n1\n", b"\none\n")
    one = base.replace(b"7\n", b"seven\n")
    for bounds in (
        MergeBounds(bytes_max=100, lines_max=1_000, changes_max=1_000),
        MergeBounds(bytes_max=10_000, lines_max=499, changes_max=1_000),
        MergeBounds(bytes_max=10_000, lines_max=500, changes_max=99),
    ):
        assert isinstance(merge(base, one, other, bounds), Unmergeable)
    assert merge(base, one, other, MergeBounds(bytes_max=10_000, lines_max=500, changes_max=100)) == one.replace(
        b"\n1\n", b"\none\n"
    )


@given(TEXTS, TEXTS)
def test_a_side_that_changed_nothing_gives_way(base: bytes, other: bytes) -> None:
    assert merged(base, base, other) == other
    assert merged(base, other, base) == other
    assert merged(base, other, other) == other


@settings(max_examples=400)
@given(TEXTS, TEXTS, TEXTS)
def test_it_does_not_matter_which_side_is_named_first(base: bytes, one: bytes, other: bytes) -> None:
    assert merged(base, one, other) == merged(base, other, one)


@settings(max_examples=400)
@given(TEXTS, TEXTS, TEXTS)
def test_each_line_is_there_as_often_as_both_sides_together_made_it(base: bytes, one: bytes, other: bytes) -> None:
    """Whatever was put in by either is in the merge, and what was taken out is out: counted line by line."""
    both = merged(base, one, other)
    if isinstance(both, Unmergeable):
        return
    was, mine, theirs, now = (Counter(text.split(b"\n")) for text in (base, one, other, both))
    for line in was.keys() | mine.keys() | theirs.keys() | now.keys():
        mine_more, theirs_more = mine[line] - was[line], theirs[line] - was[line]
        assert now[line] - was[line] in (mine_more + theirs_more, mine_more, theirs_more)


@settings(max_examples=400)
@given(st.data())
def test_edits_far_from_each_other_are_always_merged(data: st.DataObject) -> None:
    lines = [b"line %d\n" % n for n in range(20)]
    is_mine = [data.draw(st.booleans()) for _ in range(10)]
    mine, theirs, both = list(lines), list(lines), list(lines)
    for spot, belongs_to_me in enumerate(is_mine):
        edited = data.draw(st.sampled_from([b"", b"new %d\n" % spot, b"new %d\nmore %d\n" % (spot, spot)]))
        (mine if belongs_to_me else theirs)[2 * spot] = edited
        both[2 * spot] = edited
    assert merged(b"".join(lines), b"".join(mine), b"".join(theirs)) == b"".join(both)
