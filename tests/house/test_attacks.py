"""The security model names a test for each attack, and each of these tests exists."""

import ast
import re
from functools import cache

from tests.adapters.files.cases.table import CASES
from tests.house.tree import ROOT

PAGE = ROOT / "docs" / "explanation" / "security-model.md"
HEADING = "## Attacks and the tests that cover them"
_ROW = re.compile(r"^\| *(?P<case>[^|]*?) *\| *(?P<attack>[^|]+?) *\| *(?P<tests>[^|]+?) *\|$", re.MULTILINE)
_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
_CASE = re.compile(r"\b([A-Z]{3}-[0-9]{2})\b")


def _page() -> str:
    page = PAGE.read_text(encoding="utf-8")
    return page[page.index(HEADING) :]


def _rows() -> list[re.Match[str]]:
    """Return the rows of the tables, without their heads."""
    return [row for row in _ROW.finditer(_page()) if row["tests"] not in ("tests", "---")]


@cache
def _tests_of(file: str) -> frozenset[str]:
    """Return the names of the test functions in a file beneath `tests/`, those in classes too."""
    path = ROOT / "tests" / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in found if node.name.startswith("test_"))


def test_every_attack_has_a_test() -> None:
    rows = _rows()
    assert len(rows) > 80, "the tables are read wrongly"
    assert [row["attack"] for row in rows if not _TEST.search(row["tests"])] == []


def test_every_test_that_is_named_exists() -> None:
    named = _TEST.findall(_page())
    assert [f"{file}::{test}" for file, test in named if test not in _tests_of(file)] == []


def test_every_case_is_named_once() -> None:
    named = [row["case"] for row in _rows() if _CASE.fullmatch(row["case"])]
    assert sorted(named) == sorted(set(named))


def test_the_cases_of_paths_and_files_are_those_that_run() -> None:
    """Rows that lead to the table of cases have a case there, and the cases of the table have a row."""
    by_table = {row["case"] for row in _rows() if "test_cases.py::test_case" in row["tests"] and row["case"]}
    named = {row["case"] for row in _rows()}
    run = {case[:6] for case in CASES}
    assert sorted(case for case in by_table if _CASE.fullmatch(case) and case not in run) == []
    assert sorted(run - named) == []
