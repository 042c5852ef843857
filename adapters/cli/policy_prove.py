"""`cowork policy prove` and `who-can`: claims that hold for every request, and the ways to each answer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from . import output
from .exit_status import ExitStatus
from .policy_check import JsonOption
from .policy_stack import AsOption, LayerName, example_line, stack_of, stack_of_machine

if TYPE_CHECKING:
    from ...domain.policy_analysis import Proof, ReachReport
    from ...domain.policy_document import Layer


def prove(
    claim: Annotated[str, Parameter(help="`no ACTION [WHERE …] [without confirm]`, in quotes.")],
    file: Annotated[Path | None, Parameter(help="A policy file; without it, what is in force on this machine.")] = None,
    /,
    *,
    layer: AsOption = "root",
    json: JsonOption = False,
) -> ExitStatus:
    """Prove that something is never allowed, or never without asking; or show the request that refutes it.

    WHERE is any of `inside PLACE`, `outside PLACE`, `matching PATTERN`, `to HOST`, `through CONNECTOR`, `when FLAG`,
    `when not FLAG`; a PLACE is `outputRoots`, `grants`, or an absolute path. Ends with 1 where it is refuted or can't
    be settled.

        cowork policy prove "no file.delete without confirm"
        cowork policy prove "no file.write outside outputRoots without confirm" team.toml
    """
    from ...domain.policy_analysis import prove as prove_claim

    stack = _stack(file, layer)
    proof = prove_claim(stack, claim)
    if json:
        output.document(proof)
    else:
        _print_proof(proof, stack)
    return ExitStatus.DONE if proof.status == "proved" else ExitStatus.FAILED


def _stack(file: Path | None, layer: LayerName) -> "tuple[Layer, ...]":
    return stack_of_machine() if file is None else stack_of(file, layer)


def _print_proof(proof: "Proof", stack: "tuple[Layer, ...]") -> None:
    from ...projections.visible_text import visible_line

    output.line(f"{proof.status}: {visible_line(proof.claim)}")
    output.line(f"  {visible_line(proof.why)}")
    if proof.witness is not None:
        output.line(f"  {example_line(proof.witness, stack)}")


def who_can(
    action: Annotated[str, Parameter(help="An action, such as file.delete, or several, such as file.*")],
    pattern: Annotated[str, Parameter(help="Only where the path matches, or, for the network, to this host.")] = "",
    /,
    *,
    policy: Annotated[
        Path | None, Parameter(help="A policy file; without it, what is in force on this machine.", negative="")
    ] = None,
    layer: AsOption = "root",
    json: JsonOption = False,
) -> None:
    """Say how an action gets each answer: every rule that decides about it with a request, and what never happens.

    cowork policy who-can file.delete
    cowork policy who-can "file.*" "/home/ann/private/**"
    cowork policy who-can network.request api.example.com --policy team.toml
    """
    from ...domain.policy_analysis import who_can as reach

    is_host = bool(pattern) and action.startswith("network.")
    stack = _stack(policy, layer)
    report = reach(stack, action, pattern="" if is_host else pattern, host=pattern if is_host else "")
    if json:
        output.document(report)
    else:
        _print_reach(report, stack)


def _print_reach(report: "ReachReport", stack: "tuple[Layer, ...]") -> None:
    from ...projections.policy_words import VERDICT_WORDS
    from ...projections.visible_text import visible, visible_line

    for kind in dict.fromkeys((*(one.kind for one in report.reached), *(one.kind for one in report.nobody))):
        output.line(f"{kind}:")
        for one in report.reached:
            if one.kind == kind:
                output.line(f"  {VERDICT_WORDS[one.verdict]} by {visible(one.rule)}")
                output.line(f"    {example_line(one.witness, stack)}")
        never = [VERDICT_WORDS[one.verdict] for one in report.nobody if one.kind == kind]
        if never:
            output.line(f"  proved: never {' nor '.join(never)}")
    for open_part in report.unsettled:
        output.line(f"not settled for {open_part.kind}: {visible_line(open_part.why)}")
