"""Witnesses: a concrete request, with what its frame was granted, in which given facts are so.

A witness shows what an analysis says, and counts only when the evaluator itself gave the answer (`judged`). Facts that
do not matter have plain values; none is left unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import UNSET

from .action import ActionKind
from .policy_atom import MOVES
from .policy_circuit import Fact
from .policy_column import FILES
from .policy_decision import Judgement, ReadyFrame, judge
from .policy_document import Limit, Verdict
from .policy_fact_search import DEFAULT_NOW
from .policy_frame import ReadyScope
from .policy_layer import ReadyLayer
from .policy_place_search import Place
from .policy_request import FrameScope, GrantedConnector, GrantedRoot, Request


class Witness(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A request that shows something: what its frame was granted, and the evaluator's answer to it.

    `rule` is the `layer:id` of what decided. `verdict` and `rule` are the new answers where two stacks are compared.
    """

    request: Request
    scope: FrameScope
    verdict: Verdict
    rule: str


class Sketch(msgspec.Struct, frozen=True):
    """What was found for a witness: its facts, and the values that had to be searched for.

    `ends` are places for both ends of a move, the first that will do.
    """

    facts: Mapping[Fact, bool]
    place: Place | None = None
    ends: tuple[tuple[Place, Place], ...] = ()
    host: str = "www.example.org"
    tool: str = "tool"
    now: datetime = DEFAULT_NOW
    limits: tuple[Limit, ...] = ()


def judged(layers: Sequence[ReadyLayer], request: Request, scope: FrameScope) -> Judgement:
    """Return the evaluator's answer for layers that are ready."""
    return judge((ReadyFrame(ReadyScope(scope), tuple(layers)),), request)


def witness_of(judgement: Judgement, scope: FrameScope) -> Witness:
    """Return a judged request as a witness."""
    return Witness(judgement.request, scope, judgement.verdict, f"{judgement.layer}:{judgement.rule_id}")


def candidates(kind: ActionKind, sketch: Sketch) -> Iterator[tuple[Request, FrameScope]]:
    """Yield requests of the kind that are as sketched, each with a scope. They differ in the other end of a move."""
    request = _plain_request(kind, sketch)
    if kind in ("connector.read", "connector.action"):
        connector = _word(sketch.facts, "connector_in", ("mail", "files", "crm"))
        scope = FrameScope(connectors=(GrantedConnector(id=connector, allow_actions=True),))
        request = msgspec.structs.replace(request, connector=connector, **_said_of_tool(sketch))
    elif kind == "network.request":
        is_listed = sketch.facts.get(Fact("host_in_allowlist"), False)
        scope = FrameScope(host_allowlist=(sketch.host,) if is_listed else ())
        method = _word(sketch.facts, "method_in", ("GET", "POST", "PUT", "DELETE"))
        request = msgspec.structs.replace(request, host=sketch.host, method=method)
    else:
        scope = FrameScope()
    if kind == "shell.exec":
        request = msgspec.structs.replace(request, commands=(_command(sketch.facts),))
    if sketch.place is None:
        yield request, scope
        return
    request = msgspec.structs.replace(request, path=sketch.place.path)
    is_output = sketch.facts.get(Fact("path_within_output_root"), False)
    if kind not in MOVES:
        yield request, _granting(scope, (sketch.place,), is_output=is_output)
        return
    for source, target in sketch.ends or ((sketch.place, sketch.place),):
        moved = msgspec.structs.replace(request, path=source.path, to_path=target.path)
        yield moved, _granting(scope, (source, target), is_output=is_output)


def _plain_request(kind: ActionKind, sketch: Sketch) -> Request:
    facts = sketch.facts
    is_file = kind in FILES
    labels = tuple(str(fact.value) for fact, holds in facts.items() if fact.name == "label" and holds)
    if not labels and facts.get(Fact("tainted"), False):
        labels = ("elsewhere",)
    count = _number(facts, "batch_count_greater_than", 1)
    return Request(
        action=kind,
        file_size_bytes=_number(facts, "file_size_greater_than", 1),
        target_exists=facts.get(Fact("target_exists"), kind not in ("file.create", *MOVES)) if is_file else None,
        link_count=(2 if facts.get(Fact("hard_link"), False) else 1) if is_file else None,
        labels=labels,
        depth=int(_number(facts, "subagent_depth_greater_than", 0)),
        batch_count=int(count) if count != 1 else UNSET,
        now=sketch.now,
        usage={one.id: one.max + 1 if facts.get(Fact("limit", one.id)) else 0 for one in sketch.limits} or None,
        cost={one.unit: 0 for one in sketch.limits if one.unit} or None,
    )


def _granting(scope: FrameScope, places: Sequence[Place], *, is_output: bool) -> FrameScope:
    roots = dict.fromkeys(place.root for place in places)
    outputs = dict.fromkeys(_output_of(place) for place in places) if is_output else ()
    return msgspec.structs.replace(
        scope, grants=tuple(GrantedRoot(root=root) for root in roots), output_roots=tuple(outputs)
    )


def _output_of(place: Place) -> str:
    """Return an output folder for a place: the one that holds it, where the granted folder is not the place."""
    parent = place.path[: place.path.rfind("/")] or "/"
    return place.path if place.path == place.root else parent


def _number(facts: Mapping[Fact, bool], name: str, plain: float) -> int | float:
    """Return a number over the bounds that it has to be over, and not over the others."""
    over = max((_bound(fact) for fact, holds in facts.items() if fact.name == name and holds), default=None)
    under = min((_bound(fact) for fact, holds in facts.items() if fact.name == name and not holds), default=None)
    if over is None:
        number = plain if under is None else min(plain, under)
    else:
        number = int(over) + 1 if under is None or under > int(over) + 1 else under
    return int(number) if number == int(number) else number


def _bound(fact: Fact) -> float:
    assert isinstance(fact.value, int | float), "a bound is a number"
    return fact.value


def _word(facts: Mapping[Fact, bool], name: str, plain: Sequence[str]) -> str:
    """Return the word that is wanted, or a plain one that is not unwanted."""
    words = {str(fact.value): holds for fact, holds in facts.items() if fact.name == name}
    wanted = next((word for word, holds in words.items() if holds), None)
    if wanted is not None:
        return wanted
    others = (*plain, *(f"{plain[0]}{number}" for number in range(len(words))))
    return next(word for word in others if word not in words)


def _command(facts: Mapping[Fact, bool]) -> tuple[str, ...]:
    """Return a command whose tokens are those wanted, with plain ones between and before them."""
    wanted: dict[int, str] = {}
    unwanted: set[str] = set()
    for fact, holds in facts.items():
        if fact.name == "token" and isinstance(fact.value, tuple):
            place, token = fact.value
            if holds:
                wanted[place] = token
            else:
                unwanted.add(token)
    plain = next(word for word in ("run", *(f"run{number}" for number in range(len(unwanted)))) if word not in unwanted)
    return tuple(wanted.get(place, plain) for place in range(max(wanted, default=0) + 1))


def _said_of_tool(sketch: Sketch) -> dict[str, object]:
    hints = {"read_only_hint": False, "destructive_hint": False, "idempotent_hint": False, "open_world_hint": False}
    hints |= {str(fact.value): holds for fact, holds in sketch.facts.items() if fact.name == "hint"}
    return {"tool": sketch.tool, "tool_trusted": True, "annotations": {_camel(name): hints[name] for name in hints}}


def _camel(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)
