"""Why a rule never matches, in words, and which members of its lists can never be met."""

from collections.abc import Iterator

import msgspec

from .policy_automaton import TooHardError
from .policy_circuit import Fact
from .policy_document import Conditions, Rule, kinds_named
from .policy_finding import listed
from .policy_host import parse_entry
from .policy_lint_model import LayerModel
from .policy_place_search import Conflict


def why_dead(model: LayerModel, rule: Rule) -> tuple[str, bool]:
    """Return why a rule never matches, and whether that is harmless: invariants deny before it is asked."""
    kinds = list(kinds_named(rule.actions))
    if not kinds:
        return f"there is no action {listed(list(rule.actions))}", False
    if not model.kinds_of(rule):
        if any(value == () for value in _asked(rule.when).values()):
            return "a list in `when` is empty", False
        asked = listed([_camel(key) for key in _asked(rule.when)])
        return f"its conditions ({asked}) are not about its actions, or other rules name those exactly", False
    is_harmless = rule.decision == "deny"
    if rule.when.path_within_grant is False:
        return "what lies outside every grant is denied before any rule is asked (`invariant.grant-scope`)", is_harmless
    if rule.when.connector_scope_allowed is False:
        return (
            "a connector without the scope is denied before any rule is asked (`invariant.connector-scope`)",
            is_harmless,
        )
    dead = list(_dead_in(model, rule.when))
    if dead and len(dead) == len(rule.when.matches_pattern or ()):
        return f"no absolute path is written like {listed(dead)}", False
    if rule.unless and _can_hold(model, rule, rule.when):
        return "whatever `when` is about, `unless` excepts", False
    keys = [_camel(key) for key in _contradicting(model, rule)]
    if len(keys) == 1:
        return f"`{keys[0]}` never holds", False
    return f"its conditions exclude each other ({listed(keys)})", False


def _asked(conditions: Conditions) -> dict[str, object]:
    return {key: value for key, value in msgspec.structs.asdict(conditions).items() if value is not None}


def _contradicting(model: LayerModel, rule: Rule) -> list[str]:
    """Return as few keys of `when` as can't hold together."""
    keys = list(_asked(rule.when))
    for key in list(keys):
        rest = [other for other in keys if other != key]
        if rest and not _can_hold(model, rule, _only(rule.when, rest)):
            keys = rest
    return keys


def _only(conditions: Conditions, keys: list[str]) -> Conditions:
    said = _asked(conditions)
    return msgspec.structs.replace(conditions, **{key: None for key in said if key not in keys})


def _can_hold(model: LayerModel, rule: Rule, conditions: Conditions) -> bool:
    """Whether a request can be found, or at least not excluded, for which conditions hold."""
    encoders = (model.kind(kind).model for kind in model.kinds_of(rule))
    return any(one.find([one.conditions(conditions)], lambda request, _: request) is not None for one in encoders)


def dead_patterns(model: LayerModel, rule: Rule) -> Iterator[str]:
    """Yield the members of a rule's lists that can never be met, where the lists have others."""
    for conditions in (rule.when, *rule.unless):
        dead = list(_dead_in(model, conditions))
        if len(dead) < len(conditions.matches_pattern or ()):
            yield from dead
        hosts = [entry for entry in conditions.host_matches or () if parse_entry(entry) is None]
        if len(hosts) < len(conditions.host_matches or ()):
            yield from hosts
        endings = [one for one in conditions.extension_in or () if not one.startswith(".") or "/" in one]
        if len(endings) < len(conditions.extension_in or ()):
            yield from endings


def _dead_in(model: LayerModel, conditions: Conditions) -> Iterator[str]:
    for pattern in conditions.matches_pattern or ():
        try:
            found = model.searches.places("file.read").find({Fact("glob", pattern): True})
        except TooHardError:
            continue
        if isinstance(found, Conflict):
            yield pattern


def _camel(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)
