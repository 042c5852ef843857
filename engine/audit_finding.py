"""What an audit returns: where the log breaks one of the engine's invariants, and how much was looked at."""

from typing import Final, Protocol, TypeAlias

import msgspec

from ..domain.action import Action
from ..domain.event import Event, Recorded

INVARIANTS: Final[dict[int, str]] = {
    1: "nothing starts that was not allowed or approved, byte for byte",
    2: "an attempt has at most one outcome, and none without a start",
    3: "no effect lies outside the grants in force, and every decision can be made again",
    4: "a question has at most one answer, nothing starts after a no, and a person's word is one that was given",
    5: "a subagent never has what its parent has not",
    6: "the projections are what the log makes of them",
    7: "the log can be folded, and always to the same states",
    8: "what was started is settled, or its task can still go on",
    9: "a task knows only its own session's grants and questions",
    10: "what a command changed comes back as actions announced with its end, and it connects only while it runs",
    11: "what starts has room in the budget of its task and of every task above it",
    12: "two agents of one task write at the same place only where a person said so",
    13: "what was begun stays as it was in every later plan; what was dropped or interrupted does not start",
    14: "a subagent begins with a task of its own, which ends before its parent's does and as its parent says",
    15: "nothing of a task starts or ends before a process has claimed it",
}
"""The invariants by number, each in a sentence (`docs/explanation/architecture.md`)."""


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One breach: the invariant's number, the position and stream of the event that shows it, and a sentence."""

    invariant: int
    position: int
    stream: str
    sentence: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """How much was looked at. `decisions` were made again, `attempts` are starts, `effects` single changes.

    `connections` are those that commands asked for, `claims` those of places to write.
    """

    events: int = 0
    streams: int = 0
    sessions: int = 0
    tasks: int = 0
    actions: int = 0
    decisions: int = 0
    confirmations: int = 0
    attempts: int = 0
    effects: int = 0
    connections: int = 0
    subagents: int = 0
    claims: int = 0
    projection_bytes: int = msgspec.field(name="projectionBytes", default=0)


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result for the log up to `position`. No violations: everything that was checked holds."""

    position: int
    checked: Checked
    violations: tuple[Violation, ...]


Seen: TypeAlias = Recorded[Event]


class Acting(Protocol):
    """An action as the audit knows it: enough of it to judge what else is said about it."""

    @property
    def action(self) -> Action:
        """What was proposed."""
        ...

    @property
    def proposed_by(self) -> str:
        """The agent that asked for it."""
        ...

    @property
    def is_under_way(self) -> bool:
        """Whether it was started and has no outcome yet."""
        ...


def chain_of(stream: str) -> str:
    """Return who stands above a subagent, from the task that a person started down to it; nothing for other streams."""
    kind, _, name = stream.partition("-")
    root, *below = name.split("-s")
    if kind not in ("task", "subagent") or not below:
        return ""
    names = [f"task-{root}", *(f"subagent-{'-s'.join((root, *below[:n]))}" for n in range(1, len(below) + 1))]
    return " -> ".join(names)


class Findings:
    """Collects violations and counts while the log is read."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.counts: dict[str, int] = {}

    def add(self, invariant: int, seen: Seen, sentence: str) -> None:
        """Note a violation that this event shows."""
        self.add_at(invariant, seen.position, seen.stream, sentence)

    def add_at(self, invariant: int, position: int, stream: str, sentence: str) -> None:
        """Note a violation at a position. What is about a subagent says whose it is."""
        chain = chain_of(stream)
        sentence = f"{sentence} ({chain})" if chain else sentence
        self.violations.append(Violation(invariant=invariant, position=position, stream=stream, sentence=sentence))

    def count(self, what: str, number: int = 1) -> None:
        """Count something that was looked at, under its field in `Checked`."""
        self.counts[what] = self.counts.get(what, 0) + number
