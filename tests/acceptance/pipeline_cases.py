"""Runs the adversarial cases of files through the whole engine, with their oracle and that of the event log."""

import sys
import time
from pathlib import Path

import anyio
import msgspec

from cowork.domain.action import Action, FileCreate, FileMove, FileRename, FileWrite, Location, locations_of
from cowork.domain.effect import Effect
from cowork.domain.event import Event
from cowork.domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionEvent,
    ActionFailed,
    ActionSucceeded,
)
from cowork.engine.ports import Done, Failed
from cowork.projections.registry import TABLES
from tests.acceptance.engine import YES, Engine, Person, opened_engine
from tests.acceptance.event_oracle import assert_history_is_sound
from tests.adapters.files.cases.case import Answer, Case, watched
from tests.adapters.files.cases.ground import Ground
from tests.adapters.files.cases.table import CASES


def as_in_a_plan(action: Action) -> Action | None:
    """Return the action with its places as a plan's author writes them; None for a grant that no plan can name."""
    if {place.grant_id for place in locations_of(action)} - {"g", "g2"}:
        return None
    match action:
        case FileMove(at=at, to=to) | FileRename(at=at, to=to):
            return msgspec.structs.replace(action, at=_written(at), to=_written(to))
        case _:
            return msgspec.structs.replace(action, at=_written(locations_of(action)[0]))


def _written(place: Location) -> Location:
    return Location("", place.path if place.grant_id == "g" else f"grant2:{place.path}")


def contents_of(action: Action, ground: Ground) -> tuple[bytes, ...]:
    """Return the bytes that the action refers to."""
    return (ground.blobs.get(action.content.digest),) if isinstance(action, FileCreate | FileWrite) else ()


async def run_in_pipeline(case: Case, base: Path, resolver: str) -> None:
    """Run the case as `run_case` does, but from the plan to the event log."""
    ground = Ground(base)
    store = base / "store"
    try:
        case.arrange(ground)
        actions = [action for one in case.ask(ground) if (action := as_in_a_plan(one)) is not None]
        with opened_engine(store, resolver) as engine:
            task_ids = [
                await engine.start(
                    action,
                    folders=(ground.grant, ground.grant2),
                    contents=contents_of(action, ground),
                    rules=case.rules,
                )
                for action in actions
            ]
        case.between(ground)
        with watched(ground, case), opened_engine(store, resolver) as engine:
            answers = [await act(engine, case, task_id) for task_id in task_ids]
        for action, answer in zip(actions, answers, strict=True):
            assert answer.word in case.allowed, f"{case.id}: {action} came to {answer.word}: {answer}"
            assert case.asked is None or answer.asked is case.asked, f"{case.id}: {action}: {answer}"
            assert ground.canary.encode() not in answer.shown, f"{case.id}: the canary came out: {answer}"
        case.check(ground, answers)
        with opened_engine(store, resolver) as engine:
            assert engine.app.audit().violations == ()
        assert files_with(store, ground.canary.encode()) == [], f"{case.id}: the canary got into the store"
    finally:
        ground.close()


async def act(engine: Engine, case: Case, task_id: str) -> Answer:
    """Carry a task with one action on, approving what is asked, and return what came of it."""
    person = Person(YES)
    began = time.monotonic()
    await engine.app.carry_on(task_id, person)
    assert time.monotonic() - began < case.seconds_max, f"{case.id}: took too long"
    assert_history_is_sound(engine.app, task_id)
    events = [frame.recorded.event for frame in engine.app.replay(task_id)]
    shown = msgspec.json.encode(events)
    for table in (table for tables in TABLES.values() for table in tables):
        shown += repr(engine.app.rows(table.name)).encode()
    return answered(engine, task_id, events, shown, asked=bool(person.asked))


def answered(engine: Engine, task_id: str, events: list[Event], shown: bytes, *, asked: bool) -> Answer:
    """Return the end of the task's only action in the words of the cases."""
    task = engine.app.task(task_id)
    decided = next(e for e in events if isinstance(e, ActionAllowed | ActionDenied | ActionConfirmationRequired))
    decision, facts = decided.decision, decided.facts
    end = next(e for e in reversed(events) if isinstance(e, ActionEvent))
    match end:
        case ActionDenied():
            return Answer("denied", end.decision.reason_code or "", asked, shown, facts, decision)
        case ActionDeclined(reason_code=code):
            return Answer("denied", code, asked, shown, facts, decision)
        case ActionFailed(reason_code=code, reason=reason):
            return Answer("failed", code, asked, shown, facts, decision, Failed(code, reason))
        case ActionSucceeded(effects=effects, result=result):
            brought = engine.app.result(result.digest) if result is not None and result.digest else b""
            done = Done(in_the_cases_words(effects, engine, task.session_id), result)
            return Answer("completed", "", asked, shown + brought, facts, decision, done, brought)
        case _:
            raise AssertionError(f"the action has no end: {end}")


def in_the_cases_words(effects: tuple[Effect, ...], engine: Engine, session_id: str) -> tuple[Effect, ...]:
    """Return the effects with the names that the cases have for the grants."""
    text = msgspec.json.encode(effects)
    for row in engine.app.rows("grants", {"session_id": session_id}):
        name = {"grant": "g", "grant2": "g2"}[str(row["name"])]
        text = text.replace(str(row["grant_id"]).encode(), name.encode())
    return msgspec.json.decode(text, type=tuple[Effect, ...])


def files_with(folder: Path, marker: bytes) -> list[str]:
    """Return the store's files that hold the marker: log, read model, blobs.

    Not the quarantine: a file with another name outside is moved there as it is, and nothing is copied.
    """
    ours = (path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != "quarantine")
    return [str(path) for path in ours if marker in path.read_bytes()]


def main() -> None:
    """Run one case: `<case> <resolver> <folder>`. The caller made this process, and its mounts, for it."""
    case_id, resolver, base = sys.argv[1:]
    anyio.run(run_in_pipeline, CASES[case_id], Path(base), resolver)


if __name__ == "__main__":
    main()
