"""Remembered approvals for the naive evaluator: which of them answers a question, by S10 of the semantics."""

from typing import Any

from tests.domain.policy.naive import atoms_of
from tests.domain.policy.naive_condition import FILES, Facts, host_listed, instant, is_under, root_in

Json = dict[str, Any]


def discharged_by(request: Json, decision: Json, approvals: list[Json]) -> str | None:
    """Return the id of the first approval that answers the question of a decision of the naive evaluator."""
    if decision["decision"] != "allow_with_confirm" or not decision["rememberable"]:
        return None
    return next((approval["id"] for approval in approvals if _answers(approval, request, decision)), None)


def _answers(approval: Json, request: Json, decision: Json) -> bool:
    expiry, now = instant(approval.get("expiresAt")), instant(request.get("now"))
    given = {key: value for key, value in approval["scope"].items() if value}
    return (
        approval["action"] == request["action"]
        and all(asking in approval["ruleIds"] for asking in decision["confirmRules"])
        and all(tag in approval.get("riskTags", ()) for tag in decision["riskTags"])
        and not approval.get("revoked", False)
        and approval.get("usesLeft", 1) > 0
        and (expiry is None or (now is not None and now < expiry))
        and given != {}
        and all(request.get(key) == value for key, value in given.items())
        and (request.get("depth", 0) == 0 or approval.get("includeSubagents", False))
        and all(_covers(approval, request, Facts(request, atom, {})) for atom in atoms_of(request))
    )


def _covers(approval: Json, request: Json, facts: Facts) -> Any:
    """Whether the approval's resource holds what the atom touches: the file, and what the file is for."""
    kind, prefix = request["action"], approval.get("pathPrefix")
    # A script runs somewhere, and its approval need not say where; any other path has to be covered.
    if facts.place is not None and (kind != "shell.exec" or prefix is not None):
        if prefix is None:
            return False
        if not all(is_under(path, root_in(prefix, form)) for form, path in facts.forms(facts.place)):
            return False
    if kind in FILES:
        return prefix is not None
    if kind == "network.request":
        entry = approval.get("host")
        return entry is not None and host_listed([entry], facts.part["host"])
    if kind == "shell.exec":
        tokens = approval.get("commandPrefix")
        return tokens and facts.command and list(facts.command[: len(tokens)]) == list(tokens)
    if kind in {"connector.read", "connector.action"}:
        keys = ("tool", "connector", "toolDigest")
        return approval.get("tool") is not None and all(approval.get(key) == request.get(key) for key in keys)
    return False
