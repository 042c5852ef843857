"""From places to patterns: every needed place is held, and little else; places to avoid are not where that can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.domain.policy_glob import glob_matches
from cowork.engine.generalising import (
    PATTERNS_MAX,
    extensions_of,
    patterns_of_files,
    patterns_of_folders,
    prefixes_of,
)

ROOT = "/home/ada/work"


def below(*paths: str) -> list[str]:
    return [f"{ROOT}/{path}" for path in paths]


@pytest.mark.parametrize(
    ("needed", "avoided", "patterns"),
    [
        (["a.txt"], [], ["*"]),
        (["in/a", "in/b"], [], ["in/*"]),
        (["in/a", "in/deep/b"], [], ["in/**"]),
        (["in/2026/01/a", "in/2026/02/b"], [], ["in/2026/**"]),
        (["in/a", "out/b"], [], ["in/*", "out/*"]),
        (["a", "in/b"], [], ["*", "in/*"]),
        (["in/a", "in/b"], ["in/c"], ["in/a", "in/b"]),
        (["in/a", "in/sub/b"], ["in/other/c"], ["in/*", "in/sub/*"]),
        (["in/a"], ["out/b"], ["in/*"]),
        ([f"f{n}/a" for n in range(PATTERNS_MAX + 1)], [], ["**"]),
    ],
)
def test_folders_are_named_at_the_level_of_common_prefixes(
    needed: list[str], avoided: list[str], patterns: list[str]
) -> None:
    assert patterns_of_files(below(*needed), below(*avoided), ROOT) == below(*patterns)


NAME = st.sampled_from(["a", "b", "c", "d.txt", "e.csv", ".f", "g h"])
PATHS = st.lists(st.lists(NAME, min_size=1, max_size=4).map("/".join), min_size=1, max_size=12)


@given(PATHS, PATHS)
def test_every_needed_place_is_held(needed: list[str], avoided: list[str]) -> None:
    patterns = patterns_of_files(below(*needed), below(*avoided), ROOT)
    for place in below(*needed):
        assert any(glob_matches(pattern, place) for pattern in patterns), place
    assert len(patterns) <= PATTERNS_MAX


@given(PATHS, st.sampled_from(["other", "z/y", "a/z"]))
def test_a_folder_that_nothing_was_needed_of_is_never_held(needed: list[str], other: str) -> None:
    patterns = patterns_of_files(below(*needed), below(f"{other}/secret"), ROOT)
    if f"{ROOT}/**" not in patterns:
        assert not any(glob_matches(pattern, f"{ROOT}/{other}/secret") for pattern in patterns)


def test_a_folder_to_list_is_named_itself() -> None:
    assert patterns_of_folders([ROOT, f"{ROOT}/in"], ROOT) == [ROOT, f"{ROOT}/in"]
    many = [ROOT, *below(*(f"in/{n}" for n in range(PATTERNS_MAX)))]
    patterns = patterns_of_folders(many, ROOT)
    assert patterns == [ROOT, f"{ROOT}/in/*"]


def test_a_root_that_is_everything_is_no_special_case() -> None:
    assert patterns_of_files(["/etc/hosts", "/etc/passwd"], [], "/") == ["/etc/*"]


@pytest.mark.parametrize(
    ("names", "extensions"),
    [
        (["/a/x.CSV", "/a/y.csv"], (".csv",)),
        (["/a/x.tar.gz"], (".gz",)),
        (["/a/x", "/a/y.csv"], None),
        (["/a/.env"], None),
        (["/a/dot."], None),
        ([f"/a/x.{n}" for n in range(5)], None),
    ],
)
def test_extensions_are_named_when_they_are_few_and_every_name_has_one(
    names: list[str], extensions: tuple[str, ...] | None
) -> None:
    assert extensions_of(names) == extensions


def test_commands_are_named_by_the_program_and_its_second_word_where_that_is_a_name() -> None:
    commands = [("git", "status"), ("git", "diff", "x"), ("ls", "-l"), ("cat", "notes.txt"), ("make",), ("make", "all")]
    assert prefixes_of(commands) == (("cat",), ("git", ("diff", "status")), ("ls",), ("make",))
