"""Each condition: when it holds, when it does not, when it can't be told, and what it is not about."""

from typing import Any

import pytest

from tests.domain.policy.one_question import WS, asked, policy, rule, state

Json = dict[str, Any]

TWO = {"grants": [{"root": "/a"}, {"root": "/b"}]}
NESTED = {"grants": [{"root": "/a"}, {"root": "/a/b"}]}
DOT = {"grants": [{"root": "/home/u/.config/app"}]}
LATER = "2026-05-01T12:00:00Z"

# condition, action, facts, whether it holds
TABLE: list[tuple[Json, str, Json, bool | None]] = [
    ({"pathWithinGrant": True}, "file.read", {}, True),
    ({"pathWithinGrant": False}, "file.read", {}, False),
    ({"pathWithinGrant": True}, "network.request", {}, False),
    ({"pathWithinGrant": False}, "network.request", {}, False),
    ({"pathWithinGrant": True}, "network.request", {"path": "/ws/a"}, True),
    ({"pathWithinOutputRoot": True}, "file.read", {"path": "/ws/out/x"}, True),
    ({"pathWithinOutputRoot": True}, "file.read", {"path": "/ws/out"}, True),
    ({"pathWithinOutputRoot": True}, "file.read", {"path": "/ws/output"}, False),
    ({"pathWithinOutputRoot": False}, "file.read", {"path": "/ws/output"}, True),
    ({"pathWithinOutputRoot": True}, "file.read", {"path": "/ws/out/x", "realPath": "/ws/x"}, None),
    ({"pathWithinOutputRoot": False}, "file.read", {"path": "/ws/out/x", "realPath": "/ws/x"}, None),
    ({"pathWithinOutputRoot": True}, "file.read", {"path": "/ws/OUT/x"}, False),
    ({"pathWithinOutputRoot": True}, "file.read", {"path": "/ws/OUT/x", "caseInsensitivePaths": True}, True),
    ({"matchesPattern": ["**/.env*"]}, "file.read", {"path": "/ws/.env"}, True),
    ({"matchesPattern": ["**/.env*"]}, "file.read", {"path": "/ws/env"}, False),
    ({"matchesPattern": ["/x/**", "**/.env*"]}, "file.read", {"path": "/ws/.env"}, True),
    ({"matchesPattern": ["**/.env*"]}, "file.read", {"path": "/ws/a", "realPath": "/ws/.env"}, None),
    ({"matchesPattern": ["**/a", "**/.env*"]}, "file.read", {"path": "/ws/a", "realPath": "/ws/.env"}, True),
    ({"matchesPattern": ["**/.env*"]}, "file.read", {"path": "/ws/.ENV"}, False),
    ({"matchesPattern": ["**/.env*"]}, "file.read", {"path": "/ws/.ENV", "caseInsensitivePaths": True}, True),
    ({"matchesPattern": ["**/README*"]}, "file.read", {"path": "/ws/readme", "caseInsensitivePaths": True}, True),
    ({"matchesPattern": ["**/README*"]}, "file.read", {"path": "/ws/readme"}, False),
    ({"matchesPattern": ["**/caf\u00e9"]}, "file.read", {"path": "/ws/cafe\u0301"}, None),
    ({"matchesPattern": ["**/caf\u00e9"]}, "file.read", {"path": "/ws/caf\u00e9"}, True),
    ({"matchesPattern": ["**/cafe\u0301"]}, "file.read", {"path": "/ws/caf\u00e9"}, None),
    ({"matchesPattern": ["**/secrets/**"]}, "file.read", {"path": "/ws/secrets\\x"}, None),
    ({"matchesPattern": ["**\\secrets\\**"]}, "file.read", {"path": "/ws/secrets/x"}, True),
    ({"matchesPattern": ["**"]}, "network.request", {}, False),
    ({"matchesPattern": []}, "file.read", {}, False),
    ({"fileSizeGreaterThan": 10}, "file.read", {"fileSizeBytes": 11}, True),
    ({"fileSizeGreaterThan": 10}, "file.read", {"fileSizeBytes": 10}, False),
    ({"fileSizeGreaterThan": 10.5}, "file.read", {"fileSizeBytes": 11}, True),
    ({"fileSizeGreaterThan": 10}, "file.read", {}, None),
    ({"fileSizeGreaterThan": 10}, "file.read", {"fileSizeBytes": None}, None),
    ({"fileSizeGreaterThan": 10}, "file.read", {"fileSizeBytes": float("nan")}, None),
    ({"fileSizeGreaterThan": 10}, "network.request", {"fileSizeBytes": 11}, True),
    ({"fileSizeGreaterThan": 10}, "connector.action", {"fileSizeBytes": 11}, True),
    ({"fileSizeGreaterThan": 10}, "shell.exec", {"fileSizeBytes": 11}, False),
    ({"hostInAllowlist": True}, "network.request", {}, True),
    ({"hostInAllowlist": False}, "network.request", {"host": "evil.org"}, True),
    ({"hostInAllowlist": True}, "network.request", {"host": "a.docs.example.com"}, True),
    ({"hostInAllowlist": True}, "network.request", {"host": "docs.example.com"}, False),
    ({"hostInAllowlist": False}, "file.read", {}, False),
    ({"connectorScopeAllowed": True}, "connector.read", {}, True),
    ({"connectorScopeAllowed": False}, "connector.read", {}, False),
    ({"connectorScopeAllowed": False}, "file.read", {}, False),
    ({"extensionIn": [".md"]}, "file.read", {"path": "/ws/a.md"}, True),
    ({"extensionIn": [".md"]}, "file.read", {"path": "/ws/A.MD"}, True),
    ({"extensionIn": [".MD"]}, "file.read", {"path": "/ws/a.md"}, True),
    ({"extensionIn": [".md"]}, "file.read", {"path": "/ws/amd"}, False),
    ({"extensionIn": [".md"]}, "file.read", {"path": "/ws/.md"}, True),
    ({"extensionIn": [".md"]}, "file.read", {"path": "/ws/a..md"}, True),
    ({"extensionIn": [".md"]}, "file.read", {"path": "/ws/a.md."}, False),
    ({"extensionIn": [".md"]}, "file.read", {"path": "/ws/d.md/x"}, False),
    ({"extensionIn": [".gz"]}, "file.read", {"path": "/ws/a.tar.gz"}, True),
    ({"extensionIn": [".tar.gz"]}, "file.read", {"path": "/ws/a.b.tar.gz"}, True),
    ({"extensionIn": [".tar"]}, "file.read", {"path": "/ws/a.tar.gz"}, False),
    ({"extensionIn": [".md"]}, "file.read", {"path": "/ws/a.md", "realPath": "/ws/a.exe"}, None),
    ({"extensionIn": [".md"]}, "subagent.spawn", {}, False),
    ({"hidden": True}, "file.read", {"path": "/ws/.a/b"}, True),
    ({"hidden": True}, "file.read", {"path": "/ws/a.b"}, False),
    ({"hidden": False}, "file.read", {"path": "/ws/a"}, True),
    ({"hidden": True}, "file.read", {"path": "/ws"}, False),
    ({"hidden": True}, "file.read", {"path": "/ws/a", "realPath": "/ws/.a"}, None),
    ({"sensitive": True}, "file.read", {"path": "/ws/id_rsa"}, True),
    ({"sensitive": True}, "file.read", {"path": "/ws/ID_RSA.pub"}, True),
    ({"sensitive": True}, "file.read", {"path": "/ws/a"}, False),
    ({"sensitive": False}, "file.read", {"path": "/ws/a"}, True),
    ({"executed": True}, "file.read", {"path": "/ws/.git/hooks/pre-commit"}, True),
    ({"executed": True}, "file.read", {"path": "/ws/git/hooks"}, False),
    ({"executed": False}, "file.read", {"path": "/ws/a"}, True),
    ({"crossRoot": True}, "file.read", {}, False),
    ({"crossRoot": False}, "file.read", {}, False),
    ({"crossRoot": False}, "file.move", {}, True),
    ({"crossRoot": True}, "file.rename", {}, False),
    ({"hardLink": True}, "file.read", {"linkCount": 2}, True),
    ({"hardLink": True}, "file.read", {"linkCount": 1}, False),
    ({"hardLink": False}, "file.read", {"linkCount": 1}, True),
    ({"hardLink": True}, "file.read", {}, None),
    ({"hardLink": True}, "shell.exec", {"linkCount": 2}, False),
    ({"targetExists": True}, "file.write", {"targetExists": True}, True),
    ({"targetExists": False}, "file.write", {"targetExists": False}, True),
    ({"targetExists": True}, "file.write", {"targetExists": False}, False),
    ({"targetExists": True}, "file.write", {}, None),
    ({"targetExists": True}, "code.run", {"targetExists": True}, False),
    ({"hostMatches": ["api.example.com"]}, "network.request", {}, True),
    ({"hostMatches": ["x.org", "*.example.com"]}, "network.request", {}, True),
    ({"hostMatches": ["*.example.com"]}, "network.request", {"host": "example.com"}, False),
    ({"hostMatches": ["not a host"]}, "network.request", {}, False),
    ({"hostMatches": ["api.example.com"]}, "connector.read", {"host": "api.example.com"}, False),
    ({"methodIn": ["GET", "HEAD"]}, "network.request", {"method": "HEAD"}, True),
    ({"methodIn": ["get"]}, "network.request", {"method": "GET"}, True),
    ({"methodIn": ["GET"]}, "network.request", {"method": "get"}, True),
    ({"methodIn": ["GET"]}, "network.request", {"method": "POST"}, False),
    ({"methodIn": ["GET"]}, "network.request", {}, None),
    ({"methodIn": ["GET"]}, "file.read", {"method": "GET"}, False),
    ({"connectorIn": ["mail"]}, "connector.read", {}, True),
    ({"connectorIn": ["crm", "Mail"]}, "connector.read", {}, False),
    ({"connectorIn": ["mail"]}, "file.read", {"connector": "mail"}, False),
    ({"toolMatches": ["mail_*"]}, "connector.read", {"tool": "mail_send"}, True),
    ({"toolMatches": ["*_send"]}, "connector.read", {"tool": "mail_send"}, True),
    ({"toolMatches": ["m*l*d"]}, "connector.read", {"tool": "mail_send"}, True),
    ({"toolMatches": ["x", "mail_send"]}, "connector.read", {"tool": "mail_send"}, True),
    ({"toolMatches": ["mail"]}, "connector.read", {"tool": "mail_send"}, False),
    ({"toolMatches": ["mail.send"]}, "connector.read", {"tool": "mail_send"}, False),
    ({"toolMatches": ["*"]}, "connector.read", {}, None),
    ({"toolMatches": ["*"]}, "shell.exec", {"tool": "x"}, False),
    ({"tainted": True}, "file.read", {"labels": ["web"]}, True),
    ({"tainted": True}, "file.read", {"labels": []}, False),
    ({"tainted": True}, "file.read", {}, False),
    ({"tainted": False}, "file.read", {}, True),
    ({"tainted": False}, "file.read", {"labels": None}, None),
    ({"taintIn": ["web"]}, "file.read", {"labels": ["mail", "web"]}, True),
    ({"taintIn": ["web", "mail"]}, "file.read", {"labels": ["mail"]}, True),
    ({"taintIn": ["web"]}, "file.read", {"labels": ["mail"]}, False),
    ({"taintIn": ["web"]}, "file.read", {}, False),
    ({"taintIn": ["web"]}, "file.read", {"labels": None}, None),
    ({"subagentDepthGreaterThan": 1}, "file.read", {"depth": 2}, True),
    ({"subagentDepthGreaterThan": 1}, "file.read", {"depth": 1}, False),
    ({"subagentDepthGreaterThan": 0}, "file.read", {}, False),
    ({"subagentDepthGreaterThan": 0}, "file.read", {"depth": None}, None),
    ({"batchCountGreaterThan": 1}, "file.read", {"batchCount": 2}, True),
    ({"batchCountGreaterThan": 1}, "file.read", {}, False),
    ({"batchCountGreaterThan": 0}, "file.read", {}, True),
    ({"batchCountGreaterThan": 1}, "file.read", {"batchCount": None}, None),
    ({"batchCountGreaterThan": 1}, "file.read", {"items": [{"path": "/ws/a"}, {"path": "/ws/b"}]}, True),
    ({"batchCountGreaterThan": 2}, "file.read", {"items": [{"path": "/ws/a"}, {"path": "/ws/b"}]}, False),
    ({"batchCountGreaterThan": 2}, "file.read", {"items": [{"path": "/ws/a"}], "batchCount": 3}, True),
    ({"timeWindow": {"from": "08:00", "to": "18:00"}}, "file.read", {"now": "2026-01-14T12:00:00Z"}, True),
    ({"timeWindow": {"from": "08:00", "to": "18:00"}}, "file.read", {"now": "2026-01-14T18:00:00Z"}, False),
    ({"timeWindow": {}}, "file.read", {}, None),
    ({"timeWindow": {}}, "file.read", {"now": "2026-01-14T18:00:00"}, None),
    ({"tainted": True, "hidden": True}, "file.read", {"path": "/ws/.a", "labels": ["web"]}, True),
    ({"tainted": True, "hidden": True}, "file.read", {"path": "/ws/a", "labels": ["web"]}, False),
    ({"tainted": True, "hidden": True}, "file.read", {"path": "/ws/a", "labels": None}, False),
    ({"tainted": True, "hidden": True}, "file.read", {"path": "/ws/.a", "labels": None}, None),
]


@pytest.mark.parametrize(("condition", "action", "facts", "holds"), TABLE)
def test_a_condition_holds_or_does_not_or_can_not_be_told(
    condition: Json, action: str, facts: Json, holds: bool | None
) -> None:
    assert state(condition, action, **facts) is holds


def test_the_table_has_every_condition_in_each_of_its_states() -> None:
    from cowork.domain.policy_decision import FACT_OF_CONDITION

    separately = {"toolHint", "commandPrefix"}
    for key in FACT_OF_CONDITION.keys() - separately:
        states = {holds for condition, _, _, holds in TABLE if key in condition}
        assert states >= {True, False}, key


@pytest.mark.parametrize(
    ("scope", "path", "to_path", "crosses"),
    [
        (TWO, "/a/x", "/b/x", True),
        (TWO, "/a/x", "/a/y", False),
        (NESTED, "/a/x", "/a/b/y", False),
        (NESTED, "/a/b/x", "/a/b/y", False),
    ],
)
def test_a_move_crosses_roots_where_no_one_grant_holds_both_ends(
    scope: Json, path: str, to_path: str, crosses: bool
) -> None:
    assert state({"crossRoot": True}, "file.move", scope=scope, path=path, toPath=to_path) is crosses
    assert state({"crossRoot": False}, "file.move", scope=scope, path=path, toPath=to_path) is not crosses


def test_a_move_over_a_link_to_another_root_may_or_may_not_cross() -> None:
    facts = {"path": "/a/x", "toPath": "/a/link/x", "toRealPath": "/b/x"}
    assert state({"crossRoot": True}, "file.move", scope=TWO, **facts) is None


def test_a_move_out_of_a_grant_that_has_ended_is_not_held_by_it() -> None:
    ended = {"grants": [{"root": "/"}, {"root": "/a", "expiresAt": LATER}]}
    inner = {"grants": [{"root": "/a"}, {"root": "/b"}, {"root": "/", "expiresAt": LATER}]}
    facts = {"path": "/a/x", "toPath": "/b/x"}
    assert state({"crossRoot": True}, "file.move", scope=ended, now=LATER, **facts) is False
    assert state({"crossRoot": True}, "file.move", scope=inner, now="2026-05-01T11:59:59Z", **facts) is False
    assert state({"crossRoot": True}, "file.move", scope=inner, now=LATER, **facts) is True


def test_what_is_hidden_counts_below_the_granted_folder_only() -> None:
    assert state({"hidden": True}, "file.read", scope=DOT, path="/home/u/.config/app/x") is False
    assert state({"hidden": True}, "file.read", scope=DOT, path="/home/u/.config/app/.x") is True


def test_what_is_hidden_counts_below_the_innermost_granted_folder() -> None:
    scope = {"grants": [{"root": "/ws"}, {"root": "/ws/.drafts"}]}
    assert state({"hidden": True}, "file.read", scope=scope, path="/ws/.drafts/x") is False
    assert state({"hidden": True}, "file.read", scope={"grants": [{"root": "/"}]}, path="/.x") is True


def test_a_grant_that_has_ended_no_longer_says_what_is_hidden() -> None:
    scope = {"grants": [{"root": "/ws"}, {"root": "/ws/.drafts", "expiresAt": LATER}]}
    before, at = "2026-05-01T11:59:59Z", LATER
    assert state({"hidden": True}, "file.read", scope=scope, path="/ws/.drafts/x", now=before) is False
    assert state({"hidden": True}, "file.read", scope=scope, path="/ws/.drafts/x", now=at) is True
    assert state({"hidden": True}, "file.read", scope=scope, path="/ws/.drafts/x") is True


def test_what_is_sensitive_counts_below_the_granted_folder_only() -> None:
    scope = {"grants": [{"root": "/secrets"}]}
    assert state({"sensitive": True}, "file.read", scope=scope, path="/secrets/a") is False
    assert state(
        {"executed": True}, "file.read", scope={"grants": [{"root": "/.git/hooks"}]}, path="/.git/hooks/x"
    ) is (False)


@pytest.mark.parametrize(
    ("wanted", "said", "holds"),
    [
        ({"readOnlyHint": True}, {"readOnlyHint": True}, True),
        ({"readOnlyHint": True}, {}, False),
        ({"readOnlyHint": False}, {}, True),
        ({"destructiveHint": True}, {}, True),
        ({"idempotentHint": False}, {}, True),
        ({"openWorldHint": True}, {}, True),
        ({"openWorldHint": False}, {"openWorldHint": False}, True),
        ({"destructiveHint": True, "readOnlyHint": False}, {"destructiveHint": False}, False),
        ({"destructiveHint": True, "readOnlyHint": False}, {"destructiveHint": "yes"}, None),
        ({"destructiveHint": True, "readOnlyHint": True}, {"destructiveHint": "yes"}, False),
        ({"readOnlyHint": True}, {"readOnlyHint": None}, None),
        ({"readOnlyHint": True}, None, None),
        ({}, {}, True),
    ],
)
def test_a_hint_of_a_trusted_server_counts_and_has_the_defaults_of_the_protocol(
    wanted: Json, said: Json | None, holds: bool | None
) -> None:
    facts: Json = {"tool": "t", "toolTrusted": True, "annotations": said}
    assert state({"toolHint": wanted}, "connector.read", **facts) is holds


@pytest.mark.parametrize("trusted", [False, None, "absent"])
def test_a_hint_of_a_server_that_is_not_trusted_says_nothing(trusted: Any) -> None:
    facts: Json = {"annotations": {"readOnlyHint": True}} | ({} if trusted == "absent" else {"toolTrusted": trusted})
    assert state({"toolHint": {"readOnlyHint": True}}, "connector.read", **facts) is None
    assert state({"toolHint": {"readOnlyHint": False}}, "connector.read", **facts) is None


def test_a_hint_is_about_connectors_only() -> None:
    assert state({"toolHint": {"readOnlyHint": True}}, "shell.exec", toolTrusted=True, annotations={}) is False


@pytest.mark.parametrize(
    ("patterns", "command", "holds"),
    [
        ([["git"]], ["git"], True),
        ([["git", "status"]], ["git", "status", "-s"], True),
        ([["git", "status"]], ["git"], False),
        ([["git", "status"]], ["git", "statusx"], False),
        ([["git", ["status", "log"]]], ["git", "log"], True),
        ([["git", ["status", "log"]]], ["git", "push"], False),
        ([[["rm", "rmdir"], "-r"]], ["rmdir", "-r"], True),
        ([["rm"]], ["/bin/rm", "x"], None),
        ([["/bin/rm"]], ["rm", "x"], None),
        ([["/bin/rm"]], ["/bin/rm", "x"], True),
        ([["rm", "-f"]], ["/bin/rm", "-r"], False),
        ([["rm"], ["/bin/rm"]], ["/bin/rm"], True),
        ([["rm"]], ["rm2"], False),
        ([["rm"]], ["x", "rm"], False),
        ([["git"]], [], None),
    ],
)
def test_a_command_begins_with_a_pattern_token_by_token(
    patterns: list[Any], command: list[str], holds: bool | None
) -> None:
    assert state({"commandPrefix": patterns}, "shell.exec", commands=[command]) is holds


@pytest.mark.parametrize("facts", [{}, {"commands": None}, {"commands": []}])
def test_a_script_that_could_not_be_read_may_be_any_command(facts: Json) -> None:
    assert state({"commandPrefix": [["rm"]]}, "shell.exec", **facts) is None


def test_a_command_is_about_the_shell_only() -> None:
    assert state({"commandPrefix": [["rm"]]}, "code.run", commands=[["rm"]]) is False


def test_an_exception_that_holds_takes_a_rule_away_and_one_that_may_hold_leaves_it_open() -> None:
    guarded = policy(rule("deny", unless=[{"matchesPattern": ["**/*.example"]}, {"fileSizeGreaterThan": 10}]))
    assert asked(guarded, action="file.read", path="/ws/a.example", fileSizeBytes=1).verdict == "allow"
    assert asked(guarded, action="file.read", path="/ws/a", fileSizeBytes=11).verdict == "allow"
    known = asked(guarded, action="file.read", path="/ws/a", fileSizeBytes=1)
    assert (known.verdict, known.by_missing_fact) == ("deny", False)
    unknown = asked(guarded, action="file.read", path="/ws/a")
    assert (unknown.verdict, unknown.by_missing_fact, unknown.missing_facts) == ("deny", True, ("fileSizeBytes",))
    assert asked(guarded, action="file.read", path="/ws/a.example").verdict == "allow"


def test_an_exception_that_can_not_be_about_the_action_takes_nothing_away() -> None:
    guarded = policy(rule("deny", unless=[{"hostMatches": ["api.example.com"]}]))
    assert asked(guarded, action="file.read", host="api.example.com").verdict == "deny"
    assert asked(guarded, action="network.request").verdict == "allow"


def test_an_exception_of_a_rule_that_does_not_match_changes_nothing() -> None:
    guarded = policy(rule("deny", when={"tainted": True}, unless=[{"hidden": True}]), fallback="allow_with_confirm")
    assert asked(guarded, action="file.read", path="/ws/.a").verdict == "allow_with_confirm"
    assert asked(guarded, action="file.read", path="/ws/.a", labels=None).verdict == "allow_with_confirm"
    assert asked(guarded, action="file.read", path="/ws/a", labels=None).by_missing_fact


def test_conditions_of_paths_are_asked_of_each_frame_s_own_grants() -> None:
    from tests.domain.policy.one_question import decide, frame

    frozen = policy(rule("deny", when={"pathWithinOutputRoot": True}))
    inner = {**WS, "outputRoots": []}
    assert decide([frame(frozen), frame(policy(), scope=inner)], "file.write", path="/ws/out/x").verdict == "deny"
    assert decide([frame(policy()), frame(frozen, scope=inner)], "file.write", path="/ws/out/x").verdict == "allow"
