"""Invariants of actions: the denials that no document can relax, for what the engine is about to touch.

They hold beside those of `policy_invariant.py`, which know no grant by its id and no state of a file.
"""

from collections.abc import Iterator
from typing import Final, assert_never

import msgspec

from .action import (
    MODE_MAX,
    Action,
    ActionKind,
    CodeRun,
    ConnectorAction,
    ConnectorRead,
    FileCreate,
    FileDelete,
    FileList,
    FileMove,
    FileRead,
    FileRename,
    FileRestore,
    FileSearch,
    FileWrite,
    Location,
    NetworkRequest,
    ShellExec,
    SubagentSpawn,
    hosts_of,
    kind_of,
)
from .environment import refused_names
from .facts import Facts, FileState
from .network_url import DEFAULT_PORTS, UrlFault, parse_url
from .path import find_new_name_problem, find_problem
from .places import is_engines
from .policy_host import Host, is_listed, parse_host
from .reason import ReasonCode
from .scope import Scope, Verb, find_gap


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """An invariant that an action breaks: the reason code, the invariant's id and a sentence."""

    code: ReasonCode
    rule_id: str
    reason: str


_ON_FOLDERS: Final = (FileList, FileSearch, ShellExec, CodeRun)
"""What may be about a granted folder itself."""


def _refused(code: ReasonCode, name: str, reason: str) -> Refusal:
    return Refusal(code, f"invariant.{name}", reason)


def find_refusal(action: Action, facts: Facts, scope: Scope) -> Refusal | None:
    """Return the denial that no document can relax, or None."""
    if not facts.available:
        missing = f"{kind_of(action)} can't be carried out here"
        return _refused("unavailable", "unavailable", facts.obstacle.message if facts.obstacle else missing)
    beyond = _find_refusal_of_kind(action, facts, scope)
    if beyond is not None:
        return beyond
    names = refused_names(action.env) if isinstance(action, (ShellExec, CodeRun)) else ()
    if names:
        listed = ", ".join(f"`{name}`" for name in names)
        return _refused("name", "environment", f"{listed} can't be set for a command: its programs would obey it")
    for host in hosts_of(action):
        if parse_host(host) is None:
            return _refused("net_denied", "host-invalid", f"`{host}` is not a host: write `name` or `name:port`")
    if isinstance(action, (FileWrite, FileCreate)) and action.mode is not None and not 0 <= action.mode <= MODE_MAX:
        bits = f"{action.mode:o}"
        return _refused("special", "mode", f"`{bits}` is no mode for a file: permission bits are 0 to {MODE_MAX:o}")
    for place, verb in required_verbs(action, facts):
        refusal = _find_refusal_of_place(place, verb, action, facts, scope)
        if refusal is not None:
            return refusal
    if facts.obstacle is not None:
        return _refused(facts.obstacle.code, "obstacle", facts.obstacle.message)
    return _find_refusal_of_target(action, facts)


def _find_refusal_of_kind(action: Action, facts: Facts, scope: Scope) -> Refusal | None:
    """Refuse what a subagent was not given, whatever it is about: a kind of action, a connector, or any more time."""
    if scope.until is not None and facts.now >= scope.until:
        return _refused("no_grant", "subagent-deadline", f"its time was over at {scope.until:%Y-%m-%d %H:%M:%S} UTC")
    kinds: tuple[ActionKind, ...] = ("network.request",) if hosts_of(action) else ()
    for kind in (kind_of(action), *kinds):
        if scope.kinds is not None and kind not in scope.kinds:
            return _refused("no_grant", "subagent-kinds", f"{kind} is not among what this subagent was given")
    called = action.connector if isinstance(action, (ConnectorRead, ConnectorAction)) else ""
    if called and scope.connectors is not None and called not in scope.connectors:
        return _refused("no_grant", "subagent-connectors", f"connector `{called}` was not given to this subagent")
    return _find_refusal_of_hosts(action, scope) if scope.only_hosts else None


def _find_refusal_of_hosts(action: Action, scope: Scope) -> Refusal | None:
    for named, host in _hosts_asked(action):
        if host is None or not is_listed(host, scope.open_hosts):
            return _refused("net_denied", "subagent-hosts", f"{named} is no host that this subagent was given")
    return None


def _hosts_asked(action: Action) -> Iterator[tuple[str, Host | None]]:
    """Yield every host that an action would reach, as it names it and read; None where it can't be read."""
    if isinstance(action, NetworkRequest):
        url = parse_url(action.url, length_max=len(action.url))
        if isinstance(url, UrlFault):
            yield "what the URL names", None
        else:
            yield f"`{url.authority}`", msgspec.structs.replace(url.host, port=url.port)
    for named in hosts_of(action):
        host = parse_host(named)
        # Without a port a host stands for the two of the web, and a list need not have both.
        ports = DEFAULT_PORTS.values() if host is not None and host.port is None else ()
        yield f"`{named}`", host
        yield from ((f"`{named}`", msgspec.structs.replace(host, port=port)) for port in ports if host is not None)


def _find_refusal_of_place(place: Location, verb: Verb, action: Action, facts: Facts, scope: Scope) -> Refusal | None:
    problem = find_problem(place.path, root_allowed=isinstance(action, _ON_FOLDERS))
    if problem is not None:
        return _refused(problem.code, "path", problem.message)
    gap = find_gap(scope.folder(place.grant_id), place.path, verb, facts.now)
    if gap is not None:
        return Refusal(gap.code, gap.rule_id, gap.message)
    if is_engines(place.path):
        return _refused("protected", "engine-folder", "the engine's own files can't be touched by an action")
    # What is put back has had its name all along, whoever gave it that.
    is_new = verb == "create" and not isinstance(action, FileRestore)
    if is_new or (isinstance(action, (FileRename, FileMove)) and place is action.to):
        unreadable = find_new_name_problem(place.path)
        if unreadable is not None:
            return _refused(unreadable.code, "new-name", unreadable.message)
    return None


def required_verbs(action: Action, facts: Facts) -> tuple[tuple[Location, Verb], ...]:
    """Return each place that the action touches with the verb that a grant must cover there."""
    match action:
        case FileList(at=at) | FileSearch(at=at) | FileRead(at=at):
            return ((at, "read"),)
        case FileCreate(at=at) | FileRestore(at=at):
            return ((at, "create"),)
        case FileWrite(at=at):
            absent = facts.target is not None and facts.target.kind == "absent"
            return ((at, "create" if absent else "write"),)
        case FileRename(at=at, to=to) | FileMove(at=at, to=to):
            return ((at, "move"), (to, "create" if at.grant_id != to.grant_id else "move"))
        case FileDelete(at=at):
            return ((at, "delete"),)
        case ShellExec(cwd=cwd) | CodeRun(cwd=cwd):
            # What a command stages needs no verb yet: each change is an action of its own, and needs its own.
            return ((cwd, "read"),)
        case NetworkRequest() | ConnectorRead() | ConnectorAction() | SubagentSpawn():
            return ()
        case _:
            assert_never(action)


def _find_refusal_of_target(action: Action, facts: Facts) -> Refusal | None:
    """Refuse what can't succeed before a person is bothered with it."""
    target, destination = facts.target, facts.destination
    if target is None:
        return None
    match action:
        case FileDelete(at=at) | FileRename(at=at) | FileMove(at=at) | FileRead(at=at) if target.kind == "absent":
            return _refused("not_found", "target-missing", f"`{at.path}` does not exist")
        case FileList(at=at) | FileSearch(at=at) if target.kind == "absent":
            return _refused("not_found", "target-missing", f"`{at.path}` does not exist")
        case FileWrite(at=at, base=base) | FileDelete(at=at, base=base) if base and target.digest != base:
            return _refused(
                "conflict", "target-changed", f"`{at.path}` is no longer what it was when this was asked for"
            )
        case FileWrite(at=at, base_mode=mode) if mode is not None and target.mode != mode:
            said = f"the mode of `{at.path}` is no longer what it was when this was asked for"
            return _refused("conflict", "target-changed", said)
        case FileRestore():
            return _find_refusal_of_restoring(action, facts.kept, target)
        case FileCreate(at=at) if target.kind != "absent":
            return _refused("conflict", "target-exists", f"`{at.path}` exists already")
        case FileWrite(at=at) | FileRead(at=at) if target.kind == "folder":
            return _refused("conflict", "target-is-a-folder", f"`{at.path}` is a folder")
        case FileList(at=at) if target.kind == "file":
            return _refused("conflict", "target-is-a-file", f"`{at.path}` is a file, not a folder")
        case FileRename(to=to) | FileMove(to=to) if destination is not None and destination.kind != "absent":
            return _refused("conflict", "destination-exists", f"`{to.path}` exists already")
        case _:
            return None


def _find_refusal_of_restoring(action: FileRestore, kept: FileState | None, target: FileState) -> Refusal | None:
    if target.kind != "absent":
        return _refused("conflict", "target-exists", f"`{action.at.path}` exists already")
    if kept is None or kept.kind == "absent":
        return _refused("not_found", "nothing-kept", f"what was deleted is no longer kept as `{action.kept}`")
    if kept.digest != action.digest:
        return _refused("conflict", "kept-changed", f"what is kept as `{action.kept}` is not what was deleted")
    return None
