"""Trees of tasks: whose subagent a task is, what is in force for it, and how it ended. Invariants 5 and 14.

A tree is kept until all of it is over. What a subagent may do is made from what its session has at the moment and what
each subagent above it was given, never from what the log says that it was.
"""

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from ..domain.action import SubagentSpawn
from ..domain.ids import child_task_id, root_task_id, subagent_id
from ..domain.reason import ReasonCode
from ..domain.scope import attenuate
from ..domain.subagent import DEPTH_MAX, SubagentReported, SubagentSpawned, SubagentStopped
from ..domain.task import (
    ActionFailed,
    ActionOutcomeUnknown,
    ActionSucceeded,
    OutcomeEvent,
    TaskBlocked,
    TaskCancelled,
    TaskCompleted,
    TaskEnded,
    TaskFailed,
    TaskQueued,
)
from .audit_finding import Acting, Findings, Seen
from .audit_rights import InForce, Rights

End: TypeAlias = Literal["", "completed", "failed", "blocked", "cancelled"]

_ENDS: Final[dict[type[TaskEnded], End]] = {
    TaskCompleted: "completed",
    TaskFailed: "failed",
    TaskBlocked: "blocked",
    TaskCancelled: "cancelled",
}
_CODES: Final[dict[End, ReasonCode]] = {"failed": "subagent", "blocked": "blocked", "cancelled": "withdrawn"}
"""Why an action failed whose subagent's task ended like this."""

_NEVER_BEGAN: Final[tuple[ReasonCode, ...]] = ("policy", "no_grant", "limit", "withdrawn")
"""Why an action may have failed whose subagent there never was."""


class Node(msgspec.Struct, eq=False):
    """A task in its tree. `given` is what its subagent was given, None for the task that a person started."""

    task_id: str
    session_id: str
    above: "Node | None" = None
    given: SubagentSpawned | None = None
    has_begun: bool = False
    has_children: bool = False
    end: End = ""
    end_position: int = 0
    is_interrupted: bool = False
    is_released: bool = False
    made_from: InForce | None = None
    in_force: InForce | None = None

    @property
    def depth(self) -> int:
        """How many subagents it is below the session's own agent."""
        return 0 if self.above is None else self.above.depth + 1

    def upwards(self) -> "Iterator[Node]":
        """Yield the task and every one above it."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.above


class Tree:
    """All trees of which something is not over."""

    def __init__(self, findings: Findings, rights: Rights) -> None:
        self._findings = findings
        self._rights = rights
        self._nodes: dict[str, Node] = {}
        self._of_root: dict[str, list[Node]] = {}
        self._of_subagent: dict[str, Node] = {}
        self._unqueued: tuple[Seen, Node] | None = None
        self._over: list[str] = []
        self._commit = ""

    def get(self, task_id: str) -> Node | None:
        """Return the task, None where there is none, or all of its tree is over."""
        return self._nodes.get(task_id)

    def in_force(self, node: Node) -> InForce | None:
        """Return what is in force for the task right now; None where its session is not open."""
        if node.above is None or node.given is None:
            return self._rights.in_force(node.session_id)
        above = self.in_force(node.above)
        if above is None:
            return None
        if node.in_force is None or node.made_from is not above:
            scope = attenuate(above.scope, node.given.scope)
            node.in_force = msgspec.structs.replace(above, scope=scope, scope_digest=scope.digest())
            node.made_from = above
        return node.in_force

    # Beginnings

    def on_spawned(self, seen: Seen, event: SubagentSpawned, action: Acting | None) -> None:
        """Fold the beginning of a subagent; `action` is the one that it names, None where there is none."""
        self._findings.count("subagents")
        parent = self._nodes.get(event.parent_task_id)
        if parent is None:
            self._findings.add(9, seen, f"a subagent of task `{event.parent_task_id}`, which there is not")
            return
        if event.session_id != parent.session_id:
            self._findings.add(9, seen, f"subagent `{event.subagent_id}` is not of its parent's session")
        if event.task_id in self._nodes:
            self._findings.add(14, seen, f"task `{event.task_id}` has a subagent already")
            return
        self._check_action(seen, event, action)
        self._check_rights(seen, event, parent)
        if parent.end:
            self._findings.add(14, seen, f"subagent `{event.subagent_id}` was spawned by a task that had ended")
        node = Node(event.task_id, parent.session_id, above=parent, given=event)
        self._put(node)
        self._of_subagent[event.subagent_id] = node
        self._unqueued = (seen, node)

    def _check_action(self, seen: Seen, event: SubagentSpawned, action: Acting | None) -> None:
        name = event.subagent_id
        if action is None or not isinstance(action.action, SubagentSpawn) or not action.is_under_way:
            self._findings.add(5, seen, f"subagent `{name}` was spawned by `{event.action_id}`, which starts none")
        if event.action_id.rpartition(".")[0] != event.parent_task_id:
            self._findings.add(5, seen, f"subagent `{name}` was spawned by an action of another task than its parent")
        if event.task_id != child_task_id(event.action_id) or name != subagent_id(event.task_id):
            self._findings.add(5, seen, f"the ids of subagent `{name}` are not those that follow from its action")

    def _check_rights(self, seen: Seen, event: SubagentSpawned, parent: Node) -> None:
        name = event.subagent_id
        held = self.in_force(parent)
        if held is None:
            self._findings.add(5, seen, f"subagent `{name}` was spawned by nobody who has rights")
        elif attenuate(held.scope, event.scope).alone != event.scope:
            self._findings.add(5, seen, f"subagent `{name}` may touch more than `{event.parent_task_id}` may")
        if event.depth != parent.depth + 1:
            self._findings.add(5, seen, f"subagent `{name}` says that it is {event.depth} deep")
        if parent.depth + 1 > DEPTH_MAX:
            self._findings.add(5, seen, f"subagent `{name}` is more than {DEPTH_MAX} deep")

    def on_queued(self, seen: Seen, event: TaskQueued) -> Node:
        """Fold the beginning of a task, and return its node."""
        spawned = self._nodes.get(event.task_id)
        self._unqueued = None
        if spawned is None or spawned.given is None or spawned.has_begun:
            if event.subagent_id or event.parent_task_id or root_task_id(event.task_id) != event.task_id:
                self._findings.add(5, seen, f"task `{event.task_id}` is a subagent's that was never spawned")
            node = Node(event.task_id, event.session_id, has_begun=True)
            self._put(node)
            return node
        said = (event.subagent_id, event.parent_task_id, event.session_id)
        given = spawned.given
        if said != (given.subagent_id, given.parent_task_id, given.session_id):
            self._findings.add(14, seen, f"task `{event.task_id}` does not say whose it is as its subagent does")
        spawned.has_begun = True
        return spawned

    def _put(self, node: Node) -> None:
        self._nodes[node.task_id] = node
        root = next(one.task_id for one in node.upwards() if one.above is None)
        self._of_root.setdefault(root, []).append(node)

    def on_commit(self, seen: Seen) -> list[str]:
        """Look at what the commit before this event's left unsaid; return the tasks of trees that are over by now."""
        if seen.origin.command_id == self._commit:
            return []
        self._commit = seen.origin.command_id
        self._check_queued()
        gone = [node.task_id for root in self._over for node in self._of_root.pop(root, ())]
        self._over = []
        for task_id in gone:
            node = self._nodes.pop(task_id)
            if node.given is not None:
                self._of_subagent.pop(node.given.subagent_id, None)
        return gone

    def _check_queued(self) -> None:
        if self._unqueued is not None:
            begun, node = self._unqueued
            self._findings.add(14, begun, f"a subagent without a task: `{node.task_id}` was not queued with it")
            self._unqueued = None

    # Starts

    def on_start(self, seen: Seen, node: Node, action_id: str) -> None:
        """Check that nothing above the task, which starts an action, has ended or was interrupted."""
        for above in node.upwards():
            if above is not node and above.end:
                self._findings.add(14, seen, f"`{action_id}` started after task `{above.task_id}` above it had ended")
            elif above is not node and above.is_interrupted:
                self._findings.add(13, seen, f"`{action_id}` started while task `{above.task_id}` was interrupted")

    # Ends

    def on_ended(self, seen: Seen, node: Node, event: TaskEnded) -> None:
        """Fold the end of a task."""
        if not node.end:
            node.end = _ENDS[type(event)]
            node.end_position = seen.position

    def on_gone(self, seen: Seen, event: SubagentReported | SubagentStopped) -> None:
        """Fold the end of a subagent: its task ended by itself when it reports, and otherwise when it was stopped."""
        node = self._of_subagent.get(event.subagent_id)
        if node is None:
            self._findings.add(14, seen, f"the end of subagent `{event.subagent_id}`, which there is not")
        elif not node.end or (node.end == "cancelled") is not isinstance(event, SubagentStopped):
            how = node.end or "not over"
            self._findings.add(14, seen, f"the end of `{event.subagent_id}`, whose task is {how}, is said otherwise")

    def on_outcome(self, seen: Seen, event: OutcomeEvent) -> None:
        """Check that the outcome of an action that started a subagent is how the subagent's task ended."""
        child = self._nodes.get(child_task_id(event.action_id))
        if isinstance(event, ActionOutcomeUnknown):
            self._findings.add(14, seen, f"the outcome of `{event.action_id}` is its subagent's, and never unknown")
        elif child is None:
            if isinstance(event, ActionSucceeded) or event.reason_code not in _NEVER_BEGAN:
                self._findings.add(14, seen, f"an outcome of `{event.action_id}`, whose subagent never began")
        elif not child.end:
            self._findings.add(14, seen, f"an outcome of `{event.action_id}`, whose subagent is still at work")
        elif _CODES.get(child.end) != _code_of(event):
            self._findings.add(14, seen, f"the outcome of `{event.action_id}` is not its subagent's: {child.end}")
        if isinstance(event, ActionSucceeded) and event.effects:
            self._findings.add(14, seen, f"`{event.action_id}` says effects that are its subagent's own")

    def release(self, node: Node) -> None:
        """Note that a task is over, and nothing of it under way: with the last of a tree the tree is let go of."""
        node.is_released = True
        root = next(one.task_id for one in node.upwards() if one.above is None)
        if root not in self._over and all(one.is_released for one in self._of_root.get(root, ())):
            self._over.append(root)

    def finish(self) -> Iterator[tuple[str, int, str]]:
        """Yield what outlives what is above it: the task, the position of the other's end, and a sentence."""
        self._check_queued()
        for node in self._nodes.values():
            above = next((one for one in node.upwards() if one is not node and one.end), None)
            if above is not None and not node.end:
                sentence = f"task `{above.task_id}` has ended, and `{node.task_id}` beneath it has not"
                yield node.task_id, above.end_position, sentence


def _code_of(event: ActionSucceeded | ActionFailed) -> ReasonCode | None:
    return event.reason_code if isinstance(event, ActionFailed) else None
