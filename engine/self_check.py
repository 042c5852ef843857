"""Whether the log agrees with itself: every recorded decision is made again from what it rests on, as it was then."""

from ..domain.action_invariant import Refusal
from ..domain.ids import root_task_id
from ..domain.policy import Policy
from .backtest_report import About, Disagreement
from .policy_history import Began, Decided, Fault
from .reevaluation import Matter, ReadyLayers, ReadyScopes, Ruling, matter_of, ruling_of, ruling_of_refusal
from .use_counts import UseCounts


class SelfCheck:
    """Makes recorded decisions again and notes each that turns out otherwise."""

    def __init__(self, layers: ReadyLayers, scopes: ReadyScopes) -> None:
        self.found: list[Disagreement] = []
        self._layers = layers
        self._scopes = scopes
        self._counts = UseCounts()

    def matter(self, moment: Decided | Began) -> Matter | Refusal | None:
        """Return what the moment was about; None for a start before which nobody looked again."""
        past, standing, facts = moment.past, moment.standing, moment.facts
        if facts is None:
            return None
        ready = self._scopes.of(standing.session_id, standing.scope)
        return matter_of(
            past.action, facts, standing.scope, ready, session=past.session_id, task=root_task_id(past.task_id)
        )

    def decided(self, moment: Decided, matter: Matter | Refusal) -> Ruling | None:
        """Return the ruling as it was recorded, None where the log does not agree with it."""
        policy = moment.standing.policy
        if policy is None:
            self._note(moment, "policy", "decided under documents that are not on record")
            return None
        before = len(self.found)
        said = ruling_of(moment.recorded)
        if moment.recorded.policy_digest != policy.digest:
            self._note(moment, "policy", "decided under another policy than the session's")
        if moment.scope_digest != moment.standing.scope_digest:
            self._note(moment, "grants", "decided under other grants than those in force")
        if policy.has_limits:
            counted = policy.usage(self._counts.decide(moment))
            if counted != moment.facts.usage:
                self._note(moment, "usage", f"recorded as used: {moment.facts.usage}, counted: {counted}")
        again = self._ruled(moment, matter, policy)
        if (again.verdict, again.rule) != (said.verdict, said.rule):
            sentence = (
                f"recorded {said.verdict} by `{said.rule}`, decided again it is {again.verdict} by `{again.rule}`"
            )
            self._note(moment, "decision", sentence)
        elif again.approval_id != said.approval_id:
            sentence = f"recorded as answered by approval `{said.approval_id}`, and `{again.approval_id}` answers"
            self._note(moment, "approval", sentence)
        return said if len(self.found) == before else None

    def began(self, moment: Began, matter: Matter | Refusal | None) -> bool:
        """Return whether policy did not deny a start when it was asked again, and a person was asked if it wanted."""
        policy = moment.standing.policy
        before = len(self.found)
        if matter is not None and policy is not None:
            if policy.has_limits and moment.facts is not None:
                counted = policy.usage(self._counts.look_again(moment))
                if counted != moment.facts.usage:
                    self._note(moment, "usage", f"recorded as used: {moment.facts.usage}, counted: {counted}")
            again = self._ruled(moment, matter, policy)
            if again.verdict == "deny":
                self._note(moment, "start", f"started, and denied by `{again.rule}` by then")
            elif again.asks and not moment.past.questions:
                self._note(moment, "start", f"started, and nobody was asked as `{again.rule}` wants")
        if moment.attempt == 1:
            self._counts.begin(moment.past)
        return len(self.found) == before

    def add(self, faults: list[Fault]) -> None:
        """Add what could not be followed in the log."""
        for fault in faults:
            self.found.append(
                Disagreement(position=fault.position, action_id="", about="order", sentence=fault.sentence)
            )
        self.found.sort(key=lambda one: one.position)

    def _ruled(self, moment: Decided | Began, matter: Matter | Refusal, policy: Policy) -> Ruling:
        if isinstance(matter, Refusal):
            return ruling_of_refusal(matter)
        return matter.ruling(matter.judged(self._layers.of_policy(policy)), moment.approvals)

    def _note(self, moment: Decided | Began, about: About, sentence: str) -> None:
        name = moment.past.action_id
        self.found.append(Disagreement(position=moment.position, action_id=name, about=about, sentence=sentence))
