"""Backtest: every recorded decision is made again under other rules, with the facts and rights of its own moment.

Nothing is run, and nothing is simulated: an action is taken to have gone as it went, except that one which would be
denied does not start, and a question that would be asked is taken to be answered yes. Limits are counted so. Approvals
are those in force at that moment on record. A recorded denial because the rules broke stays one.
"""

import msgspec

from ..domain.action_invariant import Refusal
from ..domain.policy import EVALUATION_BROKE, Policy
from ..domain.policy_layer import ReadyLayer
from .backtest_report import (
    BacktestReport,
    Change,
    Disagreement,
    Example,
    Flip,
    Prompts,
    Replaced,
    RuleUse,
    Since,
    example_of,
    instead_of_all,
    instead_of_first,
    is_since,
    under_its_name,
)
from .policy_history import Began, Decided, Ended, Moment, PolicyHistory, Standing
from .ports import EventStore
from .reevaluation import Matter, ReadyLayers, ReadyScopes, Ruling, ruling_of_refusal
from .rule_use import RuleUses
from .self_check import SelfCheck
from .use_counts import UseCounts

__all__ = [
    "BacktestReport",
    "Backtesting",
    "Change",
    "Disagreement",
    "Example",
    "Flip",
    "Prompts",
    "RuleUse",
    "Since",
    "backtest",
    "instead_of_all",
    "instead_of_first",
    "is_since",
    "under_its_name",
]


def backtest(store: EventStore, change: Change, *, since: Since = None, examples: int = 3) -> BacktestReport:
    """Return what the change would have done to the decisions on record.

    The recorded policy is checked first on each decision (`disagreements`); what fails there is counted nowhere else.
    `examples` bounds the examples of each group. Raises `DomainError` damaged or unavailable, as reading the log does.
    """
    history = PolicyHistory()
    run = Backtesting(change, since, examples)
    for moment in history.read(store):
        run.see(moment)
    return run.report(history)


class _Now(msgspec.Struct):
    """Where an open action would stand: whether it would be denied by now, and whether a person would be asked."""

    denied: bool = False
    asked: bool = False


class _Rules(msgspec.Struct):
    """What would decide in a session, for as long as nothing that is in force there changes."""

    standing: Standing
    policy: Policy
    layers: tuple[ReadyLayer, ...]
    has_decided: bool = False


class _Group(msgspec.Struct):
    count: int = 0
    examples: list[Example] = msgspec.field(default_factory=list)


class Backtesting:
    """A backtest under way: it sees the moments of a history in their order."""

    def __init__(self, change: Change, since: Since, examples: int) -> None:
        self._change = change
        self._since = since
        self._examples = examples
        self._layers = ReadyLayers()
        self._check = SelfCheck(self._layers, ReadyScopes())
        self._policies: dict[str, Policy] = {}
        self._rules_of: dict[str, _Rules] = {}
        self._uses = RuleUses(change.layers)
        self._counts = UseCounts()
        self._now: dict[str, _Now] = {}
        self._sessions: dict[str, bool] = {}
        self._flips: dict[tuple[Ruling, Ruling], _Group] = {}
        self._prompts = _PromptCounter()
        self._ran_denied = _Group()
        self._first = 0
        self._decisions = self._second_looks = self._unchanged = self._broken = self._disagreeing = 0
        self._succeeded_denied = 0

    # One moment after the other

    def see(self, moment: Moment) -> None:
        """Take the next moment into account, as its `past` stands at that moment."""
        if isinstance(moment, Decided):
            self._see_decision(moment)
        elif isinstance(moment, Began):
            self._see_start(moment)
        else:
            self._see_end(moment)

    def _see_decision(self, moment: Decided) -> None:
        counted = is_since(moment.position, moment.at, self._since)
        if counted:
            self._decisions += 1
            self._first = self._first or moment.position
        past = moment.past
        now = self._now.get(past.action_id)
        if now is None:
            now = self._now[past.action_id] = _Now()
        if moment.recorded.verdict == "deny" and moment.recorded.rule_id == EVALUATION_BROKE:
            now.denied = True
            self._broken += counted
            return
        matter = self._check.matter(moment)
        if matter is None:
            return
        before = self._check.decided(moment, matter)
        if before is None:
            self._disagreeing += counted
            now.denied, now.asked = moment.recorded.verdict == "deny", bool(moment.confirmation_id)
            return
        other = self._rules(moment.standing)
        used = other.policy.usage(self._counts.decide(moment)) if other.policy.has_limits else None
        after = self._ruled(moment, matter, other, used, counts_rules=counted)
        if counted:
            other.has_decided = True
            if before is after or before == after:
                self._unchanged += 1
            else:
                self._note_flip(before, after, moment)
        self._follow(moment, now, before, after, counted=counted)

    def _follow(self, moment: Decided, now: _Now, before: Ruling, after: Ruling, *, counted: bool) -> None:
        """Say where the action stands after this decision, and count what was asked and what would be."""
        was_asked = now.asked
        if moment.is_about_outcome:
            # A crash left it open what became of it: that is asked whatever the rules say, unless it never started.
            now.asked = not now.denied
        elif now.denied or after.verdict == "deny":
            now.denied, now.asked = True, False
        else:
            # Where policy itself did not ask, the person was asked because the world was not as it had been shown.
            now.asked = after.asks or (bool(moment.confirmation_id) and not before.asks and was_asked)
        if counted and moment.past.on_ask == "wait":
            was, would = bool(moment.confirmation_id), now.asked and (after.asks or bool(moment.confirmation_id))
            if was or would:
                self._prompts.add(moment.command_id, asked=was, asks=would)

    def _see_start(self, moment: Began) -> None:
        # An action that would be denied by now would not have run.
        matter = self._check.matter(moment)
        if not self._check.began(moment, matter):
            matter = None
        now = self._now.setdefault(moment.past.action_id, _Now())
        counted = is_since(moment.position, moment.at, self._since)
        if matter is not None and not now.denied:
            self._second_looks += counted
            other = self._rules(moment.standing)
            used = other.policy.usage(self._counts.look_again(moment)) if other.policy.has_limits else None
            after = self._ruled(moment, matter, other, used, counts_rules=False)
            now.denied = after.verdict == "deny"
            if after.asks and not now.asked and not moment.past.questions and moment.past.on_ask == "wait":
                now.asked = True
                if counted:
                    self._prompts.add(f"{moment.past.action_id}/{moment.attempt}", asked=False, asks=True)
        if now.denied:
            if counted and moment.attempt == 1:
                self._add(self._ran_denied, moment)
        elif moment.attempt == 1:
            self._counts.begin(moment.past)

    def _see_end(self, moment: Ended) -> None:
        now = self._now.pop(moment.past.action_id, None)
        if now is None or not is_since(moment.position, moment.at, self._since):
            return
        if not now.denied and not now.asked and moment.past.answer == "rejected":
            self._prompts.saved_no += 1
        if now.denied and moment.past.outcome == "succeeded":
            self._succeeded_denied += 1

    # Ruling

    def _rules(self, standing: Standing) -> _Rules:
        """Return the rules that the session would be under."""
        known = self._rules_of.get(standing.session_id)
        if known is None or known.standing is not standing:
            if known is not None:
                self._note_session(known)
            policy = self._policy(standing)
            known = self._rules_of[standing.session_id] = _Rules(standing, policy, self._layers.of_policy(policy))
        return known

    def _policy(self, standing: Standing) -> Policy:
        known = self._policies.get(standing.policy_digest)
        if known is None:
            recorded = standing.policy
            layers, changed = self._change.applied(() if recorded is None else recorded.layers)
            known = self._policies[standing.policy_digest] = Policy(layers)
            for layer, own in zip(changed, self._change.layers, strict=True):
                self._uses.watch(self._layers.of_layer(layer), own)
        return known

    def _ruled(
        self,
        moment: Decided | Began,
        matter: Matter | Refusal,
        rules: _Rules,
        used: tuple[tuple[str, int], ...] | None,
        *,
        counts_rules: bool,
    ) -> Ruling:
        if isinstance(matter, Refusal):
            return ruling_of_refusal(matter)
        judgement = matter.judged(rules.layers, None if used is None else dict(used))
        if counts_rules:
            self._uses.count(judgement)
        return matter.ruling(judgement, moment.approvals)

    def _note_session(self, rules: _Rules) -> None:
        if rules.has_decided:
            name, recorded = rules.standing.session_id, rules.standing.policy
            is_other = recorded is None or rules.policy.digest != recorded.digest
            self._sessions[name] = self._sessions.get(name, False) or is_other

    # Counting

    def _note_flip(self, before: Ruling, after: Ruling, moment: Decided) -> None:
        self._add(self._flips.setdefault((before, after), _Group()), moment)

    def _add(self, group: _Group, moment: Decided | Began) -> None:
        group.count += 1
        if len(group.examples) < self._examples:
            past = moment.past
            group.examples.append(example_of(moment.position, past.action_id, past.action, moment.standing.scope))

    def report(self, history: PolicyHistory) -> BacktestReport:
        """Return what was counted."""
        self._check.add(history.faults)
        for rules in self._rules_of.values():
            self._note_session(rules)
        flips = [
            Flip(before=before, after=after, count=group.count, examples=tuple(group.examples))
            for (before, after), group in sorted(self._flips.items(), key=lambda item: -item[1].count)
        ]
        return BacktestReport(
            position=history.position,
            since=self._first,
            how=self._change.how,
            replaced=tuple(Replaced(name=layer.name, digest=layer.digest) for layer in self._change.layers),
            sessions=len(self._sessions),
            sessions_changed=sum(self._sessions.values()),
            decisions=self._decisions,
            second_looks=self._second_looks,
            unchanged=self._unchanged,
            broken=self._broken,
            disagreeing=self._disagreeing,
            flips=tuple(flip for flip in flips if _is_other_answer(flip)),
            other_rule=tuple(flip for flip in flips if not _is_other_answer(flip)),
            prompts=self._prompts.total(),
            ran_denied=self._ran_denied.count,
            succeeded_denied=self._succeeded_denied,
            ran_denied_examples=tuple(self._ran_denied.examples),
            rules=tuple(self._uses.uses()),
            never_hit=tuple(self._uses.never_hit()),
            disagreements=tuple(self._check.found),
        )


def _is_other_answer(flip: Flip) -> bool:
    return (flip.before.verdict, flip.before.is_leave) != (flip.after.verdict, flip.after.is_leave)


class _PromptCounter:
    """Counts actions that were and would be asked about, and questions: all those of one command are one question."""

    def __init__(self) -> None:
        self.saved_no = 0
        self._command = ""
        self._asked = self._asks = False
        self._counts = Prompts()

    def add(self, command: str, *, asked: bool, asks: bool) -> None:
        """Count one action of a command that was or would be asked about."""
        if command != self._command:
            self._close()
            self._command = command
        self._asked = self._asked or asked
        self._asks = self._asks or asks
        counts = self._counts
        self._counts = msgspec.structs.replace(
            counts,
            actions_asked=counts.actions_asked + asked,
            actions_saved=counts.actions_saved + (asked and not asks),
            actions_added=counts.actions_added + (asks and not asked),
        )

    def _close(self) -> None:
        counts, asked, asks = self._counts, self._asked, self._asks
        if asked or asks:
            self._counts = msgspec.structs.replace(
                counts,
                questions_asked=counts.questions_asked + asked,
                questions_saved=counts.questions_saved + (asked and not asks),
                questions_added=counts.questions_added + (asks and not asked),
            )
        self._asked = self._asks = False

    def total(self) -> Prompts:
        """Return what was counted."""
        self._close()
        return msgspec.structs.replace(self._counts, saved_no=self.saved_no)
