"""Remembered approvals: what a person said yes to once and for a while, and when that yes answers a new question.

An approval is bound to the rules that asked, the risk tags that were shown, a resource and a scope. A request that is
more than that in any respect is asked about again.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from .policy_atom import Atom, atoms_of
from .policy_column import FILES
from .policy_decision import Judgement
from .policy_document import Verdict
from .policy_frame import is_before
from .policy_host import parse_entry
from .policy_invariant import kind_named
from .policy_place import in_form, is_under, tidy
from .policy_request import Request


class ApprovalScope(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename="camel", forbid_unknown_fields=True
):
    """Where an approval holds: every id that is given has to be the request's, and one has to be given."""

    session: str = ""
    task: str = ""
    workspace: str = ""


class Approval(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel", forbid_unknown_fields=True
):
    """A yes that is remembered.

    `ruleIds` are the asking rules as `layer:id`. The resource is `pathPrefix` (a file or folder, absolute) for files,
    `host` (an entry of a list of hosts) for the network, `commandPrefix` (tokens) for commands, `tool`, `connector` and
    `toolDigest` for connectors; what has none of them can't be remembered. Without `usesLeft` it may be used again and
    again.
    """

    id: str
    action: str
    rule_ids: tuple[str, ...]
    risk_tags: tuple[str, ...] = ()
    scope: ApprovalScope = ApprovalScope()
    path_prefix: str | None = None
    host: str | None = None
    command_prefix: tuple[str, ...] | None = None
    tool: str | None = None
    connector: str | None = None
    tool_digest: str | None = None
    expires_at: datetime | None = None
    uses_left: int | None = None
    include_subagents: bool = False
    revoked: bool = False


def find_approval(
    approvals: Sequence[Approval], request: Request, judgement: Judgement, risk_tags: Sequence[str]
) -> Approval | None:
    """Return the first approval that answers the question which the judgement asks; None where none does."""
    verdict: Verdict = judgement.verdict
    if verdict != "allow_with_confirm" or judgement.kind is None or not approvals:
        return None
    if not judgement.rememberable:
        return None
    asking = [rule for rule, _ in judgement.asking()]
    for approval in approvals:
        if (
            is_in_force(approval, request.now)
            and _is_in_scope(approval, request)
            and is_about(approval, request, asking, risk_tags)
        ):
            return approval
    return None


def is_about(approval: Approval, request: Request, asking: Sequence[str], risk_tags: Sequence[str]) -> bool:
    """Whether the approval is about the request, which these rules ask about: its action, resource, rules and risks."""
    kind = kind_named(request.action)
    return (
        kind is not None
        and approval.action == kind
        and set(asking) <= set(approval.rule_ids)
        and set(risk_tags) <= set(approval.risk_tags)
        and all(_covers(approval, atom) for atom in atoms_of(kind, request))
    )


def is_in_force(approval: Approval, now: datetime | None) -> bool:
    """Whether the approval was not revoked, has not expired and has uses left. One that expires needs a clock."""
    if approval.revoked or (approval.uses_left is not None and approval.uses_left <= 0):
        return False
    return approval.expires_at is None or (now is not None and is_before(now, approval.expires_at))


def _is_in_scope(approval: Approval, request: Request) -> bool:
    if (request.depth is None or request.depth > 0) and not approval.include_subagents:
        return False
    wanted = approval.scope
    pairs = (
        (wanted.session, request.session),
        (wanted.task, request.task),
        (wanted.workspace, request.workspace),
    )
    given = [(wish, actual) for wish, actual in pairs if wish]
    return bool(given) and all(wish == actual for wish, actual in given)


def _covers(approval: Approval, atom: Atom) -> bool:
    """Whether the approval's resource holds everything that the atom touches."""
    if approval.path_prefix is not None and atom.places and not _covers_places(approval.path_prefix, atom):
        return False
    kind = atom.kind
    if kind in FILES:
        return approval.path_prefix is not None
    if atom.places and approval.path_prefix is None and kind != "shell.exec":
        return False
    if kind == "network.request":
        entry = None if approval.host is None else parse_entry(approval.host)
        return entry is not None and atom.host is not None and entry.matches(atom.host)
    if kind == "shell.exec":
        prefix = approval.command_prefix
        return bool(prefix) and atom.command is not None and atom.command[: len(prefix or ())] == prefix
    request = atom.request
    return (
        kind in ("connector.read", "connector.action")
        and approval.tool is not None
        and (approval.tool, approval.connector, approval.tool_digest)
        == (request.tool, request.connector, request.tool_digest)
    )


def _covers_places(prefix: str, atom: Atom) -> bool:
    root = tidy(prefix)
    return all(is_under(path, in_form(root, form)) for form, path in atom.places)
