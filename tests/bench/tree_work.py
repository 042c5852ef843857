"""A task of subagents in a process of its own: `python -m tests.bench.tree_work FOLDER tree|alone|half|rest`.

`tree` runs a task of 64 subagents to its end, `alone` one task without any that carries out as many actions; `half`
pauses the tree when half of its actions have started, and `rest` goes on with it. What it took is printed as JSON.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import anyio
import msgspec

from cowork.domain.action import Content, FileCreate, Location, SubagentSpawn
from cowork.domain.event import Event, Recorded
from cowork.domain.plan import Plan, Step
from cowork.domain.task import ActionStarted
from cowork.engine.application import FolderRequest, RunRequest
from cowork.engine.planning_ports import PlannedTask
from tests.bench.workload import CONTENT, Engine, plan_of

SUBAGENTS = 64
ACTIONS = 10_000
_TEXT = CONTENT.decode()
_ROOM = {"folders": [{"path": ".", "verbs": ["read", "create"], "outputs": ["."]}]}


class Took(msgspec.Struct):
    """What a run took: seconds in all and of the processor, seconds to the first start, and the most memory in KiB."""

    task_id: str
    status: str
    seconds: float
    cpu_seconds: float
    to_first_start: float
    peak_kib: int
    started: int


def tree_plan(content: Content, *, subagents: int = SUBAGENTS, actions: int = ACTIONS) -> Plan:
    """Return a plan of so many subagents that comes to so many actions in all, their starts among them."""
    each, rest = divmod(actions - subagents, subagents)
    own = [
        Step(step_id=f"own-{n}", title="Write", request=FileCreate(at=Location("", f"own-{n}.md"), content=content))
        for n in range(rest)
    ]
    return Plan(title="Write reports beside each other", steps=(*own, *(_spawn(n, each) for n in range(subagents))))


def _spawn(number: int, actions: int) -> Step:
    steps = [
        {
            "id": f"write-{n}",
            "title": f"Write part {n}",
            "action": {
                "kind": "file.create",
                "path": f"part-{number:02}/{n:05}.md",
                "content": f"part {n} of {number}",
            },
        }
        for n in range(actions)
    ]
    spawn = SubagentSpawn(title=f"writer {number}", scope=json.dumps(_ROOM), steps=json.dumps(steps))
    return Step(step_id=f"writer-{number:02}", title=f"writer {number}", request=spawn)


class _Watch:
    """Notes the starts of actions, and pauses the task at one of them."""

    def __init__(self, engine: Engine, pause_at: int = 0) -> None:
        self.started = 0
        self.first = 0.0
        self.reached = anyio.Event()
        self._pause_at = pause_at
        engine.app.listen(self._on)

    def _on(self, recorded: Sequence[Recorded[Event]]) -> None:
        count = sum(isinstance(one.event, ActionStarted) for one in recorded)
        if count and not self.started:
            self.first = time.perf_counter()
        self.started += count
        if self._pause_at and self.started >= self._pause_at:
            self.reached.set()


async def _run(folder: Path, way: str) -> Took:
    began = time.perf_counter()
    engine = Engine(folder, "nothing")
    watch = _Watch(engine, ACTIONS // 2 if way == "half" else 0)
    if way == "rest":
        (task_id,) = engine.app.resumable()
    else:
        plan = plan_of("alone", ACTIONS, engine.content) if way == "alone" else tree_plan(engine.content)
        task_id = await engine.app.start(_request(folder, plan))

    async def pause() -> None:
        await watch.reached.wait()
        await engine.app.pause(task_id, by="person:ada")

    status = ""
    async with anyio.create_task_group() as group:
        if way == "half":
            group.start_soon(pause)
        status = (await engine.app.carry_on(task_id)).status
        group.cancel_scope.cancel()
    seconds = time.perf_counter() - began
    engine.close()
    return Took(
        task_id=task_id,
        status=status,
        seconds=seconds,
        cpu_seconds=time.process_time(),
        to_first_start=watch.first - began,
        peak_kib=_peak_kib(),
        started=watch.started,
    )


def _peak_kib() -> int:
    # Not `getrusage`: there a program begins with the peak of the one that started it.
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1])


def _request(folder: Path, plan: Plan) -> RunRequest:
    granted = folder / "granted"
    (granted / "alone").mkdir()
    return RunRequest(
        planned=PlannedTask(plan),
        planner="bench",
        folders=(FolderRequest(path=str(granted), output_paths=(str(granted),)),),
        user="ada",
        device="bench",
        platform="linux",
    )


def main() -> None:
    folder, way = sys.argv[1:3]
    took = anyio.run(_run, Path(folder), way)
    sys.stdout.write(msgspec.json.encode(took).decode() + "\n")


if __name__ == "__main__":
    main()
