"""Columns one by one: what is asked of an atom before, or without, the invariants (examples in rules do that)."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from cowork.domain.policy_atom import Sight, atoms_of
from cowork.domain.policy_column import Row, can_match, columns_of
from cowork.domain.policy_decision import FACT_OF_CONDITION
from cowork.domain.policy_document import Conditions, PolicyDocument, layer
from cowork.domain.policy_frame import ReadyScope
from cowork.domain.policy_invariant import kind_named
from cowork.domain.policy_layer import ReadyLayer
from cowork.domain.policy_request import FrameScope, Request
from tests.domain.policy.one_question import WS, asked, policy, rule

Json = dict[str, Any]

EACH: dict[str, Any] = {
    "pathWithinGrant": True,
    "pathWithinOutputRoot": True,
    "matchesPattern": ["**"],
    "fileSizeGreaterThan": 1,
    "hostInAllowlist": True,
    "connectorScopeAllowed": True,
    "extensionIn": [".md"],
    "hidden": True,
    "sensitive": True,
    "executed": True,
    "crossRoot": True,
    "hardLink": True,
    "targetExists": True,
    "hostMatches": ["*.com"],
    "methodIn": ["GET"],
    "connectorIn": ["mail"],
    "toolMatches": ["*"],
    "toolHint": {"readOnlyHint": True},
    "commandPrefix": [["ls"]],
    "tainted": True,
    "taintIn": ["web"],
    "subagentDepthGreaterThan": 1,
    "batchCountGreaterThan": 1,
    "timeWindow": {},
}


def sight_of(action: str, scope: Json | None = None, **facts: Any) -> Sight:
    request = msgspec.convert({"action": action, **facts}, Request)
    kind = kind_named(action)
    assert kind is not None
    return Sight(atoms_of(kind, request)[0], ReadyScope(msgspec.convert(scope or WS, FrameScope)))


def row(bit: int, clause: Json) -> Row:
    return Row(bit, msgspec.convert(clause, Conditions))


@pytest.mark.parametrize(("key", "wanted"), EACH.items())
def test_a_column_has_its_condition_s_key_and_its_rows(key: str, wanted: Any) -> None:
    (column,) = columns_of([row(4, {key: wanted}), row(2, {})])
    assert column.condition == key
    assert column.rows == 4


def test_the_table_has_each_condition() -> None:
    assert EACH.keys() == FACT_OF_CONDITION.keys()


GIT_LOG: Json = {"commands": [["git", "log"]]}
NOON: Json = {"now": "2026-01-14T12:00:00Z"}
NOTHING_KNOWN: list[tuple[str, str]] = [
    ("hostInAllowlist", "network.request"),
    ("hostMatches", "network.request"),
    ("methodIn", "network.request"),
    ("connectorScopeAllowed", "connector.read"),
    ("connectorIn", "connector.read"),
    ("toolMatches", "connector.read"),
    ("toolHint", "connector.read"),
    ("commandPrefix", "shell.exec"),
    ("fileSizeGreaterThan", "file.read"),
    ("targetExists", "file.read"),
    ("hardLink", "file.read"),
    ("crossRoot", "file.move"),
    ("timeWindow", "file.read"),
]


@pytest.mark.parametrize(("key", "action"), NOTHING_KNOWN)
def test_where_nothing_is_known_a_column_leaves_its_rows_open(key: str, action: str) -> None:
    (column,) = columns_of([row(4, {key: EACH[key]})])
    assert column.ask(sight_of(action)) == (0, 4)


@pytest.mark.parametrize("key", ["pathWithinGrant", "matchesPattern", "extensionIn", "hidden", "sensitive", "executed"])
def test_where_there_is_no_place_a_column_about_places_refutes_its_rows(key: str) -> None:
    wanted = EACH[key]
    opposite = [] if wanted is not True else [row(8, {key: False})]
    (column,) = columns_of([row(4, {key: wanted}), *opposite])
    assert column.ask(sight_of("subagent.spawn")) == (column.rows, 0)


def test_a_connector_is_allowed_where_one_grant_in_force_has_every_scope() -> None:
    scope = {"connectors": [{"id": "mail", "scopes": ["a"]}, {"id": "mail", "scopes": ["a", "b"], "revoked": True}]}
    for scopes, allowed in ((["a"], True), (["a", "b"], False), ([], True)):
        assert sight_of("connector.read", scope, connector="mail", requiredScopes=scopes).connector_allowed() is allowed
    assert sight_of("connector.read", scope, connector="crm").connector_allowed() is False
    assert sight_of("connector.read", scope, connector="mail", requiredScopes=None).connector_allowed() is None
    assert sight_of("connector.read", scope, requiredScopes=["a"]).connector_allowed() is None


def test_a_connector_whose_grant_ends_is_allowed_until_then() -> None:
    scope = {"connectors": [{"id": "mail", "expiresAt": "2026-05-01T12:00:00Z"}]}
    for now, allowed in (("2026-05-01T11:59:59Z", True), ("2026-05-01T12:00:00Z", False), (None, False)):
        assert sight_of("connector.read", scope, connector="mail", now=now).connector_allowed() is allowed


def test_a_layer_alone_answers_as_it_does_in_a_frame() -> None:
    rules = (rule("deny", name="a", when={"hidden": False}), rule("allow", name="b"))
    document = msgspec.convert(policy(*rules), PolicyDocument)
    ready = ReadyLayer(layer("one", document))
    answer = ready.answer(sight_of("file.read", path="/ws/a"))
    assert answer.rule is document.rules[0]
    assert ready.program("file.read").rules_of(answer.known_rows) == list(document.rules)
    assert ready.program("file.read") is ready.program("file.read")


def test_a_sight_without_a_host_can_not_say_whether_it_is_listed() -> None:
    assert sight_of("network.request").host_listed() is None
    assert sight_of("network.request", host="api.example.com").host_listed() is True


def test_a_place_may_lie_in_and_out_of_a_grant() -> None:
    assert sight_of("file.read", path="/ws/a", realPath="/x").within_grant() is None
    assert sight_of("file.read", path="/ws/a").within_grant() is True
    assert sight_of("file.read", path="/x").within_grant() is False


def test_a_row_whose_condition_is_not_about_the_kind_can_not_match() -> None:
    assert not can_match(row(1, {"hostMatches": ["a.com"]}), "file.read")
    assert not can_match(row(1, {"tainted": True, "commandPrefix": [["ls"]]}), "code.run")
    assert not can_match(row(1, {"taintIn": []}), "file.read")
    assert can_match(row(1, {"tainted": False, "hidden": True}), "code.run")


@pytest.mark.parametrize(
    ("first", "second", "action", "facts"),
    [
        ({"toolMatches": ["mail_*"]}, {"toolMatches": ["*_send"]}, "connector.read", {"tool": "mail_send"}),
        ({"toolMatches": ["mail_send"]}, {"toolMatches": ["mail*"]}, "connector.read", {"tool": "mail_send"}),
        (
            {"timeWindow": {"from": "08:00"}},
            {"timeWindow": {"to": "18:00"}},
            "file.read",
            {"now": "2026-01-14T12:00:00Z"},
        ),
        ({"taintIn": ["web"]}, {"taintIn": ["mail"]}, "file.read", {"labels": ["web", "mail"]}),
        ({"extensionIn": [".gz"]}, {"extensionIn": [".tar.gz"]}, "file.read", {"path": "/ws/a.tar.gz"}),
        ({"matchesPattern": ["/ws/**"]}, {"matchesPattern": ["**/a"]}, "file.read", {"path": "/ws/a"}),
        ({"hostMatches": ["a.com"]}, {"hostMatches": ["*.com"]}, "network.request", {"host": "a.com"}),
        (
            {"commandPrefix": [["git"]]},
            {"commandPrefix": [["git", "log"]]},
            "shell.exec",
            {"commands": [["git", "log"]]},
        ),
        ({"fileSizeGreaterThan": 1}, {"fileSizeGreaterThan": 2}, "file.read", {"fileSizeBytes": 3}),
    ],
)
def test_rules_that_want_different_things_of_one_fact_match_side_by_side(
    first: Json, second: Json, action: str, facts: Json
) -> None:
    document = policy(rule("allow", name="a", when=first), rule("allow", name="b", when=second))
    assert asked(document, action=action, **facts).matched == ("one:a", "one:b")


@pytest.mark.parametrize(
    ("key", "one", "other", "action", "facts"),
    [
        ("methodIn", ["GET"], ["POST"], "network.request", {"host": "a.com", "method": "GET"}),
        ("connectorIn", ["mail"], ["crm"], "connector.read", {"connector": "mail"}),
        ("taintIn", ["web"], ["mail"], "file.read", {"labels": ["web"]}),
        ("toolMatches", ["send"], ["list"], "connector.read", {"tool": "send"}),
        ("toolMatches", ["s*"], ["l*"], "connector.read", {"tool": "send"}),
        ("extensionIn", [".md"], [".py"], "file.read", {"path": "/ws/a.md"}),
        ("matchesPattern", ["/ws/a"], ["/ws/b"], "file.read", {"path": "/ws/a"}),
        ("matchesPattern", ["**/a*"], ["**/b*"], "file.read", {"path": "/ws/a1"}),
        ("matchesPattern", ["**/a/**"], ["**/b/**"], "file.read", {"path": "/ws/a/x"}),
        ("hostMatches", ["a.com"], ["b.com"], "network.request", {"host": "a.com"}),
        ("commandPrefix", [["ls"]], [["rm"]], "shell.exec", {"commands": [["ls"]]}),
        ("timeWindow", {"from": "08:00"}, {"to": "08:00"}, "file.read", NOON),
    ],
)
def test_of_two_rules_that_want_different_things_only_the_right_one_matches(
    key: str, one: Any, other: Any, action: str, facts: Json
) -> None:
    for order in ((one, other), (other, one)):
        rules = [rule("allow", name="right" if wanted is one else "wrong", when={key: wanted}) for wanted in order]
        decision = asked(policy(*rules), action=action, **facts)
        assert (decision.matched, decision.lost) == (("one:right",), ())
    twice = [rule("allow", name=name, when={key: one}) for name in ("a", "b")]
    assert asked(policy(*twice), action=action, **facts).matched == ("one:a", "one:b")


def test_a_tool_s_name_may_have_any_characters() -> None:
    document = policy(rule("deny", when={"toolMatches": ["mail*send"]}))
    assert asked(document, action="connector.read", tool="mail\nsend").verdict == "deny"


def test_a_moment_without_a_zone_is_no_moment() -> None:
    (column,) = columns_of([row(1, {"timeWindow": {}})])
    request = Request(action="subagent.spawn", now=datetime(2026, 1, 14, 12, tzinfo=UTC))
    scope = ReadyScope(FrameScope())
    assert column.ask(Sight(atoms_of("subagent.spawn", request)[0], scope)) == (0, 0)
    unzoned = msgspec.structs.replace(request, now=datetime.fromisoformat("2026-01-14T12:00:00"))
    assert column.ask(Sight(atoms_of("subagent.spawn", unzoned)[0], scope)) == (0, 1)
