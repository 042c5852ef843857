"""What no document can relax: paragraph S4 of the semantics, one line for each way to break an invariant."""

from typing import Any

import pytest

from cowork.domain.policy_document import KINDS
from tests.domain.policy.evaluators import judged, ready
from tests.domain.policy.one_question import WS, asked, decide, frame, policy, rule

Json = dict[str, Any]

AT = "2026-05-01T12:00:00Z"
BEFORE = "2026-05-01T11:59:59Z"
ALLOW, DENY = "allow", "deny"
KINDS_AND_MORE = ["*", *KINDS]
UNKNOWN = "is not known, and the action can't be judged without it"

INVARIANTS: list[tuple[str, Json, Json, str]] = [
    ("file.link", {}, WS, "unknown-action"),
    ("file.read", {"items": []}, WS, "missing-fact"),
    ("file.read", {"items": None}, WS, "missing-fact"),
    ("file.read", {"path": None}, WS, "missing-fact"),
    ("file.read", {"realPath": None}, WS, "missing-fact"),
    ("file.move", {"toPath": None}, WS, "missing-fact"),
    ("file.move", {"toRealPath": None}, WS, "missing-fact"),
    ("file.read", {"items": [{"path": "/ws/a"}, {"path": None}]}, WS, "missing-fact"),
    ("file.read", {"items": [{"path": "/ws/a", "realPath": None}]}, WS, "missing-fact"),
    ("file.read", {"items": [{"realPath": None}]}, WS, "missing-fact"),
    ("file.read", {"items": [{"realPath": "b"}]}, WS, "path-invalid"),
    ("file.read", {"items": [{}], "realPath": "b"}, WS, "path-invalid"),
    ("file.move", {"items": [{"toRealPath": None}]}, WS, "missing-fact"),
    ("file.move", {"items": [{}], "toRealPath": None}, WS, "missing-fact"),
    ("file.move", {"items": [{"toPath": "/ws/c", "toRealPath": None}]}, WS, "missing-fact"),
    ("code.run", {"path": None}, WS, "missing-fact"),
    ("network.request", {"path": None}, WS, "missing-fact"),
    ("network.request", {"realPath": "/ws/a"}, WS, "missing-fact"),
    ("network.request", {"host": None}, WS, "missing-fact"),
    ("network.request", {"items": [{"host": None}]}, WS, "missing-fact"),
    ("network.request", {"items": [{"host": "a"}, {"host": ""}]}, WS, "missing-fact"),
    ("network.request", {"host": "a b"}, WS, "host-invalid"),
    ("network.request", {"items": [{"host": "a/b"}]}, WS, "host-invalid"),
    ("connector.read", {"connector": None}, WS, "missing-fact"),
    ("connector.read", {"requiredScopes": None}, WS, "missing-fact"),
    ("file.read", {"path": "ws/a"}, WS, "path-invalid"),
    ("file.read", {"path": "/ws/\0"}, WS, "path-invalid"),
    ("file.read", {"path": "/ws/a/.."}, WS, "path-invalid"),
    ("file.read", {"path": "/ws/a\\..\\b"}, WS, "path-invalid"),
    ("file.read", {"realPath": "/ws/../x"}, WS, "path-invalid"),
    ("file.move", {"toPath": "b"}, WS, "path-invalid"),
    ("file.move", {"toRealPath": "b"}, WS, "path-invalid"),
    ("file.read", {"items": [{"path": "/ws/a"}, {"path": "b"}]}, WS, "path-invalid"),
    ("file.read", {"path": "/etc/x"}, WS, "grant-scope"),
    ("file.read", {"path": "/wsx"}, WS, "grant-scope"),
    ("file.read", {"path": "/"}, WS, "grant-scope"),
    ("file.read", {"items": [{"path": "/ws/a"}, {"path": "/x"}]}, WS, "grant-scope"),
    ("file.read", {"path": "/ws/cafe\u0301/a"}, {"grants": [{"root": "/ws/caf\u00e9"}]}, "grant-scope"),
    ("network.request", {"path": "/etc/x"}, WS, "grant-scope"),
    ("subagent.spawn", {"path": "/etc/x"}, WS, "grant-scope"),
    ("shell.exec", {"path": "/etc"}, WS, "grant-scope"),
    ("file.read", {"realPath": "/etc/x"}, WS, "path-escape"),
    ("file.read", {"realPath": "/ws2"}, WS, "path-escape"),
    ("file.read", {"path": "/ws/a", "realPath": "/ws/cafe\u0301"}, {"grants": [{"root": "/ws/a"}]}, "path-escape"),
    ("file.move", {"toRealPath": "/etc/x"}, WS, "path-escape"),
    ("shell.exec", {"realPath": "/etc", "commands": [["ls"]]}, WS, "path-escape"),
    ("file.read", {}, {"grants": [{"root": "/ws", "revoked": True}]}, "grant-revoked"),
    ("file.read", {"now": AT}, {"grants": [{"root": "/ws", "expiresAt": AT}]}, "grant-expired"),
    ("file.read", {}, {"grants": [{"root": "/ws", "expiresAt": AT}]}, "grant-expired"),
    ("file.read", {"now": "2026-05-01T11:00:00"}, {"grants": [{"root": "/ws", "expiresAt": AT}]}, "grant-expired"),
    (
        "file.read",
        {},
        {"grants": [{"root": "/ws", "expiresAt": AT}, {"root": "/", "revoked": True}]},
        "grant-revoked",
    ),
    ("file.write", {}, {"grants": [{"root": "/ws", "mode": "r"}]}, "grant-mode"),
    ("file.create", {}, {"grants": [{"root": "/ws", "mode": "r"}]}, "grant-mode"),
    ("file.delete", {}, {"grants": [{"root": "/ws", "mode": "r"}]}, "grant-mode"),
    ("file.move", {"toPath": "/r/x"}, {"grants": [{"root": "/ws"}, {"root": "/r", "mode": "r"}]}, "grant-mode"),
    (
        "file.write",
        {"realPath": "/r/x"},
        {"grants": [{"root": "/ws"}, {"root": "/r", "mode": "r"}]},
        "grant-mode",
    ),
    ("file.write", {"path": "/ws/p/x"}, {**WS, "protectedRoots": ["/ws/p"]}, "protected-path"),
    ("file.write", {"path": "/ws/p"}, {**WS, "protectedRoots": ["/ws/p/q"]}, "protected-path"),
    ("file.write", {"realPath": "/ws/p"}, {**WS, "protectedRoots": ["/ws/p"]}, "protected-path"),
    ("file.move", {"toPath": "/ws/p/x"}, {**WS, "protectedRoots": ["/ws/p"]}, "protected-path"),
    ("file.delete", {"path": "/ws"}, WS, "grant-root"),
    ("file.rename", {"path": "/ws/sub"}, {"grants": [{"root": "/ws"}, {"root": "/ws/sub"}]}, "grant-root"),
    ("file.move", {"path": "/ws/a"}, {"grants": [{"root": "/ws"}, {"root": "/ws/a/b"}]}, "grant-root"),
    ("file.move", {"toPath": "/ws/b"}, {"grants": [{"root": "/ws"}, {"root": "/ws/b"}]}, "grant-root"),
    ("file.delete", {"realPath": "/ws"}, WS, "grant-root"),
    ("connector.read", {"connector": "drive"}, WS, "connector-scope"),
    ("connector.read", {"connector": "crm", "requiredScopes": ["crm.read", "crm.all"]}, WS, "connector-scope"),
    ("connector.action", {"connector": "crm"}, WS, "connector-actions"),
    ("connector.read", {}, {"connectors": [{"id": "mail", "revoked": True}]}, "connector-revoked"),
    ("connector.read", {}, {"connectors": [{"id": "mail", "expiresAt": AT}]}, "connector-expired"),
    (
        "connector.action",
        {"requiredScopes": ["a"]},
        {"connectors": [{"id": "mail", "scopes": ["a"]}, {"id": "mail", "allowActions": True}]},
        "connector-actions",
    ),
    ("file.read", {"depth": 2}, {**WS, "maxDepth": 1}, "subagent-depth"),
    ("file.read", {"depth": None}, {**WS, "maxDepth": 1}, "subagent-depth"),
    ("subagent.spawn", {"depth": 1}, {**WS, "maxDepth": 1}, "subagent-depth"),
    ("connector.read", {"depth": 2}, {**WS, "maxDepth": 1}, "subagent-depth"),
    ("network.request", {"depth": 2}, {**WS, "maxDepth": 1}, "subagent-depth"),
]


@pytest.mark.parametrize(("action", "facts", "scope", "broken"), INVARIANTS)
def test_no_document_can_relax_an_invariant(action: str, facts: Json, scope: Json, broken: str) -> None:
    decision = asked(policy(rule(ALLOW, KINDS_AND_MORE)), action=action, scope=scope, **facts)
    assert decision.verdict == DENY
    assert decision.rule_id == f"invariant.{broken}"
    assert decision.layer == "invariant"
    assert decision.reason
    assert decision.reason_code == "policy"
    assert not any((decision.matched, decision.lost, decision.missing_facts, decision.confirm_rules))


PERMITTED: list[tuple[str, Json, Json]] = [
    ("file.read", {"path": "/ws"}, WS),
    ("file.read", {"path": "//ws//a/./b/"}, WS),
    ("file.read", {"path": "/ws/a..b"}, WS),
    ("file.read", {"path": "/ws/...", "realPath": "/ws/x"}, WS),
    ("file.read", {"path": "/WS/a", "caseInsensitivePaths": True}, WS),
    ("file.move", {"path": "/WS/a", "toPath": "/Ws/b", "caseInsensitivePaths": True}, WS),
    ("file.read", {"path": "/any"}, {"grants": [{"root": "/"}]}),
    ("file.read", {"path": "/ws/a"}, {"grants": [{"root": "//ws//"}]}),
    ("file.read", {"now": BEFORE}, {"grants": [{"root": "/ws", "expiresAt": AT}]}),
    ("file.read", {}, {"grants": [{"root": "/ws", "revoked": True}, {"root": "/ws"}]}),
    ("file.read", {}, {"grants": [{"root": "/ws", "mode": "r"}]}),
    ("file.list", {}, {"grants": [{"root": "/ws", "mode": "r"}]}),
    ("file.search", {"path": "/ws"}, {"grants": [{"root": "/ws", "mode": "r"}]}),
    ("file.write", {}, {"grants": [{"root": "/", "mode": "r"}, {"root": "/ws"}]}),
    ("file.write", {"path": "/ws"}, WS),
    ("file.read", {"path": "/ws/p/x"}, {**WS, "protectedRoots": ["/ws/p"]}),
    ("file.write", {"path": "/ws/px"}, {**WS, "protectedRoots": ["/ws/p"]}),
    ("file.delete", {"path": "/ws/old"}, {"grants": [{"root": "/ws"}, {"root": "/ws/old", "revoked": True}]}),
    ("file.read", {"toPath": None, "toRealPath": "x"}, WS),
    ("file.delete", {"path": "/ws/a"}, {"grants": [{"root": "/ws"}, {"root": "/ws/ab"}]}),
    ("network.request", {"path": "/ws/a"}, WS),
    ("connector.read", {"connector": "crm", "requiredScopes": ["crm.read"]}, WS),
    ("connector.action", {"requiredScopes": ["mail.read", "mail.send"]}, WS),
    ("connector.read", {"now": BEFORE}, {"connectors": [{"id": "mail", "expiresAt": AT}]}),
    ("connector.read", {}, {"connectors": [{"id": "mail", "revoked": True}, {"id": "mail"}]}),
    ("file.read", {"depth": 1}, {**WS, "maxDepth": 1}),
    ("subagent.spawn", {"depth": 0}, {**WS, "maxDepth": 1}),
    ("connector.read", {"depth": 1}, {**WS, "maxDepth": 1}),
    ("subagent.spawn", {"depth": None}, WS),
]


@pytest.mark.parametrize(("action", "facts", "scope"), PERMITTED)
def test_an_invariant_denies_nothing_that_was_granted(action: str, facts: Json, scope: Json) -> None:
    decision = asked(policy(rule(ALLOW)), action=action, scope=scope, **facts)
    assert (decision.verdict, decision.layer) == (ALLOW, "one"), decision.reason


@pytest.mark.parametrize(
    ("action", "facts", "scope", "reason"),
    [
        ("file.link", {}, WS, "there is no action `file.link`"),
        ("file.read", {"path": None}, WS, f"`path` {UNKNOWN}"),
        ("file.read", {"realPath": None}, WS, f"`realPath` {UNKNOWN}"),
        ("file.move", {"toPath": None}, WS, f"`toPath` {UNKNOWN}"),
        ("file.move", {"toRealPath": None}, WS, f"`toRealPath` {UNKNOWN}"),
        ("file.read", {"items": []}, WS, f"`items` {UNKNOWN}"),
        ("network.request", {"host": ""}, WS, f"`host` {UNKNOWN}"),
        (
            "network.request",
            {"realPath": "/ws/a"},
            WS,
            f"`path` {UNKNOWN}",
        ),
        (
            "connector.read",
            {"connector": ""},
            WS,
            f"`connector` {UNKNOWN}",
        ),
        (
            "connector.read",
            {"requiredScopes": None},
            WS,
            f"`requiredScopes` {UNKNOWN}",
        ),
        ("network.request", {"host": "a b"}, WS, "`a b` is not a host"),
        ("file.read", {"path": "a"}, WS, "`a` is not an absolute path without `..`"),
        ("file.read", {"realPath": "b"}, WS, "`b` is not an absolute path without `..`"),
        ("file.read", {"path": "/x"}, WS, "no granted folder holds `/x`"),
        ("file.read", {"realPath": "/x"}, WS, "the path leads to `/x`, outside every granted folder"),
        ("file.read", {}, {"grants": [{"root": "/ws", "revoked": True}]}, "the grant that held `/ws/a` was revoked"),
        ("file.read", {}, {"grants": [{"root": "/ws", "expiresAt": AT}]}, "the grant that held `/ws/a` has expired"),
        ("file.write", {}, {"grants": [{"root": "/ws", "mode": "r"}]}, "`/ws/a` is granted for reading only"),
        (
            "file.write",
            {},
            {**WS, "protectedRoots": ["/ws/a"]},
            "`/ws/a` belongs to the engine, or holds what does",
        ),
        ("file.delete", {"path": "/ws"}, WS, "`/ws` is a granted folder, or holds one"),
        ("connector.read", {"connector": "x"}, WS, "connector `x` is not granted"),
        (
            "connector.read",
            {"requiredScopes": ["x"]},
            WS,
            "connector `mail` is not granted every scope that this needs",
        ),
        ("connector.action", {"connector": "crm"}, WS, "connector `crm` is granted for reading only"),
        (
            "connector.read",
            {},
            {"connectors": [{"id": "mail", "revoked": True}]},
            "the grant of connector `mail` was revoked",
        ),
        (
            "connector.read",
            {},
            {"connectors": [{"id": "mail", "expiresAt": AT}]},
            "the grant of connector `mail` has expired",
        ),
        ("file.read", {"depth": 2}, {**WS, "maxDepth": 1}, "subagents may be at most 1 deep here"),
    ],
)
def test_a_broken_invariant_says_in_a_sentence_what_is_wrong(
    action: str, facts: Json, scope: Json, reason: str
) -> None:
    assert asked(policy(), action=action, scope=scope, **facts).reason == reason


@pytest.mark.parametrize(
    ("action", "needed"),
    [
        ("file.read", {"path": "/ws/a"}),
        ("file.move", {"path": "/ws/a", "toPath": "/ws/b"}),
        ("shell.exec", {"path": "/ws"}),
        ("code.run", {"path": "/ws"}),
        ("network.request", {"host": "api.example.com"}),
        ("connector.action", {"connector": "mail"}),
    ],
)
def test_a_fact_that_is_needed_and_not_there_denies(action: str, needed: Json) -> None:
    frames = ready([frame(policy())])
    assert judged(frames, {"action": action, **needed}).verdict == ALLOW
    for left_out in needed:
        rest = {key: value for key, value in needed.items() if key != left_out}
        judgement = judged(frames, {"action": action, **rest})
        assert (judgement.rule_id, judgement.kind) == ("invariant.missing-fact", action)
        assert judgement.reason() == f"`{left_out}` {UNKNOWN}"


def test_a_judgement_knows_its_kind_where_there_is_one() -> None:
    assert judged([], {"action": "file.read", "path": "/ws/a"}).kind == "file.read"
    frames = ready([frame(policy())])
    assert judged(frames, {"action": "file.read", "path": "/etc/x"}).kind == "file.read"
    assert judged(frames, {"action": "file.link"}).kind is None


def test_without_a_policy_the_reason_says_so() -> None:
    reason = "no policy is in force: what is not allowed is denied"
    assert decide([frame()], "file.read").reason == reason
    assert decide([], "file.link").reason == reason


def test_the_real_path_may_lie_in_another_grant() -> None:
    scope = {"grants": [{"root": "/ws"}, {"root": "/data"}]}
    assert asked(policy(), action="file.read", scope=scope, realPath="/data/x").verdict == ALLOW


def test_an_invariant_holds_in_every_frame() -> None:
    inner = {**WS, "grants": [{"root": "/ws/child"}]}
    frames = [frame(policy()), frame(policy(), scope=inner)]
    assert decide(frames, "file.read", path="/ws/a").rule_id == "invariant.grant-scope"
    assert decide(frames, "file.read", path="/ws/child/a").verdict == ALLOW
    assert decide(frames[::-1], "file.read", path="/ws/a").rule_id == "invariant.grant-scope"


def test_where_a_path_really_leads_is_looked_at_before_whether_it_may_be_changed() -> None:
    scope = {"grants": [{"root": "/ws", "mode": "r"}], "protectedRoots": ["/ws/p"]}
    assert asked(policy(), action="file.write", scope=scope, realPath="/x").rule_id == "invariant.path-escape"
    assert asked(policy(), action="file.write", scope=scope, path="/ws/p").rule_id == "invariant.grant-mode"
    both = {**WS, "protectedRoots": ["/ws/p"]}
    assert asked(policy(), action="file.delete", scope=both, path="/ws").rule_id == "invariant.protected-path"
