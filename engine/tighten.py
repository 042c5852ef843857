"""Tighten: the least privilege that recorded history needed, proposed as a document that can be read and changed.

Only what ran and did not fail counts as needed. Rules are generalised from it: kinds, folders at the level of common
prefixes below each granted folder, extensions and hosts where they are few, the first words of commands. What a person
was asked about stays asked. Nothing else has a rule, and the fallback denies.
"""

from collections.abc import Iterable, Sequence

import msgspec

from ..domain.action import ActionKind, kind_of
from ..domain.action_invariant import Refusal
from ..domain.ids import root_task_id
from ..domain.policy import Policy
from ..domain.policy_document import Defaults, Layer, PolicyDocument
from ..domain.scope import FolderScope
from .backtest_report import Example, Since, example_of, is_since
from .grant_use import GrantUses, Touch, touches_of
from .needs import Level, Need, Sample, need_of, request_at
from .policy_history import Began, Decided, Ended, PastAction, PolicyHistory
from .ports import EventStore
from .reevaluation import ReadyLayers, ReadyScopes, cited, matter_of
from .rule_use import RuleUses
from .tighten_report import Evidence, LeftOut, Proposal
from .tighten_rules import rules_for

__all__ = ["Proposal", "tighten"]


def tighten(store: EventStore, layers: Sequence[Layer] = (), *, since: Since = None, examples: int = 3) -> Proposal:
    """Return what the actions on record since then would have needed, and what of the present rights they did not.

    `layers` are the present rules (those that each session adopted, where none are given): which of them no decision
    matched is said. Raises `DomainError` damaged or unavailable, as reading the log does.
    """
    history = PolicyHistory()
    run = _Tightening(layers, since, examples)
    for moment in history.read(store):
        match moment:
            case Decided():
                run.decided(moment)
            case Began():
                run.began(moment)
            case Ended():
                run.ended(moment.past)
    for past in history.unfinished():
        run.ended(past)
    return run.proposal(history)


class _Open(msgspec.Struct):
    """What is known of an action until it ends: every moment at which policy was asked about it."""

    counts: bool = False
    level: Level = "allow"
    rule: str = ""
    last: Decided | None = None
    needs: dict[Need, Sample] = msgspec.field(default_factory=dict)
    touches: dict[Touch, None] = msgspec.field(default_factory=dict)


class _Tightening:
    def __init__(self, layers: Sequence[Layer], since: Since, examples: int) -> None:
        self._since = since
        self._examples = examples
        self._policy = Policy(layers) if layers else None
        self._ready = ReadyLayers()
        self._scopes = ReadyScopes()
        self._uses = RuleUses(layers)
        self._open: dict[str, _Open] = {}
        self._needs: dict[Need, Sample] = {}
        self._shunned: dict[ActionKind, set[str]] = {}
        self._left_out: dict[tuple[str, str, str], tuple[int, list[Decided]]] = {}
        self._grants = GrantUses()
        self._sessions: set[str] = set()
        self._first = 0

    def decided(self, moment: Decided) -> None:
        """Note what a decision was about."""
        found = self._open.setdefault(moment.past.action_id, _Open())
        self._see(moment, found)
        if is_since(moment.position, moment.at, self._since):
            self._use_rules(moment)
        said = moment.recorded
        found.last = moment
        found.rule = cited(said.layer, said.rule_id)
        if said.verdict != "deny":
            found.level = "allow" if _asked_by_limits_alone(moment) else said.verdict
            self._need(moment, found)

    def began(self, moment: Began) -> None:
        """Note what a start was about."""
        found = self._open.setdefault(moment.past.action_id, _Open())
        self._see(moment, found)
        self._need(moment, found)
        facts = moment.facts or (None if found.last is None else found.last.facts)
        if facts is not None:
            found.touches |= dict.fromkeys(touches_of(moment.past.action, facts))

    def _see(self, moment: Decided | Began, found: _Open) -> None:
        if is_since(moment.position, moment.at, self._since):
            found.counts = True
            self._sessions.add(moment.past.session_id)
            self._first = self._first or moment.position

    def _need(self, moment: Decided | Began, found: _Open) -> None:
        request = request_at(moment)
        if request is not None:
            need = need_of(moment, request, found.level)
            rememberable = isinstance(moment, Decided) and moment.recorded.rememberable
            known = found.needs.setdefault(need, Sample(moment, request))
            known.rememberable = known.rememberable or rememberable

    def ended(self, past: PastAction) -> None:
        """Sort an action into what was needed and what was not."""
        found = self._open.pop(past.action_id, None)
        if found is None or not found.counts:
            return
        if past.attempts and past.outcome != "failed":
            self._grants.add(found.touches)
            for need, sample in found.needs.items():
                known = self._needs.setdefault(need, Sample(sample.moment, sample.request))
                known.actions += 1
                known.asked += past.answer == "approved"
                known.rememberable = known.rememberable or sample.rememberable
            return
        if found.last is not None:
            self._leave_out(past, found, found.last)

    def _leave_out(self, past: PastAction, found: _Open, last: Decided) -> None:
        why: str = past.outcome or "open"
        if past.outcome == "declined" and past.reason_code is not None:
            why = past.reason_code
        key = (str(kind_of(past.action)), why, found.rule)
        count, moments = self._left_out.get(key, (0, []))
        self._left_out[key] = (count + 1, [*moments, last] if len(moments) < self._examples else moments)
        if why == "rejected" or (past.outcome == "denied" and not found.rule.startswith("invariant.")):
            request = request_at(last)
            if request is not None:
                places = need_of(last, request, "allow").places
                self._shunned.setdefault(kind_of(past.action), set()).update(places)

    def _use_rules(self, moment: Decided) -> None:
        standing, past = moment.standing, moment.past
        policy = self._policy or standing.policy
        if policy is None:
            return
        ready = self._ready.of_policy(policy)
        for one, layer in zip(ready, policy.layers, strict=False):
            self._uses.watch(one, layer)
        scope = self._scopes.of(standing.session_id, standing.scope)
        matter = matter_of(
            past.action, moment.facts, standing.scope, scope, session=past.session_id, task=root_task_id(past.task_id)
        )
        if not isinstance(matter, Refusal):
            self._uses.count(matter.judged(ready))

    def proposal(self, history: PolicyHistory) -> Proposal:
        """Return what came together."""
        made = rules_for(self._needs, self._shunned)
        rules = tuple(rule for rule, _ in made)
        return Proposal(
            position=history.position,
            since=self._first,
            document=PolicyDocument(defaults=Defaults("deny"), rules=rules),
            evidence=tuple(
                Evidence(
                    rule=rule.id,
                    verdict=rule.decision,
                    actions=sum(self._needs[need].actions for need in group),
                    asked=sum(self._needs[need].asked for need in group),
                    examples=tuple(_example(self._needs[need].moment) for need in group[: self._examples]),
                )
                for rule, group in made
            ),
            left_out=tuple(
                LeftOut(kind=kind, why=why, rule=rule, actions=count, examples=tuple(map(_example, moments)))
                for (kind, why, rule), (count, moments) in sorted(self._left_out.items())
            ),
            rules_never_needed=tuple(self._uses.never_hit()),
            grants=tuple(self._grants.uses(self._granted(history))),
        )

    def _granted(self, history: PolicyHistory) -> Iterable[FolderScope]:
        """Yield the grants of the time in question: those given in it, and those of sessions that lived on into it."""
        alive = self._sessions | {standing.session_id for standing in history.standings()}
        for given in history.granted.values():
            if given.session_id in alive or is_since(given.position, given.at, self._since):
                yield given.scope


def _asked_by_limits_alone(moment: Decided) -> bool:
    """Whether only limits wanted a person: those are bounds on use, which no rule about places can say."""
    policy = moment.standing.policy
    if policy is None or not moment.recorded.confirm_rules:
        return False
    limits = {cited(layer.name, limit.id) for layer in policy.layers for limit in layer.document.limits}
    return limits.issuperset(moment.recorded.confirm_rules)


def _example(moment: Decided | Began) -> Example:
    past = moment.past
    return example_of(moment.position, past.action_id, past.action, moment.standing.scope)
