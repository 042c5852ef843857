"""The rules of a proposal: made from needs, and tried on every one of them before they are proposed."""

from collections.abc import Mapping, Sequence
from typing import Final

from ..domain.action import ActionKind
from ..domain.policy_atom import MOVES
from ..domain.policy_column import FILES
from ..domain.policy_decision import ReadyFrame, judge
from ..domain.policy_document import KINDS, Conditions, Rule, layer_of_rules
from ..domain.policy_layer import ReadyLayer
from .generalising import extensions_of, patterns_of_files, patterns_of_folders, prefixes_of
from .needs import Level, Need, Sample
from .reevaluation import ReadyScopes

Needs = Mapping[Need, Sample]

_ON_FOLDERS: Final[frozenset[ActionKind]] = frozenset(("file.list", "file.search", "shell.exec", "code.run"))
_WORDS: Final[dict[Level, str]] = {"allow": "allow", "allow_with_confirm": "ask"}
_SPECIAL: Final[dict[str, Conditions]] = {
    "hidden": Conditions(hidden=True),
    "sensitive": Conditions(sensitive=True),
    "executed": Conditions(executed=True),
}


def rules_for(needs: Needs, shunned: Mapping[ActionKind, set[str]]) -> list[tuple[Rule, list[Need]]]:
    """Return rules that let pass whatever was needed, each with the needs that it is made of.

    `shunned` are the places, by kind, to which somebody said no: patterns keep out of them where they can. Each need is
    put to the rules as it was; one that they would deny gets a rule of its own that names no more than its kind.
    """
    made: list[tuple[Rule, list[Need]]] = []
    for kind in KINDS:
        of_kind = [need for need in needs if need.kind == kind]
        levels: dict[Level, list[Need]] = {level: [need for need in of_kind if need.level == level] for level in _WORDS}
        by_existence = _are_told_apart_by_existence(levels)
        for level, group in levels.items():
            others = () if by_existence else tuple(need for need in of_kind if need.level != level)
            avoided = shunned.get(kind, set()).union(*(need.places for need in others))
            for number, part in enumerate(_parts(kind, group), 1):
                rule_id = f"{_WORDS[level]}-{kind}" + (f"-{number}" if number > 1 else "")
                exists = part[0].exists if by_existence else None
                held = {place for need in part for place in need.places}
                made.append((_rule(rule_id, part, needs, avoided - held, exists), part))
    return [*made, *_for_the_rest([rule for rule, _ in made], needs)]


def _are_told_apart_by_existence(levels: Mapping[Level, Sequence[Need]]) -> bool:
    """Whether what was allowed and what was asked differ just in that something was there already."""
    allowed, asked = ({need.exists for need in levels[level]} for level in ("allow", "allow_with_confirm"))
    return (allowed, asked) in (({False}, {True}), ({True}, {False}))


def _parts(kind: ActionKind, needs: Sequence[Need]) -> list[list[Need]]:
    """Return the needs by granted folder: a rule for each, but for moves, of which both ends have to match."""
    by_root: dict[str, list[Need]] = {}
    for need in needs:
        root = need.roots[0] if need.roots and kind not in MOVES else ""
        by_root.setdefault(root, []).append(need)
    return [by_root[root] for root in sorted(by_root)]


def _rule(rule_id: str, part: Sequence[Need], needs: Needs, avoided: set[str], exists: bool | None) -> Rule:
    kind, level = part[0].kind, part[0].level
    samples = [needs[need] for need in part]
    actions = sum(sample.actions for sample in samples)
    special = {name for need in part for name in need.special}
    return Rule(
        id=rule_id,
        action=kind,
        decision=level,
        when=_conditions(kind, part, avoided, exists),
        unless=tuple(one for name, one in _SPECIAL.items() if name not in special) if kind in FILES else (),
        reason=f"recorded history needed this {actions} time{'' if actions == 1 else 's'}",
        remember=level == "allow" or any(sample.rememberable for sample in samples),
    )


def _conditions(kind: ActionKind, part: Sequence[Need], avoided: set[str], exists: bool | None) -> Conditions:
    by_root: dict[str, set[str]] = {}
    for need in part:
        for place, root in zip(need.places, need.roots, strict=True):
            by_root.setdefault(root, set()).add(place)
    patterns: list[str] = []
    for root, places in sorted(by_root.items()):
        found = patterns_of_folders(places, root) if kind in _ON_FOLDERS else patterns_of_files(places, avoided, root)
        patterns += found
    names = [place for need in part for place in need.places]
    extensions = extensions_of(names) if kind in FILES - _ON_FOLDERS else None
    commands = [need.commands for need in part]
    known = [command for one in commands if one is not None for command in one]
    hosts = sorted({need.host for need in part if need.host})
    methods = sorted({need.method for need in part if need.method})
    return Conditions(
        matches_pattern=tuple(dict.fromkeys(patterns)) or None,
        extension_in=extensions,
        target_exists=exists,
        host_matches=tuple(hosts) or None,
        method_in=tuple(methods) or None,
        connector_in=tuple(sorted({need.connector for need in part if need.connector})) or None,
        tool_matches=tuple(sorted({need.tool for need in part if need.tool})) or None,
        command_prefix=prefixes_of(known) if kind == "shell.exec" and None not in commands else None,
    )


def _for_the_rest(rules: Sequence[Rule], needs: Needs) -> list[tuple[Rule, list[Need]]]:
    """Return rules for the needs that the others would deny: names that no pattern can be written for."""
    tried = (ReadyLayer(layer_of_rules("tried", tuple(rules))),)
    scopes = ReadyScopes()
    denied: dict[tuple[ActionKind, Level], list[Need]] = {}
    for need, sample in needs.items():
        standing = sample.moment.standing
        frame = ReadyFrame(scopes.of(standing.session_id, standing.scope), tried)
        if judge((frame,), sample.request).verdict == "deny":
            denied.setdefault((need.kind, need.level), []).append(need)
    return [
        (Rule(f"{_WORDS[level]}-any-{kind}", kind, level, reason="recorded history needed this"), group)
        for (kind, level), group in sorted(denied.items())
    ]
