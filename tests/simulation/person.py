"""The person of a seed, at a process of their own: edits, answers, and all that can be wanted of tasks under way."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol

from cowork.domain.action import (
    Action,
    FileCreate,
    FileDelete,
    FileMove,
    FileRename,
    FileWrite,
    NetworkRequest,
    locations_of,
)
from cowork.domain.budget import MEASURES, Usage
from cowork.domain.confirmation import ConfirmationRequested, Finding
from cowork.domain.errors import DomainError
from cowork.domain.event import Event, Recorded
from cowork.domain.grant import NarrowGrant
from cowork.domain.policy_remember import REMEMBER_SCOPES, Wish
from cowork.domain.scope import VERBS, Verb
from cowork.domain.task import ActionProposed, ReportUsage, Task, TaskBudgetExhausted
from cowork.engine.application import Answer, Application
from cowork.engine.command_handler import CommandHandler, order_grant, order_task
from cowork.engine.remembering import Offer
from cowork.engine.stopping import Strategy
from tests.simulation.outside import HOSTS, Ledger
from tests.simulation.plans import steered_plan
from tests.simulation.process import Process, by_the_person
from tests.simulation.spawns import Given
from tests.simulation.tree import Tree, digest_of

PERSON = "person:ann"
DEEDS = (
    *("edit",) * 8,
    *("answer",) * 9,
    *("pause", "interrupt", "interrupt", "steer", "steer", "say", "top up", "top up", "usage"),
    *("undo", "undo", "cancel", "cancel", "revoke", "narrow", "narrow", "wrong", "wait", "forget", "forget"),
    *("rule", "sandbox", "overtake", "carry on"),
)


class World(Protocol):
    """What the person sees of the seed's world."""

    random: Random

    def events(self) -> list[Recorded[Event]]:
        """Return everything that was recorded."""
        ...

    def tell(self, what: str) -> None:
        """Note what happens."""
        ...

    def complain(self, what: str) -> None:
        """Note that something happened that must not."""
        ...


class Person:
    """What a person does, from another process than those that run tasks, or now and then from the very same."""

    def __init__(self, world: World, app: Application, handler: CommandHandler, tree: Tree, ledger: Ledger) -> None:
        self.app = app
        self.edits = 0
        self.says_yes = False
        self._world = world
        self._random = world.random
        self._handler = handler
        self._tree = tree
        self._ledger = ledger
        self._plans = 0
        self._at_hand = ""

    # Files

    def edit(self, likely: list[str], odds: float = 0.5) -> None:
        """Do something to a file, by these odds to one of the likely ones, as if no engine were there."""
        self.edits += 1
        self._world.tell(f"edit: {self._tree.edit(likely, odds)}")

    # Deeds

    async def act(self, kind: str, when: str, here: Process | None = None, app: Application | None = None) -> None:
        """Do one thing. With `app` it is done in the process that runs the tasks, as with a key at the terminal."""
        if kind == "edit":
            self.edit([] if here is None else here.at_stake)
            return
        self._at_hand = "" if here is None else here.at_hand
        deeds: dict[str, Callable[[Application], Awaitable[str]]] = {
            "answer": self._answer,
            "wrong": lambda on: self._answer(on, wrong=True),
            "pause": lambda on: self._stop(on.pause),
            "interrupt": lambda on: self._stop(on.interrupt),
            "cancel": lambda on: self._stop(on.cancel, odds=0.4),
            "steer": self._steer,
            "say": self._say,
            "top up": self._top_up,
            "usage": self._report_usage,
            "revoke": self._revoke,
            "narrow": self._narrow,
            "forget": self._forget,
            "undo": self._undo,
        }
        try:
            if app is None:
                with by_the_person():
                    about = await deeds[kind](self.app)
            else:
                about = await deeds[kind](app)
        except DomainError as error:
            self._world.tell(f"person: {kind} {when} refused: {error.message}")
        else:
            if about:
                self._world.tell(f"person: {kind} {about} {when}")

    def _pick(self, *, live: bool = True) -> Task | None:
        """Return a task, a subagent's as likely as another, and that which somebody is acting for more likely."""
        names = [str(row["task_id"]) for row in self.app.rows("tasks")]
        tasks = [self.app.task(name) for name in names]
        tasks = [task for task in tasks if not live or not task.is_final]
        likely = [task for task in tasks if task.task_id == self._at_hand]
        chosen = likely if self._random.random() < 0.5 else []
        return self._random.choice(chosen or tasks) if tasks else None

    async def _stop(self, how: Callable[..., Awaitable[None]], *, odds: float = 0.7) -> str:
        task = self._pick(live=self._random.random() < 0.9) if self._random.random() < odds else None
        if task is None:
            return ""
        await how(task.task_id, by=PERSON)
        return task.task_id

    async def _steer(self, on: Application) -> str:
        task = self._pick()
        if task is None or task.plan is None:
            return ""
        self._plans += 1
        given = Given(verbs=VERBS, hosts=HOSTS)
        await on.steer(task.task_id, steered_plan(self._random, self._tree, given, task, self._plans), by=PERSON)
        return task.task_id

    async def _say(self, on: Application) -> str:
        task = self._pick()
        if task is None:
            return ""
        strategies: tuple[Strategy, ...] = ("queue", "steer", "reject")
        strategy = self._random.choice(strategies)
        await on.say(task.task_id, "mind the gap", strategy, by=PERSON)
        return f"{task.task_id} {strategy}"

    async def _top_up(self, on: Application) -> str:
        tasks = [task for task in (self._pick() for _ in range(3)) if task is not None and task.budget.is_bound]
        if not tasks:
            return ""
        task = self._random.choice(tasks)
        measure = self._random.choice([one for one in MEASURES if task.budget.of(one) is not None])
        await on.top_up(task.task_id, Usage(**{measure: self._random.choice((1, 10, 100, 1_000_000))}), by=PERSON)
        return f"{task.task_id} {measure}"

    async def make_room(self, task_id: str) -> None:
        """Give a task that has none left all the room that it wants, and then some."""
        told = [one.event for one in self._world.events() if isinstance(one.event, TaskBudgetExhausted)]
        last = next(one for one in reversed(told) if one.task_id == task_id)
        if not self.app.task(last.of_task).is_final:
            more = last.needed - last.bound + 10 ** self._random.randint(1, 8)
            await self.app.top_up(last.of_task, Usage(**{last.measure: max(more, 1)}), by=PERSON)

    async def _report_usage(self, on: Application) -> str:
        del on
        task = self._pick()
        if task is None:
            return ""
        tokens, cost = self._random.choice((0, 5, 500)), self._random.choice((0, 5, 500))
        used = ReportUsage(tokens=tokens, cost_micros=cost, reported_by="planner")
        await self._handler.execute(order_task(task.task_id, used), actor="agent:planner", cause="planning")
        return f"{task.task_id} {tokens} {cost}"

    async def _revoke(self, on: Application) -> str:
        grants = [*self.app.rows("grants"), *self.app.rows("host_grants")]
        if not grants or self._random.random() > 0.35:
            return ""
        grant_id = str(self._random.choice(grants)["grant_id"])
        await on.revoke(grant_id, by=PERSON)
        return grant_id

    async def _narrow(self, on: Application) -> str:
        del on
        grants = self.app.rows("grants")
        if not grants or self._random.random() > 0.5:
            return ""
        grant_id = str(self._random.choice(grants)["grant_id"])
        verbs: tuple[Verb, ...] = tuple(verb for verb in VERBS if self._random.random() < 0.8)
        narrower = NarrowGrant(verbs=verbs, output_roots=self._random.choice(((), ("out",), (".",))))
        await self._handler.execute(order_grant(grant_id, narrower), actor=PERSON, cause="narrow")
        return f"{grant_id} to {' '.join(verbs)}"

    async def _forget(self, on: Application) -> str:
        known = [one.approval.id for one in self.app.policies.approvals()]
        for name in self._random.sample(known, min(1, len(known))):
            await on.policies.revoke_approval(name, by=PERSON)
            return name
        return ""

    async def _undo(self, on: Application) -> str:
        task = self._pick(live=False)
        if task is None or not task.actions:
            return ""
        name = task.task_id
        if self._random.random() < 0.4:
            name = f"{name}.{self._random.randint(1, task.actions)}"
        report = await on.undo(name, by=PERSON, dry_run=self._random.random() < 0.2)
        return f"{name}: {len(report.done)} to do, {len(report.left)} left"

    # Answers

    async def _answer(self, on: Application, *, wrong: bool = False) -> str:
        rows = self.app.rows("confirmations", {"status": "pending"})
        if not rows:
            return ""
        return await self._answer_one(on, self._random.choice(rows), wrong=wrong)

    async def answer_all(self) -> None:
        """Answer every question that waits."""
        for row in self.app.rows("confirmations", {"status": "pending"}):
            await self._answer_one(self.app, row)

    async def _answer_one(self, on: Application, row: dict[str, object], *, wrong: bool = False) -> str:
        name = str(row["confirmation_id"])
        asked = self.question(name)
        digest = "sha256:" + "0" * 64 if wrong else str(row["digest"])
        try:
            await on.answer(name, digest, self.answer_to(asked, digest=digest, offers=on))
        except DomainError as error:
            # In the very process that has just put the question it may not be there for a moment, or its disk be full.
            late = error.code in ("expired", "conflict")
            if not late and (on is self.app or error.code not in ("not_found", "unavailable")):
                self._world.complain(f"an answer to {name} was refused: {error}")
        else:
            if wrong:
                self._world.complain("an answer to another digest was taken")
        return name

    def question(self, name: str) -> ConfirmationRequested:
        """Return a question as it was put."""
        asked = (one.event for one in self._world.events() if isinstance(one.event, ConfirmationRequested))
        return next(one for one in asked if one.confirmation_id == name)

    def answer_to(self, asked: ConfirmationRequested, *, digest: str = "", offers: Application | None = None) -> Answer:
        """Return a yes or a no; and what became of it, where that is the question."""
        if self._random.random() > 0.7 and not self.says_yes:
            return Answer(approve=False, answered_by=PERSON)
        if asked.purpose == "unknown_outcome":
            return Answer(approve=True, answered_by=PERSON, finding=self._finding(asked))
        if offers is None or digest != asked.digest:
            return Answer(approve=True, answered_by=PERSON)
        return Answer(approve=True, answered_by=PERSON, remember=self._offer(asked, offers))

    def _offer(self, asked: ConfirmationRequested, on: Application) -> Offer | None:
        """Return what the person wants to be remembered of a yes, now and then, where it can be."""
        if self._random.random() < 0.2:
            return None
        wish = Wish(
            scope=self._random.choice((*REMEMBER_SCOPES, "workspace", "workspace")),
            within="" if self._random.random() < 0.2 else str(self._tree.work),
            uses=self._random.choice((None, None, 1, 2)),
        )
        try:
            return on.offer(asked.confirmation_id, wish)
        except DomainError as error:
            self._world.tell(f"person: nothing remembered: {error.message}")
            return None

    def _finding(self, asked: ConfirmationRequested) -> Finding:
        """Look at the world, and say what became of an attempt; or have it tried again."""
        if self._random.random() < 0.4:
            return "try_again"
        (item,) = asked.items
        proposed = (one.event for one in self._world.events() if isinstance(one.event, ActionProposed))
        action = next(one.action for one in proposed if one.action_id == item.action_id)
        return "happened" if self._has_happened(item.action_id, action) else "not_happened"

    def _has_happened(self, name: str, action: Action) -> bool:
        stands = [(self._tree.work / at.path) for at in locations_of(action)]
        match action:
            case FileCreate(content=content) | FileWrite(content=content):
                return stands[0].is_file() and digest_of(stands[0].read_bytes()) == content.digest
            case FileDelete():
                return not stands[0].exists()
            case FileMove() | FileRename():
                return not stands[0].exists() and stands[1].exists()
            case NetworkRequest():
                return self._ledger.left[name] > 0
            case _:
                # A command's changes are lost with its copy, whomever it has reached.
                return False
