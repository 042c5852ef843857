"""Path patterns: what they mean one by one, and that a set of them means the same."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.domain.policy_glob import GlobSet, PrefixSet, compiled, glob_matches
from cowork.domain.policy_place import in_form, is_absolute, is_under, spellings, tidy


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/ws/*", "/ws/a", True),
        ("/ws/*", "/ws/", True),
        ("/ws/*", "/ws/.a", True),
        ("/ws/*", "/ws/a/b", False),
        ("/ws/*", "/ws", False),
        ("/ws/**", "/ws/a/b", True),
        ("/ws/**", "/ws/", True),
        ("/ws/**", "/ws", False),
        ("**", "/", True),
        ("*", "/a", False),
        ("*", "a", True),
        ("**/a", "/a", True),
        ("**/a", "/b/a", True),
        ("**/a", "/ba", False),
        ("/a/**/b", "/a/b", False),
        ("/a/**/b", "/a/x/y/b", True),
        ("/a**b", "/a/x/b", True),
        ("/a***", "/a/x", True),
        ("**/.env*", "/a\nb/.env.local", True),
        ("/a*c", "/a\nc", True),
        ("/a?", "/a?", True),
        ("/a?", "/ab", False),
        ("/[ab]", "/a", False),
        ("/{a,b}", "/a", False),
        ("/a+", "/aa", False),
        ("/a.c", "/abc", False),
        ("/a\\b", "/a/b", True),
        ("/a/b", "/a\\b", True),
        ("", "", True),
        ("", "/", False),
    ],
)
def test_a_pattern_is_held_against_the_whole_path(pattern: str, path: str, matches: bool) -> None:
    assert glob_matches(pattern, path) is matches
    if path.startswith("/") and "\\" not in path:
        assert bool(GlobSet([(pattern, 1)]).hits(path)) is matches


PIECES = ("/", "/", "a", "b", ".", "*", "**", "ab", "-", "\n")


def test_a_set_of_patterns_matches_as_each_of_them_does() -> None:
    random = Random(5)
    matched = 0
    for _ in range(6000):
        patterns = ["".join(random.choices(PIECES, k=random.randint(1, 7))) for _ in range(random.randint(1, 12))]
        patterns += [
            random.choice(("**/{}/**", "**/{}", "**/*{}", "**/{}*", "/a/{}/**", "/{}/*.a", "**/a/{}/**")).format(word)
            for word in random.choices(("a", "ab", "b", "a.b", "a-b", "/"), k=3)
        ]
        together = GlobSet((pattern, 1 << at) for at, pattern in enumerate(patterns))
        for _ in range(4):
            path = "/" + "".join(random.choices(("/", "a", "b", ".", "ab", "-", "\n"), k=random.randint(0, 9)))
            wanted = sum(1 << at for at, pattern in enumerate(patterns) if compiled(pattern).fullmatch(path))
            assert together.hits(path) == wanted, (patterns, path)
            matched += bool(wanted)
    assert matched > 3000


@given(st.lists(st.text("ab", max_size=5), max_size=20), st.text("abc", max_size=8))
def test_a_set_of_beginnings_finds_all_that_a_text_begins_with(beginnings: list[str], text: str) -> None:
    table = {beginning: 1 << at for at, beginning in enumerate(dict.fromkeys(beginnings))}
    wanted = sum(mask for beginning, mask in table.items() if text.startswith(beginning))
    assert PrefixSet(table).hits(text) == wanted


@pytest.mark.parametrize(
    ("path", "plain"),
    [("/", "/"), ("//", "/"), ("/a/", "/a"), ("/a//b", "/a/b"), ("/./a/.", "/a"), ("/.a", "/.a"), ("/a/.b/", "/a/.b")],
)
def test_a_path_is_compared_without_what_says_nothing(path: str, plain: str) -> None:
    assert tidy(path) == plain


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        *(("/", True), ("/a", True), ("/a..b", True), ("/...", True), ("/a\\b", True)),
        *(("", False), ("a", False), ("\\a", False), ("/a\0", False), ("/..", False), ("/a/../b", False)),
        *(("/a\\..\\b", False), ("/a\\..", False), ("/a/..", False)),
    ],
)
def test_an_absolute_path_leads_down_only(path: str, is_one: bool) -> None:
    assert is_absolute(path) is is_one


@pytest.mark.parametrize(
    ("path", "root", "under"),
    [("/a", "/a", True), ("/a/b", "/a", True), ("/ab", "/a", False), ("/a", "/", True), ("/", "/a", False)],
)
def test_a_place_lies_in_a_folder_by_whole_names(path: str, root: str, under: bool) -> None:
    assert is_under(path, root) is under


def test_a_path_has_one_spelling_more_for_every_way_to_read_it() -> None:
    assert spellings("/a//b/", folded=False) == (("written", "/a/b"),)
    assert spellings("/a\\b", folded=False) == (("written", "/a\\b"), ("written", "/a/b"))
    assert spellings("/e\u0301", folded=False) == (("written", "/e\u0301"), ("nfc", "/\u00e9"))
    assert spellings("/A\\E\u0301", folded=True) == (("folded", "/a/\u00e9"),)
    assert in_form("/STRASSE/\u00df", "folded") == "/strasse/ss"
    assert len(spellings("/e\u0301\\b", folded=False)) == 4
