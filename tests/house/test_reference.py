"""The mechanical part of the reference is what the code says, and every limit that it names is one that holds."""

import ast

import pytest

from tests.house.reference import PARTS, made_new, names_in, pages
from tests.house.tree import ROOT, library_files, shown, syntax_tree


@pytest.mark.parametrize("path", [pytest.param(path, id=shown(path)) for path in pages()])
def test_a_page_says_what_the_code_says(path: object) -> None:
    page = (ROOT / str(path)).read_text(encoding="utf-8")
    assert made_new(page) == page, "write it anew with `python -m tests.house.reference`"


def test_everything_that_can_be_made_from_the_code_is_on_one_page() -> None:
    named = [name for path in pages() for name in names_in(path.read_text(encoding="utf-8"))]
    assert sorted(named) == sorted(PARTS)


def test_a_page_that_differs_from_the_code_is_noticed() -> None:
    stale = "before\n<!-- made from the code: risk tags -->\n\n| `harmless` | nothing |\n\n<!-- end -->\nafter\n"
    new = made_new(stale)
    assert new.startswith("before\n<!-- made from the code: risk tags -->\n\n| tag | shown as |\n")
    assert new.endswith("\n\n<!-- end -->\nafter\n")
    assert "harmless" not in new
    assert made_new(new) == new


def test_every_limit_of_the_engine_bounds_something() -> None:
    limits = {
        node.target.id
        for node in syntax_tree(ROOT / "engine" / "limits.py").body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    named = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for path in library_files("engine", "adapters")
        if path.name != "limits.py"
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, ast.Attribute | ast.Name)
    }
    assert sorted(limits - named) == [], "a limit that nothing heeds is a promise that is not kept"
