"""What a lint of policy says: findings, each with its rules, a sentence, and a request that shows it."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from .action import ActionKind
from .policy_witness import Witness

FindingCode: TypeAlias = Literal[
    "dead-rule",
    "deny-never-bites",
    "never-decides",
    "overridden-everywhere",
    "overridden-by-layers",
    "overridden-by-weaker",
    "order-dependent",
    "redundant-rule",
    "dead-exception",
    "dead-pattern",
    "limit-always-exceeded",
    "allows-everything",
    "allowed-unasked",
]
Severity: TypeAlias = Literal["error", "warning", "note"]
Status: TypeAlias = Literal["proved", "not settled"]

CODES: Final[Mapping[FindingCode, str]] = {
    "dead-rule": "no request ever matches the rule",
    "deny-never-bites": "1.0: the rule denies, but wherever it matches, an earlier rule answers",
    "never-decides": "1.0: wherever the rule matches, an earlier rule answers",
    "overridden-everywhere": "1.1: wherever the rule matches, a stricter rule matches too",
    "overridden-by-layers": "wherever the rule decides in its own layer, another layer is stricter",
    "overridden-by-weaker": "1.0: a request matches the rule, and an earlier rule lets more of it through",
    "order-dependent": "1.0: two rules match one request, and exchanging them would change the answer",
    "redundant-rule": "the answers would be the same without the rule",
    "dead-exception": "a member of `unless` never applies where the rule matches",
    "dead-pattern": "a member of a list that nothing can ever match",
    "limit-always-exceeded": "a limit that leaves room for nothing",
    "allows-everything": "nothing is asked about or denied, but by the invariants",
    "allowed-unasked": "shell, code or network is allowed without asking",
}
"""What each code means."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One thing that a lint found.

    `rules` are ids in `layer`, the one it is about first; none stands for the layer, or for all layers, as a whole.
    `kind` is the kind of action of the witness, or the only one that the finding is about. `status` is `proved` where
    the evaluator confirmed the witness, or where there is a proof that no request exists.
    """

    code: FindingCode
    severity: Severity
    layer: str = ""
    rules: tuple[str, ...] = ()
    kind: ActionKind | None = None
    sentence: str
    witness: Witness | None = None
    status: Status = "proved"


class LintReport(msgspec.Struct, frozen=True, rename="camel"):
    """All findings, and what they take for granted."""

    findings: tuple[Finding, ...]
    assumptions: tuple[str, ...]

    @property
    def has_errors(self) -> bool:
        """Whether a finding is an error."""
        return any(finding.severity == "error" for finding in self.findings)


def listed(names: tuple[str, ...] | list[str]) -> str:
    """Return names as a person would list them."""
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}" if quoted else ""


def shown_request(witness: Witness) -> str:
    """Return a request in a few words: what it does, and to what."""
    request = witness.request
    words: list[str] = [request.action]
    if request.commands:
        words.append(" ".join(request.commands[0]))
    elif request.host:
        words += [request.method or "", request.host]
    elif request.connector:
        words += [request.connector, request.tool or ""]
    elif isinstance(request.path, str):
        words.append(request.path)
    return f"`{' '.join(word for word in words if word)}`"
