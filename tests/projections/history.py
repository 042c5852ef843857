"""Random but valid histories: commands chosen by chance, decided by the real aggregates, recorded in order."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar

import msgspec

from cowork.domain import approvals, confirmation, folder_trust, grant, policy_record, sandbox, session, task
from cowork.domain.action import (
    Action,
    Content,
    FileCreate,
    FileDelete,
    FileMove,
    FileRead,
    FileWrite,
    Location,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
    digest_of,
    kind_of,
)
from cowork.domain.baseline import BASELINE
from cowork.domain.budget import NO_BUDGET, Budget
from cowork.domain.confirmation import Card, CardBlock, Finding, Item, Pending
from cowork.domain.effect import CommandReport, Output, Result
from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Origin, Recorded
from cowork.domain.facts import Facts, FileState
from cowork.domain.plan import Plan, Step
from cowork.domain.policy import digest_of_layers
from cowork.domain.policy_approval import Approval, ApprovalScope
from cowork.domain.policy_decision import Decision
from cowork.domain.policy_document import Verdict
from cowork.domain.reason import ReasonCode
from cowork.domain.scope import VERBS, FolderIdentity
from cowork.domain.session import AdoptedLayer
from cowork.domain.task import Awaiting, Ready, Started, Unknown
from tests.projections import course
from tests.projections.effects import effects_of

S = TypeVar("S")
START = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
HOSTS = ("example.org", "*.example.com", "127.0.0.1:8080")
NAMES = ("a.csv", "b c.txt", "in/ü.png", "in/x.md", "out/y.pdf", "\u202eevil", "deep/er/z")


REPORT = CommandReport(
    exit_code=0,
    stdout=Output(content=Content("sha256:" + "cd" * 32, 40)),
    stderr=Output(content=Content("sha256:" + "ef" * 32, 0)),
    milliseconds=1200,
    hidden=2,
)


class History:
    """A world that grows by one random step at a time. `events` are what the log would hold."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.events: list[Recorded[Event]] = []
        self._states: dict[str, Any] = {}
        self._versions: dict[str, int] = {}
        self.sessions: list[str] = []
        self._grants: list[str] = []
        self._hosts: list[str] = []
        self.tasks: list[str] = []
        self._questions: list[str] = []
        self.subagents: list[str] = []
        self.time = START

    def grow(self, steps: int) -> "History":
        """Take so many steps; one that the aggregates refuse is a step too."""
        self.start_session()
        self.grant()
        self.queue_task()
        moves: tuple[tuple[int, Callable[[], None]], ...] = (
            (1, self.start_session),
            (2, self.grant),
            (1, self.change_grant),
            (1, self.queue_task),
            (10, self.propose),
            (8, self.answer),
            (26, self.act),
            (3, lambda: course.live(self)),
            (3, lambda: course.change_course(self)),
            (3, lambda: course.use_up(self)),
            (5, lambda: course.help_out(self)),
            (1, lambda: course.keep(self)),
            (1, self.change_policy),
            (1, self.try_out),
        )
        weighted = [move for weight, move in moves for _ in range(weight)]
        for _ in range(steps):
            try:
                self.random.choice(weighted)()
            except DomainError:
                continue
        return self

    # Recording

    def execute(self, aggregate: Any, stream: str, command: object, actor: str = "engine") -> list[Any]:
        """Decide a command, fold and record its events."""
        state = self._states.get(stream, aggregate.INITIAL)
        events = list(aggregate.decide(command, state))
        self.time += timedelta(milliseconds=self.random.randint(0, 5000))
        origin = Origin(actor=actor, cause="test", command_id=f"command-{len(self.events)}", at=self.time)
        for event in events:
            state = aggregate.evolve(state, event)
            version = self._versions[stream] = self._versions.get(stream, 0) + 1
            position = self.events[-1].position + self.random.choice((1, 1, 1, 2)) if self.events else 1
            self.events.append(Recorded(position=position, stream=stream, version=version, origin=origin, event=event))
        self._states[stream] = state
        return events

    def state_of(self, stream: str) -> Any:
        """Return the folded state of a stream."""
        return self._states[stream]

    def one(self, of: list[S]) -> S:
        """Return one of them. Raises `DomainError` where there is none."""
        if not of:
            raise DomainError("not_found", "nothing to choose from")
        return self.random.choice(of)

    # Sessions and grants

    def start_session(self) -> None:
        """Open a session under the default policy."""
        name = f"session-{len(self.sessions) + 1}"
        stream = policy_record.stream_of_document(BASELINE.digest)
        self.execute(policy_record, stream, policy_record.StoreDocument(BASELINE.source))
        command = session.StartSession(
            session_id=name,
            user_id="ann",
            device_id="laptop",
            platform="linux",
            title="s",
            layers=(AdoptedLayer(BASELINE.name, BASELINE.digest),),
            policy_digest=digest_of_layers((BASELINE,)),
        )
        self.execute(session, name, command, "person:ann")
        self.sessions.append(name)

    def grant(self) -> None:
        """Open a folder to a session."""
        session_id = self.one(self.sessions)
        if self.random.random() < 0.2:
            self._grant_host(session_id)
            return
        name = f"grant-{len(self._grants) + 1}"
        command = grant.GrantFolder(
            grant_id=name,
            session_id=session_id,
            name=f"folder{len(self._grants) + 1}",
            root_path=f"/home/ann/{name}",
            verbs=VERBS,
            output_roots=("out",),
            identity=FolderIdentity(1, 2**63 + len(self._grants)),
            expires_at=self.random.choice((None, self.time + timedelta(hours=1))),
        )
        self.execute(grant, name, command, "person:ann")
        self.execute(session, session_id, session.AddGrant(name))
        self._grants.append(name)

    def _grant_host(self, session_id: str) -> None:
        name = f"grant-of-host-{len(self._hosts) + 1}"
        command = grant.GrantHost(grant_id=name, session_id=session_id, host=self.random.choice(HOSTS))
        self.execute(grant, name, command, "person:ann")
        self.execute(session, session_id, session.AddGrant(name))
        self._hosts.append(name)

    def try_out(self) -> None:
        """Try the sandbox out, or let root's process into a session."""
        if self.random.random() < 0.5:
            standing: sandbox.Standing = self.random.choice(("enforced", "advisory", "absent"))
            canary = sandbox.Canary(name="env", path="shell", standing=standing, detail="tried")
            self.execute(sandbox, sandbox.SANDBOX_STREAM, sandbox.RecordCheck("sha256:machine", (canary,)))
            return
        self.execute(session, self.one(self.sessions), session.AllowRoot("option"), "person:ann")

    def change_grant(self) -> None:
        """Narrow, revoke or expire a grant, or end a session."""
        which = self.random.randrange(5)
        if which == 4:
            self.execute(grant, self.one(self._hosts), grant.RevokeGrant("enough"), "person:ann")
            return
        if which == 3:
            self.execute(session, self.one(self.sessions), session.EndSession("done"), "person:ann")
            return
        commands: tuple[object, ...] = (
            grant.NarrowGrant(verbs=("read",), output_roots=()),
            grant.RevokeGrant("enough"),
            grant.ExpireGrant(self.time + timedelta(days=1)),
        )
        self.execute(grant, self.one(self._grants), commands[which], "person:ann")

    def change_policy(self) -> None:
        """Remember, use or revoke an approval, or change which folder is trusted."""
        name = f"approval-{self.random.randint(1, 5)}"
        approval = Approval(
            id=name,
            action="file.write",
            rule_ids=("baseline:overwrite-needs-a-person",),
            risk_tags=("overwrite",),
            scope=ApprovalScope(session=self.one(self.sessions)),
            path_prefix="/home/ann",
            expires_at=START + timedelta(days=9),
            uses_left=2,
        )
        remember = approvals.RememberApproval(
            approval=approval, sentence="writing", confirmation_id="confirmation-1", remembered_by="ann"
        )
        use = approvals.UseApproval(approval_id=name, action_id="task-1.1", now=self.time)
        of_approvals = (remember, use, use, approvals.RevokeApproval(name, "enough"))
        of_trust = (
            folder_trust.TrustFolder("/home/ann", FolderIdentity(1, 2)),
            folder_trust.DistrustFolder("/home/ann"),
        )
        if self.random.random() < 0.7:
            self.execute(approvals, approvals.APPROVALS_STREAM, self.random.choice(of_approvals), "person:ann")
        else:
            self.execute(folder_trust, folder_trust.TRUST_STREAM, self.random.choice(of_trust), "person:ann")

    # Tasks

    def queue_task(self) -> None:
        """Queue a task, and mostly plan and start it."""
        name = f"task-{len(self.tasks) + 1}"
        queue = task.QueueTask(
            task_id=name,
            session_id=self.one(self.sessions),
            title=f"title {name}",
            prompt="p",
            priority=self.random.choice((0, 5)),
            budget=self.random.choice((NO_BUDGET, Budget(actions=4, files_deleted=9))),
            undoes=self.random.choice(("", "task-1")),
        )
        self.execute(task, name, queue, "person:ann")
        self.tasks.append(name)
        if self.random.random() > 0.1:
            self.plan(name)

    def plan(self, name: str) -> None:
        """Plan a task and start it."""
        self.execute(task, name, task.StartPlanning("plan-file"))
        self.execute(task, name, task.AdoptPlan(Plan(title="plan", steps=self.steps())))
        self.execute(task, name, task.StartTask())

    def steps(self, first: int = 1) -> tuple[Step, ...]:
        """Return some steps, numbered from `first`."""
        return tuple(
            Step(
                step_id=f"s{number}",
                title=f"Step {number}",
                description=self.random.choice(("", "because")),
                needs=(f"s{number - 1}",) if number > first and self.random.random() < 0.3 else (),
                request=self._action(),
            )
            for number in range(first, first + self.random.choice((1, 1, 2, 4)))
        )

    def _action(self) -> Action:
        at = Location(self.random.choice(self._grants or ["grant-1"]), self.random.choice(NAMES))
        to = Location(at.grant_id, f"moved/{self.random.choice(NAMES)}")
        content = Content("sha256:" + "ab" * 32, 12)
        return self.random.choice(
            (
                FileRead(at=at),
                FileCreate(at=at, content=content),
                FileWrite(at=at, content=content),
                FileMove(at=at, to=to),
                FileDelete(at=at),
                ShellExec(argv=("ls", "-l a"), cwd=Location(at.grant_id, ".")),
                NetworkRequest(method="POST", url="https://example.org/", body=content),
                SubagentSpawn(title="helper"),
            )
        )

    def propose(self) -> None:
        """Begin a step of a running task, or leave it out."""
        name = self.one(self.tasks)
        state = self._states[name]
        plan = state.plan
        if plan is None:
            return
        step_id = self.one([step.step_id for step in plan.steps])
        if self.random.random() < 0.1:
            self.execute(
                task, name, task.SkipStep(step_id, "its need failed", self.random.choice((None, "policy", "io")))
            )
            return
        proposals = [self._proposal(self._action()) for _ in range(self.random.choice((1, 1, 1, 2, 3)))]
        asked = f"confirmation-{len(self._questions) + 1}"
        proposals = [p if p.decision.verdict != "allow_with_confirm" else _with_question(p, asked) for p in proposals]
        first = state.actions + 1
        command = task.ProposeActions(
            step_id=step_id,
            proposals=tuple(proposals),
            proposed_by="agent:plan-file",
            start=len(proposals) == 1 and self.random.random() < 0.5,
        )
        self.execute(task, name, command)
        items = tuple(
            Item(f"{name}.{number}", p.digest) for number, p in enumerate(proposals, start=first) if p.confirmation_id
        )
        if items:
            self._ask(asked, name, state.session_id, step_id, items, "action")

    def _proposal(self, action: Action) -> task.Proposal:
        verdict: Verdict = self.random.choice(("allow", "allow", "allow_with_confirm", "allow_with_confirm", "deny"))
        return task.Proposal(
            action=action,
            digest=digest_of(action),
            decision=Decision(
                verdict=verdict,
                rule_id=f"rule-for-{kind_of(action)}",
                reason="so it is written",
                reason_code=self.random.choice(("not_found", "policy")) if verdict == "deny" else None,
                risk_tags=("delete",) if isinstance(action, FileDelete) else (),
                policy_digest="sha256:policy",
            ),
            facts=self.facts(),
            scope_digest="sha256:scope",
        )

    def facts(self) -> Facts:
        """Return facts about a file or a folder."""
        seen = self.random.choice((FileState("file", size=3), FileState("folder", size=9, entries=5)))
        return Facts(now=self.time, target=seen)

    def _ask(
        self,
        name: str,
        task_id: str,
        session_id: str,
        step_id: str,
        items: tuple[Item, ...],
        purpose: confirmation.Purpose,
    ) -> None:
        command = confirmation.RequestConfirmation(
            confirmation_id=name,
            session_id=session_id,
            task_id=task_id,
            step_id=step_id,
            purpose=purpose,
            items=items,
            digest="sha256:" + "cd" * 32,
            card=Card("Delete a.csv", (CardBlock("action", ("delete a.csv",)),)),
            risk_tags=("delete",),
            reason="deleting needs a person",
            rule_id="delete-needs-a-person",
            layer="baseline",
            expires_at=self.time + timedelta(hours=1),
        )
        self.execute(confirmation, name, command)
        self._questions.append(name)

    def answer(self) -> None:
        """Answer an open question in one of the four ways."""
        open_ones = [name for name in self._questions if isinstance(self._states[name], Pending)]
        name = self.one(open_ones)
        digest = "sha256:" + "cd" * 32
        of_attempt = self._states[name].request.purpose == "unknown_outcome"
        finding: Finding = self.random.choice(("happened", "not_happened", "try_again")) if of_attempt else ""
        yes = confirmation.Approve(digest=digest, answered_by="person:ann", now=self.time, finding=finding)
        command: object = self.random.choice(
            (
                yes,
                msgspec.structs.replace(yes, note="fine"),
                confirmation.Reject(digest=digest, answered_by="person:bob", now=self.time, note="no"),
                confirmation.Expire(self.time + timedelta(hours=2)),
                confirmation.Withdraw("the world moved"),
            )
        )
        self.execute(confirmation, name, command, "person:ann")

    def act(self) -> None:
        """Take one open action a step further."""
        busy = [name for name in self.tasks if isinstance(self._states[name], task.Task)]
        name = self.one([n for n in busy if self._states[n].open_actions])
        state = self._states[name]
        action = self.one(sorted(state.open_actions.values(), key=lambda a: a.action_id))
        command: object
        match action.phase:
            case Ready():
                command = task.StartAction(action_id=action.action_id, digest=action.digest)
            case Awaiting(confirmation_id=asked):
                command = self._after_answer(action, asked)
            case Started() if isinstance(action.action, ShellExec) and self.random.random() < 0.6:
                self._run_command(name, state, action)
                return
            case Started():
                command = self._outcome(action)
            case Unknown():
                self._ask_again(name, state, action)
                return
            case _:
                return
        self.execute(task, name, command)

    def _after_answer(self, action: task.OpenAction, asked: str) -> object:
        answer = self._states.get(asked)
        if isinstance(answer, confirmation.Approved) and answer.finding in ("", "try_again"):
            facts = self.facts() if action.attempts else None
            return task.StartAction(action_id=action.action_id, digest=action.digest, approval=asked, facts=facts)
        if isinstance(answer, confirmation.Approved):
            happened = answer.finding == "happened"
            return task.SettleUnknown(action_id=action.action_id, happened=happened, said_by="person:ann")
        if answer is None or isinstance(answer, Pending):
            raise DomainError("conflict", "nobody has answered")
        code = {"Rejected": "rejected", "Expired": "expired", "Withdrawn": "withdrawn"}[type(answer).__name__]
        return task.DeclineAction(action_id=action.action_id, reason_code=code, reason=f"it was {code}")  # type: ignore[arg-type]

    def _outcome(self, action: task.OpenAction) -> object:
        which = self.random.random()
        if which < 0.1:
            return task.RecordUnknown(action_id=action.action_id, observed="half of it")
        if which < 0.25:
            code: ReasonCode = self.random.choice(("io", "subagent", "blocked", "withdrawn"))
            return task.RecordFailure(action_id=action.action_id, reason_code=code, reason="disk on fire")
        return task.RecordSuccess(
            action_id=action.action_id,
            effects=effects_of(action.action),
            result=Result(summary="3 lines") if isinstance(action.action, FileRead) else None,
            recovered=which > 0.95,
        )

    def _run_command(self, name: str, state: task.Task, action: task.OpenAction) -> None:
        """Let a command reach for a host, and mostly end with changes of its own copy of a folder."""
        if self.random.random() < 0.5:
            refused = self.random.random() < 0.5
            connection = task.RecordConnection(
                action_id=action.action_id,
                host="example.org",
                port=443,
                address="" if refused else "192.0.2.7",
                reason_code="net_denied" if refused else None,
                reason="no granted host" if refused else "",
            )
            self.execute(task, name, connection)
            return
        asked = f"confirmation-{len(self._questions) + 1}"
        proposals = [self._proposal(self._change()) for _ in range(self.random.choice((0, 1, 3)))]
        proposals = [p if p.decision.verdict != "allow_with_confirm" else _with_question(p, asked) for p in proposals]
        together = self.random.random() < 0.5
        ended = task.RecordSuccess(
            action_id=action.action_id,
            effects=(),
            result=Result(summary="exit 0", command=REPORT),
            staged=tuple(proposals),
            proposed_by="agent:plan-file",
            together=together,
        )
        events = self.execute(task, name, ended)
        let_go = {event.action_id for event in events if isinstance(event, task.ActionDeclined)}
        numbered = enumerate(proposals, start=state.actions + 1)
        items = tuple(Item(f"{name}.{number}", p.digest) for number, p in numbered if p.confirmation_id)
        if any(item.action_id not in let_go for item in items):
            self._ask(asked, name, state.session_id, action.step_id, items, "action")

    def _change(self) -> Action:
        while isinstance(action := self._action(), FileRead | ShellExec | NetworkRequest | SubagentSpawn):
            pass
        return action

    def _ask_again(self, name: str, state: task.Task, action: task.OpenAction) -> None:
        asked = f"confirmation-{len(self._questions) + 1}"
        again = task.AskAgain(
            action_id=action.action_id,
            confirmation_id=asked,
            decision=Decision(verdict="allow_with_confirm", rule_id="unknown-outcome", reason="nobody knows"),
            facts=self.facts(),
            scope_digest="sha256:scope",
            changed="half of it",
        )
        self.execute(task, name, again)
        self._ask(
            asked, name, state.session_id, action.step_id, (Item(action.action_id, action.digest),), "unknown_outcome"
        )


def _with_question(proposal: task.Proposal, asked: str) -> task.Proposal:
    return msgspec.structs.replace(proposal, confirmation_id=asked)
