"""The checks after every step of a life: the log against itself, the files, and what was really done."""

from random import Random

from cowork.domain.event import Event, Recorded
from cowork.domain.ids import root_task_id
from cowork.domain.ownership import TaskClaimed
from cowork.domain.task import ActionFailed, ActionOutcomeUnknown, ActionStarted, ActionSucceeded, TaskQueued
from cowork.engine.application import Application
from tests.simulation.account import still_open, unexplained
from tests.simulation.account_outside import unanswered
from tests.simulation.account_rights import RightsAccount
from tests.simulation.account_tree import TreeAccount
from tests.simulation.outside import Ledger
from tests.simulation.person import Person
from tests.simulation.tree import Tree
from tests.simulation.truth import Truth

AUDITED = 0.1
"""How often the whole log is audited before the end of a life; at the end it always is."""


class Found(AssertionError):  # noqa: N818 - what a simulation is for, and not an error of its own
    """A check failed. The message says which, and the seed that shows it."""


class Checks:
    """What is checked of one life, and what was checked already.

    `written_by` has which process appended what. `disturbed` are the actions whose work on files somebody disturbed, or
    that died in the middle. `overtaken` are tasks that were lost to another process, with the position of it; `adrift`
    are the actions that two processes may have been at.
    """

    def __init__(self, random: Random, tree: Tree, ledger: Ledger, truth: Truth, person: Person) -> None:
        self.complaints: list[str] = []
        self.written_by: dict[int, int] = {}
        self.disturbed: set[str] = set()
        self.overtaken: dict[str, int] = {}
        self.adrift: set[str] = set()
        # Whether the audit runs must not change what happens.
        self._random = Random(random.random())
        self._tree = tree
        self._ledger = ledger
        self._truth = truth
        self._person = person
        self._account = TreeAccount(truth, self.written_by)
        self._rights = RightsAccount()
        self._checked_to = 0
        self._open_before: set[str] = set()
        self._looked_at = (-1, 0)

    def run(self, log: list[Recorded[Event]], app: Application, *, at_rest: bool, at_end: bool) -> list[str]:
        """Return everything that is not as it must be."""
        moved = (len(log), self._person.edits)
        if moved == self._looked_at and not at_rest and not self.complaints:
            return []
        self._looked_at = moved
        complaints = self.complaints
        complaints += self._account.run(log, at_rest=at_rest)
        complaints += self._rights.run(log)
        if at_end or self._random.random() < AUDITED:
            complaints += [
                f"invariant {one.invariant} at {one.position}, {one.stream}: {one.sentence}"
                for one in app.audit().violations
                # A crash may leave an attempt of a task that is over; somebody has to look at it before there is peace.
                if at_rest or not (one.invariant == 8 and "nobody will find out" in one.sentence)
            ]
        self._note_overtaken(log)
        complaints += unexplained(self._tree, log, self._checked_to, self._open_before, self.disturbed)
        complaints += [f"the bytes {digest} were lost" for digest in self._tree.lost()]
        if not self._tree.is_outside_untouched():
            complaints.append("something outside the granted folder was touched")
        complaints += self._effects(log)
        complaints += unanswered(log, self._ledger)
        if at_rest:
            complaints += [f"`{name}` was left behind" for name in self._tree.leftovers()]
            queued = [one.event.task_id for one in log if isinstance(one.event, TaskQueued)]
            complaints += [f"task {name} has not ended" for name in queued if not app.task(name).is_final]
            complaints += [f"{name} was begun, and has no outcome" for name in sorted(still_open(log) - _unknown(log))]
        self._checked_to = len(log)
        self._open_before = still_open(log)
        self._tree.take_over()
        return complaints

    def is_all_on_record(self, log: list[Recorded[Event]]) -> bool:
        """Whether everything that took effect is on record as such: what is not, nobody can undo."""
        succeeded = {one.event.action_id for one in log if isinstance(one.event, ActionSucceeded)}
        # An attempt that died in its work may have had an effect: where nobody can tell, it is on no record.
        unknown = {one.event.action_id for one in log if isinstance(one.event, ActionOutcomeUnknown)}
        died = {one.action_id for one in self._truth.attempts if one.effects is None}
        return not self.adrift and not unknown & died and all(one.action_id in succeeded for one in self._truth.effects)

    def _effects(self, log: list[Recorded[Event]]) -> list[str]:
        """Return what took effect twice, or took effect and is said to have failed."""
        # Where nobody could tell whether it was done, a person may have said that it be done again, or that it was not.
        excused = {one.event.action_id for one in log if isinstance(one.event, ActionOutcomeUnknown)} | self.adrift
        twice = set(self._truth.done_twice()) - excused
        failed = {one.event.action_id for one in log if isinstance(one.event, ActionFailed)} - excused
        untrue = failed & self._truth.undisturbed()
        return [
            *(f"action {name} took effect twice" for name in sorted(twice)),
            *(f"action {name} took effect, and the log says it failed" for name in sorted(untrue)),
        ]

    def _note_overtaken(self, log: list[Recorded[Event]]) -> None:
        """Note what two processes were at: a stale one can't record what it does, and may still be doing it."""
        self.adrift = set()
        for task_id, position in self.overtaken.items():
            claims = [
                one.position
                for one in log
                if isinstance(one.event, TaskClaimed) and one.event.task_id == task_id and one.position > position
            ]
            for at in claims:
                begun = still_open(log[:at])
                self.adrift |= {name for name in begun if root_task_id(name.rpartition(".")[0]) == task_id}
        self.disturbed |= self.adrift


def _unknown(log: list[Recorded[Event]]) -> set[str]:
    """Return the actions of which nobody can tell what became of their last attempt, as is on record."""
    unknown: set[str] = set()
    for one in log:
        if isinstance(one.event, ActionOutcomeUnknown):
            unknown.add(one.event.action_id)
        elif isinstance(one.event, ActionStarted):
            unknown.discard(one.event.action_id)
    return unknown
