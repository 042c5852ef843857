"""The audit: one pass over the whole log that finds every place where it breaks one of the engine's invariants.

It trusts nothing that was computed from the log before: digests, decisions, scopes and states are all made again. It
keeps what is still open, and of everything that is over a name and a number. A log that can't be read at all is
`DomainError` damaged, as everywhere.
"""

from collections.abc import Callable
from itertools import zip_longest
from typing import TypeAlias, cast

from ..domain.approvals import APPROVALS_STREAM, ApprovalRemembered, ApprovalRevoked, ApprovalUsed
from ..domain.confirmation import (
    ConfirmationApproved,
    ConfirmationExpired,
    ConfirmationRejected,
    ConfirmationRequested,
    ConfirmationWithdrawn,
)
from ..domain.folder_trust import TRUST_STREAM, FolderDistrusted, FolderTrusted
from ..domain.grant import FolderGranted, GrantExpired, GrantNarrowed, GrantRevoked, HostGranted, HostRevoked
from ..domain.ownership import TaskClaimed, stream_of_owner
from ..domain.policy_record import DocumentStored
from ..domain.retention import STORE_STREAM, CollectionFinished, CollectionStarted
from ..domain.sandbox import SANDBOX_STREAM, SandboxChecked
from ..domain.session import GrantAdded, PolicyAdopted, RootAllowed, SessionEnded, SessionStarted
from ..domain.session_memory import MemoryDestroyed, MemoryWritten, stream_of_memory
from ..domain.subagent import SubagentReported, SubagentSpawned, SubagentStopped
from ..domain.topics import AnyEvent
from . import limits
from .audit_finding import INVARIANTS, AuditReport, Checked, Findings, Seen, Violation
from .audit_questions import Questions
from .audit_rights import Rights
from .audit_streams import StreamFolds
from .audit_tasks import Tasks
from .catch_up import CatchUp
from .ports import EventStore

__all__ = ["INVARIANTS", "AuditReport", "Checked", "Dumps", "Violation", "audit", "dumps_of"]

Dumps: TypeAlias = Callable[[], tuple[bytes, bytes]]
"""Returns all projections as bytes: as they were kept up to date, and as they are when made from nothing."""


def audit(
    store: EventStore, *, dumps: Dumps | None = None, is_running: Callable[[str], bool] = lambda _task_id: False
) -> AuditReport:
    """Check the whole log and return what was found.

    `dumps` compares the projections (invariant 6). `is_running` says whether a process has the task at this moment:
    then an open attempt of a cancelled task is still about to get its outcome. It is asked about tasks that a person
    started: whoever has one has all that is beneath it.
    """
    findings = Findings()
    folds = StreamFolds(store, findings)
    rules = _Rules(findings)
    after = 0
    while page := store.read_log(after=after, limit=limits.LOG_PAGE_EVENTS):
        for seen in page:
            folds.on(seen)
            rules.on(seen)
        after = page[-1].position
        findings.count("events", len(page))
    findings.count("streams", folds.finish())
    for invariant, task_id, root, position, sentence in rules.tasks.finish():
        if not is_running(root):
            findings.add_at(invariant, position, task_id, sentence)
    if dumps is not None:
        _compare_projections(findings, dumps, after)
    in_order = sorted(findings.violations, key=lambda one: (one.position, one.invariant))
    return AuditReport(position=after, checked=Checked(**findings.counts), violations=tuple(in_order))


class _Rules:
    """Hands each event to those who have something to say about it."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._rights = Rights(findings)
        self._questions = Questions(findings)
        self.tasks = Tasks(findings, self._rights, self._questions)

    def on(self, seen: Seen) -> None:
        """Fold an event into those who keep it, after those who ask about what it says have looked."""
        # Every event of the registry is one of these; what is not could not have been read.
        event = cast("AnyEvent", seen.event)
        self.tasks.on_commit(seen)
        match event:
            case SessionStarted() | PolicyAdopted() | GrantAdded() | RootAllowed() | SessionEnded():
                self._check_stream(seen, event.session_id)
                self._rights.on_session(seen, event)
            case FolderGranted() | GrantNarrowed() | GrantRevoked() | GrantExpired() | HostGranted() | HostRevoked():
                self._check_stream(seen, event.grant_id)
                self._rights.on_grant(seen, event)
            case SubagentSpawned():
                self._check_stream(seen, event.subagent_id)
                self.tasks.on_spawned(seen, event)
            case SubagentReported() | SubagentStopped():
                self._check_stream(seen, event.subagent_id)
                self.tasks.on_gone(seen, event)
            case ConfirmationRequested():
                self._check_stream(seen, event.confirmation_id)
                self.tasks.on_question(seen, event)
                self._questions.on(seen, event)
            case ConfirmationApproved() | ConfirmationRejected() | ConfirmationExpired() | ConfirmationWithdrawn():
                self._check_stream(seen, event.confirmation_id)
                self._questions.on(seen, event)
            case DocumentStored():
                self._rights.on_document(seen, event)
            case ApprovalRemembered() | ApprovalUsed() | ApprovalRevoked():
                self._check_stream(seen, APPROVALS_STREAM)
                self._rights.on_approval(seen, event)
            case FolderTrusted() | FolderDistrusted():
                self._check_stream(seen, TRUST_STREAM)
            case TaskClaimed(task_id=task_id):
                self._check_stream(seen, stream_of_owner(task_id))
                self.tasks.on_claimed(seen, event)
            case SandboxChecked():
                self._check_stream(seen, SANDBOX_STREAM)
            case CollectionStarted() | CollectionFinished():
                self._check_stream(seen, STORE_STREAM)
            case MemoryWritten(session_id=session_id) | MemoryDestroyed(session_id=session_id):
                self._check_stream(seen, stream_of_memory(session_id))
            case _:
                self._check_stream(seen, event.task_id)
                self.tasks.on(seen, event)

    def _check_stream(self, seen: Seen, own: str) -> None:
        if seen.stream != own:
            self._findings.add(7, seen, f"an event of `{own}` is filed under `{seen.stream}`")


def _compare_projections(findings: Findings, dumps: Dumps, position: int) -> None:
    kept, made_again = dumps()
    findings.count("projection_bytes", len(made_again))
    if kept == made_again:
        return
    pairs = zip_longest(kept.splitlines(), made_again.splitlines(), fillvalue=b"nothing")
    line, (ours, theirs) = next((n, pair) for n, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    differing = f"{_around(ours, theirs)}, now {_around(theirs, ours)}"
    findings.add_at(6, position, "", f"made from nothing, the projections differ from line {line} on: {differing}")


def _around(line: bytes, other: bytes) -> str:
    """Return the part of a line where it first differs from the other, after the row's table and key."""
    first = next((n for n, pair in enumerate(zip(line, other, strict=False)) if pair[0] != pair[1]), len(line))
    return f"`{line[:60].decode(errors='replace')} … {line[max(first - 20, 0) : first + 40].decode(errors='replace')}`"


def dumps_of(store: EventStore, kept: CatchUp[object], made_again: CatchUp[object]) -> tuple[bytes, bytes]:
    """Return both read models as bytes, at the same position of a log that others may be appending to.

    `made_again` delivers to a read model that is empty at first.
    """
    for _ in range(limits.COMMAND_RETRIES_MAX):
        position = made_again.run()
        found = kept.dump_at(position), made_again.dump_at(position)
        if found[0] == found[1] or position == store.head():
            return found
    return kept.dump_at(store.head()), made_again.dump_at(store.head())
