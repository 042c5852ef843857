"""What a lint says of small documents: one for each finding, and of the origin's sample."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cowork.domain.policy_analysis import CODES, Finding, LintReport, lint
from cowork.domain.policy_document import PolicyDocument, layer

ROOT = Path(__file__).resolve().parents[3]


def document(*rules: dict[str, Any], version: str = "1.1", fallback: str = "deny", **more: Any) -> PolicyDocument:
    """Return a document of rules as JSON values; ids that are not given are `a`, `b`, `c`."""
    numbered = [{"id": "abcdefgh"[number], "decision": "allow", **rule} for number, rule in enumerate(rules)]
    value = {"version": version, "defaults": {"fallback": fallback}, "rules": numbered, **more}
    return msgspec.convert(value, PolicyDocument)


def found(report: LintReport) -> list[tuple[str, tuple[str, ...]]]:
    assert all(finding.status == "proved" for finding in report.findings)
    return [(finding.code, finding.rules) for finding in report.findings]


def only(report: LintReport, code: str) -> Finding:
    (finding,) = [finding for finding in report.findings if finding.code == code]
    return finding


SAMPLE = {
    "version": "1.0",
    "defaults": {"fallback": "deny"},
    "rules": [
        {"id": "allow-read", "action": "file.read", "decision": "allow", "when": {"pathWithinGrant": True}},
        {"id": "allow-write", "action": "file.write", "decision": "allow", "when": {"pathWithinOutputRoot": True}},
        {
            "id": "confirm-write",
            "action": "file.write",
            "decision": "allow_with_confirm",
            "when": {"pathWithinGrant": True, "pathWithinOutputRoot": False},
        },
        {"id": "deny-escape", "action": "file.*", "decision": "deny", "when": {"pathWithinGrant": False}},
        {"id": "deny-secrets", "action": "file.*", "decision": "deny", "when": {"matchesPattern": ["**/.env*"]}},
        {"id": "confirm-delete", "action": "file.delete", "decision": "allow_with_confirm"},
        {"id": "deny-network", "action": "network.request", "decision": "deny"},
        {
            "id": "allow-hosts",
            "action": "network.request",
            "decision": "allow_with_confirm",
            "when": {"hostInAllowlist": True},
        },
    ],
}
"""The origin's sample (its DSL page), with fewer patterns."""


def test_the_real_faults_of_the_origins_sample_are_named() -> None:
    report = lint(msgspec.convert(SAMPLE, PolicyDocument))
    by_rule = {(finding.code, finding.rules[0]): finding for finding in report.findings}
    # The exact rules are asked before the glob, wherever they stand: the secrets are readable.
    secrets = by_rule["deny-never-bites", "deny-secrets"]
    assert secrets.severity == "error"
    assert secrets.witness is not None
    assert (secrets.witness.verdict, secrets.witness.request.action) == ("allow", "file.list")
    assert str(secrets.witness.request.path).startswith("/ws/.env")
    assert by_rule["never-decides", "allow-hosts"].rules == ("allow-hosts", "deny-network")
    assert by_rule["dead-rule", "deny-escape"].severity == "note"
    assert ("order-dependent", "allow-hosts") in by_rule
    assert ("overridden-by-weaker", "deny-secrets") in by_rule
    assert {rules[0] for _, rules in found(report)} == {"deny-secrets", "allow-hosts", "deny-escape"}
    assert report.has_errors


def test_a_report_is_json() -> None:
    report = lint(msgspec.convert(SAMPLE, PolicyDocument))
    value = json.loads(msgspec.json.encode(report))
    assert msgspec.convert(value, LintReport) == report
    assert {finding["code"] for finding in value["findings"]} <= set(CODES)
    assert value["assumptions"]


GLOB, EXACT = {"matchesPattern": ["/ws/a/**"]}, {"matchesPattern": ["/ws/a/b"]}


@pytest.mark.parametrize(
    ("when", "more", "why"),
    [
        ({"matchesPattern": ["secrets/**"]}, {}, "no absolute path is written like `secrets/**`"),
        ({"matchesPattern": []}, {}, "a list in `when` is empty"),
        ({"hostInAllowlist": True}, {}, "its conditions (`hostInAllowlist`) are not about its actions"),
        ({"matchesPattern": ["/a/**"], "extensionIn": ["md"]}, {}, "`extensionIn` never holds"),
        ({"tainted": False, "taintIn": ["web"], "hidden": True}, {}, "exclude each other (`tainted` and `taintIn`)"),
        (EXACT, {"unless": [GLOB]}, "whatever `when` is about, `unless` excepts"),
        (GLOB, {"unless": [{"matchesPattern": ["/ws/a/b/**"]}, {"matchesPattern": ["/**"]}]}, "`unless` excepts"),
        ({"fileSizeGreaterThan": 10}, {"unless": [{"fileSizeGreaterThan": 5}]}, "`unless` excepts"),
        ({"timeWindow": {"from": "09:00", "to": "09:00"}}, {}, "`timeWindow` never holds"),
        ({"pathWithinGrant": False}, {}, "denied before any rule is asked"),
    ],
)
def test_a_rule_that_never_matches_is_dead_and_the_sentence_says_why(
    when: dict[str, Any], more: dict[str, Any], why: str
) -> None:
    report = lint(document({"action": "file.read", "when": when, **more}))
    finding = only(report, "dead-rule")
    assert why in finding.sentence
    assert finding.status == "proved"
    assert not [one for one in report.findings if one.code not in ("dead-rule", "dead-exception")]


def test_audit_rules_are_dead_only_when_they_never_match() -> None:
    ask = {"action": "file.read", "decision": "deny", "mode": "audit"}
    rules = ({"action": "file.read", "when": GLOB}, ask, {**ask, "when": {"matchesPattern": ["x"]}})
    assert found(lint(document(*rules))) == [("dead-rule", ("c",))]


def test_a_rule_under_a_stricter_one_never_has_its_way() -> None:
    report = lint(document({"action": "file.read", "when": EXACT}, {"action": "*", "decision": "deny", "when": GLOB}))
    finding = only(report, "overridden-everywhere")
    assert finding.rules == ("a", "b")
    assert finding.witness is not None
    assert finding.witness.verdict == "deny"


def test_a_rule_beside_one_that_says_the_same_is_redundant() -> None:
    wide = {"action": "file.*", "when": GLOB}
    assert ("redundant-rule", ("b",)) in found(lint(document(wide, {"action": "file.read", "when": EXACT})))
    tagged = {"action": "file.read", "when": EXACT, "riskTags": ["care"]}
    assert found(lint(document(wide, tagged))) == []


def test_removing_the_only_exact_rule_of_version_1_0_brings_the_alias_back() -> None:
    rules = ({"action": "file.create", "decision": "deny"}, {"action": "file.write"})
    assert found(lint(document(*rules, version="1.0"))) == []


def test_two_rules_that_can_be_exchanged_are_not_order_dependent() -> None:
    deny, allow = {"action": "file.read", "decision": "deny", "when": GLOB}, {"action": "file.read"}
    assert ("order-dependent", ("b", "a")) in found(lint(document(deny, allow, version="1.0")))
    apart = {"action": "file.read", "when": {"matchesPattern": ["/ws/b/**"]}}
    assert found(lint(document(deny, apart, version="1.0", fallback="allow_with_confirm"))) == []


def test_an_exception_that_never_applies_is_named() -> None:
    rule = {"action": "file.read", "when": GLOB, "unless": [{"matchesPattern": ["/etc/**"]}, EXACT]}
    finding = only(lint(document(rule)), "dead-exception")
    assert "exception 1 of rule `a`" in finding.sentence


@pytest.mark.parametrize(
    ("action", "one", "other"),
    [
        ("network.request", {"methodIn": ["GET", "HEAD"]}, {"methodIn": ["post"]}),
        ("connector.*", {"connectorIn": ["mail"]}, {"connectorIn": ["crm"]}),
        ("shell.exec", {"commandPrefix": [["git", "log"]]}, {"commandPrefix": [["git", ["push", "pull"]], ["rm"]]}),
        ("network.request", {"hostMatches": ["*.a.com"]}, {"hostMatches": ["a.com", "*.b.com"]}),
        ("connector.*", {"toolMatches": ["get_*"]}, {"toolMatches": ["*_send", "set_*"], "toolHint": {}}),
        ("file.read", {"fileSizeGreaterThan": 10}, {"fileSizeGreaterThan": 10, "tainted": False, "taintIn": ["web"]}),
    ],
)
def test_facts_that_exclude_each_other_make_an_exception_idle(
    action: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    # The last but one can meet: `get_send`.
    is_idle = "toolMatches" not in one
    report = lint(document({"action": action, "when": one, "unless": [other]}))
    assert ("dead-exception" in dict(found(report))) is is_idle
    turned = lint(document({"action": action, "when": other, "unless": [one]}))
    assert ("dead-exception" in dict(found(turned)) or "dead-rule" in dict(found(turned))) is is_idle


def test_a_member_of_a_list_that_nothing_matches_is_named() -> None:
    rule = {"action": "file.read", "when": {"matchesPattern": ["/ws/**", "/ws//x", "docs/**"]}}
    findings = [one for one in lint(document(rule)).findings if one.code == "dead-pattern"]
    assert [finding.sentence.split("`")[1] for finding in findings] == ["/ws//x", "docs/**"]


def test_a_document_that_holds_nothing_back_is_named() -> None:
    report = lint(document({"action": "file.read"}, fallback="allow"))
    assert only(report, "allows-everything").severity == "warning"
    kinds = {finding.kind for finding in report.findings if finding.code == "allowed-unasked"}
    assert kinds == {"shell.exec", "code.run", "network.request"}


def test_a_narrowing_layer_does_not_hide_what_the_stack_allows() -> None:
    open_one = document({"action": "shell.exec", "when": {"commandPrefix": [["git", ["log", "status"]]]}})
    narrow = document({"action": "shell.exec", "decision": "allow_with_confirm"}, fallback="allow")
    alone, together = lint([layer("open", open_one)]), lint([layer("open", open_one), layer("narrow", narrow)])
    assert [finding.kind for finding in alone.findings if finding.code == "allowed-unasked"] == ["shell.exec"]
    assert "allowed-unasked" not in dict(found(together))
    overruled = only(together, "overridden-by-layers")
    assert (overruled.layer, overruled.rules) == ("open", ("a",))


def test_a_limit_that_leaves_no_room_is_named() -> None:
    limits = [{"id": "none", "action": "file.delete", "max": 0}, {"id": "one", "action": "file.delete", "max": 1}]
    report = lint(document({"action": "file.delete"}, limits=limits))
    assert only(report, "limit-always-exceeded").rules == ("none",)


def test_what_can_not_be_settled_says_so() -> None:
    # Two zones drift against each other with the seasons, and only some weeks are looked at.
    inside = {"from": "09:00", "to": "10:00", "tz": "Europe/Berlin"}
    outside = {"from": "13:00", "to": "14:00", "tz": "America/New_York"}
    report = lint(document({"action": "file.read", "when": {"timeWindow": inside}, "unless": []}))
    assert found(report) == []
    both = {"action": "file.read", "when": {"timeWindow": inside}, "unless": [{"timeWindow": outside}]}
    (finding,) = lint(document(both)).findings
    assert (finding.code, finding.status) == ("dead-exception", "not settled")
    assert "time zones" in finding.sentence


def test_the_cases_policies_are_linted_without_a_question_left_open() -> None:
    sound = {
        "rules": [
            {"id": "read", "action": ["file.read", "file.list"], "decision": "allow"},
            {"id": "secrets", "action": "file.*", "decision": "deny", "when": {"sensitive": True}},
            {"id": "hooks", "action": "file.*", "decision": "deny", "when": {"executed": True}},
            {"id": "hidden", "action": "file.*", "decision": "deny", "when": {"hidden": True}},
            {"id": "move", "action": "file.move", "decision": "allow_with_confirm", "when": {"crossRoot": False}},
        ]
    }
    assert found(lint(msgspec.convert(sound, PolicyDocument))) == []
