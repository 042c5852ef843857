"""A document that is right is taken as it was written, in JSON or TOML, and its examples are tried first."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from cowork.adapters.policy_files import document_model as shapes
from cowork.adapters.policy_files.document import layer_of, load_layer
from cowork.adapters.policy_files.finding import error_codes, find_errors
from cowork.domain import policy_document as structs
from cowork.domain.baseline import BASELINE
from cowork.domain.canonical_json import canonical_json
from cowork.domain.errors import DomainError
from tests.adapters.policy_files.documents import document, refusal, when

WHOLE = """
version = "1.1"

[defaults]
fallback = "deny"

[[rules]]
id = "everything"
action = ["file.*", "network.request"]
decision = "allow_with_confirm"
reason = "a sentence"
riskTags = ["large"]
mode = "audit"
remember = false
code = "protected"
notMatch = [{ action = "file.read", path = "/etc/x", targetExists = true }]

[rules.when]
pathWithinGrant = true
matchesPattern = ["**/notes/**", "/home/me/*"]
fileSizeGreaterThan = 1.5e3
extensionIn = [".md", ".tar.gz"]
toolHint = { readOnlyHint = false, destructiveHint = true }
commandPrefix = [["git", ["status", "log"]], ["ls"]]

[rules.when.timeWindow]
days = ["mon", "fri"]
from = "22:00"
to = "06:00"
tz = "Europe/Berlin"
notBefore = "2026-03-01T00:00:00Z"

[[rules.unless]]
hostMatches = ["*.example.com:*"]
methodIn = ["get"]

[[rules.unless]]
tainted = false

[[limits]]
id = "spend"
action = "*"
max = 2.5
unit = "usd"
onExceed = "allow_with_confirm"
"""


def test_toml_and_json_of_the_same_document_are_the_same_layer(tmp_path: Path) -> None:
    toml, copy = tmp_path / "policy.toml", tmp_path / "policy.json"
    toml.write_text(WHOLE)
    layer = load_layer(toml, "user")
    copy.write_text(json.dumps(json.loads(layer.source), indent=3))

    assert load_layer(copy, "user") == layer
    rule = layer.document.rules[0]
    assert rule.when.time_window == structs.TimeWindow(
        days=("mon", "fri"), from_="22:00", to="06:00", tz="Europe/Berlin", not_before="2026-03-01T00:00:00Z"
    )
    assert rule.when.command_prefix == (("git", ("status", "log")), ("ls",))
    assert rule.when.file_size_greater_than == 1500
    assert (rule.mode, rule.remember, rule.code, rule.risk_tags) == ("audit", False, "protected", ("large",))
    assert [exception.tainted for exception in rule.unless] == [None, False]
    assert layer.document.limits[0] == structs.Limit(
        id="spend", action="*", max=2.5, unit="usd", on_exceed="allow_with_confirm"
    )


def test_a_layer_keeps_the_canonical_bytes_of_what_was_written_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    value = document({"when": {}, "reason": "ü \u2028"}, {"id": "b", "action": ["file.read"]}, version="1.0")
    path.write_text(json.dumps(value, indent=2))

    layer = load_layer(path, "user")

    assert layer.source == canonical_json(value)
    assert "remember" not in layer.source.decode()
    assert structs.stored_layer("user", layer.source) == layer == layer_of(value, "user")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("policy", ' {"version": "1.0", "defaults": {"fallback": "deny"}, "rules": []}'),
        ("policy.conf", 'version = "1.0"\ndefaults.fallback = "deny"\nrules = []'),
        ("POLICY.JSON", '{"version": "1.0", "defaults": {"fallback": "deny"}, "rules": []}'),
        ("policy.TOML", '[defaults]\nfallback = "deny"\n[a]', ),
    ],
)  # fmt: skip
def test_a_file_is_read_by_its_suffix_or_else_by_how_it_begins(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    if name == "policy.TOML":
        assert refusal(path, text)[0].startswith(f"the policy `{path}`, line 1: `version` is missing")
    else:
        assert load_layer(path, "user").document.version == "1.0"


def test_the_shipped_baseline_has_no_mistake() -> None:
    assert find_errors(json.loads(BASELINE.source)) == []


@pytest.mark.parametrize(
    ("shape", "struct"),
    [
        (shapes.DocumentShape, structs.PolicyDocument),
        (shapes.DefaultsShape, structs.Defaults),
        (shapes.RuleShape, structs.Rule),
        (shapes.LimitShape, structs.Limit),
        (shapes.ConditionsShape, structs.Conditions),
        (shapes.TimeWindowShape, structs.TimeWindow),
        (shapes.ToolHintShape, structs.ToolHint),
    ],
)
def test_the_shapes_have_the_keys_of_the_structs_and_no_other(
    shape: type[BaseModel], struct: type[msgspec.Struct]
) -> None:
    aliases = [field.alias for field in shape.model_fields.values()]

    assert aliases == [field.encode_name for field in msgspec.structs.fields(struct)]


LIVE_PATTERNS = ["**", "/", "/**", "**/x", "**x", "*/x", "/ws/*", "/ws/.*", "/ws/..x", "**\\x\\**", "C:/x"]


@pytest.mark.parametrize("pattern", LIVE_PATTERNS[:-1])
def test_a_pattern_that_can_match_is_let_pass(pattern: str) -> None:
    assert error_codes(when(matchesPattern=[pattern])) == []


def test_one_dead_pattern_among_living_ones_is_found() -> None:
    assert [fault.place[-1] for fault in find_errors(when(matchesPattern=LIVE_PATTERNS))] == [len(LIVE_PATTERNS) - 1]


# Examples: the rule's keys, and what the load says of them

HOLDS: dict[str, dict[str, Any]] = {
    "one place, of a rule about files of all kinds": {
        "action": "file.*",
        "when": {"matchesPattern": ["**/.env*"]},
        "match": [{"path": "/ws/.env"}],
        "notMatch": [{"path": "/ws/env"}],
    },
    "a path that matches": {"when": {"matchesPattern": ["/ws/**"]}, "match": [{"path": "/ws/a"}]},
    "a path that does not": {"when": {"matchesPattern": ["/ws/**"]}, "notMatch": [{"path": "/etc/x"}]},
    "one of several kinds": {"action": "file.*", "when": {"crossRoot": False}, "match": [
        {"path": "/a/x", "toPath": "/a/y", "scope": {"grants": [{"root": "/a"}]}}]},
    "a grant that was not told": {"when": {"pathWithinGrant": True, "hidden": True}, "match": [{"path": "/ws/.x"}]},
    "a grant that was told": {"when": {"pathWithinGrant": True}, "match": [
        {"path": "/ws/x", "scope": {"grants": [{"root": "/ws"}]}}]},
    "another action than the rule's": {"action": "file.*", "notMatch": [{"action": "shell.exec"}]},
    "a command": {"action": "shell.exec", "when": {"commandPrefix": [["git", ["status", "log"]]]},
                  "match": [{"commands": [["git", "log", "-1"]]}, {"commands": [["git", "status"]]}],
                  "notMatch": [{"commands": [["git", "push"]]}, {"commands": [["ls"], ["git"]]}]},
    "a host": {"action": "network.request", "when": {"hostMatches": ["*.example.com"], "methodIn": ["get"]},
               "match": [{"host": "a.example.com", "method": "GET"}],
               "notMatch": [{"host": "example.com"}, {"method": "POST"}]},
    "an exception": {"unless": [{"matchesPattern": ["**/public/**"]}], "match": [{"path": "/ws/x"}],
                     "notMatch": [{"path": "/ws/public/x"}]},
    "an exception of the output": {"unless": [{"pathWithinOutputRoot": True}], "match": [{"path": "/ws/x"}]},
    "a batch": {"when": {"batchCountGreaterThan": 1}, "match": [{"items": [{"path": "/a"}, {"path": "/b"}]}],
                "notMatch": [{"path": "/a"}]},
    "a time": {"when": {"timeWindow": {"from": "09:00", "to": "17:00"}}, "match": [{"now": "2026-01-05T10:00:00Z"}],
               "notMatch": [{"now": "2026-01-05T18:00:00Z"}]},
    "nothing at all": {"match": [{}]},
    "a tool": {"action": "connector.action", "when": {"toolHint": {"destructiveHint": True}},
               "match": [{"toolTrusted": True, "annotations": {}}]},
    "a rule that is only tried out": {"mode": "audit", "when": {"hidden": True}, "match": [{"path": "/a/.b"}]},
}  # fmt: skip

FAILS: dict[str, tuple[dict[str, Any], str]] = {
    "a path that does not match": ({"when": {"matchesPattern": ["/ws/**"]}, "match": [{"path": "/etc/x"}]},
                                   "the rule does not match the example: `matchesPattern`"),
    "a path that does": ({"when": {"matchesPattern": ["/ws/**"]}, "notMatch": [{"path": "/ws/x"}]},
                         "the rule matches the example for file.read"),
    "the second of two": ({"when": {"matchesPattern": ["/ws/**"]}, "match": [{"path": "/ws/x"}, {"path": "/x"}]},
                          "the rule does not match"),
    "a fact that is not given": ({"when": {"fileSizeGreaterThan": 5}, "match": [{"path": "/x"}]},
                                 "leaves open whether the rule matches: `fileSizeGreaterThan`"),
    "a fact that is not denied": ({"when": {"fileSizeGreaterThan": 5}, "notMatch": [{"path": "/x"}]},
                                  "the rule may match the example for file.read: `fileSizeGreaterThan`"),
    "no path": ({"when": {"matchesPattern": ["/x"]}, "notMatch": [{}]},
        "may match the example for file.read: `matches"),
    "a link out": ({"when": {"matchesPattern": ["/ws/**"]}, "match": [{"path": "/ws/x", "realPath": "/etc/x"}]},
                   "leaves open whether the rule matches: `matchesPattern`"),
    "a grant that was not told": ({"when": {"pathWithinGrant": False}, "notMatch": [{"path": "/ws/x"}]},
                                  "may match the example for file.read: `pathWithinGrant`"),
    "a grant that was told": ({"when": {"pathWithinGrant": True}, "match": [
        {"path": "/ws/x", "scope": {"grants": [{"root": "/w"}]}}]}, "does not match the example: `pathWithinGrant`"),
    "an exception": ({"unless": [{"hidden": True}], "match": [{"path": "/ws/.x"}]},
        "does not match the example: `unless`"),
    "an exception that may hold": ({"unless": [{"targetExists": True}], "match": [{"path": "/ws/.x"}]},
                                   "leaves open whether the rule matches: `targetExists`"),
    "another action": ({"action": "file.*", "match": [{"action": "shell.exec"}]},
                       "the rule is not about the example's action `shell.exec`"),
    "an unknown action": ({"action": "*", "match": [{"action": "file.reed"}]},
        "the example's action `file.reed` is none"),
    "a typo'd fact": ({"notMatch": [{"pth": "/x"}]}, "the example's fact `pth` is none"),
    "a typo'd fact of an item": ({"notMatch": [{"items": [{"pth": "/x"}]}]},
        "the fact `pth` of the example's item is none"),
    "a relative path": ({"when": {"matchesPattern": ["/ws/**"]}, "notMatch": [{"path": "ws/x"}]},
                        "the example's `path` is no absolute path without `..`: `ws/x`"),
    "a host that is none": ({"action": "network.request", "notMatch": [{"host": "a b"}]},
        "the example's host `a b` is none"),
    "a fact of another kind": ({"match": [{"path": 1}]}, "the example is no request: expected"),
    "no items": ({"match": [{"items": []}]}, "does not match the example: it has no items"),
    "an unknown key of the scope": ({"match": [{"path": "/x", "scope": {"grnts": []}}]}, "unknown field `grnts`"),
    "a time at the end of time": ({"when": {"timeWindow": {"tz": "America/New_York"}},
                                   "match": [{"now": "0001-01-01T00:00:00Z"}]}, "the example is no request"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOLDS)
def test_an_example_that_holds_is_let_pass(name: str) -> None:
    assert find_errors(document(HOLDS[name])) == []


@pytest.mark.parametrize("name", FAILS)
def test_an_example_that_fails_is_a_mistake(name: str, tmp_path: Path) -> None:
    rule, says = FAILS[name]
    value = document(rule)

    assert error_codes(value) == ["example"]
    message, _ = refusal(tmp_path / "policy.json", json.dumps(value))
    assert "rule `a`: " in message
    assert says in message


def test_a_document_in_a_value_is_refused_by_the_name_of_its_layer() -> None:
    with pytest.raises(DomainError) as caught:
        layer_of(document({"id": "x", "action": "nope"}), "organisation")

    assert caught.value.message == "the policy of layer `organisation`: rule `x`: no action is called `nope`"
