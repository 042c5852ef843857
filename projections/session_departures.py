"""What left a session: the files that its tasks leave behind, and what was sent where; from the events alone."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from ..domain.action import Action, NetworkRequest
from ..domain.confirmation import ConfirmationApproved
from ..domain.effect import Effect, Result
from ..domain.event import Event, Recorded
from ..domain.network_url import Url, parse_url
from ..domain.scope import FolderScope
from ..domain.task import (
    ActionAllowed,
    ActionFailed,
    ActionProposed,
    ActionStarted,
    ActionSucceeded,
    ConnectionDecided,
)
from .output_files import Standing, standing_outputs

_URL_LENGTH_MAX: Final = 1 << 20
_WRITES: Final = ("create", "update")


class FileLeft(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A file in an output root that stands there since a task wrote it: its path, digest, and the action that did."""

    path: str
    digest: str
    action_id: str


class FileExported(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A file that a task wrote outside of every output root.

    `allowed_by` is the person who said yes to it (`person:…`), or the rule that allowed it unasked.
    """

    path: str
    digest: str
    action_id: str
    allowed_by: str


class HostTraffic(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was sent to a host, or by commands to several hosts at once: how often, and how many bytes."""

    host: str
    requests: int = 0
    connections: int = 0
    sent_bytes: int = 0


class SessionDepartures(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything that left a session: files in output roots, files elsewhere, and what went over the network."""

    outputs: tuple[FileLeft, ...]
    exports: tuple[FileExported, ...]
    network: tuple[HostTraffic, ...]


class _Acts:
    """What is known of each action: what it was, who allowed it, and which hosts it was connected to."""

    def __init__(self) -> None:
        self.actions: dict[str, Action] = {}
        self.allowed_by: dict[str, str] = {}
        self.hosts: dict[str, dict[str, None]] = {}
        self.connections: dict[str, int] = {}
        self.effects: dict[int, tuple[str, Sequence[Effect]]] = {}
        self.results: list[tuple[str, Result]] = []
        self._answered_by: dict[str, str] = {}
        self._asked: dict[str, str] = {}

    def on(self, recorded: Recorded[Event]) -> None:
        match recorded.event:
            case ActionProposed(action_id=name, action=action):
                self.actions[name] = action
            case ActionAllowed(action_id=name, decision=decision):
                self.allowed_by[name] = decision.rule_id
            case ActionStarted(action_id=name, confirmation_id=asked) if asked:
                self._asked[name] = asked
            case ConfirmationApproved(confirmation_id=asked, answered_by=person):
                self._answered_by[asked] = person
            case ConnectionDecided(action_id=name, host=host, port=port, reason_code=None):
                self.hosts.setdefault(name, {})[f"{host}:{port}"] = None
                self.connections[name] = self.connections.get(name, 0) + 1
            case ActionSucceeded(action_id=name, effects=effects, result=result):
                self.effects[recorded.position] = (name, effects)
                if result is not None:
                    self.results.append((name, result))
            case ActionFailed(action_id=name, result=result) if result is not None:
                self.results.append((name, result))
            case _:
                pass

    def who_allowed(self, action_id: str) -> str:
        asked = self._asked.get(action_id)
        person = None if asked is None else self._answered_by.get(asked)
        return person or self.allowed_by.get(action_id, "")


def departures_of(events: Iterable[Recorded[Event]], folders: Mapping[str, FolderScope]) -> SessionDepartures:
    """Return what left a session, from the events of all its tasks and of their questions, in order of position.

    `folders` are the session's grants, by their ids.
    """
    acts = _Acts()
    for recorded in events:
        acts.on(recorded)
    effects = [(position, effect) for position, (_, each) in acts.effects.items() for effect in each]
    outputs: list[FileLeft] = []
    exports: list[FileExported] = []
    for standing in standing_outputs(effects):
        folder = folders.get(standing.at.grant_id)
        path = standing.at.path if folder is None else folder.absolute(standing.at.path)
        digest, action_id = _last_writing(standing, acts)
        if folder is not None and folder.is_output(standing.at.path):
            outputs.append(FileLeft(path=path, digest=digest, action_id=action_id))
        else:
            allowed_by = acts.who_allowed(action_id)
            exports.append(FileExported(path=path, digest=digest, action_id=action_id, allowed_by=allowed_by))
    return SessionDepartures(outputs=tuple(outputs), exports=tuple(exports), network=_traffic(acts))


def _last_writing(standing: Standing, acts: _Acts) -> tuple[str, str]:
    """Return the digest of a file's present content, and the last action that wrote it or brought it there."""
    last = ""
    for position in reversed(standing.positions):
        action_id, effects = acts.effects[position]
        last = last or action_id
        for effect in reversed(effects):
            if effect.after and (effect.change in _WRITES or effect.at == standing.at):
                return effect.after, last
    return "", last


def _traffic(acts: _Acts) -> tuple[HostTraffic, ...]:
    found: dict[str, HostTraffic] = {}
    for action_id, result in acts.results:
        action = acts.actions.get(action_id)
        if result.response is not None and isinstance(action, NetworkRequest):
            _add(found, _host_of(action.url), requests=1, sent_bytes=result.response.bytes_sent)
        elif result.command is not None and action_id in acts.hosts:
            hosts = ", ".join(acts.hosts[action_id])
            _add(found, hosts, connections=acts.connections[action_id], sent_bytes=result.command.bytes_sent)
    return tuple(found[host] for host in sorted(found))


def _add(
    found: dict[str, HostTraffic], host: str, *, requests: int = 0, connections: int = 0, sent_bytes: int = 0
) -> None:
    known = found.get(host, HostTraffic(host=host))
    found[host] = HostTraffic(
        host=host,
        requests=known.requests + requests,
        connections=known.connections + connections,
        sent_bytes=known.sent_bytes + sent_bytes,
    )


def _host_of(url: str) -> str:
    parsed = parse_url(url, length_max=_URL_LENGTH_MAX)
    return parsed.authority if isinstance(parsed, Url) else url
