"""Remembered approvals: a yes answers what it was given for, and nothing that is more than that in any respect."""

from typing import Any

import msgspec
import pytest

from cowork.domain.policy_approval import Approval, find_approval
from tests.domain.policy.evaluators import approval_of, judged, ready, tags_of
from tests.domain.policy.one_question import Json, facts_of, frame, policy, rule

ASKS = policy(rule("allow_with_confirm", name="a"))
AT = "2026-05-01T12:00:00Z"


def answers(action: str, approval: Json, document: Json = ASKS, **facts: Any) -> bool:
    """Whether an approval answers a request of session `s1`; what it does not say fits."""
    request = facts_of(action, {"session": "s1", "task": "t1", "workspace": "/ws", **facts})
    full = {
        "id": "ap",
        "action": action,
        "ruleIds": ["one:a"],
        "riskTags": ["overwrite", "network", "connector", "execute", "spawn", "batch"],
        "scope": {"session": "s1"},
        **approval,
    }
    return approval_of(ready([frame(document)]), request, [full]) is not None


FILE: Json = {"pathPrefix": "/ws"}
TOOL: Json = {"tool": "send", "connector": "mail", "toolDigest": "sha256:1"}


@pytest.mark.parametrize(
    ("change", "facts", "is_answered"),
    [
        ({}, {}, True),
        ({"action": "file.read"}, {}, False),
        ({"ruleIds": []}, {}, False),
        ({"ruleIds": ["two:a"]}, {}, False),
        ({"ruleIds": ["one:b", "one:a"]}, {}, True),
        ({"riskTags": []}, {}, False),
        ({"riskTags": ["overwrite"]}, {}, True),
        ({"riskTags": []}, {"targetExists": False}, True),
        ({}, {"labels": ["web"]}, False),
        ({"riskTags": ["overwrite", "untrusted"]}, {"labels": ["web"]}, True),
        ({"revoked": True}, {}, False),
        ({"usesLeft": 1}, {}, True),
        ({"usesLeft": 0}, {}, False),
        ({"usesLeft": -1}, {}, False),
        ({"expiresAt": AT}, {"now": "2026-05-01T11:59:59Z"}, True),
        ({"expiresAt": AT}, {"now": AT}, False),
        ({"expiresAt": AT}, {}, False),
        ({"expiresAt": AT}, {"now": "2026-05-01T11:00:00"}, False),
        ({"scope": {}}, {}, False),
        ({"scope": {"session": ""}}, {}, False),
        ({"scope": {"session": "s1"}}, {"session": "s2"}, False),
        ({"scope": {"task": "t1"}}, {"session": "s2"}, True),
        ({"scope": {"task": "t1"}}, {"task": "t2"}, False),
        ({"scope": {"workspace": "/ws"}}, {"session": "s2", "task": "t2"}, True),
        ({"scope": {"workspace": "/ws"}}, {"workspace": "/other"}, False),
        ({"scope": {"session": "s1", "task": "t1"}}, {"task": "t2"}, False),
        ({"scope": {"session": "s1", "task": "t1"}}, {"session": "s2"}, False),
        ({"scope": {"session": "s1", "task": "t1", "workspace": "/ws"}}, {}, True),
        ({}, {"depth": 1}, False),
        ({}, {"depth": None}, False),
        ({"includeSubagents": True}, {"depth": 1}, True),
        ({"includeSubagents": True}, {"depth": None}, True),
        ({"pathPrefix": "/ws/d"}, {"path": "/ws/d/x"}, True),
        ({"pathPrefix": "/ws/d/x"}, {"path": "/ws/d/x"}, True),
        ({"pathPrefix": "/ws/d/"}, {"path": "/ws/d/x"}, True),
        ({"pathPrefix": "/ws/d"}, {"path": "/ws/dx"}, False),
        ({"pathPrefix": "/"}, {}, True),
        ({"pathPrefix": None}, {}, False),
        ({"pathPrefix": None, "host": "api.example.com"}, {}, False),
        ({"pathPrefix": "/ws/d"}, {"path": "/ws/d/x", "realPath": "/ws/x"}, False),
        ({"pathPrefix": "/ws/d"}, {"path": "/ws/D/x"}, False),
        ({"pathPrefix": "/ws/D"}, {"path": "/ws/d/x", "caseInsensitivePaths": True}, True),
        ({"pathPrefix": "/ws/caf\u00e9"}, {"path": "/ws/cafe\u0301/x"}, False),
        ({"pathPrefix": "/ws/d"}, {"items": [{"path": "/ws/d/x"}, {"path": "/ws/d/y"}]}, True),
        ({"pathPrefix": "/ws/d"}, {"items": [{"path": "/ws/d/x"}, {"path": "/ws/y"}]}, False),
    ],
)
def test_an_approval_of_a_file_answers_for_what_it_holds(change: Json, facts: Json, is_answered: bool) -> None:
    assert answers("file.write", {**FILE, **change}, **facts) is is_answered


def test_both_ends_of_a_move_have_to_be_covered() -> None:
    prefix = {"pathPrefix": "/ws/d"}
    assert answers("file.move", prefix, path="/ws/d/x", toPath="/ws/d/y")
    assert not answers("file.move", prefix, path="/ws/d/x", toPath="/ws/y")
    assert not answers("file.move", prefix, path="/ws/x", toPath="/ws/d/y")


@pytest.mark.parametrize(
    ("change", "facts", "is_answered"),
    [
        ({"host": "api.example.com"}, {}, True),
        ({"host": "API.example.com."}, {}, True),
        ({"host": "*.example.com"}, {}, True),
        ({"host": "example.com"}, {}, False),
        ({"host": "api.example.com"}, {"host": "api.example.com:8080"}, False),
        ({"host": "api.example.com:*"}, {"host": "api.example.com:8080"}, True),
        ({"host": "no host"}, {}, False),
        ({"pathPrefix": "/"}, {}, False),
        ({"host": "api.example.com", "pathPrefix": "/ws"}, {}, True),
        ({"host": "api.example.com"}, {"path": "/ws/a"}, False),
        ({"host": "api.example.com", "pathPrefix": "/ws"}, {"path": "/ws/a"}, True),
        ({"host": "api.example.com", "pathPrefix": "/ws/b"}, {"path": "/ws/a"}, False),
        ({"host": "api.example.com"}, {"items": [{"host": "api.example.com"}, {"host": "x.org"}]}, False),
    ],
)
def test_an_approval_of_a_host_answers_for_the_host_and_not_for_what_is_sent(
    change: Json, facts: Json, is_answered: bool
) -> None:
    assert answers("network.request", change, **facts) is is_answered


@pytest.mark.parametrize(
    ("change", "facts", "is_answered"),
    [
        ({"commandPrefix": ["npm", "test"]}, {"commands": [["npm", "test", "-x"]]}, True),
        ({"commandPrefix": ["npm"]}, {"commands": [["npm", "test"], ["npm", "run"]]}, True),
        ({"commandPrefix": ["npm", "test"]}, {"commands": [["npm", "test"], ["curl"]]}, False),
        ({"commandPrefix": ["npm", "test"]}, {"commands": [["npm"]]}, False),
        ({"commandPrefix": ["npm"]}, {"commands": [["/bin/npm"]]}, False),
        ({"commandPrefix": ["npm"]}, {}, False),
        ({"commandPrefix": ["npm"]}, {"commands": [[]]}, False),
        ({"commandPrefix": []}, {"commands": [["npm"]]}, False),
        ({}, {"commands": [["npm"]]}, False),
        ({"pathPrefix": "/ws"}, {"commands": [["npm"]]}, False),
        ({"commandPrefix": ["npm"], "pathPrefix": "/ws"}, {"commands": [["npm"]]}, True),
        ({"commandPrefix": ["npm"], "pathPrefix": "/ws/d"}, {"commands": [["npm"]]}, False),
    ],
)
def test_an_approval_of_a_command_answers_for_each_simple_command(change: Json, facts: Json, is_answered: bool) -> None:
    assert answers("shell.exec", change, **facts) is is_answered


@pytest.mark.parametrize(
    ("change", "facts", "is_answered"),
    [
        ({}, {}, True),
        ({"tool": "list"}, {}, False),
        ({"connector": "crm"}, {}, False),
        ({"toolDigest": "sha256:2"}, {}, False),
        ({"toolDigest": None}, {}, False),
        ({}, {"toolDigest": None}, False),
        ({"toolDigest": None}, {"toolDigest": None}, True),
        ({"tool": None}, {"tool": None}, False),
        ({}, {"path": "/ws/a"}, False),
        ({"pathPrefix": "/ws"}, {"path": "/ws/a"}, True),
    ],
)
def test_an_approval_of_a_tool_answers_for_that_tool_as_it_was(change: Json, facts: Json, is_answered: bool) -> None:
    given: Json = {"tool": "send", "toolDigest": "sha256:1", **facts}
    for action in ("connector.read", "connector.action"):
        assert answers(action, {**TOOL, **change}, **given) is is_answered


@pytest.mark.parametrize("action", ["code.run", "subagent.spawn"])
def test_code_and_subagents_are_asked_about_every_time(action: str) -> None:
    everything = {**FILE, **TOOL, "host": "api.example.com", "commandPrefix": ["x"]}
    assert not answers(action, everything)


def test_only_a_question_is_answered() -> None:
    assert not answers("file.write", FILE, policy(rule("allow", name="a")))
    assert not answers("file.write", FILE, policy(rule("deny", name="a")))
    assert not answers("file.write", FILE, path="/etc/x")


def test_a_rule_that_is_never_remembered_asks_every_time() -> None:
    assert not answers("file.write", FILE, policy(rule("allow_with_confirm", name="a", remember=False)))


def test_what_an_unknown_fact_decided_is_asked_about_every_time() -> None:
    unsure = policy(rule("allow_with_confirm", name="a", when={"fileSizeGreaterThan": 1}))
    assert not answers("file.write", FILE, unsure)
    assert answers("file.write", FILE, unsure, fileSizeBytes=2)


def test_every_rule_that_asks_has_to_be_named() -> None:
    two = policy(rule("allow_with_confirm", name="a"), rule("allow_with_confirm", name="b"))
    assert not answers("file.write", FILE, two)
    assert answers("file.write", {**FILE, "ruleIds": ["one:a", "one:b"]}, two)
    assert answers("file.write", {**FILE, "ruleIds": ["one:(fallback)"]}, policy(fallback="allow_with_confirm"))


def test_the_first_approval_that_answers_is_the_one_that_is_used() -> None:
    frames = ready([frame(ASKS)])
    request = facts_of("file.write", {"session": "s1"})
    judgement = judged(frames, request)
    fitting = {"action": "file.write", "ruleIds": ["one:a"], "riskTags": ["overwrite"], "scope": {"session": "s1"}}
    approvals = [
        msgspec.convert({"id": name, **fitting, **FILE, "revoked": name == "old"}, Approval)
        for name in ("old", "first", "second")
    ]
    found = find_approval(approvals, judgement.request, judgement, tags_of(judgement))
    assert found is approvals[1]
    assert find_approval([], judgement.request, judgement, ()) is None
