"""The two subagents of `cowork demo`: what the agent asks for, what they may, and what came of them.

They are at work beside each other. One may only look into the invoices and adds them up, the other may only make files
in the reports; it also tries to read something that it was not given.
"""

import json
from typing import TYPE_CHECKING, Final

import msgspec

from ...domain.action import FileSearch
from ...domain.subagent import SubagentReported, SubagentSpawned, SubagentStopped
from ...domain.task import ActionDenied, ActionProposed, ActionSucceeded
from ...projections.scope_words import scope_words
from ...projections.visible_text import quoted, visible
from . import output
from .demo_folder import INVOICE_LINES
from .layout import plural

if TYPE_CHECKING:
    from ...engine.application import Application

ADDER: Final = "adder"
WRITER: Final = "writer"
"""The ids of their steps, and their titles."""

AMOUNTS: Final = ",[0-9]+[.][0-9][0-9]$"

HELPER_STEPS: Final = f"""\
[[step]]
id = "{ADDER}"
title = "Let a helper add the invoices up"
needs = ["invoices"]
[step.action]
kind = "subagent.spawn"
title = "{ADDER}"
# It may read one folder of the inbox, and do nothing else.
scope = {{ folders = ["invoices"], kinds = ["file.search"], budget = {{ actions = 3 }} }}
[[step.action.step]]
id = "amounts"
title = "Find the amounts"
action = {{ kind = "file.search", path = "invoices", pattern = "{AMOUNTS}", glob = "*.csv" }}

[[step]]
id = "{WRITER}"
title = "Let a helper write down what is where"
needs = ["invoices"]
[step.action]
kind = "subagent.spawn"
title = "{WRITER}"
# It may make files in another folder, and not even read elsewhere.
scope.folders = [{{ path = "reports", verbs = ["read", "create"], outputs = ["reports"] }}]
scope.budget.bytes_written = 1000
[[step.action.step]]
id = "contents"
title = "Write down what is where"
action = {{ kind = "file.create", path = "reports/contents.md", content = "CSV: invoices/, images: pictures/\\n" }}
[[step.action.step]]
id = "nosy"
title = "Read what it was not given"
action = {{ kind = "file.read", path = "todo.txt" }}

"""


class Helpers(msgspec.Struct, frozen=True):
    """What the log says of the two: their scopes in words, whether they overlapped, what they found and were denied."""

    scopes: tuple[tuple[str, str], ...]
    were_beside_each_other: bool
    amounts: tuple[float, ...]
    denied: tuple[str, ...]

    @classmethod
    def of(cls, app: "Application", task_id: str) -> "Helpers":
        """Read it from the histories of the subagents' tasks."""
        scopes: list[tuple[str, str]] = []
        amounts: list[float] = []
        denied: list[str] = []
        spawned: list[int] = []
        ended: list[int] = []
        children = [str(row["task_id"]) for row in app.rows("tasks", {"parent_task_id": task_id}, order_by="task_id")]
        for child in children:
            proposed: dict[str, ActionProposed] = {}
            for frame in app.replay(child):
                match frame.recorded.event:
                    case SubagentSpawned(task_id=name, title=title, scope=scope) if name == child:
                        scopes.append((title, scope_words(scope)))
                        spawned.append(frame.recorded.position)
                    case SubagentReported() | SubagentStopped():
                        ended.append(frame.recorded.position)
                    case ActionProposed() as event:
                        proposed[event.action_id] = event
                    case ActionDenied(decision=decision):
                        denied.append(decision.reason)
                    case ActionSucceeded(action_id=name, result=result) if result is not None:
                        if isinstance(proposed[name].action, FileSearch):
                            matches = json.loads(app.result(result.digest))["matches"]
                            amounts += [float(match["text"].rpartition(",")[2]) for match in matches]
                    case _:
                        pass
        beside = len(spawned) > 1 and max(spawned) < min(ended, default=0)
        return cls(tuple(scopes), beside, tuple(amounts), tuple(denied))

    def show(self) -> None:
        """Print it."""
        for title, words in self.scopes:
            output.line(f"  {quoted(title)} may touch: {visible(words)}")
        if self.amounts:
            lines = plural(len(self.amounts), "amount")
            output.line(f"  {quoted(ADDER)} found {lines}, which come to {sum(self.amounts):.2f}")
        for reason in self.denied:
            output.line(f"  {quoted(WRITER)} was refused what it was not given: {visible(reason)}")

    def complaints(self) -> list[str]:
        """Return what is not as it should be: a sentence each, none where all is well."""
        if not self.scopes:
            return []
        expected = sum(amount for lines in INVOICE_LINES.values() for _, _, amount in lines)
        found = [] if abs(sum(self.amounts) - expected) < 0.005 else ["the helper did not add all the invoices up"]
        if not self.were_beside_each_other:
            found.append("the helpers were not at work beside each other")
        if len(self.denied) != 1:
            found.append("a helper was not refused what it was not given")
        return found
