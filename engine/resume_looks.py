"""What stands now at the places that a task's open questions showed and that what is left of its plan touches."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from ..domain.action import (
    Action,
    ActionKind,
    CodeRun,
    CommandAction,
    FileAction,
    FileRead,
    Location,
    ShellExec,
    kind_of,
    locations_of,
    sets_mode,
)
from ..domain.facts import ABSENT, Confinement, Facts
from ..domain.glob import parse_glob
from ..domain.plan import Batch, Listed, Step
from ..domain.scope import Scope
from ..domain.task import Awaiting, OpenAction, Ready, Task
from . import limits
from .binding import bind, bind_text
from .ports import Clock, Executor
from .resume_changes import find_move, find_move_since
from .resume_past import Past
from .resume_report import FileChange, FileMove
from .shown_state import mode_change_words


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a look showed: places that are not as they were, what would hold a command now, and how far it went."""

    files: tuple[FileChange, ...]
    confinement: Confinement | None
    looked_at: int
    not_looked_at: int


class _Item(msgspec.Struct, frozen=True):
    """Something to look at: an action with the facts that it was decided on, or (`known`) a place and its digest."""

    task_id: str
    step_id: str
    action_id: str
    action: Action
    then: Facts | None = None
    known: str = ""


class Looks:
    """Asks the executors what stands where. Nothing is changed, and no sandbox is tried out for it."""

    def __init__(self, executors: Sequence[Executor], clock: Clock) -> None:
        self._executors: dict[ActionKind, Executor] = {kind: one for one in executors for kind in one.kinds}
        self._clock = clock

    async def look(self, past: Past, scopes: dict[str, Scope], is_open: Callable[[Scope, str], bool]) -> Seen:
        """Look at what is left of the tasks, each with its scope of now; grants that are not open are passed over."""
        files: list[FileChange] = []
        confinement: Confinement | None = None
        left = limits.RESUME_LOOKS_MAX
        wanted = 0
        for task in past.tasks:
            if task.is_final:
                continue
            scope = scopes[task.task_id]
            items = [item for item in _items_of(task, scope, past.known) if _can_look(item.action, scope, is_open)]
            wanted += len(items)
            items, left = items[:left], left - len(items[:left])
            for item, now in await self._observed(items, scope):
                files += _changes(item, now)
            if confinement is None:
                confinement = await self._confinement(task, scope, is_open)
        looked_at = limits.RESUME_LOOKS_MAX - left
        return Seen(
            files=tuple(dict.fromkeys(files)),
            confinement=confinement,
            looked_at=looked_at,
            not_looked_at=wanted - looked_at,
        )

    async def _observed(self, items: Sequence[_Item], scope: Scope) -> list[tuple[_Item, Facts]]:
        by_executor: dict[int, list[_Item]] = {}
        for item in items:
            executor = self._executors.get(kind_of(item.action))
            if executor is not None:
                by_executor.setdefault(id(executor), []).append(item)
        found: list[tuple[_Item, Facts]] = []
        for of_one in by_executor.values():
            executor = self._executors[kind_of(of_one[0].action)]
            actions = [item.action for item in of_one]
            facts = await executor.observe(actions, scope, self._clock.now(), batch=len(actions))
            found += zip(of_one, facts, strict=True)
        return found

    async def _confinement(self, task: Task, scope: Scope, is_open: Callable[[Scope, str], bool]) -> Confinement | None:
        """Return what would hold the next command of the task, None where it has none."""
        command = next((one for one in _commands_of(task, scope) if _can_look(one, scope, is_open)), None)
        executor = None if command is None else self._executors.get(kind_of(command))
        if command is None or executor is None:
            return None
        (facts,) = await executor.observe([command], scope, self._clock.now(), batch=1)
        return facts.confinement


def _can_look(action: Action, scope: Scope, is_open: Callable[[Scope, str], bool]) -> bool:
    return all(is_open(scope, place.grant_id) for place in locations_of(action))


# What is left to do


def _items_of(task: Task, scope: Scope, known: dict[Location, str]) -> Iterator[_Item]:
    decided: set[Location] = set()
    for action in _in_order(task):
        if isinstance(action.phase, Awaiting | Ready) and not action.attempts:
            decided.update(locations_of(action.action))
            yield _Item(task.task_id, action.step_id, action.action_id, action.action, action.phase.judgement.facts)
    for step in _not_begun(task):
        places = dict.fromkeys(_places_of(step, scope, known))
        for place in places:
            if place in known and place not in decided:
                yield _Item(task.task_id, step.step_id, "", FileRead(at=place), None, known[place])


def _in_order(task: Task) -> list[OpenAction]:
    return sorted(task.open_actions.values(), key=lambda action: (len(action.action_id), action.action_id))


def _not_begun(task: Task) -> Iterator[Step]:
    if task.plan is not None:
        yield from (step for step in task.plan.steps if step.step_id not in task.steps)


def _places_of(step: Step, scope: Scope, known: dict[Location, str]) -> Iterator[Location]:
    """Yield the places of files that a step names; of a pattern those that the log knows and that match it."""
    match step.request:
        case Batch(match=text):
            pattern = bind_text(text, scope)
            glob = parse_glob(pattern.path)
            yield from (place for place in known if place.grant_id == pattern.grant_id and glob.matches(place.path))
        case _:
            for action in _actions_of(step, scope):
                if isinstance(action, FileAction):
                    yield from locations_of(action)


def _actions_of(step: Step, scope: Scope) -> Iterator[Action]:
    match step.request:
        case Batch():
            return
        case Listed(actions=actions):
            yield from (bind(action, scope) for action in actions)
        case action:
            yield bind(action, scope)


def _commands_of(task: Task, scope: Scope) -> Iterator[CommandAction]:
    waiting = [one.action for one in _in_order(task) if isinstance(one.phase, Awaiting | Ready)]
    for action in (*waiting, *(action for step in _not_begun(task) for action in _actions_of(step, scope))):
        if isinstance(action, ShellExec | CodeRun):
            yield action


# Then and now


def _changes(item: _Item, now: Facts) -> Iterator[FileChange]:
    if item.then is None:
        yield from _since(item, now)
        return
    seen = zip((item.then.target, item.then.destination), (now.target, now.destination), strict=True)
    for place, (before, after) in zip(locations_of(item.action), seen, strict=False):
        if before is not None and after is None:
            yield _unreadable(item, place, before.digest, now)
        elif before is not None:
            now_there = after or ABSENT
            if (move := find_move(before, now_there)) is not None:
                yield _changed(item, place, move, before.digest, now_there.digest)
            elif sets_mode(item.action) and before.mode != now_there.mode:
                modes = mode_change_words(before, now_there)
                yield _changed(item, place, "changed", before.digest, now_there.digest, modes)
    yield from _changes_of_inputs(item, item.then, now)


def _since(item: _Item, now: Facts) -> Iterator[FileChange]:
    (place,) = locations_of(item.action)
    if now.target is None:
        yield _unreadable(item, place, item.known, now)
    elif (move := find_move_since(item.known, now.target)) is not None:
        yield _changed(item, place, move, item.known, now.target.digest)


def _changes_of_inputs(item: _Item, then: Facts, now: Facts) -> Iterator[FileChange]:
    """Yield what became of the files that a command names, of those that it was to see."""
    held = {one.path: one.digest for one in now.inputs}
    for one in then.inputs:
        digest = held.get(one.path, "")
        if digest != one.digest:
            place = Location(locations_of(item.action)[0].grant_id, one.path)
            yield _changed(item, place, "changed" if digest else "missing", one.digest, digest)


def _changed(item: _Item, place: Location, move: FileMove, then: str, now: str, detail: str = "") -> FileChange:
    return FileChange(
        task_id=item.task_id,
        step_id=item.step_id,
        action_id=item.action_id,
        place=place,
        change=move,
        then=then,
        now=now,
        detail=detail,
    )


def _unreadable(item: _Item, place: Location, then: str, now: Facts) -> FileChange:
    why = "it can't be looked at" if now.obstacle is None else now.obstacle.message
    return _changed(item, place, "unreadable", then, "", why)
