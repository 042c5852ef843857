"""What is on record about policy: the layers that sessions adopted, remembered approvals, and trusted folders."""

from collections.abc import Sequence
from typing import Final

from ..domain.approvals import (
    APPROVALS_STREAM,
    Remembered,
    RememberedApprovals,
    RevokeApproval,
)
from ..domain.baseline import BASELINE
from ..domain.folder_trust import TRUST_STREAM, DistrustFolder, TrustedFolders, TrustFolder
from ..domain.grant import FolderGrant
from ..domain.policy import digest_of_layers
from ..domain.policy_document import Layer
from ..domain.session import AdoptedLayer, AdoptPolicy, OpenSession
from .command_handler import (
    APPROVALS,
    FOLDER_TRUST,
    GRANT,
    SESSION,
    CommandHandler,
    Order,
    order_approval,
    order_document,
    order_session,
    order_trust,
)
from .ports import FolderOpener, PolicySource, StandingLayers
from .session_view import adopted_layers

ORGANISATION: Final = "organisation"
ROOT: Final = "root"
USER: Final = "user"
WORKSPACE: Final = "workspace"
RUN: Final = "run"
SESSION_LAYER: Final = "session"
TASK_LAYER: Final = "task"
_OWN: Final = (RUN, SESSION_LAYER, TASK_LAYER)
"""The layers that come with a run and stay with it; the others are those of the machine and its folders."""


NOTHING_STANDING: Final = StandingLayers()


class NoPolicyFiles:
    """A policy source of a machine without any policy file."""

    def standing(self, folders: Sequence[str], trusted: TrustedFolders) -> StandingLayers:
        """See `PolicySource`."""
        del folders, trusted
        return NOTHING_STANDING


def in_force(standing: StandingLayers, own: Sequence[Layer] = ()) -> tuple[Layer, ...]:
    """Return the layers of a session in their order: what the machine says first, what came with the run last.

    The first is the organisation's document; else the run's root document, the machine owner's, or the baseline.
    """
    run = [layer for layer in own if layer.name == RUN]
    rest = [layer for layer in own if layer.name != RUN]
    if standing.organisation is not None:
        first = [standing.organisation]
        rest = [*run, *rest]
    elif run:
        first = run
    else:
        first = [standing.root or BASELINE]
    user = [] if standing.user is None else [standing.user]
    return (*first, *user, *standing.workspaces, *rest)


def adopting(layers: Sequence[Layer]) -> tuple[list[Order], tuple[AdoptedLayer, ...], str]:
    """Return the orders that put the documents on record, and how a session names them: layers and digest."""
    named = tuple(AdoptedLayer(layer.name, layer.digest) for layer in layers)
    return [order_document(layer) for layer in layers], named, digest_of_layers(layers)


class PolicyRecords:
    """Reads and changes what is on record about policy."""

    def __init__(self, handler: CommandHandler, opener: FolderOpener, source: PolicySource) -> None:
        self._handler = handler
        self._opener = opener
        self._source = source

    # Layers

    def standing(self, folders: Sequence[str]) -> StandingLayers:
        """Return this machine's documents for work in the folders. Raises `DomainError` invalid or limit."""
        return self._source.standing(folders, self.trusted())

    def layers_of(self, session_id: str) -> tuple[Layer, ...]:
        """Return the layers that an open session is under; none for one that is not open."""
        session = self._handler.load(session_id, SESSION).state
        return adopted_layers(self._handler, session.layers) if isinstance(session, OpenSession) else ()

    async def renew(self, session_id: str) -> bool:
        """Put an open session under the machine's present documents; return whether they are others than before.

        What came with the run stays. So a rule that the organisation made meanwhile holds for what is resumed, too.
        Raises `DomainError` invalid or limit for a document that can't be taken whole.
        """
        session = self._handler.load(session_id, SESSION).state
        if not isinstance(session, OpenSession):
            return False
        orders, named, digest = adopting(self.due(session))
        recorded = await self._handler.execute(
            *orders, order_session(session_id, AdoptPolicy(named, digest)), actor="engine", cause="resume"
        )
        return bool(recorded)

    def due(self, session: OpenSession) -> tuple[Layer, ...]:
        """Return the layers that a session is under when it goes on now. Raises `DomainError` as `renew`."""
        grants = (self._handler.known(grant_id, GRANT).state for grant_id in session.grant_ids)
        folders = [grant.scope.root_path for grant in grants if isinstance(grant, FolderGrant)]
        own = [layer for layer in adopted_layers(self._handler, session.layers) if layer.name in _OWN]
        return in_force(self.standing(folders), own)

    # Remembered approvals

    def approvals(self) -> tuple[Remembered, ...]:
        """Return all approvals that were ever remembered, by their ids."""
        state: RememberedApprovals = self._handler.load(APPROVALS_STREAM, APPROVALS).state
        return tuple(state.by_id[name] for name in sorted(state.by_id))

    async def revoke_approval(self, approval_id: str, *, by: str, reason: str = "") -> None:
        """Take an approval back. Raises `DomainError` not_found."""
        await self._handler.execute(
            order_approval(RevokeApproval(approval_id, reason)), actor=by, cause="policy approvals"
        )

    # Trusted folders

    def trusted(self) -> TrustedFolders:
        """Return the folders whose own policy file is read."""
        return self._handler.load(TRUST_STREAM, FOLDER_TRUST).state

    async def trust(self, path: str, *, by: str) -> str:
        """Trust a folder, and return its absolute path. Raises `DomainError` as opening it does."""
        root, identity = self._opener.identify(path)
        await self._handler.execute(order_trust(TrustFolder(root, identity)), actor=by, cause="policy trust")
        return root

    async def distrust(self, path: str, *, by: str) -> str:
        """Trust a folder no longer, and return its absolute path."""
        root = self._opener.identify(path)[0]
        await self._handler.execute(order_trust(DistrustFolder(root)), actor=by, cause="policy distrust")
        return root
