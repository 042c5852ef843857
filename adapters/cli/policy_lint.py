"""`cowork policy lint`: rules that do nothing, rules that come too late, documents that hold nothing back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from . import output
from .exit_status import ExitStatus
from .policy_check import JsonOption
from .policy_stack import SHIPPED, AsOption, example_line, stack_of

if TYPE_CHECKING:
    from ...domain.policy_analysis import LintReport
    from ...domain.policy_document import Layer


def lint(
    file: Annotated[Path | None, Parameter(help="A policy file.")] = None,
    /,
    *,
    baseline: Annotated[bool, Parameter(negative="", help="Look at the shipped baseline instead of a file.")] = False,
    layer: AsOption = "root",
    json: JsonOption = False,
) -> ExitStatus:
    """Look for rules that never decide, that come too late, or that hold nothing back; each with a request as a proof.

    Ends with 1 where a finding is an error: a denial that never bites, say. Warnings and notes end with 0.

        cowork policy lint team.toml
        cowork policy lint --as user narrow.toml --json
        cowork policy lint --baseline
    """
    from ...domain.errors import DomainError

    if (file is None) is not baseline:
        raise DomainError("invalid", "one policy file is needed, or `--baseline`", "cowork policy lint team.toml")
    stack = stack_of(Path(SHIPPED) if file is None else file, layer)
    report = _report(stack)
    if json:
        output.document(report)
    else:
        _print(report, stack)
    return ExitStatus.FAILED if report.has_errors else ExitStatus.DONE


def _report(stack: "tuple[Layer, ...]") -> "LintReport":
    """Return what there is to say of the file: what there is to say of the layers around it is not its fault."""
    import msgspec

    from ...domain.policy_analysis import lint as lint_layers

    own = stack[-2].name
    report = lint_layers(stack)
    return msgspec.structs.replace(report, findings=tuple(one for one in report.findings if one.layer in (own, "")))


def _print(report: "LintReport", stack: "tuple[Layer, ...]") -> None:
    from ...projections.visible_text import visible_line
    from .layout import plural

    for finding in report.findings:
        output.line(f"{finding.severity}: {visible_line(finding.sentence)} ({finding.code})")
        if finding.witness is not None:
            output.line(f"  {example_line(finding.witness, stack)}")
    amounts = [
        plural(sum(1 for one in report.findings if one.severity == severity), severity)
        for severity in ("error", "warning", "note")
    ]
    output.line(", ".join(amounts) if report.findings else "nothing to say")
