"""What is in force in a session at each position of the log: its policy and grants (invariants 3 and 9)."""

import msgspec

from ..domain.approvals import INITIAL as NO_APPROVALS
from ..domain.approvals import ApprovalEvent, RememberedApprovals
from ..domain.approvals import evolve as evolve_approvals
from ..domain.errors import DomainError
from ..domain.grant import INITIAL as NO_GRANT
from ..domain.grant import (
    FolderGrant,
    FolderGranted,
    GrantEvent,
    GrantNarrowed,
    HostGrant,
    HostGranted,
    NoGrant,
    scope_of,
)
from ..domain.grant import evolve as evolve_grant
from ..domain.policy import Policy
from ..domain.policy_record import DocumentStored, StoredDocument, stream_of_document
from ..domain.scope import Scope, attenuate
from ..domain.session import GrantAdded, PolicyAdopted, RootAllowed, SessionEnded, SessionEvent, SessionStarted
from .audit_finding import Findings, Seen


class InForce(msgspec.Struct, frozen=True):
    """What decides in a session at one position."""

    scope: Scope
    scope_digest: str
    policy: Policy
    approvals: RememberedApprovals


class _Session(msgspec.Struct):
    policy: Policy | None = None
    grant_ids: tuple[str, ...] = ()
    in_force: InForce | None = None


class Rights:
    """Sessions and grants as the log leaves them at the position that was read last."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._sessions: dict[str, _Session] = {}
        self._grants: dict[str, FolderGrant | HostGrant] = {}
        self._owners: dict[str, str] = {}
        self._policies: dict[str, Policy] = {}
        self._documents: dict[str, StoredDocument] = {}
        self._approvals = NO_APPROVALS

    def in_force(self, session_id: str) -> InForce | None:
        """Return what is in force in the session; None where it is not open, or has no policy."""
        session = self._sessions.get(session_id)
        if session is None or session.policy is None:
            return None
        if session.in_force is None:
            grants = (self._grants.get(grant_id) for grant_id in session.grant_ids)
            scope = scope_of(grant for grant in grants if grant is not None)
            session.in_force = InForce(scope, scope.digest(), session.policy, self._approvals)
        return session.in_force

    def root_of(self, grant_id: str) -> str:
        """Return the path of a granted folder, empty where there is none."""
        grant = self._grants.get(grant_id)
        return grant.scope.root_path if isinstance(grant, FolderGrant) else ""

    def is_foreign(self, grant_id: str, session_id: str) -> bool:
        """Whether the grant is not one that this session was given."""
        return self._owners.get(grant_id) != session_id

    # Sessions

    def on_session(self, seen: Seen, event: SessionEvent) -> None:
        """Fold an event of a session."""
        if isinstance(event, SessionStarted):
            self._findings.count("sessions")
            self._sessions[event.session_id] = _Session()
            return
        session = self._sessions.get(event.session_id)
        if session is None:
            return
        match event:
            case PolicyAdopted():
                session.policy = self._policy(seen, event)
            case GrantAdded():
                session.grant_ids = (*session.grant_ids, event.grant_id)
                if self._owners.setdefault(event.grant_id, event.session_id) != event.session_id:
                    self._findings.add(9, seen, f"grant `{event.grant_id}` belongs to another session")
            case RootAllowed():
                return
            case SessionEnded():
                for grant_id in session.grant_ids:
                    self._grants.pop(grant_id, None)
                del self._sessions[event.session_id]
        session.in_force = None

    def _policy(self, seen: Seen, event: PolicyAdopted) -> Policy:
        known = self._policies.get(event.policy_digest)
        if known is None:
            documents = [self._documents.get(one.digest) for one in event.layers]
            if None in documents:
                self._findings.add(3, seen, "a policy was adopted of which a document is not on record")
            named = zip(event.layers, documents, strict=True)
            known = Policy([document.as_layer(one.name) for one, document in named if document is not None])
            if known.digest != event.policy_digest:
                self._findings.add(3, seen, "the adopted rules are not those that their digest names")
            self._policies[event.policy_digest] = known
        return known

    def on_document(self, seen: Seen, event: DocumentStored) -> None:
        """Fold a policy document."""
        document = StoredDocument(event.digest, event.source.encode())
        try:
            document.as_layer("")
        except DomainError as error:
            self._findings.add(3, seen, error.message)
            return
        if seen.stream != stream_of_document(event.digest):
            self._findings.add(7, seen, f"the document `{event.digest}` is filed under `{seen.stream}`")
        self._documents[event.digest] = document

    def on_approval(self, seen: Seen, event: ApprovalEvent) -> None:
        """Fold an event of the remembered approvals."""
        try:
            self._approvals = evolve_approvals(self._approvals, event)
        except DomainError as error:
            self._findings.add(4, seen, error.message)
        for session in self._sessions.values():
            session.in_force = None

    def on_grant(self, seen: Seen, event: GrantEvent) -> None:
        """Fold an event of a grant."""
        known = self._grants.get(event.grant_id)
        if isinstance(event, FolderGranted | HostGranted):
            owner = self._owners.setdefault(event.grant_id, event.session_id)
            if owner != event.session_id:
                self._findings.add(9, seen, f"session `{owner}` was given a grant of `{event.session_id}`")
            if known is not None:
                self._findings.add(3, seen, f"grant `{event.grant_id}` was given a second time")
        elif known is None:
            return
        state = evolve_grant(NO_GRANT if known is None else known, event)
        if isinstance(state, NoGrant):
            return
        if isinstance(known, FolderGrant) and isinstance(state, FolderGrant) and isinstance(event, GrantNarrowed):
            self._check_narrowed(seen, known, state)
        self._grants[event.grant_id] = state
        session = self._sessions.get(state.session_id)
        if session is not None:
            session.in_force = None

    def _check_narrowed(self, seen: Seen, before: FolderGrant, after: FolderGrant) -> None:
        if attenuate(Scope((before.scope,)), Scope((after.scope,))).folders != (after.scope,):
            self._findings.add(3, seen, f"grant `{after.scope.grant_id}` covers more after it was narrowed")
