"""Moves of a random history: a task's life and course, what it uses up, its subagents, and what a store keeps."""

from typing import TYPE_CHECKING

from cowork.domain import ownership, retention, session_memory, subagent, task
from cowork.domain.action import SubagentSpawn
from cowork.domain.budget import NO_BUDGET, Budget, Overrun, Usage
from cowork.domain.errors import DomainError
from cowork.domain.ids import child_task_id, subagent_id
from cowork.domain.plan import Plan
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Scope
from cowork.domain.task import Started

if TYPE_CHECKING:
    from tests.projections.history import History

SCOPE = Scope((FolderScope(grant_id="grant-1", name="f", root_path="/f", verbs=VERBS, identity=FolderIdentity(1, 2)),))


def live(history: "History") -> None:
    """Pause, interrupt, resume, wait, finish or cancel a task."""
    commands: tuple[object, ...] = (
        task.PauseTask("lunch"),
        task.InterruptTask("stop"),
        task.ResumeTask(),
        task.ResumeTask(),
        task.AwaitConfirmation(),
        task.AwaitConfirmation(("confirmation-of-a-child",)),
        task.FinishTask(),
        task.FinishTask(),
        task.CancelTask("enough"),
    )
    history.execute(task, history.one(history.tasks), history.random.choice(commands), "person:ann")


def change_course(history: "History") -> None:
    """Say something to an agent, give it another plan, or carry its task on elsewhere."""
    name = history.one(history.tasks)
    state = history.state_of(name)
    which = history.random.randrange(4)
    if which == 0:
        claim = ownership.ClaimTask(task_id=name, owner=f"process-{history.random.randint(1, 9)}", engine="1.0")
        history.execute(ownership, ownership.stream_of_owner(name), claim)
    elif which == 1 and state.plan is not None:
        kept = [step for step in state.plan.steps if step.step_id in state.steps or history.random.random() < 0.5]
        let_go = [step for step in kept if history.random.random() < 0.2]
        steps = (*(step for step in kept if step not in let_go), *history.steps(len(history.events)))
        history.execute(task, name, task.SteerTask(plan=Plan(title="other", steps=steps), said_by="person:ann"))
    else:
        strategy: task.MessageStrategy = history.random.choice(("queue", "steer"))
        history.execute(task, name, task.SendMessage(text="mind the gap", strategy=strategy, said_by="person:ann"))


def use_up(history: "History") -> None:
    """Report what a task used, stop it for its budget, or give it more."""
    name = history.one(history.tasks)
    over = Overrun(measure="actions", bound=4, needed=5)
    commands: tuple[object, ...] = (
        task.RecordProgress(history.random.randint(0, 90_000)),
        task.ReportUsage(tokens=history.random.randint(0, 99), cost_micros=7, reported_by="planner"),
        task.ExhaustBudget(of_task=name, overrun=over),
        task.RaiseBudget(Usage(actions=3)),
    )
    history.execute(task, name, history.random.choice(commands))


def help_out(history: "History") -> None:
    """Let an action that starts a subagent have one, or end one."""
    if history.subagents and history.random.random() < 0.3:
        ends: tuple[object, ...] = (subagent.Report("all done"), subagent.Stop("not needed"))
        history.execute(subagent, history.one(history.subagents), history.random.choice(ends))
        return
    spawning = [
        (name, action.action_id)
        for name in history.tasks
        for action in history.state_of(name).open_actions.values()
        if isinstance(action.phase, Started) and isinstance(action.action, SubagentSpawn)
    ]
    parent, action_id = history.one(sorted(spawning))
    state = history.state_of(parent)
    child = child_task_id(action_id)
    name = subagent_id(child)
    spawn = subagent.SpawnSubagent(
        subagent_id=name,
        session_id=state.session_id,
        task_id=child,
        parent_task_id=parent,
        action_id=action_id,
        title="helper",
        parent_scope=SCOPE,
        wished_scope=SCOPE,
        parent_budget=NO_BUDGET,
        wished_budget=Budget(tokens=history.random.randint(1, 9)),
        parent_depth=child.count("-s") - 1,
    )
    if child in history.tasks:
        raise DomainError("conflict", "it has one")
    (spawned,) = history.execute(subagent, name, spawn)
    queue = task.QueueTask(
        task_id=child,
        session_id=state.session_id,
        title="helper",
        parent_task_id=parent,
        subagent_id=name,
        budget=spawned.budget,
    )
    history.execute(task, child, queue)
    history.subagents.append(name)
    history.tasks.append(child)
    history.plan(child)


def keep(history: "History") -> None:
    """Write to a session's memory or end it, or let the store go of something."""
    name = history.one(history.sessions)
    command: object
    if history.random.random() < 0.5:
        written = session_memory.NoteWritten(session_id=name, entries=2, held_bytes=30)
        command = history.random.choice((written, written, session_memory.NoteDestroyed(session_id=name)))
        history.execute(session_memory, session_memory.stream_of_memory(name), command)
        return
    started = retention.CollectionStarted(keep_days=30, bytes_max=1000, blobs=2, freed_bytes=50)
    finished = retention.CollectionFinished(blobs=2, freed_bytes=50)
    command = history.random.choice((retention.StartCollection(started), retention.FinishCollection(finished)))
    history.execute(retention, retention.STORE_STREAM, command)
