"""Random subagents in a plan file's words: parts of folders, verbs, hosts, kinds, budgets, deadlines, and nested."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

from cowork.domain.action import (
    CodeRun,
    FileCreate,
    FileDelete,
    FileList,
    FileMove,
    FileRead,
    FileRename,
    FileSearch,
    FileWrite,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
    hosts_of,
    kind_of,
    locations_of,
)
from cowork.domain.path import is_beneath
from cowork.domain.plan import Batch, Listed, Request
from cowork.domain.scope import VERBS, Verb
from tests.simulation.outside import HOSTS
from tests.simulation.tree import digest_of

DEPTH_MAX = 3
PARTS = (".", ".", ".", "in", "notes", "out", "in/deep", "a.txt", "../outside")
KINDS = (
    ("file.list", "file.read", "file.search"),
    ("file.create", "file.write", "file.delete", "file.move"),
    ("file.create", "file.write", "file.delete", "file.move", "file.rename", "subagent.spawn"),
    ("shell.exec", "code.run", "file.write", "file.create", "file.delete", "file.move"),
)

Plain = Callable[[], tuple[Request, list[bytes]]]
"""Makes a request without subagents, with the bytes that it needs."""


class Given(msgspec.Struct, frozen=True):
    """What a task has to give to its subagents."""

    verbs: tuple[Verb, ...]
    hosts: tuple[str, ...]
    parts: tuple[str, ...] = (".",)


def random_spawn(random: Random, given: Given, plain: Plain, *, depth: int) -> SubagentSpawn:
    """Return a subagent that wishes for what there is, mostly, and sometimes for more."""
    parts = _parts(random, given)
    verbs = _some(random, VERBS if random.random() < 0.05 else given.verbs, given.verbs)
    hosts = _some(random, HOSTS if random.random() < 0.05 else given.hosts, ())
    scope: dict[str, Any] = {
        "folders": [{"path": part, "verbs": list(verbs), **_outputs(random, part)} for part in parts],
        "hosts": list(hosts),
    }
    if random.random() < 0.15:
        scope["kinds"] = list(random.choice(KINDS))
    if random.random() < 0.15:
        scope["deadline_s"] = random.choice((60, 4000, 100_000))
    if random.random() < 0.3:
        scope["budget"] = _budget(random)
    below = Given(verbs=verbs, hosts=hosts, parts=parts)
    steps: list[dict[str, Any]] = []
    for number in range(random.choice((1, 2, 2, 3, 4))):
        needs = [step["id"] for step in steps if random.random() < 0.1]
        if depth < DEPTH_MAX and random.random() < 0.15:
            action = fields_of(random_spawn(random, below, plain, depth=depth + 1), [])
        else:
            action = fields_of(*_fitting(random, below, plain))
        steps.append({"id": f"s{number}", "needs": needs, "action": action})
    return SubagentSpawn(title=f"helper {random.randint(1, 99)}", scope=_text(scope), steps=_text(steps))


def _fitting(random: Random, given: Given, plain: Plain) -> tuple[Request, list[bytes]]:
    """Return a request that keeps to what is given, mostly: one that does not is only refused."""
    request, contents = plain()
    for _ in range(20):
        if _fits(request, given) or random.random() < 0.04:
            break
        request, contents = plain()
    return request, contents


def _fits(request: Request, given: Given) -> bool:
    if isinstance(request, Batch):
        is_within = any(part == "." or request.match.startswith(f"{part}/") for part in given.parts)
        return is_within and {_VERB[request.of], "read"} <= set(given.verbs)
    if isinstance(request, Listed):
        return False
    if isinstance(request, NetworkRequest):
        return f"{request.url.split('/')[2]}:443" in given.hosts
    is_within = all(any(is_beneath(at.path, part) for part in given.parts) for at in locations_of(request))
    return (
        is_within and _VERB.get(kind_of(request), "read") in given.verbs and set(hosts_of(request)) <= set(given.hosts)
    )


_VERB: dict[str, Verb] = {
    "file.create": "create",
    "file.write": "write",
    "file.delete": "delete",
    "file.move": "move",
    "file.rename": "move",
    "file.read": "read",
}


def _parts(random: Random, given: Given) -> tuple[str, ...]:
    wished = random.sample(PARTS, random.choice((1, 1, 2)))
    if random.random() < 0.06:
        return tuple(dict.fromkeys(wished))
    inside = [part for part in wished if any(root == "." or f"{part}/".startswith(f"{root}/") for root in given.parts)]
    return tuple(dict.fromkeys(part for part in inside if not part.startswith(".."))) or given.parts


def _outputs(random: Random, part: str) -> dict[str, list[str]]:
    # Where results go is what a session has one place for, and often none: a wish for more is refused.
    is_held = part in (".", "out")
    if random.random() < (0.85 if is_held else 0.98):
        return {}
    return {"outputs": ["out" if is_held else part]}


def _some(random: Random, some: tuple[Any, ...], instead: tuple[Any, ...]) -> tuple[Any, ...]:
    kept = tuple(one for one in some if random.random() < 0.85)
    return kept or instead


def _budget(random: Random) -> dict[str, Any]:
    budget: dict[str, Any] = {}
    for name, choices in {
        "wall_s": (60, 100_000),
        "actions": (0, 1, 2, 5),
        "bytes_written": (0, 20, 200),
        "bytes_sent": (0, 200),
        "files_deleted": (0, 1),
        "tokens": (10, 100),
    }.items():
        if random.random() < 0.3:
            budget[name] = random.choice(choices)
    return budget


def fields_of(request: Request, contents: Sequence[bytes]) -> dict[str, Any]:
    """Return a request in the words of a plan file."""
    texts = {digest_of(data): data.decode() for data in contents}
    match request:
        case Batch(of=of, match=pattern, to=to):
            return {"kind": of, "match": pattern} | ({"to": to} if to else {})
        case FileList(at=at, recursive=recursive):
            return {"kind": "file.list", "path": at.path, "recursive": recursive}
        case FileSearch(at=at, pattern=pattern):
            return {"kind": "file.search", "path": at.path, "pattern": pattern}
        case FileRead(at=at) | FileDelete(at=at):
            return {"kind": kind_of(request), "path": at.path}
        case FileCreate(at=at, content=content) | FileWrite(at=at, content=content):
            return {"kind": kind_of(request), "path": at.path, "content": texts[content.digest]}
        case FileMove(at=at, to=to) | FileRename(at=at, to=to):
            return {"kind": kind_of(request), "path": at.path, "to": to.path}
        case ShellExec(argv=argv, network=network, writes=writes):
            return {"kind": "shell.exec", "argv": list(argv), "network": list(network), "writes": writes}
        case CodeRun(python=python, network=network, writes=writes):
            return {"kind": "code.run", "python": python, "network": list(network), "writes": writes}
        case NetworkRequest(method=method, url=url, body=body):
            sent = {} if body is None else {"body": texts[body.digest]}
            return {"kind": "network.request", "method": method, "url": url, **sent}
        case SubagentSpawn(title=title, scope=scope, steps=steps):
            return {"kind": "subagent.spawn", "title": title, "scope": json.loads(scope), "step": json.loads(steps)}
        case _:
            raise AssertionError(f"no plan file says {request}")


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
