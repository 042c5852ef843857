"""A place that needs care is found in every spelling that some file system takes for it, present or absent."""

import sys
import unicodedata
from collections import defaultdict
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.domain.place_lists import EXECUTED_PLACES, SENSITIVE_PLACES, entries_of
from cowork.domain.places import (
    EXECUTED,
    ITSELF,
    SENSITIVE,
    folded,
    folded_text,
    is_engines,
    is_executed,
    is_hidden,
    is_sensitive,
)

IGNORED_BY_CASEFOLD = (
    *("\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180b", "\u180e", "\u200b", "\u200d", "\u2060"),
    *("\u2064", "\u206f", "\u3164", "\ufe00", "\ufe0f", "\ufeff", "\uffa0", "\U0001d173", "\U000e0001", "\U000e0100"),
)
"""Some of the code points that a case-folding ext4, f2fs or HFS+ leaves out of its comparison."""


def as_ext4(name: str) -> str:
    """The comparison of a case-folding ext4 or f2fs: NFD, full case folding, without what can be ignored."""
    kept = "".join(c for c in unicodedata.normalize("NFD", name) if c not in IGNORED_BY_CASEFOLD)
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", kept).casefold())


def as_ntfs(name: str) -> str:
    """The comparison of NTFS, exFAT and FAT: upper case character by character, without dots and spaces at the end."""
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in name.rstrip(". "))


def as_apfs(name: str) -> str:
    """The comparison of APFS: canonical decomposition and case folding."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


FILE_SYSTEMS = (as_ext4, as_ntfs, as_apfs)


@cache
def look_alikes() -> dict[str, tuple[str, ...]]:
    """For each piece of one to three plain characters, every character that some file system takes for it."""
    found: dict[str, set[str]] = defaultdict(set)
    for code in range(0x80, sys.maxunicode + 1):
        character = chr(code)
        if 0xD800 <= code < 0xE000:
            continue
        for same in FILE_SYSTEMS:
            text = same(character)
            if text and text.isascii():
                found[text.lower()].add(character)
    return {piece: tuple(sorted(characters)) for piece, characters in found.items()}


@st.composite
def spellings(draw: st.DrawFn, name: str) -> str:
    """Return a name that some file system takes for `name`."""
    alike, spelled, at = look_alikes(), "", 0
    while at < len(name):
        length = draw(st.integers(1, min(3, len(name) - at)))
        piece = name[at : at + length]
        choices = [piece, piece.upper(), piece.title(), *alike.get(piece, ())]
        spelled += draw(st.sampled_from(choices))
        spelled += draw(st.sampled_from(["", "", "", *IGNORED_BY_CASEFOLD]))
        at += length
    return spelled + draw(st.sampled_from(["", "", ".", " ", "...", " . "]))


def plain(entry: str) -> str:
    return entry.removesuffix(ITSELF).replace("*", "x")


@st.composite
def places(draw: st.DrawFn, entries: tuple[str, ...]) -> tuple[str, str]:
    """Return an entry and a path that some file system takes for something in it."""
    entry = draw(st.sampled_from(entries))
    names = [draw(spellings(name)) for name in plain(entry).split("/")]
    above = draw(st.lists(st.sampled_from(["a", "n", "project", "é"]), max_size=6))
    below = [] if entry.endswith(ITSELF) else draw(st.lists(st.sampled_from(["x", "y.sh"]), max_size=2))
    return entry, "/".join([*above, *names, *below])


@given(places(EXECUTED))
def test_no_spelling_gets_past_the_list_of_what_is_executed(place: tuple[str, str]) -> None:
    entry, path = place
    assert is_executed(path), f"{path!r} is {entry}"


@given(places(SENSITIVE))
def test_no_spelling_gets_past_the_list_of_secrets(place: tuple[str, str]) -> None:
    entry, path = place
    assert is_sensitive(path), f"{path!r} is {entry}"


@given(spellings(".cowork"), spellings(".cowork-0123abc"))
def test_no_spelling_reaches_the_engines_own(folder: str, temporary: str) -> None:
    assert is_engines(f"{folder}/quarantine/x")
    assert is_engines(f"a/{temporary}")


@given(st.text(max_size=20))
def test_folding_again_changes_nothing_and_equal_names_stay_equal(text: str) -> None:
    once = folded_text(text)
    assert folded_text(once) == once
    for other in (text.upper(), text.lower(), unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)):
        for same in FILE_SYSTEMS:
            if same(other) == same(text) and not {"/", "\0"} & set(text + other):
                assert folded(f"a/{other}x") == folded(f"a/{text}x")


def test_the_sample_has_look_alikes_worth_the_name() -> None:
    alike = look_alikes()
    assert "\u212a" in alike["k"]
    assert "\u017f" in alike["s"]
    assert "\u0131" in alike["i"]
    assert "\ufb06" in alike["st"]


@pytest.mark.parametrize(
    "path",
    [
        ".git",
        "project/.git",
        "deep/er/.git/hooks/x",
        ".git/modules/lib/hooks/post-checkout",
        ".git/worktrees/other/config.worktree",
        "bare.git/hooks/update",
        "bare.git/config",
        "no-such-ending/hooks/post-receive",
        ".githooks/pre-push",
        ".husky/_/pre-commit",
        ".github/workflows/ci.yml",
        "n/.mcp.json",
        ".config/systemd/user/x.service",
        "lib/python3.11/site-packages/x.pth",
    ],
)
def test_what_git_an_agent_a_server_or_python_would_run_is_listed(path: str) -> None:
    assert is_executed(path)


@pytest.mark.parametrize(
    "path",
    [
        ".git/objects/ab/cd",
        ".git/HEAD",
        "hooks/use-state.ts",
        "src/hooks",
        "Makefile",
        "package.json",
        "conftest.py",
        "setup.py",
        "Dockerfile",
        ".github/ISSUE_TEMPLATE/bug.md",
        "config/git",
        "cron.md",
        "git/hooks/x",
        ".gitignore",
        "crontab.md",
        "my.vscode/x",
        "claude.md.txt",
    ],
)
def test_the_work_itself_is_not_listed(path: str) -> None:
    assert not is_executed(path)


def test_every_entry_is_listed_once_with_a_reason_and_as_it_is_compared() -> None:
    for groups in (EXECUTED_PLACES, SENSITIVE_PLACES):
        entries = [entry for group in groups for listed in group.listed for entry in listed.entries]
        assert len(entries) == len(set(entries))
        assert entries_of(groups) == tuple(entries)
        for entry in entries:
            assert folded(plain(entry)) == f"/{plain(entry)}/"
        assert all(listed.why and not listed.why.endswith(".") for group in groups for listed in group.listed)


@pytest.mark.parametrize("entry", EXECUTED)
def test_what_lies_in_a_listed_folder_is_listed_unless_the_entry_is_about_the_name_alone(entry: str) -> None:
    name = plain(entry)
    assert is_executed(name)
    assert is_executed(f"a/b/{name}")
    assert is_executed(f"a/{name}/b/c") is not entry.endswith(ITSELF)


def test_a_hidden_name_is_one_with_a_dot_before_it() -> None:
    assert is_hidden("a/.b")
    assert not is_hidden("a/b.c")
