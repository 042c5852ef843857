"""A story told by hand: the real aggregates decide, the real projections fold, and the readers tell it."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Literal

from cowork.adapters.read_model.memory import MemoryReadModel
from cowork.domain import confirmation, grant, session, subagent, task
from cowork.domain.action import Action, SubagentSpawn, digest_of
from cowork.domain.baseline import BASELINE
from cowork.domain.budget import NO_BUDGET, Budget
from cowork.domain.confirmation import Card, CardBlock, Item
from cowork.domain.facts import Facts, FileState
from cowork.domain.ids import child_task_id, subagent_id, task_chain
from cowork.domain.plan import Plan, Step
from cowork.domain.policy import digest_of_layers
from cowork.domain.policy_decision import Decision
from cowork.domain.policy_document import Verdict
from cowork.domain.reason import ReasonCode
from cowork.domain.scope import VERBS, FolderIdentity, Verb
from cowork.domain.session import AdoptedLayer
from cowork.projections.audit_log import AuditRow, audit_rows
from cowork.projections.place_names import names_in_rows
from cowork.projections.registry import PROJECTIONS, TABLES
from cowork.projections.summary_report import summary_of
from cowork.projections.summary_rows import summary_rows
from cowork.projections.summary_shape import TaskSummary
from cowork.projections.task_status import Task, task_of
from cowork.projections.timeline_report import TimelineGroup, timeline_of, timeline_rows
from cowork.projections.usage_report import TaskUsage, usage_of_tree, usage_rows
from tests.projections.course import SCOPE
from tests.projections.history import START, History

TASK = "task-1"
QUESTION_DIGEST = "sha256:" + "cd" * 32


class Story(History):
    """One session with two granted folders, `reports` and `photos`, and one task."""

    def __init__(self) -> None:
        super().__init__(Random(7))
        self.now = START
        start = session.StartSession(
            session_id="session-1",
            user_id="ann",
            device_id="laptop",
            platform="linux",
            title="Tidying",
            layers=(AdoptedLayer(BASELINE.name, BASELINE.digest),),
            policy_digest=digest_of_layers((BASELINE,)),
        )
        self.execute(session, "session-1", start, "person:ann")
        self.give("grant-1", "reports")
        self.give("grant-2", "photos", verbs=("read", "move"))

    def give(self, grant_id: str, name: str, *, verbs: tuple[Verb, ...] = VERBS) -> None:
        """Grant a folder."""
        command = grant.GrantFolder(
            grant_id=grant_id,
            session_id="session-1",
            name=name,
            root_path=f"/home/ann/{name}",
            verbs=verbs,
            output_roots=("out",),
            identity=FolderIdentity(1, 2),
            expires_at=START + timedelta(days=30),
        )
        self.execute(grant, grant_id, command, "person:ann")
        self.execute(session, "session-1", session.AddGrant(grant_id))

    def begin(self, *steps: Step, budget: Budget = NO_BUDGET) -> None:
        """Queue, plan and start the task."""
        queue = task.QueueTask(
            task_id=TASK, session_id="session-1", title="Tidy up", prompt="please tidy", budget=budget
        )
        self.execute(task, TASK, queue, "person:ann")
        self.execute(task, TASK, task.StartPlanning("plan-file"))
        self.execute(task, TASK, task.AdoptPlan(Plan(title="Tidy up", steps=steps)))
        self.execute(task, TASK, task.StartTask())

    def propose_step(
        self,
        step_id: str,
        *actions: Action,
        verdict: Verdict = "allow",
        code: ReasonCode | None = None,
        asked: str = "",
        unasked: Literal["", "skipped", "no_approval"] = "",
        task_id: str = TASK,
    ) -> list[str]:
        """Begin a step; return the ids of its actions."""
        decision = Decision(
            verdict=verdict,
            rule_id=f"{verdict}-rule",
            reason=f"the rules say {verdict}",
            reason_code=code,
            risk_tags=("delete",) if verdict == "allow_with_confirm" else (),
            layer="baseline",
            policy_digest="sha256:policy",
        )
        proposals = tuple(
            task.Proposal(
                action=action,
                digest=digest_of(action),
                decision=decision,
                facts=Facts(now=self.now, target=FileState("file", size=1)),
                scope_digest="sha256:scope",
                confirmation_id=asked,
                unasked=unasked,
            )
            for action in actions
        )
        command = task.ProposeActions(step_id=step_id, proposals=proposals, proposed_by="agent:plan-file")
        events = self.execute(task, task_id, command)
        ids = [event.action_id for event in events if isinstance(event, task.ActionProposed)]
        if asked:
            items = [Item(name, digest_of(a)) for name, a in zip(ids, actions, strict=True)]
            self.ask(asked, step_id, items, task_id=task_id)
        return ids

    def ask(
        self,
        name: str,
        step_id: str,
        items: Sequence[Item],
        purpose: confirmation.Purpose = "action",
        task_id: str = TASK,
    ) -> None:
        """Put a question."""
        request = confirmation.RequestConfirmation(
            confirmation_id=name,
            session_id="session-1",
            task_id=task_id,
            step_id=step_id,
            purpose=purpose,
            items=tuple(items),
            digest=QUESTION_DIGEST,
            card=Card("Delete a.csv", (CardBlock("action", ("delete a.csv",)),)),
            risk_tags=("delete",),
            reason="deleting needs a person",
            rule_id="delete-needs-a-person",
            layer="baseline",
            expires_at=START + timedelta(hours=24),
        )
        self.execute(confirmation, name, request)

    def ask_again(self, action_id: str, step_id: str, asked: str, changed: str) -> None:
        """Ask about an action of which nobody knows whether it happened."""
        again = task.AskAgain(
            action_id=action_id,
            confirmation_id=asked,
            decision=Decision(verdict="allow_with_confirm", rule_id="unknown", reason="nobody knows"),
            facts=Facts(now=self.now),
            scope_digest="sha256:scope",
            changed=changed,
        )
        self.tell(again)
        self.ask(asked, step_id, [Item(action_id, "sha256:d")], "unknown_outcome")

    def approve(self, name: str, note: str = "", finding: confirmation.Finding = "") -> None:
        """Say yes, or what became of an attempt."""
        answer = confirmation.Approve(
            digest=QUESTION_DIGEST, answered_by="person:ann", now=START, note=note, finding=finding
        )
        self.execute(confirmation, name, answer, "person:ann")

    def reject(self, name: str, note: str = "") -> None:
        """Say no."""
        answer = confirmation.Reject(digest=QUESTION_DIGEST, answered_by="person:bob", now=START, note=note)
        self.execute(confirmation, name, answer, "person:bob")

    def start(self, action_id: str, action: Action, approval: str = "") -> None:
        """Start an action."""
        start = task.StartAction(action_id=action_id, digest=digest_of(action), approval=approval)
        self.tell(start, task_id=action_id.rpartition(".")[0])

    def tell(self, command: object, actor: str = "engine", *, task_id: str = TASK) -> None:
        """Give a task a command."""
        self.execute(task, task_id, command, actor)

    def spawn(self, step_id: str, title: str, *steps: Step, parent: str = TASK, budget: Budget = NO_BUDGET) -> str:
        """Begin a step that starts a subagent, and that one's own task; return the id of this task."""
        spawn = SubagentSpawn(title=title)
        (action_id,) = self.propose_step(step_id, spawn, task_id=parent)
        self.start(action_id, spawn)
        child = child_task_id(action_id)
        name = subagent_id(child)
        command = subagent.SpawnSubagent(
            subagent_id=name,
            session_id="session-1",
            task_id=child,
            parent_task_id=parent,
            action_id=action_id,
            title=title,
            parent_scope=SCOPE,
            wished_scope=SCOPE,
            parent_budget=NO_BUDGET,
            wished_budget=budget,
            parent_depth=len(task_chain(parent)) - 1,
        )
        self.execute(subagent, name, command)
        queue = task.QueueTask(
            task_id=child,
            session_id="session-1",
            title=title,
            parent_task_id=parent,
            subagent_id=name,
            budget=budget,
        )
        self.execute(task, child, queue)
        self.execute(task, child, task.StartPlanning("spawned"))
        self.execute(task, child, task.AdoptPlan(Plan(title=title, steps=steps)))
        self.execute(task, child, task.StartTask())
        return child

    # Telling

    def position_of(self, kind: type, action_id: str = "") -> int:
        """Return the position of the only event of that class (about that action)."""
        (position,) = [
            recorded.position
            for recorded in self.events
            if type(recorded.event) is kind and (not action_id or f"'{action_id}'" in repr(recorded.event))
        ]
        return position

    def model(self) -> MemoryReadModel:
        """Return the tables as they are now."""
        model = MemoryReadModel(TABLES)
        for projection in PROJECTIONS:
            changes = [change for recorded in self.events for change in projection.on(recorded)]
            model.apply(projection.name, projection.code_version, changes, self.events[-1].position)
        return model

    def task(self, task_id: str = TASK) -> Task:
        """Return a task as its readers see it."""
        model = self.model()
        (row,) = model.rows("tasks", {"task_id": task_id})
        return task_of(row, model.rows("task_steps", {"task_id": task_id}), self.usage()[task_id])

    def usage(self) -> dict[str, TaskUsage]:
        """Return what each task of the tree used."""
        return usage_of_tree(usage_rows(self.model().rows, TASK))

    def summary(self, task_id: str = TASK) -> TaskSummary:
        """Return a task's summary."""
        model = self.model()
        rows = summary_rows(model.rows, task_id)
        assert rows is not None
        return summary_of(rows, names_in_rows(model.rows("grants", {"session_id": "session-1"})))

    def timeline(self, task_id: str = TASK) -> list[TimelineGroup]:
        """Return a task's timeline."""
        model = self.model()
        names = names_in_rows(model.rows("grants", {"session_id": "session-1"}))
        return timeline_of(timeline_rows(model.rows, task_id), names)

    def audit(self) -> list[AuditRow]:
        """Return the whole audit log."""
        model = self.model()
        names = {"session-1": names_in_rows(model.rows("grants", {"session_id": "session-1"}))}
        return audit_rows(model.rows("actions"), model.rows("audit_life"), model.rows("audit_subjects"), names)
