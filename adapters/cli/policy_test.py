"""`cowork policy test`: cases and examples of policies, and which rules they never reach."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from ...domain.policy_case import RuleReach
from . import output
from .exit_status import ExitStatus
from .policy_cases import CaseResult, CaseRunner, Ran
from .policy_check import JsonOption

if TYPE_CHECKING:
    from ...domain.policy_case import CaseFile
    from ...domain.policy_document import Layer


class ExampleFailure(msgspec.Struct, frozen=True, rename="camel"):
    """An example in a document that does not hold."""

    file: str
    line: int
    message: str


class PolicyTest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the cases and examples came to.

    `rules` is how many rules and limits the tested documents have, `reached` how many of them decided in a case or
    match an example; `percent` is their share, 100 where there are none. `coverage` lists each with its number of
    cases.
    """

    cases: tuple[CaseResult, ...]
    examples: int
    failed_cases: int
    failed_examples: tuple[ExampleFailure, ...]
    coverage: tuple[RuleReach, ...]
    rules: int
    reached: int
    percent: float


def run_cases(
    files: Annotated[list[Path], Parameter(help="A file of cases, or a policy file with examples.", negative="")],
    /,
    *,
    min_coverage: Annotated[
        float, Parameter(help="Fail where fewer percent of the rules decided in some case.", negative="")
    ] = 0.0,
    json: JsonOption = False,
) -> ExitStatus:
    """Run the cases in files, and the examples in policy files, and say which rules decided in none.

    Ends with 1 where a case or an example fails or too few rules are reached, with 2 where a file can't be read.

        cowork policy test team-cases.toml
        cowork policy test team.toml team-cases.toml --min-coverage 100
    """
    tested = _tested(files)
    if json:
        output.document(tested)
    else:
        _print(tested, min_coverage)
    is_fine = not tested.failed_cases and not tested.failed_examples and tested.percent >= min_coverage
    return ExitStatus.DONE if is_fine else ExitStatus.FAILED


def _tested(files: Iterable[Path]) -> PolicyTest:
    from ...domain.policy_case import reach_of
    from ..bootstrap import cases_in_file

    ran: list[Ran] = []
    documents: dict[str, Layer] = {}
    failures: list[ExampleFailure] = []
    for path in files:
        case_file = cases_in_file(path)
        if case_file is None:
            found, broken = _document(path)
            failures += broken
        else:
            found, results = _run(case_file)
            ran += results
        for digest, layer in found.items():
            documents.setdefault(digest, layer)
    tested = _without_shipped(documents)
    coverage = reach_of(list(tested.values()), [one.decided for one in ran])
    reached = sum(1 for one in coverage if one.cases)
    rules = [rule for layer in tested.values() for rule in layer.document.rules]
    return PolicyTest(
        cases=tuple(one.result for one in ran),
        examples=sum(len(rule.match) + len(rule.not_match) for rule in rules),
        failed_cases=sum(1 for one in ran if not one.result.passed),
        failed_examples=tuple(failures),
        coverage=tuple(coverage),
        rules=len(coverage),
        reached=reached,
        percent=100 * reached / len(coverage) if coverage else 100.0,
    )


def _document(path: Path) -> tuple[dict[str, "Layer"], list[ExampleFailure]]:
    """Return a policy file's document, or the examples in it that fail. Raises `DomainError` for other mistakes."""
    from ..bootstrap import document_in_file, faults_in_file

    faults = faults_in_file(path)
    if faults and all(one.code == "example" for one in faults):
        return {}, [ExampleFailure(str(path), one.line, one.message) for one in faults]
    layer = document_in_file(path, str(path))
    return {layer.digest: layer}, []


def _run(case_file: "CaseFile") -> tuple[dict[str, "Layer"], list[Ran]]:
    from ..bootstrap import document_in_file

    files = {name: document_in_file(Path(path), name) for name, path in case_file.files.items()}
    runner = CaseRunner(case_file, files)
    results = list(runner.run())
    return runner.documents, results


def _without_shipped(documents: Mapping[str, "Layer"]) -> dict[str, "Layer"]:
    """Leave out the shipped documents where others are tested: then they only stand behind those."""
    from .policy_cases import SHIPPED

    shipped = {layer.digest for layer in SHIPPED.values()}
    others = {digest: one for digest, one in documents.items() if digest not in shipped}
    return others if any(one.document.rules or one.document.limits for one in others.values()) else dict(documents)


def _print(tested: PolicyTest, min_coverage: float) -> None:
    from ...projections.visible_text import visible, visible_line
    from .layout import plural

    for one in tested.cases:
        if not one.passed:
            output.line(f"{visible(one.file)}:{one.line}: failed: {visible(one.id)}")
            for line in _difference(one):
                output.line(f"  {line}")
    for failure in tested.failed_examples:
        output.line(f"{visible(failure.file)}:{failure.line}: failed: {visible_line(failure.message)}")
    cases, examples = len(tested.cases), tested.examples + len(tested.failed_examples)
    amounts = [plural(cases, "case")] if cases or not examples else []
    amounts += [plural(examples, "example")] if examples else []
    failed = tested.failed_cases + len(tested.failed_examples)
    output.line(f"{' and '.join(amounts)}: {f'{failed} failed' if failed else 'all as expected'}")
    never = [one for one in tested.coverage if not one.cases]
    if tested.coverage:
        output.line(f"rules that decided in a case: {tested.reached} of {tested.rules} ({tested.percent:.0f} %)")
    for unreached in never:
        output.line(f"  never: {visible(unreached.document)}: {visible(unreached.rule)}")
    if tested.percent < min_coverage:
        output.line(f"that is less than {min_coverage:g} %")


def _difference(one: CaseResult) -> list[str]:
    """Return the lines that say what was expected and what came."""
    if isinstance(one.got, dict) and "error" in one.got:
        return [f"expected {_shown(one.expected)}", f"it can't be asked: {_shown(one.got['error'])}"]
    if not isinstance(one.expected, dict) or not isinstance(one.got, dict):
        return [f"expected {_shown(one.expected)}", f"got      {_shown(one.got)}"]
    from ...domain.policy_case import is_as_expected

    lines: list[str] = []
    for key, value in one.expected.items():
        if not is_as_expected({key: value}, one.got):
            got = _shown(one.got[key]) if key in one.got else "nothing"
            lines += [f"expected {key} {_shown(value)}, got {got}"]
    if "reason" in one.got and "reason" not in one.expected:
        lines.append(f"because: {_shown(one.got['reason'])}")
    return lines


def _shown(value: object) -> str:
    from ...projections.visible_text import visible_line

    return visible_line(value if isinstance(value, str) else msgspec.json.encode(value).decode())
