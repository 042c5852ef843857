"""All mistakes of a policy document as a value, in the document's order: of its shape, and of what it says.

What is wrong in one place does not hide what is wrong in another: each part that has the wrong shape is replaced by a
harmless one, and the rest is judged as it stands.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, get_args

import msgspec
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ...domain.json_text import CITED_MAX, NESTING_MAX, Place, cited, value_faults
from ...domain.policy_document import Conditions, Limit, PolicyDocument, Rule, TimeWindow, ToolHint, Version
from ...domain.policy_fault import Fault, find_faults
from .document_model import DocumentShape

RULES_MAX: Final = 10_000
"""How many rules, and how many limits, a document may have."""

SUGGESTIONS_MAX: Final = 20
"""For how many unknown keys a document is searched for what was meant: looking takes a while."""


def find_errors(value: object) -> list[Fault]:
    """Return the faults of a document (what `json` or `tomllib` made of it), in order; none for one that is right."""
    plain_faults = [Fault(code_of(one.place), one.place, one.message, one.hint) for one in value_faults(value)]
    if any(len(fault.place) >= NESTING_MAX for fault in plain_faults):
        return plain_faults[:1]
    for key in ("rules", "limits"):
        members = value.get(key) if isinstance(value, dict) else None
        if isinstance(members, list) and len(members) > RULES_MAX:
            message = f"there are {len(members)} {key}, more than {RULES_MAX}"
            return [Fault(key, (key, RULES_MAX), message, "name more in one rule: patterns, hosts, actions")]
    plain = _plain(value) if plain_faults else value
    found = [*plain_faults, *_faults_of_shape(plain)]
    broken = _Broken(fault.place for fault in found)
    if isinstance(plain, dict) and ("rules" not in plain or isinstance(plain["rules"], list)):
        found += _faults_of_content(plain, broken)
    if not found:
        return []
    order = _order_of(value)
    found.sort(key=lambda fault: order[_known(fault.place, order)])
    return list({(fault.code, fault.place): fault for fault in reversed(found)}.values())[::-1]


def error_codes(value: object) -> list[str]:
    """Return the codes of a document's faults, each once, in the document's order."""
    return list(dict.fromkeys(fault.code for fault in find_errors(value)))


def code_of(place: Place) -> str:
    """Return the code of a wrong shape by its place: the key that it lies under."""
    match place:
        case ():
            return "document"
        case ("rules" | "limits" as key,) | ("rules" | "limits" as key, _):
            return str(key)
        case ("rules", _, "when", _, *_) | ("rules", _, "unless", _, _, *_):
            return "condition-type"
        case ("rules", _, "match" | "notMatch", *_):
            return "example"
        case ("rules", _, key, *_):
            return str(key) if key in _KEYS["rule"] else "unknown-key"
        case ("limits", _, "id" | "action" as key, *_):
            return str(key)
        case _:
            return str(place[0]) if place[0] in _KEYS["document"] else "unknown-key"


# Shape --------------------------------------------------------------------------------------------------------------


class _ShapeFault(Fault, frozen=True, gc=False):
    """A fault of shape; `meant` is the key that was meant by an unknown one."""

    meant: str = ""


def _faults_of_shape(value: object) -> list[_ShapeFault]:
    try:
        DocumentShape.model_validate(value)
    except ValidationError as error:
        found: dict[Place, _ShapeFault] = {}
        for number, finding in enumerate(error.errors(include_url=False, include_context=False)):
            fault = _fault_of_shape(finding, value, suggest=number < SUGGESTIONS_MAX)
            found[fault.place] = fault
        for fault in [one for one in found.values() if one.meant]:
            # A key that was misspelt is missing, too: that is one mistake.
            found.pop((*fault.place[:-1], fault.meant), None)
        # Where one of two shapes is wanted, the nearer one's complaint is about a part and says more.
        holders = {place[:length] for place in found for length in range(len(place))}
        return [fault for place, fault in found.items() if place not in holders]
    return []


def _fault_of_shape(finding: ErrorDetails, value: object, *, suggest: bool) -> _ShapeFault:
    place, at_hand = _place_in(finding["loc"], value)
    key = str(place[-1]) if place else "the document"
    match finding["type"]:
        case "extra_forbidden":
            return _unknown_key(place, suggest=suggest)
        case "missing":
            hint = _EXAMPLE_OF.get(key, f"write `{key}`")
            return _ShapeFault(code_of(place), place, f"`{key}` is missing", hint)
        case _:
            wanted = _wanted(place, finding["type"])
            message = f"{_named(place)} must be {wanted}, not `{shown(at_hand)}`"
            return _ShapeFault(code_of(place), place, message, _hint(place))


def _place_in(loc: Sequence[int | str], value: Any) -> tuple[Place, object]:
    """Return the part of pydantic's location that leads through the value; the rest names branches of unions."""
    place: list[int | str] = []
    for number, part in enumerate(loc):
        if _has(value, part):
            value = value[part]
        elif number < len(loc) - 1 or not isinstance(value, dict):
            continue
        place.append(part)
    return tuple(place), value


def _has(value: Any, part: int | str) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


_EXAMPLE_OF: Final = {
    "version": 'write "1.1", or "1.0" for the first match to decide',
    "defaults": 'say what holds where no rule matches: `{"fallback": "deny"}`',
    "fallback": 'write "deny"',
    "rules": "write the list of rules, `[]` for none",
    "id": "give the rule a name of its own",
    "action": "name what the rule is about, as in `file.read`",
    "decision": "write allow, allow_with_confirm or deny",
    "max": "say how much is allowed",
}


def _hint(place: Place) -> str:
    return _EXAMPLE_OF.get(str(place[-1]), "") if place else "a policy has `version`, `defaults` and `rules`"


_WANTED_BY_KEY: Final = {
    "version": '"1.0" or "1.1"',
    "decision": "allow, allow_with_confirm or deny",
    "fallback": "allow, allow_with_confirm or deny",
    "onExceed": "deny or allow_with_confirm",
    "mode": "enforce or audit",
    "code": "a reason code",
    "action": "an action or a list of actions",
    "fileSizeGreaterThan": "a number of bytes, 0 or more",
    "subagentDepthGreaterThan": "a whole number, 0 or more",
    "batchCountGreaterThan": "a whole number, 0 or more",
    "max": "a number, 0 or more",
    "days": "a list of days such as mon, at least one",
}
_WANTED_BY_TYPE: Final = {
    "bool_type": "true or false",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "list_type": "a list",
    "too_short": "a list with something in it",
    "dict_type": "an object",
    "model_type": "an object",
}


def _wanted(place: Place, error_type: str) -> str:
    match place:
        case (*_, "commandPrefix"):
            return "a list of commands, each a list of words"
        case (*_, "commandPrefix", int()):
            return "a list of words, at least one"
        case (*_, int()) if "commandPrefix" in place:
            return "a word or a list of words"
        case (*_, "action", int()):
            return "an action"
        case (*_, "days", int()):
            return "one of mon, tue, wed, thu, fri, sat and sun"
        case (*_, str(key)) if key in _WANTED_BY_KEY:
            return _WANTED_BY_KEY[key]
        case _:
            return _WANTED_BY_TYPE.get(error_type, "of another kind")


def _named(place: Place) -> str:
    """Return how a sentence calls a place within its rule: the nearest key, and which member of its list."""
    match place:
        case ():
            return "the document"
        case ("rules" | "limits" as key, int(number)):
            return f"{key[:-1]} number {number + 1}"
        case (*_, str(key), int(number)):
            return f"member {number + 1} of `{key}`"
        case (*_, str(key)):
            return f"`{key}`"
        case _:
            return f"a part of `{next(str(part) for part in reversed(place) if isinstance(part, str))}`"


def _keys(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.encode_name for field in msgspec.structs.fields(struct))


_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "document": _keys(PolicyDocument),
    "rule": _keys(Rule),
    "limit": _keys(Limit),
    "condition": _keys(Conditions),
    "window": _keys(TimeWindow),
    "hint": _keys(ToolHint),
}


def _unknown_key(place: Place, *, suggest: bool) -> _ShapeFault:
    key = str(place[-1])
    match place:
        case ("rules", _, _):
            code, what, known = "unknown-key", "key of a rule", _KEYS["rule"]
        case ("limits", _, _):
            code, what, known = "unknown-key", "key of a limit", _KEYS["limit"]
        case ("rules", _, "when", _) | ("rules", _, "unless", _, _):
            code, what, known = "unknown-condition", "condition", _KEYS["condition"]
        case (*_, "timeWindow", _):
            code, what, known = "condition-type", "key of a time window", _KEYS["window"]
        case (*_, "toolHint", _):
            code, what, known = "condition-type", "hint of a tool", _KEYS["hint"]
        case ("defaults", _):
            code, what, known = "defaults", "default", ("fallback",)
        case _:
            code, what, known = "unknown-key", "key of a policy", _KEYS["document"]
    near = difflib.get_close_matches(key[:CITED_MAX].lower(), [name.lower() for name in known], 1) if suggest else []
    meant = next((name for name in known if near and name.lower() == near[0]), "")
    hint = f"did you mean `{meant}`?" if meant else f"the known ones are {', '.join(known)}"
    return _ShapeFault(code, place, f"`{cited(key)}` is no {what}", hint, meant)


# Content ------------------------------------------------------------------------------------------------------------


class _Broken:
    """Places of the wrong shape."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._places = set(places)
        self._around = {place[:length] for place in self._places for length in range(len(place) + 1)}

    def is_in(self, place: Place) -> bool:
        """Whether the place, or a part of what stands there, has the wrong shape."""
        return place in self._around

    def holds(self, place: Place) -> bool:
        """Whether the place belongs to something of the wrong shape."""
        return any(place[:length] in self._places for length in range(len(place) + 1))


def _faults_of_content(value: Mapping[str, Any], broken: _Broken) -> Iterator[Fault]:
    """Yield what is wrong with what a document says, leaving out what has no right shape."""
    rules = value.get("rules", [])
    limits = value.get("limits", [])
    document = {
        "version": value["version"] if value.get("version") in _VERSIONS else "1.1",
        "rules": [_mended_rule(given, number, broken) for number, given in enumerate(rules)],
        "limits": [
            _mended_limit(given, number, broken)
            for number, given in enumerate(limits if isinstance(limits, list) else [])
        ],
    }
    unjudged = frozenset(number for number in range(len(rules)) if broken.is_in(("rules", number)))
    for fault in find_faults(msgspec.convert(document, PolicyDocument), unjudged):
        if not broken.holds(fault.place):
            yield fault


_VERSIONS: Final = get_args(Version)


def _mended_rule(given: object, number: int, broken: _Broken) -> dict[str, Any]:
    place: Place = ("rules", number)
    rule = _kept(given, place, broken, always=("when", "unless"))
    if "when" in rule:
        rule["when"] = _kept(rule["when"], (*place, "when"), broken)
    if "unless" in rule:
        # An exception without conditions is a fault; one that is empty only because they were wrong is not another.
        exceptions = rule["unless"] if isinstance(rule["unless"], list) else []
        rule["unless"] = [
            _kept(one, (*place, "unless", n), broken)
            or ({"tainted": True} if broken.is_in((*place, "unless", n)) else {})
            for n, one in enumerate(exceptions)
        ]
    return {"id": f"\x00{number}", "action": "*", "decision": "deny", **rule}


def _mended_limit(given: object, number: int, broken: _Broken) -> dict[str, Any]:
    return {"id": f"\x00limit {number}", "action": "*", "max": 0, **_kept(given, ("limits", number), broken)}


def _kept(given: object, place: Place, broken: _Broken, always: Sequence[str] = ()) -> dict[str, Any]:
    """Return the members of an object that have the right shape."""
    members = given if isinstance(given, dict) else {}
    return {key: part for key, part in members.items() if key in always or not broken.is_in((*place, key))}


# Values and places --------------------------------------------------------------------------------------------------


def _plain(value: object) -> object:
    """Return a copy in which everything is plain JSON, so that the rest can be judged."""
    match value:
        case dict():
            return {str(_plain(str(key))): _plain(part) for key, part in value.items()}
        case list():
            return [_plain(part) for part in value]
        case str():
            return value.encode("utf-8", "replace").decode()
        case bool() | None:
            return value
        case int() | float():
            return value if not any(value_faults(value)) else 0
        case _:
            return str(value)


def _order_of(value: object) -> dict[Place, int]:
    """Return the rank of every place of the value in the order in which it was written."""
    order: dict[Place, int] = {(): 0}
    stack: list[tuple[Place, object]] = [((), value)]
    while stack:
        place, part = stack.pop()
        order[place] = len(order)
        if isinstance(part, dict):
            stack += [((*place, key), member) for key, member in reversed(part.items())]
        elif isinstance(part, list):
            stack += [((*place, number), member) for number, member in reversed(list(enumerate(part)))]
    return order


def _known(place: Place, order: Mapping[Place, int]) -> Place:
    """Return the place, or the nearest one around it that the value has."""
    return next(place[:length] for length in range(len(place), -1, -1) if place[:length] in order)


def shown(value: object) -> str:
    """Return a value as a sentence shows it: JSON, short, in visible characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return cited(text)
