"""The rule layer of a 1.0 document alone, as the origin's code answers it: for checking that its documents still work.

Unlike a decision of this engine it has no invariants, and a missing fact makes a condition false.
"""

import msgspec

from .policy_atom import Atom, Sight, atoms_of
from .policy_document import VERDICTS, Layer, PolicyDocument, Verdict
from .policy_frame import ReadyScope
from .policy_invariant import kind_named
from .policy_layer import LEVEL, Program
from .policy_request import FrameScope, GrantedRoot, Request


class OriginFacts(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """The facts of the origin's rule layer."""

    action: str
    path: str | None = None
    grant_roots: tuple[str, ...] = ()
    output_roots: tuple[str, ...] = ()
    file_size_bytes: int | float | None = None
    host: str | None = None
    host_allowlist: tuple[str, ...] = ()
    connector_scope_allowed: bool = False
    case_insensitive_paths: bool = False


def origin_answer(document: PolicyDocument, facts: OriginFacts) -> tuple[Verdict, str | None]:
    """Return the verdict and the id of the rule that decides, None where none does."""
    kind = kind_named(facts.action)
    fallback = document.defaults.fallback
    if kind is None:
        return fallback, None
    request = Request(
        action=facts.action,
        path=msgspec.UNSET if facts.path is None else facts.path,
        file_size_bytes=facts.file_size_bytes,
        host=facts.host,
        case_insensitive_paths=facts.case_insensitive_paths,
    )
    scope = FrameScope(
        grants=tuple(GrantedRoot(root=root) for root in facts.grant_roots),
        output_roots=facts.output_roots,
        host_allowlist=facts.host_allowlist,
    )
    program = Program(Layer("origin", document, b""), kind)
    (atom,) = atoms_of(kind, request)[:1]
    known, maybe = program.ask(_OriginSight(atom, ReadyScope(scope), connector_allowed=facts.connector_scope_allowed))
    del maybe  # what may match does not match here: that is the difference
    found = program.rules_of(known)
    if not found:
        return fallback, None
    first = found[0] if program.first_match else max(found, key=lambda rule: LEVEL[rule.decision])
    return VERDICTS[LEVEL[first.decision]], first.id


class _OriginSight(Sight):
    """A sight whose connector answer was given with the facts."""

    __slots__ = ("_allowed",)

    def __init__(self, atom: Atom, scope: ReadyScope, *, connector_allowed: bool) -> None:
        super().__init__(atom, scope)
        self._allowed = connector_allowed

    def connector_allowed(self) -> bool | None:
        """See `Sight`."""
        return self._allowed
