"""Which turns a life took: what was recorded, how that came about, and what the person and chance did."""

from collections.abc import Iterator

from cowork.domain.event import Event, Recorded
from cowork.domain.session import PolicyAdopted
from cowork.domain.subagent import SubagentSpawned
from cowork.domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionFailed,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    TaskCompleted,
    TaskQueued,
)
from tests.simulation.person import DEEDS
from tests.simulation.simulation import Simulation

_AS_TOLD = {"overtake": " over", "carry on": " on beside"}
"""How the story ends a line about what another process does."""


def turns_of(life: Simulation) -> Iterator[str]:
    """Yield the turns of a life, each as often as it was taken."""
    undos: set[str] = set()
    for one in life.events():
        event = one.event
        yield type(event).__name__
        yield from _of_action(one)
        match event:
            case PolicyAdopted(layers=layers) if one.version > 2 and len(layers) > 1:
                yield "under other rules"
            case SubagentSpawned(depth=depth):
                yield f"depth {depth}"
            case TaskCompleted(task_id=task_id, skipped=skipped):
                if skipped:
                    yield "with skips"
                if task_id in undos:
                    yield "undone"
            case TaskQueued(task_id=task_id, undoes=undone) if undone:
                undos.add(task_id)
            case _:
                pass
    for line in life.story:
        yield from _of_story(line.partition("] ")[2])


def _of_action(one: Recorded[Event]) -> Iterator[str]:
    match one.event:
        case ActionConfirmationRequired(changed=changed, facts=facts):
            yield "asked again" if changed else "asked"
            if facts.claimed_by:
                yield "asked about another agent's place"
        case ActionStarted(attempt=attempt) if attempt > 1:
            yield "another attempt"
        case ActionSucceeded(recovered=True, said_by=said_by):
            yield "a person said that it happened" if said_by else "found done after a crash"
        case ActionAllowed(decision=decision) if decision.approval_id:
            yield "answered by an approval"
        case ActionDeclined(reason_code=code) | ActionFailed(reason_code=code):
            yield code
        case ActionDenied(decision=decision, facts=facts):
            yield decision.reason_code or ""
            if facts.obstacle is not None and "while the command ran" in facts.obstacle.message:
                yield "changed while the command ran"
        case ActionProposed(together=True):
            yield "together"
        case _:
            pass


def _of_story(line: str) -> Iterator[str]:
    """Yield the first word of what is told, and which deed it is about, if that was done."""
    yield line.partition(" ")[0]
    for deed in set(DEEDS):
        is_persons = line.startswith(f"person: {deed} ") and " refused: " not in line
        is_others = line.startswith((f"{deed}:", f"surroundings: {deed}"))
        if is_persons or is_others or (deed in _AS_TOLD and line.endswith(_AS_TOLD[deed])):
            yield f"deed: {deed}"
