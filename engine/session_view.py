"""What is in force in a session right now, read from the write side: policy, scope, approvals, and guards."""

from collections.abc import Sequence

import msgspec

from ..domain.approvals import APPROVALS_STREAM, RememberedApprovals
from ..domain.errors import DomainError
from ..domain.grant import GrantState, scope_of
from ..domain.policy import Policy
from ..domain.policy_document import Layer
from ..domain.policy_record import StoredDocument, stream_of_document
from ..domain.scope import Scope, attenuate
from ..domain.session import AdoptedLayer, OpenSession
from ..domain.subagent import spawned
from ..domain.task import Task, existing
from .command_handler import APPROVALS, GRANT, POLICY_RECORD, SESSION, SUBAGENT, TASK, CommandHandler
from .ports import Guard


class SessionView(msgspec.Struct, frozen=True):
    """A session as policy needs it, or as much of it as a subagent has.

    `guards` make an append fail when any of it changes first; `depth` is the subagent's, 0 for the session's own agent.
    """

    session_id: str
    scope: Scope
    scope_digest: str
    policy: Policy
    approvals: RememberedApprovals
    guards: tuple[Guard, ...]
    depth: int = 0


class SessionViews:
    """Makes views, and makes each only once for as long as nothing changes."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler
        self._views: dict[str, SessionView] = {}
        self._policies: dict[str, Policy] = {}
        self._of_subagents: dict[str, tuple[SessionView, Guard, SessionView]] = {}

    def view_of(self, task: Task) -> SessionView:
        """Return what is in force for a task: all that its session has, or for a subagent's what is left of it.

        A subagent has what its parent has right now and what it was given, never more. Raises `DomainError` as `view`.
        """
        if not task.subagent_id:
            return self.view(task.session_id)
        parent = self._handler.known(task.parent_task_id, TASK).state
        above = self.view_of(existing(parent))
        subagent = self._handler.known(task.subagent_id, SUBAGENT)
        guard = Guard(task.subagent_id, subagent.version)
        known = self._of_subagents.get(task.task_id)
        if known is not None and known[0] is above and known[1] == guard:
            return known[2]
        given = spawned(subagent.state)
        scope = attenuate(above.scope, given.scope)
        view = msgspec.structs.replace(
            above, scope=scope, scope_digest=scope.digest(), guards=(*above.guards, guard), depth=given.depth
        )
        self._of_subagents[task.task_id] = (above, guard, view)
        return view

    def forget(self, task_id: str) -> None:
        """Let go of the view of a subagent's task that has ended."""
        self._of_subagents.pop(task_id, None)

    def view(self, session_id: str) -> SessionView:
        """Return the session's view. Raises `DomainError` not_found or conflict (the session has ended)."""
        self._handler.notice_others()
        known = self._views.get(session_id)
        if known is not None and self._is_current(known):
            return known
        view = self._make(session_id)
        self._views[session_id] = view
        return view

    def _is_current(self, view: SessionView) -> bool:
        session, approvals, *grants = view.guards
        known = self._handler.known
        return (
            known(session.stream, SESSION).version == session.version
            and known(approvals.stream, APPROVALS).version == approvals.version
            and all(known(guard.stream, GRANT).version == guard.version for guard in grants)
        )

    def _make(self, session_id: str) -> SessionView:
        session = self._handler.known(session_id, SESSION)
        if not isinstance(session.state, OpenSession):
            raise DomainError("conflict", f"session `{session_id}` is not open", "start a new one with `cowork run`")
        approvals = self._handler.known(APPROVALS_STREAM, APPROVALS)
        guards = [Guard(session_id, session.version), Guard(APPROVALS_STREAM, approvals.version)]
        grants: list[GrantState] = []
        for grant_id in session.state.grant_ids:
            grant = self._handler.known(grant_id, GRANT)
            guards.append(Guard(grant_id, grant.version))
            grants.append(grant.state)
        scope = scope_of(grants)
        policy = self._policy(session.state)
        return SessionView(session_id, scope, scope.digest(), policy, approvals.state, tuple(guards))

    def _policy(self, session: OpenSession) -> Policy:
        if not session.layers:
            raise DomainError(
                "denied", f"session `{session.session_id}` has no policy", "adopt one, if only the default"
            )
        known = self._policies.get(session.policy_digest)
        if known is None:
            known = Policy(adopted_layers(self._handler, session.layers))
            if known.digest != session.policy_digest:
                raise DomainError("damaged", f"the policy of session `{session.session_id}` is not the recorded one")
            self._policies[session.policy_digest] = known
        return known


def adopted_layers(handler: CommandHandler, layers: Sequence[AdoptedLayer]) -> tuple[Layer, ...]:
    """Return the documents that a session adopted. Raises `DomainError` damaged where one is not on record."""
    return tuple(_layer(handler, adopted) for adopted in layers)


def _layer(handler: CommandHandler, adopted: AdoptedLayer) -> Layer:
    state = handler.known(stream_of_document(adopted.digest), POLICY_RECORD).state
    if not isinstance(state, StoredDocument):
        raise DomainError("damaged", f"the policy document `{adopted.digest}` of layer `{adopted.name}` is missing")
    return state.as_layer(adopted.name)
