"""One question to the compiled evaluator, written shortly: rules, a scope and facts as JSON values."""

from typing import Any

from cowork.domain.policy_decision import Decision
from tests.domain.policy.evaluators import judged, ready, tags_of

Json = dict[str, Any]

WS: Json = {
    "grants": [{"root": "/ws"}],
    "outputRoots": ["/ws/out"],
    "hostAllowlist": ["api.example.com", "*.docs.example.com"],
    "connectors": [
        {"id": "mail", "scopes": ["mail.read", "mail.send"], "allowActions": True},
        {"id": "crm", "scopes": ["crm.read"]},
    ],
}
"""The scope where a test names none."""

REQUIRED: dict[str, Json] = {
    "file": {"path": "/ws/a"},
    "shell": {"path": "/ws"},
    "code": {"path": "/ws"},
    "network": {"host": "api.example.com"},
    "connector": {"connector": "mail"},
    "subagent": {},
}
"""The facts without which a kind can't be judged, for tests that are about something else."""


def rule(decision: str, action: str | list[str] = "*", *, name: str = "r", **others: Any) -> Json:
    """A rule."""
    return {"id": name, "action": action, "decision": decision, **others}


def policy(*rules: Json, fallback: str = "allow", version: str = "1.1", limits: tuple[Json, ...] = ()) -> Json:
    """A document."""
    return {"version": version, "defaults": {"fallback": fallback}, "rules": list(rules), "limits": list(limits)}


def frame(*policies: Json, scope: Json | None = None, names: tuple[str, ...] = ("one", "two", "three")) -> Json:
    """A frame of layers `one`, `two`, `three`."""
    layers = [{"name": name, "policy": one} for name, one in zip(names, policies, strict=False)]
    return {"scope": WS if scope is None else scope, "layers": layers}


def facts_of(action: str, facts: Json) -> Json:
    """A request with the facts that it can't do without, and others."""
    needed = dict(REQUIRED[action.partition(".")[0]])
    if action in {"file.move", "file.rename"}:
        needed["toPath"] = "/ws/b"
    return {"action": action, **needed, **facts}


def decide(frames: list[Json], action: str, **facts: Any) -> Decision:
    """The decision about a request in frames."""
    judgement = judged(ready(frames), facts_of(action, facts))
    return judgement.explained(risk_tags=tuple(tags_of(judgement)))


def asked(*policies: Json, action: str, scope: Json | None = None, **facts: Any) -> Decision:
    """The decision about a request in one frame with these layers."""
    return decide([frame(*policies, scope=scope)], action, **facts)


def cited(decision: Decision) -> str:
    """`layer:rule` of what decided, `layer:-` for a fallback."""
    return f"{decision.layer}:{'-' if decision.by_default else decision.rule_id}"


def state(condition: Json, action: str, *, scope: Json | None = None, **facts: Any) -> bool | None:
    """Whether a rule with the condition matches: True, False, or None for "can't be told"."""
    decision = asked(policy(rule("deny", when=condition)), action=action, scope=scope, **facts)
    assert decision.layer != "invariant", decision.reason
    if decision.verdict == "allow":
        return False
    return None if decision.by_missing_fact else True
