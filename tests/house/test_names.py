"""Names say what a thing is for: no drawers without labels, and nothing at the top level that nobody expects there."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.tree import LINKS, ROOT

EMPTY_WORDS = frozenset(
    [
        "util",
        "utils",
        "helper",
        "helpers",
        "common",
        "misc",
        "base",
        "core",
        "manager",
        "managers",
        "service",
        "services",
    ]
)
PROJECT_FILES = frozenset(["pyproject.toml", "uv.lock", "Makefile", "README.md", "LICENSE", ".gitignore", ".ci"])
FOLDERS = frozenset(["domain", "engine", "projections", "adapters", "tests", "docs"])


def _ignored(name: str) -> bool:
    """Whether .gitignore names it: what a run leaves behind is nobody's choice of name."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.strip("/") for line in lines if line and not line.startswith("#")]
    return any(Path(name).match(pattern) for pattern in patterns)


def _entries(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if _ignored(path.name) or path == LINKS or path.name == ".git":
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _entries(path)


def _empty_words_in(name: str) -> set[str]:
    return set(re.split(r"[^a-z]+", name.lower())) & EMPTY_WORDS


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    paths = [path.relative_to(ROOT).as_posix() for path in _entries(ROOT) if _empty_words_in(path.name)]
    assert paths == []


def test_the_top_level_holds_what_is_expected_there_and_nothing_else() -> None:
    names = {path.name for path in ROOT.iterdir() if not _ignored(path.name)}
    assert names - PROJECT_FILES - FOLDERS - {".git"} == set()


def test_an_empty_word_is_found_within_a_name() -> None:
    assert _empty_words_in("task_manager.py") == {"manager"}
    assert _empty_words_in("Utils") == {"utils"}
    assert _empty_words_in("database.py") == set()
    assert _empty_words_in("score.py") == set()
