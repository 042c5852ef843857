"""What is in force in a session right now, read from the write side: its policy, its scope, and the guards on both."""

import msgspec

from ..domain.errors import DomainError
from ..domain.grant import FolderGrant
from ..domain.policy import Policy
from ..domain.scope import FolderScope, Scope
from ..domain.session import OpenSession
from .command_handler import GRANT, SESSION, CommandHandler
from .ports import Guard


class SessionView(msgspec.Struct, frozen=True):
    """A session as policy needs it. `guards` make an append fail when any of it changes first."""

    session_id: str
    scope: Scope
    scope_digest: str
    policy: Policy
    guards: tuple[Guard, ...]


class SessionViews:
    """Makes views, and makes each only once for as long as nothing changes."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler
        self._views: dict[str, SessionView] = {}
        self._policies: dict[str, Policy] = {}

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
        session, *grants = view.guards
        known = self._handler.known
        return known(session.stream, SESSION).version == session.version and all(
            known(guard.stream, GRANT).version == guard.version for guard in grants
        )

    def _make(self, session_id: str) -> SessionView:
        session = self._handler.known(session_id, SESSION)
        if not isinstance(session.state, OpenSession):
            raise DomainError("conflict", f"session `{session_id}` is not open", "start a new one with `cowork run`")
        guards = [Guard(session_id, session.version)]
        folders: list[FolderScope] = []
        for grant_id in session.state.grant_ids:
            grant = self._handler.known(grant_id, GRANT)
            guards.append(Guard(grant_id, grant.version))
            if isinstance(grant.state, FolderGrant):
                folders.append(grant.state.scope)
        scope = Scope(tuple(folders))
        return SessionView(session_id, scope, scope.digest(), self._policy(session.state), tuple(guards))

    def _policy(self, session: OpenSession) -> Policy:
        if session.rules is None:
            raise DomainError(
                "denied", f"session `{session.session_id}` has no policy", "adopt one, if only the default"
            )
        known = self._policies.get(session.policy_digest)
        if known is None:
            known = Policy(session.rules)
            if known.digest != session.policy_digest:
                raise DomainError("damaged", f"the policy of session `{session.session_id}` is not the recorded one")
            self._policies[session.policy_digest] = known
        return known
