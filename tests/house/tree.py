"""What the rules of the house look at: the files of this checkout, and their syntax trees."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RINGS = ("domain", "engine", "projections", "adapters")
LINKS = ROOT / "tests" / "_src"


def library_files(*rings: str) -> Iterator[Path]:
    """Yield the Python files of the given rings (of all rings, without arguments), in the order of their paths."""
    for ring in rings or RINGS:
        yield from sorted((ROOT / ring).rglob("*.py"))


def files_of_tests() -> Iterator[Path]:
    """Yield the Python files below tests/, without the links to the library."""
    yield from (path for path in sorted((ROOT / "tests").rglob("*.py")) if not path.is_relative_to(LINKS))


@cache
def syntax_tree(path: Path) -> ast.Module:
    """Return the parsed file; a syntax error fails the test that asks."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def shown(path: Path) -> str:
    """Return the path as people write it, from the root of the checkout."""
    return path.relative_to(ROOT).as_posix()
