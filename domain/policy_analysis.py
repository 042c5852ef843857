"""Static analysis of policy: `lint`, `diff`, `prove` and `who_can`.

Each asks of all requests at once, and answers with a request that shows it, confirmed by the evaluator (`judge`), with
a proof that there is none, or with what it could not settle. What all of them take for granted is `ASSUMPTIONS`.

Method: per kind of action the rules become formulas over facts (`policy_encoding.py`), a small solver
(`policy_solver.py`) proposes facts, and automata (`policy_automaton.py`) and a few other searches make a path, a host,
a tool or a time of them, or tell the solver which facts exclude each other.
"""

from collections.abc import Sequence
from typing import TypeAlias

from .policy_diff import Change, PolicyDiff, Unsettled, diff_layers
from .policy_document import Layer, PolicyDocument, layer
from .policy_finding import CODES, Finding, LintReport
from .policy_lint import lint_layers
from .policy_proof import Nobody, Proof, Reach, ReachReport, prove_claim, reach_of
from .policy_question import ASSUMPTIONS
from .policy_witness import Witness

__all__ = [
    "ASSUMPTIONS",
    "CODES",
    "Change",
    "Finding",
    "LintReport",
    "Nobody",
    "PolicyDiff",
    "Proof",
    "Reach",
    "ReachReport",
    "Unsettled",
    "Witness",
    "diff",
    "lint",
    "prove",
    "who_can",
]

Policy: TypeAlias = PolicyDocument | Layer | Sequence[Layer]
"""A document, a layer, or layers over each other."""


def lint(policy: Policy) -> LintReport:
    """Return what there is to say of a policy: what does nothing, comes too late, or holds nothing back."""
    return lint_layers(_layers(policy))


def diff(old: Policy, new: Policy) -> PolicyDiff:
    """Return what becomes allowed, asked about or denied from one policy to the other."""
    return diff_layers(_layers(old), _layers(new))


def prove(policy: Policy, claim: str) -> Proof:
    """Return whether a claim such as `no file.write outside outputRoots without confirm` holds.

    The forms are in `policy_claim.py`. Raises `DomainError` invalid for a text that is no claim.
    """
    return prove_claim(_layers(policy), claim)


def who_can(policy: Policy, action: str, *, pattern: str = "", host: str = "") -> ReachReport:
    """Return for everything that decides about an action one request; with `pattern` or `host`, of that place.

    Raises `DomainError` invalid for an action, pattern or host that is none.
    """
    return reach_of(_layers(policy), action, pattern=pattern, host=host)


def _layers(policy: Policy) -> Sequence[Layer]:
    match policy:
        case PolicyDocument():
            return (layer("policy", policy),)
        case Layer():
            return (policy,)
        case _:
            return policy
