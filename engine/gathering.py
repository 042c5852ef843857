"""Step (2) of the pipeline: the facts about what actions would touch, as the executors see it right now."""

from collections.abc import Sequence

import msgspec

from ..domain.action import Action, ActionKind, Location, hosts_of, kind_of, locations_of
from ..domain.errors import DomainError, ErrorCode
from ..domain.facts import Facts, Obstacle
from ..domain.reason import ReasonCode
from ..domain.subagent import DEPTH_MAX
from .planning_ports import SpawnReader
from .ports import Clock, Executor
from .sandbox_check import SandboxCheck
from .session_view import SessionView
from .sight import Sights

_OF_SPAWN: dict[ErrorCode, ReasonCode] = {"denied": "no_grant", "limit": "limit", "not_found": "not_found"}
_COMMANDS: tuple[ActionKind, ...] = ("shell.exec", "code.run")


class Gathering:
    """Asks the executors. What no executor here can carry out, or no sandbox would hold, is not available."""

    def __init__(
        self, *, executors: Sequence[Executor], check: SandboxCheck, clock: Clock, spawn_reader: SpawnReader
    ) -> None:
        self._spawn_reader = spawn_reader
        self._executors: dict[ActionKind, Executor] = {kind: one for one in executors for kind in one.kinds}
        self._check = check
        self._clock = clock
        self.sights = Sights()

    def executor(self, action: Action) -> Executor:
        """Return the executor of the action's kind."""
        return self._executors[kind_of(action)]

    async def gather(self, actions: Sequence[Action], view: SessionView) -> list[Facts]:
        """Return the facts of actions that one executor carries out; those of a batch are held against each other."""
        now = self._clock.now()
        if not actions:
            return []
        kind = kind_of(actions[0])
        if kind == "subagent.spawn":
            return [self._facts_of_spawn(action, view, len(actions)) for action in actions]
        executor = self._executors.get(kind)
        if executor is None:
            return [Facts(now=now, batch=len(actions), depth=view.depth, available=False) for _ in actions]
        if kind in _COMMANDS:
            missing = await self._check.find_missing(network=any(hosts_of(action) for action in actions))
            if missing is not None:
                closed = Facts(now=now, batch=len(actions), depth=view.depth, available=False)
                return [msgspec.structs.replace(closed, obstacle=Obstacle("unavailable", missing)) for _ in actions]
        facts = await executor.observe(actions, view.scope, now, batch=len(actions))
        if view.depth:
            facts = [msgspec.structs.replace(one, depth=view.depth) for one in facts]
        if kind in _COMMANDS:
            facts = [self._seen(action, one, view) for action, one in zip(actions, facts, strict=True)]
        return facts if len(actions) == 1 else _with_clashes(actions, facts)

    def _facts_of_spawn(self, action: Action, view: SessionView, batch: int) -> Facts:
        """Return whether a subagent can be started: its steps can be read, and it may have what it wishes for."""
        now, obstacle = self._clock.now(), None
        try:
            self._spawn_reader.read(action, view.scope, now)
        except DomainError as error:
            words = f"{error.message}: {error.hint}" if error.hint else error.message
            obstacle = Obstacle(_OF_SPAWN.get(error.code, "policy"), words)
        if view.depth >= DEPTH_MAX:
            obstacle = Obstacle("limit", f"subagents may be nested at most {DEPTH_MAX} deep")
        return Facts(now=now, batch=batch, depth=view.depth, obstacle=obstacle)

    def _seen(self, action: Action, facts: Facts, view: SessionView) -> Facts:
        """Return the facts without the files that the command will not see.

        A digest of a hidden file would prove that it is there, and a short secret can be guessed from it.
        """
        if not facts.inputs:
            return facts
        sight = self.sights.of(view, facts.now)
        (cwd,) = locations_of(action)
        inputs = tuple(one for one in facts.inputs if not sight.hides(cwd.grant_id, one.path, one.state))
        return msgspec.structs.replace(facts, inputs=inputs)


def _with_clashes(actions: Sequence[Action], facts: Sequence[Facts]) -> list[Facts]:
    """Mark every action but the first that would give its file the same name as another of the batch."""
    taken: set[Location] = set()
    marked: list[Facts] = []
    for action, fact in zip(actions, facts, strict=True):
        places = locations_of(action)
        if len(places) == 2 and fact.obstacle is None:
            if places[1] in taken:
                clash = Obstacle("conflict", f"two files of this step would be named `{places[1].path}`")
                marked.append(msgspec.structs.replace(fact, obstacle=clash))
                continue
            taken.add(places[1])
        marked.append(fact)
    return marked
