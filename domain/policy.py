"""Policy, first form: ordered rules over one action, its facts and the scope; the first match wins; the default denies.

Three parts decide, strictest first:

1. *invariants*, which no document can relax: a path that escapes, a grant that does not cover the verb, a target that
   is not there, a place that belongs to the engine;
2. the *rule set*, in order;
3. *floors*: what runs code later and what has other names elsewhere needs at least a person, whatever a rule says.

Everything is a value: the same action, facts, scope and rules give the same decision for ever.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, assert_never, get_args

import msgspec

from .action import (
    Action,
    ActionKind,
    CodeRun,
    ConnectorAction,
    ConnectorRead,
    FileCreate,
    FileDelete,
    FileList,
    FileMove,
    FileRead,
    FileRename,
    FileSearch,
    FileWrite,
    Location,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
    kind_of,
    locations_of,
)
from .facts import Facts
from .glob import parse_glob
from .path import find_new_name_problem, find_problem, normal
from .places import is_engines, look_at
from .reason import ReasonCode
from .risk import derive_risk_tags
from .scope import Scope, Verb, find_gap

Verdict: TypeAlias = Literal["allow", "allow_with_confirm", "deny"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)


class Conditions(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename="camel", forbid_unknown_fields=True):
    """What a rule asks about: every given key must hold. A list holds when one of its members does."""

    path_within_grant: bool | None = None
    path_within_output_root: bool | None = None
    matches_pattern: tuple[str, ...] = ()
    target_exists: bool | None = None
    hidden: bool | None = None
    sensitive: bool | None = None
    executed: bool | None = None
    cross_root: bool | None = None
    hard_link: bool | None = None


class Rule(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename="camel", forbid_unknown_fields=True):
    """One rule. `actions` are kinds, or `file.*` and `*`; `code` is the reason code of a denial."""

    id: str
    actions: tuple[str, ...]
    decision: Verdict
    when: Conditions = Conditions()
    reason: str = ""
    risk_tags: tuple[str, ...] = ()
    code: ReasonCode = "policy"


class RuleSet(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename="camel", forbid_unknown_fields=True):
    """An ordered list of rules under a name; what no rule matches is denied."""

    name: str
    rules: tuple[Rule, ...]


class Decision(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """The answer with its whole explanation: stored in the event, printed by the CLI, drawn on the card.

    `matched` are the ids of all rules that matched, in order; `lost` those among them that did not decide;
    `by_missing_fact` says that a fact that was not known decided; `confirm_rules` are the rules that ask.
    """

    verdict: Verdict
    rule_id: str
    reason: str
    reason_code: ReasonCode | None = None
    risk_tags: tuple[str, ...] = ()
    layer: str = ""
    matched: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    by_missing_fact: bool = False
    confirm_rules: tuple[str, ...] = ()
    rememberable: bool = False
    policy_digest: str = ""


DEFAULT_DENY: Final = "default-deny"
_FILES: Final = ("file.*",)
_CHANGES: Final = ("file.write", "file.create", "file.rename", "file.move", "file.delete")
_LOOKS: Final = ("file.read", "file.list", "file.search")

BASELINE: Final = RuleSet(
    "baseline",
    (
        Rule(
            "executed-files-stay-closed",
            _CHANGES,
            "deny",
            Conditions(executed=True),
            "other programs on this machine run or obey this file",
            code="protected",
        ),
        Rule(
            "sensitive-files-stay-closed",
            _FILES,
            "deny",
            Conditions(sensitive=True),
            "the name says that it holds credentials or keys",
            code="sensitive",
        ),
        Rule("hidden-files-stay-closed", _FILES, "deny", Conditions(hidden=True), "a hidden file", code="sensitive"),
        Rule(
            "hard-links-need-a-person",
            ("file.read",),
            "allow_with_confirm",
            Conditions(hard_link=True),
            "the file has another name, perhaps outside the grant",
        ),
        Rule(
            "read-inside-a-grant",
            _LOOKS,
            "allow",
            Conditions(path_within_grant=True),
            "reading inside a granted folder",
        ),
        Rule(
            "overwrite-needs-a-person",
            ("file.write",),
            "allow_with_confirm",
            Conditions(target_exists=True),
            "replacing a file needs a person",
        ),
        Rule(
            "write-inside-an-output-root",
            ("file.write", "file.create"),
            "allow",
            Conditions(path_within_output_root=True),
            "a new file inside an output root",
        ),
        Rule(
            "write-elsewhere-needs-a-person",
            ("file.write", "file.create"),
            "allow_with_confirm",
            Conditions(path_within_grant=True),
            "a new file outside the output roots needs a person",
        ),
        Rule(
            "no-move-between-grants",
            ("file.move", "file.rename"),
            "deny",
            Conditions(cross_root=True),
            "moving a file from one granted folder into another",
        ),
        Rule("delete-needs-a-person", ("file.delete",), "allow_with_confirm", reason="deleting needs a person"),
        Rule("rename-needs-a-person", ("file.rename",), "allow_with_confirm", reason="renaming needs a person"),
        Rule("move-needs-a-person", ("file.move",), "allow_with_confirm", reason="moving needs a person"),
        Rule("no-network", ("network.request",), "deny", reason="the network is closed"),
        Rule("no-connectors", ("connector.read", "connector.action"), "deny", reason="connectors are closed"),
    ),
)
"""The rules in force where nobody gave others."""

_ENCODER: Final = msgspec.json.Encoder(order="sorted")


def digest_of_rules(rules: RuleSet) -> str:
    """Return `sha256:<hex>` of the rule set's canonical JSON."""
    return f"sha256:{hashlib.sha256(_ENCODER.encode(rules)).hexdigest()}"


class _Ready(msgspec.Struct, frozen=True, gc=False):
    """A rule with the conditions that it has: what is asked, and the answer that it wants."""

    rule: Rule
    wanted: tuple[tuple[str, bool], ...]


class Policy:
    """A rule set made ready for many decisions: rules sorted by the kinds that they name, digest computed once."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self.digest = digest_of_rules(rules)
        ready = [_Ready(rule, _wanted(rule.when)) for rule in rules.rules]
        self._of_kind: dict[ActionKind, tuple[_Ready, ...]] = {
            kind: tuple(one for one in ready if _names(one.rule, kind)) for kind in get_args(ActionKind)
        }

    def decide(self, action: Action, facts: Facts, scope: Scope) -> Decision:
        """Return the decision about one action. Never raises for any action, facts and scope."""
        tags = derive_risk_tags(action, facts)
        broken = find_broken_invariant(action, facts, scope)
        if broken is not None:
            return msgspec.structs.replace(broken, risk_tags=tags, policy_digest=self.digest)
        answers = _answers(action, facts, scope)
        held = [(one.rule, _holds(one, answers, action, scope)) for one in self._of_kind[kind_of(action)]]
        candidates = [(rule, certain) for rule, certain in held if certain is not False]
        deciding = _strictest_until_certain(candidates)
        if deciding is None:
            return Decision(
                verdict="deny",
                rule_id=DEFAULT_DENY,
                reason=f"no rule of `{self.rules.name}` allows {kind_of(action)}: what is not allowed is denied",
                reason_code="policy",
                risk_tags=tags,
                layer=self.rules.name,
                policy_digest=self.digest,
            )
        rule, unknown = deciding
        unseen = facts.target is None and isinstance(action, _OF_A_TARGET)
        verdict, rule_id, reason = _raised_to_floor(rule, tags, unseen=unseen)
        return Decision(
            verdict=verdict,
            rule_id=rule_id,
            reason=reason,
            reason_code=rule.code if verdict == "deny" else None,
            risk_tags=(*tags, *(tag for tag in rule.risk_tags if tag not in tags)) if rule.risk_tags else tags,
            layer=self.rules.name,
            matched=tuple([r.id for r, _ in candidates]),
            lost=tuple([r.id for r, _ in candidates if r.id != rule.id]),
            by_missing_fact=unknown or (unseen and rule_id == "floor.hardlink"),
            confirm_rules=(rule_id,) if verdict == "allow_with_confirm" else (),
            policy_digest=self.digest,
        )


EVALUATION_BROKE: Final = "invariant.evaluation-broke"


def broken_evaluation(what: str, policy_digest: str) -> Decision:
    """Return the denial of an action about which the rules could not be asked: a bug, never a way in."""
    denial = _broken("policy", EVALUATION_BROKE.removeprefix("invariant."), f"the rules could not be asked: {what}")
    return msgspec.structs.replace(denial, policy_digest=policy_digest)


def decide_action(action: Action, facts: Facts, scope: Scope, rules: RuleSet) -> Decision:
    """Return the decision about one action; for many with the same rules, keep a `Policy`."""
    return Policy(rules).decide(action, facts, scope)


def _names(rule: Rule, kind: ActionKind) -> bool:
    family = kind.partition(".")[0]
    return any(name in (kind, "*", f"{family}.*") for name in rule.actions)


def _strictest_until_certain(candidates: Sequence[tuple[Rule, bool | None]]) -> tuple[Rule, bool] | None:
    """Return the rule that decides and whether a missing fact made it so.

    A rule whose condition can't be answered may match: it stays a candidate, the search goes on to the first certain
    match, and the strictest of them decides. Without a certain match the default, deny, is among them.
    """
    open_rules: list[Rule] = []
    for rule, held in candidates:
        if held is None:
            open_rules.append(rule)
            continue
        strictest = max((*open_rules, rule), key=lambda r: VERDICTS.index(r.decision))
        return (
            (strictest, strictest is not rule and strictest.decision != rule.decision) if open_rules else (rule, False)
        )
    return None


_OF_A_TARGET: Final = (FileRead, FileSearch, FileWrite, FileRename, FileMove, FileDelete)
"""Actions on something that is there already: as long as it was not looked at, it may be a hard link."""


def _raised_to_floor(rule: Rule, tags: tuple[str, ...], *, unseen: bool) -> tuple[Verdict, str, str]:
    if rule.decision == "allow" and "host-executed" in tags:
        return "allow_with_confirm", "floor.host-executed", "other programs run or obey this file"
    if rule.decision == "allow" and (unseen or "hardlink" in tags):
        return "allow_with_confirm", "floor.hardlink", "the file has another name, perhaps outside the grant"
    return rule.decision, rule.id, rule.reason


def _wanted(when: Conditions) -> tuple[tuple[str, bool], ...]:
    asked = {
        "hidden": when.hidden,
        "sensitive": when.sensitive,
        "executed": when.executed,
        "cross_root": when.cross_root,
        "path_within_grant": when.path_within_grant,
        "path_within_output_root": when.path_within_output_root,
        "target_exists": when.target_exists,
        "hard_link": when.hard_link,
    }
    return tuple((name, wanted) for name, wanted in asked.items() if wanted is not None)


def _answers(action: Action, facts: Facts, scope: Scope) -> dict[str, bool | None]:
    """Return the answer to everything that rules ask about but patterns; None where a fact is missing."""
    places = locations_of(action)
    looks = [look_at(place.path) for place in places]
    target = facts.target
    return {
        "hidden": any(look.hidden for look in looks),
        "sensitive": any(look.sensitive for look in looks),
        "executed": any(look.executed for look in looks),
        "cross_root": len({place.grant_id for place in places}) > 1,
        "path_within_grant": bool(places) and all(scope.folder(p.grant_id) is not None for p in places),
        "path_within_output_root": bool(places) and all(_is_output(p, scope) for p in places),
        "target_exists": None if target is None else target.kind != "absent",
        "hard_link": None if target is None else target.kind == "file" and target.links > 1,
    }


def _holds(one: _Ready, answers: dict[str, bool | None], action: Action, scope: Scope) -> bool | None:
    """Return whether the conditions hold; None when a fact that they need is missing and nothing else refutes them."""
    certain = True
    for name, wanted in one.wanted:
        answer = answers[name]
        if answer is None:
            certain = False
        elif answer is not wanted:
            return False
    patterns = one.rule.when.matches_pattern
    if patterns and not any(_matches(place, patterns, scope) for place in locations_of(action)):
        return False
    return True if certain else None


def _is_output(place: Location, scope: Scope) -> bool:
    folder = scope.folder(place.grant_id)
    return folder is not None and folder.is_output(place.path)


def _matches(place: Location, patterns: tuple[str, ...], scope: Scope) -> bool:
    """Whether a pattern matches the path below its grant or the whole absolute path."""
    folder = scope.folder(place.grant_id)
    relative = normal(place.path)
    whole = f"{folder.root_path}/{relative}" if folder is not None else relative
    globs = [parse_glob(text, dotfiles=True) for text in patterns]
    return any(glob.matches(relative) or glob.matches(whole) for glob in globs)


_ON_FOLDERS: Final = (FileList, FileSearch, ShellExec, CodeRun)
"""What may be about a granted folder itself."""

# Invariants --------------------------------------------------------------------------------------------------------


def _broken(code: ReasonCode, rule_id: str, reason: str) -> Decision:
    return Decision(verdict="deny", rule_id=f"invariant.{rule_id}", reason=reason, reason_code=code, layer="invariant")


def find_broken_invariant(action: Action, facts: Facts, scope: Scope) -> Decision | None:
    """Return the denial that no document can relax, or None."""
    if not facts.available:
        return _broken("unavailable", "unavailable", f"{kind_of(action)} can't be carried out by this version")
    for place, verb in required_verbs(action, facts):
        broken = _find_broken_place(place, verb, action, facts, scope)
        if broken is not None:
            return broken
    if facts.obstacle is not None:
        return _broken(facts.obstacle.code, "obstacle", facts.obstacle.message)
    return _find_broken_target(action, facts)


def _find_broken_place(place: Location, verb: Verb, action: Action, facts: Facts, scope: Scope) -> Decision | None:
    problem = find_problem(place.path, root_allowed=isinstance(action, _ON_FOLDERS))
    if problem is not None:
        return _broken(problem.code, "path", problem.message)
    gap = find_gap(scope.folder(place.grant_id), place.path, verb, facts.now)
    if gap is not None:
        return Decision(
            verdict="deny", rule_id=gap.rule_id, reason=gap.message, reason_code=gap.code, layer="invariant"
        )
    if is_engines(place.path):
        return _broken("protected", "engine-folder", "the engine's own files can't be touched by an action")
    if verb == "create" or (isinstance(action, (FileRename, FileMove)) and place is action.to):
        unreadable = find_new_name_problem(place.path)
        if unreadable is not None:
            return _broken(unreadable.code, "new-name", unreadable.message)
    return None


def required_verbs(action: Action, facts: Facts) -> tuple[tuple[Location, Verb], ...]:
    """Return each place that the action touches with the verb that a grant must cover there."""
    match action:
        case FileList(at=at) | FileSearch(at=at) | FileRead(at=at):
            return ((at, "read"),)
        case FileCreate(at=at):
            return ((at, "create"),)
        case FileWrite(at=at):
            absent = facts.target is not None and facts.target.kind == "absent"
            return ((at, "create" if absent else "write"),)
        case FileRename(at=at, to=to) | FileMove(at=at, to=to):
            return ((at, "move"), (to, "create" if at.grant_id != to.grant_id else "move"))
        case FileDelete(at=at):
            return ((at, "delete"),)
        case ShellExec(cwd=cwd, writes=writes) | CodeRun(cwd=cwd, writes=writes):
            return ((cwd, "write" if writes == "staged" else "read"),)
        case NetworkRequest() | ConnectorRead() | ConnectorAction() | SubagentSpawn():
            return ()
        case _:
            assert_never(action)


def _find_broken_target(action: Action, facts: Facts) -> Decision | None:
    """Refuse what can't succeed before a person is bothered with it."""
    target, destination = facts.target, facts.destination
    if target is None:
        return None
    match action:
        case FileDelete(at=at) | FileRename(at=at) | FileMove(at=at) | FileRead(at=at) if target.kind == "absent":
            return _broken("not_found", "target-missing", f"`{at.path}` does not exist")
        case FileList(at=at) | FileSearch(at=at) if target.kind == "absent":
            return _broken("not_found", "target-missing", f"`{at.path}` does not exist")
        case FileCreate(at=at) if target.kind != "absent":
            return _broken("conflict", "target-exists", f"`{at.path}` exists already")
        case FileWrite(at=at) | FileRead(at=at) if target.kind == "folder":
            return _broken("conflict", "target-is-a-folder", f"`{at.path}` is a folder")
        case FileList(at=at) if target.kind == "file":
            return _broken("conflict", "target-is-a-file", f"`{at.path}` is a file, not a folder")
        case FileRename(to=to) | FileMove(to=to) if destination is not None and destination.kind != "absent":
            return _broken("conflict", "destination-exists", f"`{to.path}` exists already")
        case _:
            return None
