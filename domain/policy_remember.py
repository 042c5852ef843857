"""Making a remembered approval of a question: never wider than what was asked, unless a person says by how much.

What it may not be: for deletion, for code and subagents, for what could not be read or was not known, and for a rule
that wants to be asked every time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from .errors import DomainError
from .policy_approval import Approval, ApprovalScope
from .policy_decision import Decision
from .policy_place import is_absolute, is_under, tidy
from .policy_request import Request
from .risk import RISK_WORDS

RememberScope: TypeAlias = Literal["task", "session", "workspace"]
REMEMBER_SCOPES: Final[tuple[RememberScope, ...]] = get_args(RememberScope)

DAYS_DEFAULT: Final[dict[RememberScope, int]] = {"task": 1, "session": 1, "workspace": 30}
DAYS_MAX: Final = 365
USES_MAX: Final = 10_000
_NEVER: Final = ("file.delete", "file.restore", "code.run", "subagent.spawn")


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wants to be remembered: where it holds, and by how much it may be more than the action at hand.

    `within` is an absolute folder instead of the very file; `command` the first words of a command instead of all of
    them; `days` and `uses` bound it; without them it holds for the default of its scope, and for any number of uses.
    """

    scope: RememberScope
    within: str = ""
    command: tuple[str, ...] = ()
    days: int | None = None
    uses: int | None = None
    subagents: bool = False


def make_approval(
    name: str, requests: Sequence[Request], decisions: Sequence[Decision], wish: Wish, now: datetime
) -> Approval:
    """Return the approval that answers for these requests and for what the wish adds.

    Raises `DomainError` denied (it can't be remembered) or invalid (the wish does not hold the requests).
    """
    kinds = {request.action for request in requests}
    if len(kinds) != 1:
        raise DomainError("denied", "a question about different kinds of actions can't be remembered", "answer it once")
    first = requests[0]
    _refuse_what_is_never_remembered(first.action, decisions)
    days = DAYS_DEFAULT[wish.scope] if wish.days is None else wish.days
    if not 0 < days <= DAYS_MAX:
        raise DomainError("invalid", f"`{days}` days is not from 1 to {DAYS_MAX}")
    if wish.uses is not None and not 0 < wish.uses <= USES_MAX:
        raise DomainError("invalid", f"`{wish.uses}` uses is not from 1 to {USES_MAX}", "without it, any number is")
    if wish.command and first.action != "shell.exec":
        raise DomainError(
            "invalid", f"the question is about {first.action}, not about a command", "leave --command out"
        )
    approval = Approval(
        id=name,
        action=first.action,
        rule_ids=tuple(dict.fromkeys(rule for decision in decisions for rule in decision.confirm_rules)),
        risk_tags=tuple(dict.fromkeys(tag for decision in decisions for tag in decision.risk_tags)),
        scope=_scope(wish.scope, first),
        expires_at=now + timedelta(days=days),
        uses_left=wish.uses,
        include_subagents=wish.subagents,
    )
    return msgspec.structs.replace(approval, **_resource(requests, wish))


def _refuse_what_is_never_remembered(kind: str, decisions: Sequence[Decision]) -> None:
    if kind in _NEVER:
        raise DomainError("denied", f"an approval of {kind} is never remembered", "answer each question")
    for decision in decisions:
        if decision.by_missing_fact:
            missing = ", ".join(decision.missing_facts)
            raise DomainError("denied", f"something was not known ({missing}), so it can't be remembered")
        if not decision.rememberable:
            asking = ", ".join(decision.confirm_rules)
            raise DomainError("denied", f"the rule `{asking}` wants to be asked every time", "answer each question")


def _scope(scope: RememberScope, request: Request) -> ApprovalScope:
    match scope:
        case "task":
            return ApprovalScope(task=request.task)
        case "session":
            return ApprovalScope(session=request.session)
        case "workspace":
            return ApprovalScope(workspace=request.workspace)


def _resource(requests: Sequence[Request], wish: Wish) -> dict[str, str | tuple[str, ...] | None]:
    first = requests[0]
    kind = first.action
    if kind.startswith("file."):
        return {"path_prefix": _path_prefix(requests, wish)}
    if kind == "network.request":
        hosts = {request.host for request in requests}
        if len(hosts) != 1:
            raise DomainError("denied", "a question about several hosts can't be remembered", "answer it once")
        return {"host": first.host}
    if kind == "shell.exec":
        return {"command_prefix": _command_prefix(requests, wish), "path_prefix": str(first.path)}
    tools = {(request.connector, request.tool, request.tool_digest) for request in requests}
    if len(tools) != 1 or first.tool is None:
        raise DomainError("denied", "a question about several tools can't be remembered", "answer it once")
    return {"connector": first.connector, "tool": first.tool, "tool_digest": first.tool_digest}


def _path_prefix(requests: Sequence[Request], wish: Wish) -> str:
    places = [tidy(place) for one in requests for place in (one.path, one.to_path) if isinstance(place, str)]
    if not wish.within:
        if len(set(places)) != 1:
            raise DomainError("invalid", "the question is about several places", "name a folder with --within")
        return places[0]
    if not is_absolute(wish.within):
        raise DomainError("invalid", f"`{wish.within}` is not an absolute path without `..`")
    folder = tidy(wish.within)
    outside = [place for place in places if not is_under(place, folder)]
    if outside:
        raise DomainError("invalid", f"`{outside[0]}` does not lie in `{folder}`")
    # An approval is about a place in one granted folder, not about the machine.
    if not all(is_under(folder, request.workspace) for request in requests):
        raise DomainError("invalid", f"`{folder}` reaches beyond the granted folder `{requests[0].workspace}`")
    return folder


def _command_prefix(requests: Sequence[Request], wish: Wish) -> tuple[str, ...]:
    commands = {command for request in requests for command in request.commands or ()}
    if not commands or any(not request.commands for request in requests):
        raise DomainError("denied", "a command that can't be read word by word can't be remembered", "answer it once")
    wished = wish.command or (next(iter(commands)) if len(commands) == 1 else ())
    if not wished:
        raise DomainError("invalid", "the script has several commands", "name their common words with --command")
    unlike = [command for command in commands if command[: len(wished)] != wished]
    if unlike:
        raise DomainError("invalid", f"`{' '.join(unlike[0])}` does not begin with `{' '.join(wished)}`")
    return wished


# In words -----------------------------------------------------------------------------------------------------------


def resource_in_words(approval: Approval) -> str:
    """Return what an approval is about, such as `file.write in /home/ann/out`."""
    if approval.command_prefix is not None:
        return f"commands that begin with `{' '.join(approval.command_prefix)}`, run in `{approval.path_prefix}`"
    if approval.path_prefix is not None:
        return f"{approval.action} of `{approval.path_prefix}` and what lies in it"
    if approval.host is not None:
        return f"{approval.action} to `{approval.host}`"
    return f"{approval.action} by the tool `{approval.tool}` of connector `{approval.connector}`, as it is now"


def scope_in_words(approval: Approval) -> str:
    """Return where an approval holds."""
    scope = approval.scope
    if scope.task:
        return f"in the task {scope.task}"
    if scope.session:
        return f"in the session {scope.session}"
    return f"in every session on the folder `{scope.workspace}`"


def sentence_of(approval: Approval) -> str:
    """Return the whole rule as one sentence for a person."""
    words: dict[str, str] = {str(tag): word for tag, word in RISK_WORDS.items()}
    risks = ", ".join(words.get(tag, tag) for tag in approval.risk_tags) or "no risk"
    uses = "" if approval.uses_left is None else f", {approval.uses_left} times"
    agents = "and its subagents" if approval.include_subagents else "and not its subagents"
    until = "" if approval.expires_at is None else f", until {approval.expires_at:%Y-%m-%d %H:%M} UTC"
    return (
        f"Without asking: {resource_in_words(approval)}, {scope_in_words(approval)}, for the agent {agents}, where"
        f" {' and '.join(f'`{rule}`' for rule in approval.rule_ids)} would ask and nothing is riskier than: {risks}"
        f"{uses}{until}."
    )


def near_misses(approval: Approval, request: Request) -> tuple[tuple[Request, str], ...]:
    """Return requests much like the one at hand which the approval may not answer, each with what differs."""
    found: list[tuple[Request, str]] = []
    if approval.path_prefix is not None and request.action.startswith("file."):
        prefix = approval.path_prefix
        beside = f"{prefix}-2"
        moved = {"to_path": beside} if isinstance(request.to_path, str) else {}
        found.append((msgspec.structs.replace(request, path=beside, **moved), f"`{beside}`: beside it, not in it"))
    if approval.command_prefix:
        words = approval.command_prefix
        other = (*words[:-1], f"{words[-1]}-other")
        found.append((msgspec.structs.replace(request, commands=(other,)), f"`{' '.join(other)}`: another command"))
        second = (words, ("curl", "example.com"))
        found.append((msgspec.structs.replace(request, commands=second), f"`{' '.join(words)} && curl example.com`"))
    if approval.host is not None:
        host = f"other.{approval.host}"
        found.append((msgspec.structs.replace(request, host=host), f"`{host}`: another host"))
    if approval.tool is not None:
        found.append(
            (msgspec.structs.replace(request, tool_digest="changed"), "the same tool once its description changed")
        )
    tainted = msgspec.structs.replace(request, labels=("web",))
    found.append((tainted, "the same, when it follows from what an outsider wrote"))
    if not approval.include_subagents:
        found.append((msgspec.structs.replace(request, depth=1), "the same, asked by a subagent"))
    return tuple(found)
