"""What `tighten` returns: a document, what in history each of its rules rests on, and what nobody needed."""

import msgspec

from ..domain.policy_document import Layer, PolicyDocument, Verdict, layer
from .backtest_report import Example


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the parts are written."""


class Evidence(_Part, frozen=True):
    """What a proposed rule rests on: how many actions needed it, and to how many of them a person said yes first."""

    rule: str
    verdict: Verdict
    actions: int
    asked: int
    examples: tuple[Example, ...]


class LeftOut(_Part, frozen=True):
    """What was wanted and has no rule of its own: denied, rejected, never answered or failed. `rule` said so."""

    kind: str
    why: str
    rule: str
    actions: int
    examples: tuple[Example, ...]


class GrantUse(_Part, frozen=True):
    """A granted folder, over all its grants: what of them nothing that succeeded needed. Output roots are absolute."""

    root_path: str
    grants: int
    grants_never_used: int
    verbs: tuple[str, ...]
    verbs_never_used: tuple[str, ...]
    output_roots: tuple[str, ...]
    output_roots_never_used: tuple[str, ...]


class Proposal(_Part, frozen=True):
    """The document that history up to `position` needed, from `since` on.

    `rules_never_needed` are those of the present layers (`layer:id`) that no decision matched.
    """

    position: int
    since: int
    document: PolicyDocument
    evidence: tuple[Evidence, ...]
    left_out: tuple[LeftOut, ...]
    rules_never_needed: tuple[str, ...]
    grants: tuple[GrantUse, ...]

    def as_layer(self, name: str = "tightened") -> Layer:
        """Return the document as a layer that narrows those that are there."""
        return layer(name, self.document)
