"""What a backtest returns: what a change of policy would have done to the decisions on record."""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from ..domain.action import (
    Action,
    CodeRun,
    ConnectorAction,
    ConnectorRead,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
    kind_of,
    locations_of,
)
from ..domain.policy_document import Layer
from ..domain.policy_translation import absolute_path
from ..domain.scope import Scope
from .reevaluation import Ruling

How: TypeAlias = Literal["first", "named", "all"]
About: TypeAlias = Literal["decision", "approval", "policy", "grants", "usage", "start", "order"]
"""What a disagreement is about; `order` is a log that can't be followed there."""


class Change(msgspec.Struct, frozen=True):
    """Other rules for recorded sessions, and whose place they take.

    `first` puts the one layer in the place of each session's first (the root document), under the recorded name, so
    that remembered approvals still know its rules. `named` puts each layer in the place of the one of its name, and
    last where a session has none of that name (there it only narrows). `all` leaves nothing of what was adopted.
    """

    layers: tuple[Layer, ...]
    how: How = "first"

    def applied(self, recorded: tuple[Layer, ...]) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
        """Return a session's layers after the change, and those of them that come from it."""
        if self.how == "all":
            return self.layers, self.layers
        if self.how == "first":
            name = recorded[0].name if recorded else self.layers[0].name
            first = Layer(name, self.layers[0].document, self.layers[0].source)
            return (first, *recorded[1:]), (first,)
        own = {layer.name: layer for layer in self.layers}
        kept = tuple(own.pop(layer.name, layer) for layer in recorded)
        return (*kept, *own.values()), self.layers


def instead_of_first(layer: Layer) -> Change:
    """Return the change that gives every session another root document."""
    return Change((layer,))


def under_its_name(*layers: Layer) -> Change:
    """Return the change that replaces the layers of these names, or adds them as the last."""
    return Change(layers, "named")


def instead_of_all(*layers: Layer) -> Change:
    """Return the change that puts every session under these layers and no others."""
    return Change(layers, "all")


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the parts are written."""


class Example(_Part, frozen=True):
    """One recorded action: where it was decided, its id, its kind, and where or what it is about, in words."""

    position: int
    action_id: str
    kind: str
    place: str


class Flip(_Part, frozen=True):
    """Decisions that would be others: the same before and after. `count` of them, the first few as examples."""

    before: Ruling
    after: Ruling
    count: int
    examples: tuple[Example, ...]


class Disagreement(_Part, frozen=True):
    """A place where the log does not agree with itself: what is on record does not follow from what it rests on."""

    position: int
    action_id: str
    about: About
    sentence: str


class Prompts(_Part, frozen=True):
    """Questions to a person. One question may be about several actions of a step; both are counted.

    `asked` were asked; of these, `saved` would not be asked any more, and `added` would be asked besides.
    `saved_no` counts the saved actions to which the person said no.
    """

    questions_asked: int = 0
    questions_saved: int = 0
    questions_added: int = 0
    actions_asked: int = 0
    actions_saved: int = 0
    actions_added: int = 0
    saved_no: int = 0


class RuleUse(_Part, frozen=True):
    """A rule of the new layers (`layer:id`), a limit or a fallback: how many decisions it matched, and decided."""

    rule: str
    verdict: str
    matched: int
    decided: int


class Replaced(_Part, frozen=True):
    """A layer of the change: its name and its document's digest."""

    name: str
    digest: str


class BacktestReport(_Part, frozen=True):
    """The result for the log up to `position`; decisions before `since` were read and not counted.

    `decisions` = `unchanged` + `other_rule` (the same answer by another rule) + all flips + `broken` (the rules could
    not be asked then: stays a denial) + `disagreeing`. `second_looks` are the decisions before starts, which are on
    record only as starts. `ran_denied` are actions that ran and would be denied now, `succeeded_denied` those of them
    that succeeded.

    `disagreements` is the self-check: not empty means that the log itself is not to be trusted.
    """

    position: int
    since: int
    how: How
    replaced: tuple[Replaced, ...]
    sessions: int
    sessions_changed: int
    decisions: int
    second_looks: int
    unchanged: int
    broken: int
    disagreeing: int
    flips: tuple[Flip, ...]
    other_rule: tuple[Flip, ...]
    prompts: Prompts
    ran_denied: int
    succeeded_denied: int
    ran_denied_examples: tuple[Example, ...]
    rules: tuple[RuleUse, ...]
    never_hit: tuple[str, ...]
    disagreements: tuple[Disagreement, ...]

    @property
    def is_trustworthy(self) -> bool:
        """Whether the recorded policy decides again exactly what was recorded."""
        return not self.disagreements

    @property
    def flipped(self) -> int:
        """How many decisions would be others."""
        return sum(flip.count for flip in self.flips)


Since: TypeAlias = datetime | int | None
"""From when on decisions are counted: a time (inclusive), a position (inclusive), or all."""


def is_since(position: int, at: datetime, since: Since) -> bool:
    """Whether what is recorded there counts."""
    if since is None:
        return True
    return at >= since if isinstance(since, datetime) else position >= since


def place_of(action: Action, scope: Scope) -> str:
    """Return where an action acts, or what it is about, for people: absolute paths, a URL, a command, a tool."""
    match action:
        case ShellExec(argv=argv):
            return " ".join(argv)
        case CodeRun(cwd=cwd):
            return absolute_path(cwd, scope)
        case NetworkRequest(method=method, url=url):
            return f"{method} {url}"
        case ConnectorRead(connector=connector, tool=tool) | ConnectorAction(connector=connector, tool=tool):
            return f"{connector}: {tool}"
        case SubagentSpawn(title=title):
            return title
        case _:
            return " -> ".join(absolute_path(place, scope) for place in locations_of(action))


def example_of(position: int, action_id: str, action: Action, scope: Scope) -> Example:
    """Return an action as an example."""
    return Example(position=position, action_id=action_id, kind=kind_of(action), place=place_of(action, scope))
