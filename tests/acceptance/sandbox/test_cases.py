"""Every case of commands and of the network has a test, and every test that is named is there."""

import ast
from pathlib import Path

from tests.acceptance.sandbox.cases import CASES

HERE = Path(__file__).parent
SHELL = (1, 2, 3, 5, 8, 9, 11, 12, 14, 16, 18, 19, 22, 25, 26, 27, 28, 30, 31)
NETWORK = (1, 2, 3, 5, 6, 8, 10, 11, 13, 14, 16, 17, 22)


def test_every_case_has_a_test() -> None:
    wanted = {f"SHL-{n:02}" for n in SHELL} | {f"NET-{n:02}" for n in NETWORK} | {"CNF-06"}
    assert {case for case, tests in CASES.items() if tests} == wanted


def test_every_test_that_is_named_is_there() -> None:
    named = {test for tests in CASES.values() for test in tests}
    there = {
        f"{path.name}::{node.name}"
        for path in HERE.glob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert named - there == set()
