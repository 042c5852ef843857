"""A document with a mistake is refused in one sentence: the file, the line, the offending value, and what to do."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from cowork.adapters.policy_files.document import load_layer
from cowork.adapters.policy_files.finding import error_codes, find_errors
from cowork.adapters.policy_files.reading import POLICY_BYTES_MAX
from cowork.domain.errors import DomainError
from tests.adapters.policy_files.documents import RULE, document, refusal, text_of, when

HEAD = '{"version": "1.1", "defaults": {"fallback": "deny"}, "rules": [\n'
TOML = 'version = "1.1"\ndefaults.fallback = "deny"\n'
MEND = "nothing runs until it is mended"

# name: the content, the line, what the sentence says, what the hint says
JSON_FILES: dict[str, tuple[str | bytes, int, str, str]] = {
    "empty": ("", 1, "it is empty", "a policy has `version`"),
    "blank": (" \n\n", 1, "it is empty", "a policy has `version`"),
    "byte order mark": ("\ufeff{}", 1, "it begins with a byte order mark", "without one"),
    "not UTF-8": (b'{"version":\n "\xff"}', 2, "not UTF-8 text: byte `ff`", "save it as UTF-8"),
    "UTF-16": ('{"version": "1.1"}'.encode("utf-16"), 1, "not UTF-8 text: byte `ff`", "save it as UTF-8"),
    "a comma too many": ('{"version": "1.1",\n}', 2, "not JSON at `}`", "mend the JSON"),
    "cut off": ('{"version": "1.1",\n"rules": [', 2, "not JSON at its end", "mend the JSON"),
    "two values": ("{}\n{}", 2, "not JSON at `{}`: extra data", "mend the JSON"),
    "a key given twice": ('{"version": "1.1",\n "rules": [],\n "version": "1.0"}', 3,
                          "the key `version` is given twice", "keep one of them"),
    "a key of a rule given twice": (HEAD + '{"id": "a",\n"decision": "deny",\n"decision": "allow"}]}', 4,
                                    "the key `decision` is given twice", "keep one of them"),
    "too deep": ('{"version": "1.1",\n"rules": ' + "[" * 100_000, 2, "more than 64 deep", "make it flatter"),
    "objects too deep": ('{"version": "1.1",\n"rules": ' + '{"a":' * 100_000, 2, "more than 64 deep", "flatter"),
    "NaN": (HEAD + '{"id": "a", "action": "file.read", "decision": "deny", "when": {\n"fileSizeGreaterThan": NaN}}]}',
            3, "`NaN` is no number", "write another number"),
    "infinity": (HEAD + '{"id": "a", "action": "file.read", "decision": "deny", "when": {\n'
                 '"fileSizeGreaterThan": -Infinity}}]}', 3, "`-Infinity` is no number", "write another number"),
    "a number too large": (HEAD + '{"id": "a", "action": "file.read", "decision": "deny", "when": {\n'
                           '"fileSizeGreaterThan": 1e999}}]}', 3, "`Infinity` is no number", "write another number"),
    "an integer too large": (HEAD + '{"id": "a", "action": "file.read", "decision": "deny", "when": {\n'
                             '"fileSizeGreaterThan": 9007199254740993}}]}', 3, "`9007199254740993` is too large",
                             "most"),
    "an integer of a million digits": ('{\n"version":' + "9" * 1_000_000 + "}", 2, "is no number", "another number"),
    "half of a character": (HEAD + '{\n"id": "a\\ud800"}]}', 3, "half of a character: `\\ud800`", "whole"),
    "a key with half of a character": (HEAD + '{"id": "a",\n"\\udfff": 1}]}', 3, "half of a character: `\\udfff`",
        "whole"),
    "a list": ("[1]", 1, "the document must be an object, not `[1]`", "a policy has `version`"),
    "null": ("null", 1, "the document must be an object, not `null`", "a policy has `version`"),
    "a text": ('\n"policy"', 2, 'the document must be an object, not `"policy"`', "a policy has `version`"),
}  # fmt: skip

TOML_FILES: dict[str, tuple[str | bytes, int, str, str]] = {
    "empty": ("", 1, "it is empty", "a policy has `version`"),
    "no value": ('version = "1.1"\nrules = \n', 2, "not TOML at `rules =`: invalid value", "mend the TOML"),
    "cut off": (TOML + "rules = [\n", 3, "not TOML at `rules = [`", "mend the TOML"),
    "a text that does not end": ('version = "1.1\n', 1, "not TOML at `version", "mend the TOML"),
    "a key given twice": ('version = "1.1"\nversion = "1.0"\n', 2, "cannot overwrite a value", "mend the TOML"),
    "a table given twice": (TOML + "[a]\n[a]\n", 4, "cannot declare", "mend the TOML"),
    "a date": (TOML + '[[rules]]\nid = "a"\naction = "file.read"\ndecision = "deny"\nreason = 2026-01-02\n', 7,
               "rule `a`: the date `2026-01-02` is no text", "in quotes"),
    "a date for a window": (TOML + '[[rules]]\nid = "a"\naction = "file.read"\ndecision = "deny"\n'
                            "[rules.when.timeWindow]\nnotBefore = 2026-01-02T00:00:00Z\n", 8, "is no text",
                            "in quotes"),
    "a day that no month has": (TOML + "x = 2026-02-30\n", 3, "not TOML", "mend the TOML"),
    "nan": (TOML + '[[rules]]\nid = "a"\naction = "file.read"\ndecision = "deny"\nwhen.fileSizeGreaterThan = nan\n', 7,
            "rule `a`: `NaN` is no number", "write another number"),
    "infinity": (TOML + '[[limits]]\nid = "a"\naction = "file.read"\nmax = -inf\nrules = []\n', 6,
                 "limit `a`: `-Infinity` is no number", "write another number"),
    "a number of thousands of digits": (TOML + f"x = {'9' * 5000}\n", 3, "is too long", "write it shorter"),
    "too deep": (TOML + "x = " + "[" * 100_000, 3, "more than 64 deep", "make it flatter"),
    "tables too deep": (TOML + "x = " + "{a = " * 100_000, 3, "more than 64 deep", "make it flatter"),
    "a name too deep": (TOML + "a." * 100_000 + "a = 1\n", 3, "more than 64 deep", "make it flatter"),
    "a header too deep": (TOML + f"[{'a.' * 100_000}a]\n", 3, "more than 64 deep", "make it flatter"),
    "rules that are one table": (TOML + '[rules]\nid = "a"\n', 3, "`rules` must be a list", "list of rules"),
    "a version without quotes": ("version = 1.1\ndefaults.fallback = 'deny'\nrules = []\n", 1,
                                 '`version` must be "1.0" or "1.1", not `1.1`', "1.1"),
    "text after many lines": (TOML + '# "\n[[rules]]\nid = """\n"a\\""""\naction = [\n  # x\n  "file.read",\n'
                              '  \'files.*\', ]\ndecision = "allow"\n', 10, "`files.*` matches no action",
                              "the actions are"),
    "an inline table": (TOML + 'rules = [\n  { id = "a", action = "file.read", decision = "allow" },\n'
                        '  { id = "b", action = "file.read", decision = "allow", when = { matchesPattern = ["/a",\n'
                        '  "b/"] } },\n]\n', 6, "rule `b`: the pattern `b/` never matches", "absolute path"),
    "the second table of a rule": (TOML + '[[rules]]\nid = "a"\naction = "file.read"\ndecision = "allow"\n'
                                   "[[rules.unless]]\nhidden = true\n[[rules.unless]]\nhiden = true\n", 10,
                                   "rule `a`: `hiden` is no condition", "did you mean `hidden`?"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("suffix", "name"), [*((".json", name) for name in JSON_FILES), *((".toml", name) for name in TOML_FILES)]
)
def test_a_file_that_can_not_be_read_is_refused_with_the_line(suffix: str, name: str, tmp_path: Path) -> None:
    content, line, says, advises = (JSON_FILES if suffix == ".json" else TOML_FILES)[name]
    path = tmp_path / f"policy{suffix}"

    message, hint = refusal(path, content)

    assert message.startswith(f"the policy `{path}`, line {line}: "), message
    assert says in message
    assert advises in hint
    assert hint.endswith(MEND)
    assert "\n" not in message + hint
    assert len(message) < len(str(path)) + 250
    (message + hint).encode()


# name: a document, the codes, and what the sentence and the hint say of the first
DOCUMENTS: dict[str, tuple[Any, list[str], str, str]] = {
    "no version": ({"defaults": {"fallback": "deny"}, "rules": []}, ["version"], "`version` is missing", '"1.1"'),
    "another version": (document(version="2.0"), ["version"], '`version` must be "1.0" or "1.1", not `"2.0"`', '"1.1"'),
    "no defaults": ({"version": "1.0", "rules": []}, ["defaults"], "`defaults` is missing", "fallback"),
    "no fallback": (document(defaults={}), ["defaults"], "`fallback` is missing", '"deny"'),
    "another fallback": (document(defaults={"fallback": "ask"}), ["defaults"], "`fallback` must be allow", "deny"),
    "defaults of another kind": (document(defaults="deny"), ["defaults"], "`defaults` must be an object", "fallback"),
    "another default": (document(defaults={"fallback": "deny", "falback": "deny"}), ["defaults"],
        "`falback` is no default",
                        "did you mean `fallback`?"),
    "no rules": ({"version": "1.1", "defaults": {"fallback": "deny"}}, ["rules"], "`rules` is missing",
        "list of rules"),
    "rules of another kind": (document(rules={}), ["rules"], "`rules` must be a list, not `{}`", "list of rules"),
    "a rule of another kind": (document(rules=[RULE, "x"]), ["rules"], 'rule number 2 must be an object, not `"x"`',
        ""),
    "an unknown key": (document(polices=[]), ["unknown-key"], "`polices` is no key of a policy", "the known ones are"),
    "a typo'd key": ({"verson": "1.1", "defaults": {"fallback": "deny"}, "rules": []}, ["unknown-key"],
                     "`verson` is no key of a policy", "did you mean `version`?"),
    "a typo'd key of a rule": (document(rules=[{"id": "a", "action": "*", "decison": "deny"}]), ["unknown-key"],
                               "rule `a`: `decison` is no key of a rule", "did you mean `decision`?"),
    "a key in another case": (document({"risktags": []}), ["unknown-key"], "`risktags` is no key", "mean `riskTags`?"),
    "a key as Python writes it": (document({"risk_tags": []}), ["unknown-key"], "`risk_tags` is no key",
        "mean `riskTags`?"),
    "no id": (document(rules=[{"action": "*", "decision": "deny"}]), ["id"], "rule number 1: `id` is missing",
        "a name"),
    "an id of another kind": (document({"id": 7}), ["id"], "rule number 1: `id` must be a text, not `7`", "a name"),
    "an empty id": (document({"id": ""}), ["id"], "rule number 1: `` is no id", "visible characters"),
    "an id with a line in it": (document({"id": "a\nb"}), ["id"], "is no id", "visible characters"),
    "an id that is too long": (document({"id": "a" * 201}), ["id"], "is no id", "1 to 200"),
    "an invariant's id": (document({"id": "invariant.x"}), ["id"], "the id `invariant.x` is reserved", "`invariant.`"),
    "a floor's id": (document({"id": "floor.x"}), ["id"], "the id `floor.x` is reserved", "`floor.`"),
    "a fallback's id": (document({"id": "default-deny"}), ["id"], "the id `default-deny` is reserved", "`default-`"),
    "a fallback's other id": (document({"id": "(fallback)"}), ["id"], "the id `(fallback)` is reserved",
        "choose another"),
    "an id given twice": (document({}, {}), ["duplicate-id"], "rule `a`: the id `a` is taken", "its own id"),
    "a limit with a rule's id": (document({}, limits=[{"id": "a", "action": "*", "max": 1}]), ["duplicate-id"],
                                 "limit `a`: the id `a` is taken", "its own id"),
    "no action": (document(rules=[{"id": "a", "decision": "deny"}]), ["action"], "rule `a`: `action` is missing",
        "name"),
    "an unknown action": (document({"action": "files.read"}), ["action"], "no action is called `files.read`",
        "file.read"),
    "a glob that matches nothing": (document({"action": "files.*"}), ["action"], "`files.*` matches no action",
        "file.read"),
    "an empty action": (document({"action": ""}), ["action"], "no action is called ``", "file.read"),
    "an unknown action in a list": (document({"action": ["file.read", "file.del"]}), ["action"],
                                    "no action is called `file.del`", "file.delete"),
    "no actions": (document({"action": []}), ["action"], "`action` must be an action or a list of actions",
        "file.read"),
    "an action of another kind": (document({"action": ["file.read", 1]}), ["action"],
                                  "member 2 of `action` must be an action, not `1`", ""),
    "no decision": (document(rules=[{"id": "a", "action": "*"}]), ["decision"], "rule `a`: `decision` is missing",
        "write"),
    "another decision": (document({"decision": "ask"}), ["decision"], 'or deny, not `"ask"`', "write allow"),
    "conditions of another kind": (document({"when": []}), ["when"], "`when` must be an object, not `[]`", ""),
    "an unknown condition": (when(pathWithinGrants=True), ["unknown-condition"], "`pathWithinGrants` is no condition",
                             "did you mean `pathWithinGrant`?"),
    "an unknown condition in an exception": (document({"unless": [{"moonPhase": 1}]}), ["unknown-condition"],
                                             "`moonPhase` is no condition", "the known ones are"),
    "a condition of 1.1 in 1.0": (document({"when": {"extensionIn": [".md"]}}, version="1.0"), ["unknown-condition"],
                                  "the condition `extensionIn` belongs to version 1.1", 'write `version` as "1.1"'),
    "an exception in 1.0": (document({"unless": [{"pathWithinGrant": True}]}, version="1.0"), ["unknown-key"],
                            "the key `unless` belongs to version 1.1", '"1.1"'),
    "trying out in 1.0": (document({"mode": "audit"}, version="1.0"), ["unknown-key"], "the key `mode` belongs",
        '"1.1"'),
    "limits in 1.0": (document(version="1.0", limits=[{"id": "l", "action": "*", "max": 1}]), ["limits"],
                      "limits belong to version 1.1", '"1.1"'),
    "a flag of another kind": (when(hidden="yes"), ["condition-type"], '`hidden` must be true or false, not `"yes"`',
        ""),
    "null": (when(hidden=None), ["condition-type"], "`hidden` must be true or false, not `null`", ""),
    "a negative size": (when(fileSizeGreaterThan=-1), ["condition-type"], "a number of bytes, 0 or more, not `-1`", ""),
    "a size in quotes": (when(fileSizeGreaterThan="1"), ["condition-type"], "a number of bytes, 0 or more", ""),
    "a flag for a size": (when(fileSizeGreaterThan=True), ["condition-type"], "0 or more, not `true`", ""),
    "half a depth": (when(subagentDepthGreaterThan=0.5), ["condition-type"], "a whole number, 0 or more, not `0.5`",
        ""),
    "a pattern that is no list": (when(matchesPattern="**/x"), ["condition-type"], "`matchesPattern` must be a list",
        ""),
    "no patterns": (when(matchesPattern=[]), ["condition-type"], "a list with something in it, not `[]`", ""),
    "a relative pattern": (when(matchesPattern=["secrets/**"]), ["dead-pattern"],
                           "the pattern `secrets/**` never matches: it does not begin at `/`", "**/notes/**"),
    "a pattern for one folder": (when(matchesPattern=["*.csv"]), ["dead-pattern"], "`*.csv` never matches",
        "**/notes/**"),
    "a pattern of a home": (when(matchesPattern=["~/x"]), ["dead-pattern"], "`~/x` never matches", "absolute path"),
    "a pattern with a slash at its end": (when(matchesPattern=["/ws/x/"]), ["dead-pattern"], "no path ends in a slash",
                                          "write `/ws/x` for the folder, `/ws/x/**`"),
    "a pattern that goes up": (when(matchesPattern=["/ws/../x"]), ["dead-pattern"], "no path has `..` in it",
        "absolute"),
    "a pattern with a dot": (when(matchesPattern=["/ws/./x"]), ["dead-pattern"], "no path has `.` in it", "absolute"),
    "a pattern with two slashes": (when(matchesPattern=["/ws//x"]), ["dead-pattern"], "no path has `//` in it",
        "absolute"),
    "a backslash at the end": (when(matchesPattern=["**\\x\\"]), ["dead-pattern"], "no path ends in a slash",
        "for the folder"),
    "an empty pattern": (when(matchesPattern=[""]), ["dead-pattern"], "the pattern `` never matches: it is empty",
        "path"),
    "a dead pattern in an exception": (document({"unless": [{"matchesPattern": ["a/**"]}]}), ["dead-pattern"],
                                       "the pattern `a/**` never matches", "absolute path"),
    "an address of a page": (when(hostMatches=["https://example.com/x"]), ["condition-type"],
                             "`https://example.com/x` is not a host", "write the host alone"),
    "a host with a star inside": (when(hostMatches=["api.*.com"]), ["condition-type"], "`api.*.com` is not a host",
        "alone"),
    "an empty host": (when(hostMatches=[""]), ["condition-type"], "`` is not a host", "write the host alone"),
    "an extension without a dot": (when(extensionIn=["md"]), ["condition-type"], "`md` is not the extension of a file",
        "dot"),
    "an extension with a star": (when(extensionIn=["*.md"]), ["condition-type"], "`*.md` is not the extension", "dot"),
    "a method that is none": (when(methodIn=["GET /"]), ["condition-type"], "`GET /` is not a method of HTTP", "`GET`"),
    "an empty label": (when(taintIn=[""]), ["condition-type"], "`taintIn` has an empty text", "write a name"),
    "an empty command": (when(commandPrefix=[[]]), ["condition-type"], "must be a list of words, at least one", ""),
    "a command without alternatives": (when(commandPrefix=[["git", []]]), ["condition-type"],
        "a word or a list of words", ""),
    "a command without a program": (when(commandPrefix=[["", "x"]]), ["condition-type"], "a command begins with ``",
        "git"),
    "no hint": (when(toolHint={}), ["condition-type"], "`toolHint` asks for no hint", "destructiveHint"),
    "an unknown hint": (when(toolHint={"readonlyHint": True}), ["condition-type"],
        "`readonlyHint` is no hint of a tool",
                        "did you mean `readOnlyHint`?"),
    "a time that is none": (when(timeWindow={"from": "25:00"}), ["condition-type"], "`25:00` is not a time of day",
        "window"),
    "a zone that is none": (when(timeWindow={"tz": "Mars/Base"}), ["condition-type"], "`Mars/Base` is not a time zone",
        "window"),
    "a folder of zones": (when(timeWindow={"tz": "Europe"}), ["condition-type"], "`Europe` is not a time zone",
        "window"),
    "a day without an hour": (when(timeWindow={"notBefore": "2026-01-02"}), ["condition-type"],
                              "`2026-01-02` is not an instant", "window"),
    "no days": (when(timeWindow={"days": []}), ["condition-type"], "`days` must be a list of days", ""),
    "another day": (when(timeWindow={"days": ["monday"]}), ["condition-type"], "one of mon, tue", ""),
    "exceptions of another kind": (document({"unless": {}}), ["unless"], "`unless` must be a list, not `{}`", ""),
    "an exception without a condition": (document({"unless": [{}]}), ["unless"], "always holds", "leave `unless` away"),
    "another mode": (document({"mode": "dry-run"}), ["mode"], "`mode` must be enforce or audit", ""),
    "remembering of another kind": (document({"remember": "no"}), ["remember"], "`remember` must be true or false", ""),
    "tags of another kind": (document({"riskTags": "x"}), ["riskTags"], "`riskTags` must be a list", ""),
    "an empty tag": (document({"riskTags": [""]}), ["riskTags"],
        "member 1 of `riskTags` must be a text that is not empty", ""),
    "a reason of another kind": (document({"reason": 1}), ["reason"], "`reason` must be a text, not `1`", ""),
    "a code that is none": (document({"code": "because"}), ["code"], "`code` must be a reason code", ""),
    "limits of another kind": (document(limits={}), ["limits"], "`limits` must be a list", ""),
    "a limit without an end": (document(limits=[{"id": "l", "action": "*"}]), ["limits"],
        "limit `l`: `max` is missing", "how much"),
    "a negative limit": (document(limits=[{"id": "l", "action": "*", "max": -1}]), ["limits"], "0 or more, not `-1`",
        ""),
    "a limit of nothing": (document(limits=[{"id": "l", "action": "*", "max": 1, "unit": ""}]), ["limits"],
        "not empty", ""),
    "a limit that allows": (document(limits=[{"id": "l", "action": "*", "max": 1, "onExceed": "allow"}]), ["limits"],
                            "`onExceed` must be deny or allow_with_confirm", ""),
    "a limit on nothing": (document(limits=[{"id": "l", "action": "file.reed", "max": 1}]), ["action"],
                           "limit `l`: no action is called `file.reed`", "file.read"),
    "a typo'd key of a limit": (document(limits=[{"id": "l", "action": "*", "max": 1, "onExeed": "deny"}]),
        ["unknown-key"],
                                "`onExeed` is no key of a limit", "did you mean `onExceed`?"),
    "a reserved limit": (document(limits=[{"id": "invariant.x", "action": "*", "max": 1}]), ["id"], "is reserved",
        "choose"),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_mistake_in_a_document_has_a_code_and_a_sentence(name: str, tmp_path: Path) -> None:
    value, codes, says, advises = DOCUMENTS[name]

    assert error_codes(value) == codes
    message, hint = refusal(tmp_path / "policy.json", json.dumps(value))
    assert says in message
    assert advises in hint
    assert hint.endswith(MEND)
    assert "\n" not in message + hint


def test_a_mistake_in_a_rule_is_found_on_its_line(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    value = document({"id": "one"}, {"id": "two", "when": {"matchesPattern": ["/a", "**/b", "c"]}})
    text = text_of(value)
    line = text.split("\n").index('     "c"') + 1

    message, _ = refusal(path, text)

    assert message.startswith(f"the policy `{path}`, line {line}: rule `two`: the pattern `c` never matches")


def test_a_missing_key_is_told_with_the_line_of_its_rule(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    message, _ = refusal(path, TOML + '[[rules]]\nid = "a"\naction = "*"\ndecision = "deny"\n\n[[rules]]\nid = "b"\n')

    assert message.startswith(f"the policy `{path}`, line 8: rule `b`: `action` is missing (and 1 more mistake)")


def test_all_mistakes_are_found_in_the_order_of_the_document() -> None:
    value = document(
        {"id": "invariant.x", "action": "files.*", "decision": "maybe", "when": {"moonPhase": 1, "hidden": 1}},
        {"when": {"matchesPattern": ["a/**", "/ok", "b/**"], "extensionIn": ["md"]}, "match": [{"path": "/x"}]},
        {"remember": 1},
        {"id": "b", "unless": [{"tz": 1}, {"hidden": True}]},
        limits=[{"id": "b", "action": "x", "max": -1}],
        version="3",
    )
    value["ruls"] = []

    found = find_errors(value)

    assert [fault.code for fault in found] == [
        "version",
        "id",
        "action",
        "decision",
        "unknown-condition",
        "condition-type",
        "dead-pattern",
        "dead-pattern",
        "condition-type",
        "duplicate-id",
        "remember",
        "unknown-condition",
        "duplicate-id",
        "action",
        "limits",
        "unknown-key",
    ]
    assert found[6].place == ("rules", 1, "when", "matchesPattern", 0)
    assert found[7].place == ("rules", 1, "when", "matchesPattern", 2)
    assert len(error_codes(value)) == len(set(error_codes(value)))


def test_a_part_of_the_wrong_shape_hides_no_other_mistake() -> None:
    value = document({"id": 1, "action": "nothing", "when": {"hidden": 3, "matchesPattern": ["x"]}}, {}, {"id": "b"})
    value["rules"][1] = 7

    assert error_codes(value) == ["id", "action", "condition-type", "dead-pattern", "rules"]


def test_a_file_of_more_than_its_bound_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_bytes(b" " * (10 * 1024 * 1024))

    started = time.monotonic()
    with pytest.raises(DomainError) as caught:
        load_layer(path, "user")

    assert caught.value.code == "limit"
    assert str(POLICY_BYTES_MAX) in caught.value.message
    assert time.monotonic() - started < 1
    path.write_bytes(b" " * (POLICY_BYTES_MAX + 1))
    with pytest.raises(DomainError, match="is larger than"):
        load_layer(path, "user")


@pytest.mark.parametrize(
    "content",
    [
        b'{"rules":[' + b"{}," * 300_000 + b"{}]}",
        b'{"rules":[' + b'{"decision":3,"x":1},' * 9_000 + b"{}]}",
        b'{"x":"' + b'\\"' * 500_000,
        b"{" + b'"a":1,' * 150_000 + b'"a":1}',
        b'{"version":"1.1","defaults":{"fallback":"deny"},"rules":[{"id":"a","action":"*","decision":"deny","when":'
        b'{"matchesPattern":[' + b'"a",' * 200_000 + b'"a"]}}]}',
    ],
    ids=["empty rules", "broken rules", "escaped quotes", "keys given again", "dead patterns"],
)
def test_a_full_file_of_nonsense_is_refused_in_seconds(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"

    started = time.monotonic()
    message, _ = refusal(path, content[:POLICY_BYTES_MAX])

    assert len(message) < len(str(path)) + 250
    assert time.monotonic() - started < 10
