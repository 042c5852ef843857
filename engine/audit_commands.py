"""What a command did besides ending: its changes come back as announced actions, and it connects only while it runs.

Invariant 10. The end of a command, the announcement and its actions are one commit: a crash leaves all of it or none.
"""

import msgspec

from ..domain.action import CodeRun, ShellExec, hosts_of, kind_of
from ..domain.policy_host import is_listed, parse_host
from ..domain.task import (
    ActionAllowed,
    ActionConfirmationRequired,
    ActionDeclined,
    ActionDenied,
    ActionProposed,
    ActionSucceeded,
    ChangesStaged,
    ConnectionDecided,
    StepBegun,
    TaskEvent,
)
from .audit_finding import Acting, Findings, Seen

_CHANGES = frozenset(("file.write", "file.create", "file.rename", "file.move", "file.delete"))
_OF_THE_COMMIT = (ActionProposed, ActionAllowed, ActionDenied, ActionConfirmationRequired, ActionDeclined)


class _Announced(msgspec.Struct):
    """Changes that a command announced, as long as its commit goes on. `together` is what the first of them says."""

    seen: Seen
    event: ChangesStaged
    proposed_by: str
    proposed: int = 0
    has_ended: bool = False
    together: bool | None = None


class Commands:
    """What the commands of one task have announced and not proposed yet, and how many actions its steps have."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._announced: _Announced | None = None
        self._actions: dict[str, int] = {}

    def on(self, seen: Seen, event: TaskEvent, about: Acting | None) -> None:
        """Fold an event of the task; `about` is the action that it names, as it was before."""
        if self._announced is not None and not self._belongs(self._announced, seen, event):
            self.close()
        match event:
            case StepBegun():
                self._actions[event.step_id] = event.actions
            case ChangesStaged():
                self._announce(seen, event, about)
            case ActionProposed() if event.staged_by or self._announced is not None:
                self._propose(seen, event)
            case ActionSucceeded():
                if self._announced is not None and event.action_id == self._announced.event.action_id:
                    self._announced.has_ended = True
            case ConnectionDecided():
                self._connect(seen, event, about)
            case _:
                pass

    def close(self) -> None:
        """Look at what was announced last: the commit is over."""
        if self._announced is None:
            return
        said, seen = self._announced, self._announced.seen
        self._announced = None
        name = said.event.action_id
        if not said.has_ended:
            self._findings.add(10, seen, f"`{name}` announced changes without having succeeded")
        if said.proposed != said.event.actions:
            sentence = f"`{name}` announced {said.event.actions:,} changes, and {said.proposed:,} were proposed"
            self._findings.add(10, seen, sentence)

    @staticmethod
    def _belongs(announced: _Announced, seen: Seen, event: TaskEvent) -> bool:
        if seen.origin.command_id != announced.seen.origin.command_id:
            return False
        own_end = isinstance(event, ActionSucceeded) and event.action_id == announced.event.action_id
        return own_end or isinstance(event, _OF_THE_COMMIT)

    def _announce(self, seen: Seen, event: ChangesStaged, about: Acting | None) -> None:
        name = event.action_id
        if about is None or not about.is_under_way:
            self._findings.add(10, seen, f"`{name}` announced changes, and is not under way")
        elif not isinstance(about.action, ShellExec | CodeRun) or about.action.writes != "staged":
            self._findings.add(10, seen, f"`{name}` announced changes, and is no command that may make any")
        now = self._actions.get(event.step_id, 0) + event.actions
        if event.step_actions != now:
            sentence = f"step `{event.step_id}` has {now:,} actions with these, not {event.step_actions:,}"
            self._findings.add(10, seen, sentence)
        self._actions[event.step_id] = event.step_actions
        self._announced = _Announced(seen, event, "" if about is None else about.proposed_by)

    def _propose(self, seen: Seen, event: ActionProposed) -> None:
        name, said = event.action_id, self._announced
        if said is None or event.staged_by != said.event.action_id:
            by = f"`{event.staged_by}`, which announced none" if event.staged_by else "no command"
            self._findings.add(10, seen, f"`{name}` is a change by {by}, in that commit")
            return
        said.proposed += 1
        if event.step_id != said.event.step_id:
            self._findings.add(10, seen, f"`{name}` is in another step than the command that made it")
        if event.proposed_by != said.proposed_by:
            self._findings.add(10, seen, f"`{name}` is said to be asked for by another than its command")
        if kind_of(event.action) not in _CHANGES:
            self._findings.add(10, seen, f"`{name}` is no change that a command can make to its copy of a folder")
        if said.together is None:
            said.together = event.together
        elif said.together != event.together:
            self._findings.add(10, seen, f"`{name}` does not go together with the other changes as they do")

    def _connect(self, seen: Seen, event: ConnectionDecided, about: Acting | None) -> None:
        self._findings.count("connections")
        name = event.action_id
        if about is None or not about.is_under_way:
            self._findings.add(10, seen, f"a connection of `{name}`, which is not under way")
            return
        if event.reason_code is not None:
            if event.address:
                self._findings.add(10, seen, f"a connection of `{name}` was refused, and an address dialled")
            return
        host = parse_host(f"{event.host}:{event.port}")
        if host is None or not is_listed(host, hosts_of(about.action)):
            self._findings.add(10, seen, f"`{name}` reached `{event.host}`, which it had not asked for")
        if not event.address:
            self._findings.add(10, seen, f"a connection of `{name}` says no address that it was made to")
