"""Growth is noticed on the day it happens: no function and no file crosses its limit without a reason in this file."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import files_of_tests, library_files, shown, syntax_tree

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500

# Today's exceptions: what may be longer, how long, and why. An entry that is no longer needed must go, and the number
# is an upper bound that may only shrink.
LONG_FUNCTIONS: dict[str, tuple[int, str]] = {}
LONG_FILES: dict[str, tuple[int, str]] = {}


def _files() -> list[Path]:
    return [*library_files(), *files_of_tests()]


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each function's name and length in lines, without its docstring: an explanation is not complexity."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{prefix}{child.name}"
                yield f"{shown(path)}::{name}", _lines(child) - _docstring_lines(child)
                yield from walk(child, f"{name}.")
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")
            else:
                yield from walk(child, prefix)

    yield from walk(syntax_tree(path), "")


def _lines(node: ast.stmt | ast.expr) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _docstring_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[0]
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return _lines(first) if is_text else 0


def _longest_first(lengths: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(lengths.items(), key=lambda item: (-item[1], item[0]))


def _complaints(lengths: dict[str, int], limit: int, allowed: dict[str, tuple[int, str]]) -> list[str]:
    complaints: list[str] = []
    for name, lines in _longest_first(lengths):
        bound = allowed[name][0] if name in allowed else limit
        if lines > bound:
            complaints.append(f"{name} has {lines} lines, more than {bound}: split it by what it does")
        elif name in allowed and lines <= limit:
            complaints.append(f"{name} has {lines} lines and needs no exception any more: remove its entry")
    complaints += [f"{name} is gone: remove its entry" for name in allowed if name not in lengths]
    complaints += [f"{name} has no reason for its exception" for name, (_, reason) in allowed.items() if not reason]
    return complaints


def _print_longest(title: str, lengths: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{title}")
        for name, lines in _longest_first(lengths)[:10]:
            print(f"{lines:6}  {name}")


def test_no_function_grows_past_its_limit(capsys: pytest.CaptureFixture[str]) -> None:
    lengths = dict(function for path in _files() for function in _functions(path))
    _print_longest("longest functions (lines)", lengths, capsys)
    assert _complaints(lengths, FUNCTION_LINES_MAX, LONG_FUNCTIONS) == []


def test_no_file_grows_past_its_limit(capsys: pytest.CaptureFixture[str]) -> None:
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in _files()}
    _print_longest("longest files (lines)", lengths, capsys)
    assert _complaints(lengths, FILE_LINES_MAX, LONG_FILES) == []


def test_an_exception_is_an_upper_bound_and_goes_when_it_is_not_needed() -> None:
    allowed = {"grew": (80, "a table"), "shrank": (80, "a table"), "gone": (80, "a table"), "silent": (80, "")}
    complaints = _complaints({"grew": 81, "shrank": 70, "silent": 75, "small": 70, "large": 71}, 70, allowed)
    assert [complaint.split()[0] for complaint in complaints] == ["grew", "large", "shrank", "gone", "silent"]
