"""Whatever a command would change, and whatever a person does meanwhile at any moment: what the person did stays."""

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowork.adapters.files.executor import FileExecutor
from cowork.domain.action import Action, ActionKind
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.facts import Facts
from cowork.domain.plan import Step
from cowork.domain.policy_document import Layer, Rule, layer_of_rules
from cowork.domain.scope import Scope
from cowork.engine.application import Answer
from cowork.engine.ports import Finding, Outcome, Permit
from tests.engine.commands import Commands, Run, command
from tests.engine.rig import PERSON, Rig

FILES = ("a.txt", "b.txt", "in/c.txt", "in/d.txt")
NEW = ("new.txt", "in/new.txt", "made/new.txt")
FREELY = layer_of_rules("run", (Rule("all", ("file.*", "shell.exec"), "allow"),))
ASKS = layer_of_rules(
    "run",
    (Rule("looks", ("file.read", "file.list", "shell.exec"), "allow"),),
    fallback="allow_with_confirm",
)


Kind: TypeAlias = Literal["write", "delete", "move"]


class Change(msgspec.Struct, frozen=True):
    """What a command does to one file of its copy: it writes it, deletes it or moves it to `to`."""

    kind: Kind
    path: str
    to: str = ""


class Edit(msgspec.Struct, frozen=True):
    """What a person does at a moment: they save, overwrite in place or delete a file, or rename it to `to`."""

    moment: int
    kind: Literal["save", "overwrite", "delete", "rename"]
    path: str
    to: str = ""


class Person:
    """Edits the folder when the moment has come; knows what must be there because of that.

    `mine` has the content of each file that the person had their hands on last, None where they took it away.
    """

    def __init__(self, rig: Rig, edits: Sequence[Edit]) -> None:
        self.mine: dict[str, str | None] = {}
        self.asked = 0
        self._rig = rig
        self._edits = edits
        self._moment = 0

    def moment(self) -> None:
        """Let time go by."""
        self._moment += 1
        for number, edit in enumerate(self._edits):
            if edit.moment == self._moment:
                self._edit(edit, f"the person's {number}")

    def _edit(self, edit: Edit, text: str) -> None:
        path, to = self._rig.work / edit.path, self._rig.work / (edit.to or edit.path)
        match edit.kind:
            case "save":
                path.parent.mkdir(exist_ok=True)
                saving = path.with_name(f"{path.name}~")
                saving.write_text(text)
                saving.replace(path)
                self.mine[edit.path] = text
            case "overwrite" if path.exists():
                path.write_text(text)
                self.mine[edit.path] = text
            case "delete" if path.exists():
                path.unlink()
                self.mine[edit.path] = None
            case "rename" if path.exists() and not to.exists():
                to.parent.mkdir(exist_ok=True)
                self.mine[edit.path], self.mine[edit.to] = None, path.read_text()
                path.rename(to)
            case _:
                pass

    async def ask(self, question: ConfirmationRequested) -> Answer:
        """Say yes, but not to what is no longer as it was shown; and be slow about it."""
        self.moment()
        changed = any(block.role == "changed" for block in question.card.blocks)
        return Answer(approve=not changed, answered_by=PERSON)


class Meddled:
    """The real executor of files, with moments before and after each of its looks and before its work."""

    def __init__(self, files: FileExecutor, person: Person) -> None:
        self.kinds: frozenset[ActionKind] = files.kinds
        self._files = files
        self._person = person

    async def observe(self, actions: Sequence[Action], scope: Scope, now: datetime, *, batch: int) -> list[Facts]:
        self._person.moment()
        facts = await self._files.observe(actions, scope, now, batch=batch)
        self._person.moment()
        return facts

    async def perform(self, permit: Permit) -> Outcome:
        self._person.moment()
        return await self._files.perform(permit)

    async def reconcile(self, permit: Permit) -> Finding:
        return await self._files.reconcile(permit)


MOMENTS = st.integers(1, 18)
EDITS = st.lists(
    st.builds(
        Edit,
        MOMENTS,
        st.sampled_from(("save", "save", "overwrite", "delete", "rename")),
        st.sampled_from((*FILES, *NEW)),
        st.sampled_from((*NEW, "in/renamed.txt")),
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """Return changes of which no two are about the same file."""
    olds = draw(st.lists(st.sampled_from(FILES), unique=True, max_size=4))
    news = list(NEW)
    made: list[Change] = []
    for path in olds:
        kinds: tuple[Kind, ...] = ("write", "delete", "move") if news else ("write", "delete")
        kind = draw(st.sampled_from(kinds))
        made.append(Change(kind, path, news.pop() if kind == "move" else ""))
    return [*made, *(Change("write", path) for path in news if draw(st.booleans()))]


async def live(rig: Rig, made: list[Change], person: Person, rules: Layer, *, together: bool) -> None:
    """Run one command that makes the changes, to its end."""

    async def program(run: Run) -> None:
        for change in made:
            match change.kind:
                case "write" if (rig.work / change.path).exists():
                    await run.write(change.path, f"the command's {change.path}")
                case "write":
                    await run.create(change.path, f"the command's {change.path}")
                case "delete" if (rig.work / change.path).exists():
                    await run.delete(change.path)
                case "move" if (rig.work / change.path).exists():
                    await run.move(change.path, change.to)
                case _:
                    pass
        person.moment()
        person.moment()

    commands = Commands(rig, change=program)
    rig.app = rig.engine(rig.store, (Meddled(FileExecutor(rig.blobs, rig.state), person), commands))
    step = Step(step_id="s1", title="change", request=command("change"), changes="together" if together else "each")
    await rig.run(step, rules=rules, asker=person)


@pytest.mark.parametrize("rules", [FREELY, ASKS], ids=["allowed", "asked about"])
@settings(max_examples=150)
@given(made=changes(), edits=EDITS, together=st.booleans())
def test_what_a_person_did_after_the_command_looked_is_there_in_the_end(
    rules: Layer, made: list[Change], edits: list[Edit], together: bool
) -> None:
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        rig = Rig(folder, files={name: f"first {name}" for name in FILES})
        person = Person(rig, edits)
        asyncio.run(live(rig, made, person, rules, together=together))
        files = rig.files()
        # Where nothing was before and nothing is again, the command's file is no loss.
        kept = {path: text for path, text in person.mine.items() if text is not None or path in FILES}
        assert {path: files.get(path) for path in kept} == kept
        rig.assert_clean()
        rig.app.close()
    finally:
        shutil.rmtree(folder)
