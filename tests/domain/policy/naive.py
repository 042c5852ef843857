"""A second evaluator of policy, written from the text of the semantics alone: plain loops over plain dictionaries.

It reads documents, scopes and requests as JSON values, compiles nothing but one regular expression for each glob, and
imports nothing that decides. It is slow on purpose, and is what the compiled evaluator is compared with.
"""

import re
from functools import cache
from typing import Any

from tests.domain.policy.naive_condition import MOVES, Facts, State, clause_holds
from tests.domain.policy.naive_invariant import broken_atom, broken_request

LEVELS = {"allow": 0, "allow_with_confirm": 1, "deny": 2}
NAMES = ("allow", "allow_with_confirm", "deny")
ALIASES = {
    "file.create": "file.write",
    "file.delete": "file.write",
    "file.rename": "file.write",
    "file.move": "file.write",
    "file.list": "file.read",
    "file.search": "file.read",
}
FLOORED = {"file.delete", "file.rename", "file.move", "shell.exec", "code.run", "subagent.spawn"}

Json = dict[str, Any]


def decide(frames: list[Json], request: Json) -> Json:
    """Return what `cowork policy evaluate` prints for the question, and which rules matched or may have."""
    kind = request["action"]
    if not frames or not frames[0]["layers"]:
        return _denied("invariant.no-policy", request)
    fault = broken_request(request)
    if fault is not None:
        return _denied(fault, request)
    atoms = atoms_of(request)
    seen = [[Facts(request, atom, frame["scope"]) for atom in atoms] for frame in frames]
    for facts in (one for of_frame in seen for one in of_frame):
        fault = broken_atom(facts)
        if fault is not None:
            return _denied(fault, request)
    voices = [
        voice
        for frame, of_frame in zip(frames, seen, strict=True)
        for layer in frame["layers"]
        for voice in [
            *(_layer_says(layer, kind, facts) for facts in of_frame),
            *_limits_say(layer, kind, request, len(parts_of(request))),
        ]
    ]
    level = max(voice["level"] for voice in voices)
    loudest = [voice for voice in voices if voice["level"] == level]
    reported = next((voice for voice in loudest if voice["known"]), loudest[0])
    asking = _asking(voices) if level == LEVELS["allow_with_confirm"] else []
    tags = derived_tags(request).union(*(voice["tags"] for voice in voices))
    return {
        "decision": NAMES[level],
        "ruleId": reported["id"],
        "layer": reported["layer"],
        "riskTags": sorted(tags),
        "byMissingFact": not reported["known"],
        "confirmRules": list(dict.fromkeys(name for name, _ in asking)),
        "rememberable": level == 1 and reported["known"] and all(kept for _, kept in asking),
        "matched": {name for voice in voices for name in voice["matched"]},
        "possible": {name for voice in voices for name in voice["possible"]},
    }


def _denied(rule_id: str, request: Json) -> Json:
    return {
        "decision": "deny",
        "ruleId": rule_id,
        "layer": "invariant",
        "riskTags": sorted(derived_tags(request)),
        "byMissingFact": False,
        "confirmRules": [],
        "rememberable": False,
        "matched": set(),
        "possible": set(),
    }


def _asking(voices: list[Json]) -> list[tuple[str, bool]]:
    return [asked for voice in voices if voice["level"] == 1 for asked in voice["asking"]]


# Atoms


def parts_of(request: Json) -> list[Json]:
    """The items of a batch, each filled up with what the request says; the request itself where it is no batch."""
    if "items" not in request:
        return [request]
    parts = []
    for item in request["items"]:
        part = {key: value for key, value in request.items() if key != "items"}
        for path, real in (("path", "realPath"), ("toPath", "toRealPath")):
            if path in item:
                # The real path beside the request's path says nothing about another path.
                part.pop(real, None)
        parts.append({**part, **item})
    return parts


def atoms_of(request: Json) -> list[Json]:
    """Each end of each move of each item; each simple command of a script."""
    atoms = []
    for part in parts_of(request):
        ends: list[Any] = []
        if "path" in part:
            ends.append((part["path"], part.get("realPath", part["path"])))
        if request["action"] in MOVES:
            ends.append((part["toPath"], part.get("toRealPath", part["toPath"])))
        commands: list[Any] = [None]
        if request["action"] == "shell.exec" and part.get("commands"):
            commands = part["commands"]
        atoms += [
            {"part": part, "place": end, "ends": ends, "command": command}
            for command in commands
            for end in (ends or [None])
        ]
    return atoms


# Layers


def _layer_says(layer: Json, kind: str, facts: Facts) -> Json:
    document = layer["policy"]
    says = _first_match if document["version"] == "1.0" else _strictest
    return says(layer["name"], document, kind, facts)


@cache
def names(pattern: str, kind: str) -> bool:
    """Whether a kind, or a glob over kinds, names the kind."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), kind) is not None


def actions_of(rule: Json) -> list[str]:
    """The kinds and globs of a rule or limit."""
    return [rule["action"]] if isinstance(rule["action"], str) else list(rule["action"])


def rule_state(rule: Json, kind: str, facts: Facts) -> State:
    """Whether the rule's `when` holds and no member of its `unless` does; None where that can't be told."""
    states = [clause_holds(rule.get("when", {}), kind, facts)]
    for clause in rule.get("unless", ()):
        state = clause_holds(clause, kind, facts)
        states.append(None if state is None else not state)
    return False if False in states else None if None in states else True


def _strictest(name: str, document: Json, kind: str, facts: Facts) -> Json:
    known: list[tuple[tuple[int, int, int], Json]] = []
    possible: list[tuple[tuple[int, int, int], Json]] = []
    matched: list[str] = []
    perhaps: list[str] = []
    for position, rule in enumerate(document.get("rules", ())):
        named = [action for action in actions_of(rule) if names(action, kind)]
        if not named:
            continue
        state = rule_state(rule, kind, facts)
        if state is not False:
            (matched if state else perhaps).append(f"{name}:{rule['id']}")
            if rule.get("mode", "enforce") == "enforce":
                place = (-LEVELS[rule["decision"]], 0 if kind in named else 1, position)
                (known if state else possible).append((place, rule))
    known.sort(key=lambda found: found[0])
    possible.sort(key=lambda found: found[0])
    level = LEVELS[known[0][1]["decision"] if known else document["defaults"]["fallback"]]
    rule = known[0][1] if known else None
    is_known = True
    if possible and LEVELS[possible[0][1]["decision"]] > level:
        rule, is_known = possible[0][1], False
        level = LEVELS[rule["decision"]]
    asking = [
        (f"{name}:{found['id']}", found.get("remember", True))
        for _, found in sorted(known + possible, key=lambda found: found[0])
        if found["decision"] == "allow_with_confirm"
    ]
    if rule is None:
        asking.append((f"{name}:(fallback)", True))
    return _voice(name, rule, level, is_known, asking, matched, perhaps)


def _first_match(name: str, document: Json, kind: str, facts: Facts) -> Json:
    rules = document.get("rules", ())
    exact = [rule for rule in rules if kind in actions_of(rule)]
    other = [rule for rule in rules if ALIASES.get(kind) in actions_of(rule)] if not exact else []
    wild = [rule for rule in rules if any("*" in a and names(a, kind) for a in actions_of(rule))]
    ordered = exact + other + [rule for rule in wild if rule not in exact and rule not in other]
    states = [rule_state(rule, kind, facts) for rule in ordered]
    last = states.index(True) if True in states else len(ordered)
    candidates: list[tuple[Json | None, int, bool]] = []
    for rule, state in zip(ordered[: last + 1], states, strict=False):
        if state is not False:
            level = LEVELS[rule["decision"]]
            is_floored = kind in FLOORED and rule not in exact
            candidates.append((rule, max(level, 1) if is_floored else level, state is True))
    if last == len(ordered):
        level = LEVELS[document["defaults"]["fallback"]]
        candidates.append((None, max(level, 1) if kind in FLOORED else level, True))
    top = max(level for _, level, _ in candidates)
    best = [candidate for candidate in candidates if candidate[1] == top]
    rule, level, is_known = next((candidate for candidate in best if candidate[2]), best[0])
    asking = [
        (f"{name}:{'(fallback)' if found is None else found['id']}", found is None or found.get("remember", True))
        for found, found_level, _ in candidates
        if found_level == 1
    ]
    matched = [f"{name}:{found['id']}" for found, state in zip(ordered, states, strict=True) if state]
    perhaps = [f"{name}:{found['id']}" for found, state in zip(ordered, states, strict=True) if state is None]
    return _voice(name, rule, level, is_known, asking, matched, perhaps)


def _voice(
    layer: str,
    rule: Json | None,
    level: int,
    known: bool,
    asking: list[tuple[str, bool]],
    matched: list[str],
    possible: list[str],
) -> Json:
    return {
        "layer": layer,
        "id": None if rule is None else rule["id"],
        "level": level,
        "known": known,
        "tags": set() if rule is None else set(rule.get("riskTags", ())),
        "asking": asking,
        "matched": matched,
        "possible": possible,
    }


def _limits_say(layer: Json, kind: str, request: Json, items: int) -> list[Json]:
    voices = []
    for limit in layer["policy"].get("limits", ()):
        if not any(names(action, kind) for action in actions_of(limit)):
            continue
        used = _table(request, "usage").get(limit["id"])
        asked = _table(request, "cost").get(limit["unit"]) if limit.get("unit") else items
        is_known = all(number is not None and number >= 0 for number in (used, asked))
        if is_known and (used or 0) + (asked or 0) <= limit["max"]:
            continue
        level = LEVELS[limit.get("onExceed", "deny")]
        asking = [(f"{layer['name']}:{limit['id']}", False)]
        voices.append(_voice(layer["name"], {"id": limit["id"]}, level, is_known, asking, [], []))
    return voices


def _table(request: Json, key: str) -> Json:
    return request.get(key) or {}


# Tags


def derived_tags(request: Json) -> set[str]:
    """What the request is by nature, whatever any rule says of it."""
    kind = request["action"]
    tags = set()
    if kind == "file.delete":
        tags.add("delete")
    if kind in {"file.write", "file.move", "file.rename"} and not _is_known_absent(request):
        tags.add("overwrite")
    if kind == "network.request":
        tags.add("network")
    if kind in {"connector.read", "connector.action"}:
        tags.add("connector")
    if kind in {"shell.exec", "code.run"}:
        tags.add("execute")
    if kind == "subagent.spawn":
        tags.add("spawn")
    count = request.get("batchCount", 1)
    if count is None or count > 1 or len(request.get("items") or ()) > 1:
        tags.add("batch")
    labels = request.get("labels", [])
    if labels is None or labels:
        tags.add("untrusted")
    return tags


def _is_known_absent(request: Json) -> bool:
    if request.get("items", ()) is None:
        return request.get("targetExists") is False
    return all(part.get("targetExists") is False for part in parts_of(request))
