"""Examples in rules: requests that a rule must match, or must not, tried when its document is loaded.

An example is a part of a request: what it does not say is not known. `match` wants the rule to match for certain,
`notMatch` wants it not to match for certain. What was granted is no part of a request: an example may say it (`scope`,
as in a frame); where it does not, `match` takes it as the rule wants it, and `notMatch` has to do without it.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from .action import ActionKind
from .json_text import cited
from .policy_atom import MOVES, Sight, atoms_of
from .policy_column import FILES, Row, can_match, columns_of
from .policy_document import KINDS, Conditions, Rule, kinds_named
from .policy_frame import ReadyScope
from .policy_host import parse_host
from .policy_place import is_absolute
from .policy_request import FrameScope, Item, Request

_OF_SCOPE: Final = frozenset(
    ("pathWithinGrant", "pathWithinOutputRoot", "crossRoot", "hostInAllowlist", "connectorScopeAllowed")
)
"""The conditions that ask what was granted."""

_OF_PLACE: Final = frozenset(
    ("pathWithinGrant", "pathWithinOutputRoot", "matchesPattern", "extensionIn", "hidden", "sensitive", "executed")
)
_FACTS: Final = frozenset(field.encode_name for field in msgspec.structs.fields(Request)) | {"scope"}
_ITEM_FACTS: Final = frozenset(field.encode_name for field in msgspec.structs.fields(Item))


class _Verdict(NamedTuple):
    """What a rule's conditions say of one atom: the keys that refute it, that are not known, that hang on the scope."""

    refuted: frozenset[str]
    unknown: frozenset[str]
    granted: frozenset[str]


def find_fault_of_example(rule: Rule, example: dict[str, Any], *, wanted: bool) -> tuple[str, str]:
    """Return why an example fails and what to do; two empty texts for one that holds.

    `wanted` says whether the rule must match the example. Without an `action` an example is about the kinds that the
    rule names: one of them has to match, or none.
    """
    wrong = _fault_of_facts(example)
    if wrong:
        return wrong, "an example has the facts of a request: `path`, `host`, `commands`, …"
    given = example.get("action")
    kinds: list[ActionKind] = list(kinds_named(rule.actions))
    if given is not None:
        if given not in KINDS:
            return f"the example's action `{cited(str(given))}` is none", f"the actions are {', '.join(KINDS)}"
        kinds = [kind for kind in kinds if kind == given]
        if not kinds and wanted:
            return f"the rule is not about the example's action `{cited(str(given))}`", "mend the example, or the rule"
    if "items" not in example and "toPath" not in example:
        # An example of one place is not about moves, unless the rule is about nothing else.
        kinds = [kind for kind in kinds if kind not in MOVES] or kinds
    facts = {key: value for key, value in example.items() if key != "scope"}
    has_scope = "scope" in example
    try:
        scope = ReadyScope(msgspec.convert(example["scope"] if has_scope else {}, FrameScope))
        verdicts = [
            (kind, _verdict(rule, kind, Sight(atom, scope), has_scope=has_scope))
            for kind in kinds
            for atom in atoms_of(kind, msgspec.convert({**facts, "action": kind}, Request))
        ]
    except (msgspec.ValidationError, OverflowError) as error:
        # A time at the very end of the calendar has no equal in another zone.
        return f"the example is no request: {str(error)[:1].lower()}{str(error)[1:]}", "mend the example"
    return _why_not_matched(verdicts) if wanted else _why_matched(verdicts)


def _why_not_matched(verdicts: Sequence[tuple[str, _Verdict]]) -> tuple[str, str]:
    if any(not one.refuted and not one.unknown for _, one in verdicts):
        return "", ""
    open_ones = [one for _, one in verdicts if not one.refuted]
    if open_ones:
        keys = ", ".join(f"`{key}`" for key in sorted(open_ones[0].unknown))
        return (
            f"the example leaves open whether the rule matches: {keys}",
            "give the example the facts that it asks for",
        )
    keys = ", ".join(f"`{key}`" for key in sorted(verdicts[0][1].refuted)) if verdicts else "it has no items"
    return f"the rule does not match the example: {keys}", "mend the rule, or the example"


def _why_matched(verdicts: Sequence[tuple[str, _Verdict]]) -> tuple[str, str]:
    for kind, one in verdicts:
        if one.refuted:
            continue
        if one.unknown or one.granted:
            keys = ", ".join(f"`{key}`" for key in sorted(one.unknown | one.granted))
            hint = "give the example the facts that it asks for" if one.unknown else "give the example a `scope`"
            return f"the rule may match the example for {kind}: {keys}", hint
        return f"the rule matches the example for {kind}", "mend the rule, or the example"
    return "", ""


def _fault_of_facts(example: dict[str, Any]) -> str:
    unknown = next((key for key in example if key not in _FACTS), None)
    if unknown is not None:
        return f"the example's fact `{cited(unknown)}` is none"
    items = example.get("items")
    parts = [example, *(item for item in items if isinstance(item, dict))] if isinstance(items, list) else [example]
    for part in parts[1:]:
        unknown = next((key for key in part if key not in _ITEM_FACTS), None)
        if unknown is not None:
            return f"the fact `{cited(unknown)}` of the example's item is none"
    for part in parts:
        for key in ("path", "realPath", "toPath", "toRealPath"):
            value = part.get(key)
            if isinstance(value, str) and not is_absolute(value):
                return f"the example's `{key}` is no absolute path without `..`: `{cited(value)}`"
        host = part.get("host")
        if isinstance(host, str) and parse_host(host) is None:
            return f"the example's host `{cited(host)}` is none"
    return ""


# What a rule says of an atom ----------------------------------------------------------------------------------------


def _verdict(rule: Rule, kind: ActionKind, sight: Sight, *, has_scope: bool) -> _Verdict:
    refuted, unknown, granted = _conditions(rule.when, kind, sight, has_scope=has_scope)
    for exception in rule.unless:
        against, open_ones, hanging = _conditions(exception, kind, sight, has_scope=has_scope)
        if against:
            continue
        if not open_ones and not hanging:
            return _Verdict(frozenset(("unless",)), unknown, granted)
        unknown |= open_ones
        granted |= hanging if not open_ones else frozenset()
    return _Verdict(refuted, unknown, granted)


def _conditions(conditions: Conditions, kind: ActionKind, sight: Sight, *, has_scope: bool) -> _Verdict:
    row = Row(1, conditions)
    if not can_match(row, kind):
        return _Verdict(frozenset(("action",)), frozenset(), frozenset())
    refuted: set[str] = set()
    unknown: set[str] = set()
    granted: set[str] = set()
    lacks_path = kind in FILES and not sight.atom.places
    for column in columns_of((row,)):
        key = column.condition
        if lacks_path and key in _OF_PLACE:
            unknown.add(key)
        elif key in _OF_SCOPE and not has_scope:
            granted.add(key)
        else:
            no, maybe = column.ask(sight)
            refuted |= {key} if no else set()
            unknown |= {key} if maybe else set()
    return _Verdict(frozenset(refuted), frozenset(unknown), frozenset(granted))
