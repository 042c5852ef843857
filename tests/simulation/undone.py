"""What undoing all that was ever done must leave: where nobody else was in between, everything as it was at first."""

from collections.abc import Iterator

from cowork.engine.application import Application
from tests.simulation.person import PERSON, Person
from tests.simulation.plans import OPEN
from tests.simulation.tree import Tree

ROUNDS_MAX = 20


class Undone:
    """Undoes tasks, one after the other, and looks at what is there afterwards."""

    def __init__(self, tree: Tree, person: Person, *, has_left: bool) -> None:
        """`has_left` says that something was done that is on nobody's record, so that it can't be undone."""
        self._tree = tree
        self._person = person
        self._before = tree.lines_of_the_person()
        self._has_left = has_left
        self._stuck: list[str] = []

    async def undo(self, task_id: str, app: Application) -> None:
        """Undo one task, and carry that on to its end, whatever has to be answered."""
        report = await app.undo(task_id, by=PERSON, own=(OPEN,))
        self._has_left = self._has_left or any(line.deed in ("left", "gone") for line in report.lines)
        if not report.task_id:
            return
        for _ in range(ROUNDS_MAX):
            task = await app.carry_on(report.task_id)
            if task.is_final:
                self._has_left = self._has_left or task.status != "completed"
                return
            await self._person.answer_all()
        self._stuck.append(f"the undo of {task_id} has not ended")

    @property
    def is_as_it_was(self) -> bool:
        """Whether every file that there was at first stands there again, and no other."""
        return self._tree.files() == self._tree.at_first

    def complaints(self) -> Iterator[str]:
        """Yield what is not as it must be."""
        yield from self._stuck
        lost = self._before - self._tree.lines_of_the_person()
        if lost:
            yield f"what the person wrote is gone with an undo: {sorted(lost)}"
        if self._has_left:
            return
        if self._person.edits == 0 and not self.is_as_it_was:
            yield f"all was undone, and it is not as it was: {self._tree.differences()}"
        if made := self._tree.lines_of_agents():
            yield f"all was undone, and what agents made is still there: {sorted(made)}"
