"""What is wrong with a policy document beyond its shape: names that name nothing, patterns that can never match.

Each fault has a place, so that the line of the file can be told, and a code by which programs tell faults apart.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from .json_text import Place, cited
from .policy_document import CONDITIONS_1_0, KINDS, Conditions, Limit, PolicyDocument, Rule, ToolHint, kinds_named
from .policy_example import find_fault_of_example
from .policy_glob import slashed
from .policy_host import parse_entry
from .policy_window import find_fault

ID_LENGTH_MAX: Final = 200
"""The longest id of a rule or limit, in characters."""

RESERVED: Final = ("invariant.", "floor.", "default-", "(")
"""How no id begins: invariants, the floor and fallbacks are cited by such names."""

_ONLY_1_1: Final = ("unless", "mode", "remember", "match", "not_match", "code")
_METHOD: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_MEND_PATTERN: Final = "a pattern is held against the whole absolute path: `/home/me/notes/**`, `**/notes/**`"


class Fault(msgspec.Struct, frozen=True, gc=False):
    """One mistake in a document: its code, its place in the value, a sentence with the offending part, what to do."""

    code: str
    place: Place
    message: str
    hint: str = ""


def find_faults(document: PolicyDocument, unjudged: frozenset[int] = frozenset()) -> list[Fault]:
    """Return the faults of a document, rule by rule. The examples of the rules whose numbers are given are let be."""
    faults = list(_faults_of_ids(document))
    for number, rule in enumerate(document.rules):
        place: Place = ("rules", number)
        found = list(_faults_of_rule(rule, document.version, place))
        faults += found
        # Examples are judged where the conditions can be: a dead pattern is one that can, and never matches.
        if number not in unjudged and all(fault.code in ("id", "dead-pattern", "unknown-key") for fault in found):
            faults += _faults_of_examples(rule, place)
    for number, limit in enumerate(document.limits):
        faults += _faults_of_limit(limit, document.version, ("limits", number))
    return faults


# Ids ----------------------------------------------------------------------------------------------------------------


def _faults_of_ids(document: PolicyDocument) -> Iterator[Fault]:
    parts: list[tuple[Place, Rule | Limit]] = [(("rules", n), rule) for n, rule in enumerate(document.rules)]
    parts += [(("limits", n), limit) for n, limit in enumerate(document.limits)]
    seen: set[str] = set()
    for place, part in parts:
        if part.id in seen:
            message = f"the id `{cited(part.id)}` is taken"
            yield Fault("duplicate-id", (*place, "id"), message, "give each rule its own id")
        seen.add(part.id)
        message, hint = _why_no_id(part.id)
        if message:
            yield Fault("id", (*place, "id"), message, hint)


def _why_no_id(text: str) -> tuple[str, str]:
    begins = next((word for word in RESERVED if text.startswith(word)), "")
    if begins:
        hint = f"ids that begin with `{begins}` are the engine's own: choose another"
        return f"the id `{cited(text)}` is reserved", hint
    if not text or len(text) > ID_LENGTH_MAX or not text.isprintable() or text != text.strip():
        return f"`{cited(text)}` is no id", f"an id is 1 to {ID_LENGTH_MAX} visible characters"
    return "", ""


# Rules and limits ---------------------------------------------------------------------------------------------------


def _faults_of_rule(rule: Rule, version: str, place: Place) -> Iterator[Fault]:
    yield from _faults_of_actions(rule.action, place)
    if version == "1.0":
        for field in _ONLY_1_1:
            key = _RULE_KEYS[field]
            if msgspec.structs.asdict(rule)[field] != _RULE_DEFAULTS[field]:
                message = f"the key `{key}` belongs to version 1.1, and this document is 1.0"
                yield Fault("unknown-key", (*place, key), message, 'write `version` as "1.1"')
    yield from _faults_of_conditions(rule.when, version, (*place, "when"))
    for number, exception in enumerate(rule.unless):
        there = (*place, "unless", number)
        if exception == _NOTHING:
            hint = "say when the rule is not to hold, or leave `unless` away"
            yield Fault("unless", there, "an exception without a condition always holds, so the rule never does", hint)
        yield from _faults_of_conditions(exception, version, there)


_NOTHING: Final = Conditions()
_RULE_KEYS: Final = {field.name: field.encode_name for field in msgspec.structs.fields(Rule)}
_RULE_DEFAULTS: Final = {field.name: field.default for field in msgspec.structs.fields(Rule)}


def _faults_of_limit(limit: Limit, version: str, place: Place) -> Iterator[Fault]:
    if version == "1.0":
        yield Fault(
            "limits", place, "limits belong to version 1.1, and this document is 1.0", 'write `version` as "1.1"'
        )
    yield from _faults_of_actions(limit.action, place)


def _faults_of_actions(action: str | tuple[str, ...], place: Place) -> Iterator[Fault]:
    named = [((*place, "action"), action)] if isinstance(action, str) else []
    named += [((*place, "action", n), one) for n, one in enumerate(action) if not isinstance(action, str)]
    for there, pattern in named:
        if not kinds_named((pattern,)):
            name = cited(pattern)
            message = f"`{name}` matches no action" if "*" in pattern else f"no action is called `{name}`"
            yield Fault("action", there, message, f"the actions are {', '.join(KINDS)}; `file.*` and `*` name several")


def _faults_of_examples(rule: Rule, place: Place) -> Iterator[Fault]:
    for field, examples, wanted in (("match", rule.match, True), ("not_match", rule.not_match, False)):
        for number, example in enumerate(examples):
            message, hint = find_fault_of_example(rule, example, wanted=wanted)
            if message:
                yield Fault("example", (*place, _RULE_KEYS[field], number), message, hint)


# Conditions ---------------------------------------------------------------------------------------------------------


def _faults_of_conditions(conditions: Conditions, version: str, place: Place) -> Iterator[Fault]:
    if version == "1.0":
        for field in msgspec.structs.fields(Conditions):
            if field.name not in CONDITIONS_1_0 and msgspec.structs.asdict(conditions)[field.name] is not None:
                message = f"the condition `{field.encode_name}` belongs to version 1.1, and this document is 1.0"
                yield Fault("unknown-condition", (*place, field.encode_name), message, 'write `version` as "1.1"')
    for number, pattern in enumerate(conditions.matches_pattern or ()):
        message, hint = why_dead(pattern)
        if message:
            yield Fault("dead-pattern", (*place, "matchesPattern", number), message, hint)
    yield from _faults_of_words(conditions, place)
    window = conditions.time_window
    if window is not None and (message := find_fault(window)):
        yield Fault("condition-type", (*place, "timeWindow"), message, "mend the time window")
    if conditions.tool_hint == ToolHint():
        hint = "name one, as in `destructiveHint`"
        yield Fault("condition-type", (*place, "toolHint"), "`toolHint` asks for no hint", hint)
    for number, prefix in enumerate(conditions.command_prefix or ()):
        first = (prefix[0],) if isinstance(prefix[0], str) else prefix[0]
        if "" in first:
            hint = "begin with the program, as in `git`"
            yield Fault("condition-type", (*place, "commandPrefix", number, 0), "a command begins with ``", hint)


def why_dead(pattern: str) -> tuple[str, str]:
    """Return why a path pattern can never match and what to write instead; two empty texts for one that can.

    It is held against whole absolute paths, in which `//`, `.`, `..` and a slash at the end do not occur.
    """
    text = slashed(pattern)
    names = text.split("/")
    if not text:
        return "the pattern `` never matches: it is empty", _MEND_PATTERN
    if text == "/":
        return "", ""
    if not text.startswith(("/", "**", "*/")):
        return f"the pattern `{cited(pattern)}` never matches: it does not begin at `/` or with `**`", _MEND_PATTERN
    if text.endswith("/"):
        return (
            f"the pattern `{cited(pattern)}` never matches: no path ends in a slash",
            f"write `{cited(text.rstrip('/'))}` for the folder, `{cited(text.rstrip('/'))}/**` for what lies in it",
        )
    odd = next((name for name in names[1:] if name in ("", ".", "..")), None)
    if odd is not None or names[0] in (".", ".."):
        shown = "//" if odd == "" else odd
        return f"the pattern `{cited(pattern)}` never matches: no path has `{shown}` in it", _MEND_PATTERN
    if "\x00" in text:
        return "a pattern with a NUL character never matches: no path has one", _MEND_PATTERN
    return "", ""


def _faults_of_words(conditions: Conditions, place: Place) -> Iterator[Fault]:
    for number, text in enumerate(conditions.host_matches or ()):
        if parse_entry(text) is None:
            hint = "write the host alone: `api.example.com`, `*.example.com`, `example.com:8443`, `[::1]:*`"
            yield Fault("condition-type", (*place, "hostMatches", number), f"`{cited(text)}` is not a host", hint)
    for number, text in enumerate(conditions.extension_in or ()):
        if not text.startswith(".") or len(text) < 2 or not set("/*\\\x00").isdisjoint(text):
            hint = "an extension begins with a dot and is the end of a name: `.md`, `.tar.gz`"
            message = f"`{cited(text)}` is not the extension of a file"
            yield Fault("condition-type", (*place, "extensionIn", number), message, hint)
    for number, text in enumerate(conditions.method_in or ()):
        if not _METHOD.fullmatch(text):
            message = f"`{cited(text)}` is not a method of HTTP"
            yield Fault("condition-type", (*place, "methodIn", number), message, "write `GET`, `POST`, …")
    words: tuple[tuple[str, Iterable[str]], ...] = (
        ("connectorIn", conditions.connector_in or ()),
        ("toolMatches", conditions.tool_matches or ()),
        ("taintIn", conditions.taint_in or ()),
    )
    for key, texts in words:
        for number, text in enumerate(texts):
            if not text:
                yield Fault("condition-type", (*place, key, number), f"`{key}` has an empty text", "write a name")
