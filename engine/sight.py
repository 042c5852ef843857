"""What a command may see of a granted folder: what the policy of its session lets be read without asking a person."""

from collections import OrderedDict
from datetime import datetime
from typing import Final

from ..domain.action import FileList, FileRead, Location
from ..domain.facts import Facts, FileState
from .session_view import SessionView

SIGHTS_MAX: Final = 16
"""How many sessions and subagents have their answers kept."""

SEEN_MAX: Final = 500_000
"""How many answers about places are kept for a session."""


class PolicySight:
    """Asks a session's policy about each file as if the agent asked to read it: a rule holds on every path.

    What would need a person is hidden like what is denied: nobody can be asked about each file of a folder. As long as
    the view is the same, the answer about the same place is, too, except where rules hold only at certain times.
    """

    def __init__(self, view: SessionView, now: datetime) -> None:
        self.view = view
        self._now = now
        self._seen: dict[tuple[str, str, str, int, int], bool] = {}
        # Looking about is not what a limit on reading counts, and must not be stopped by an unknown count.
        self._usage = view.policy.usage({}) if view.policy.has_limits else ()

    def fits(self, view: SessionView) -> bool:
        """Whether what was answered under the one view still holds under the other."""
        return self.view is view and not view.policy.has_windows

    def hides(self, grant_id: str, path: str, state: FileState) -> bool:
        """Whether a file may not be read, or a folder not be listed, without a person. See the port `Sight`."""
        key = (grant_id, path, state.kind, state.size, state.links)
        known = self._seen.get(key)
        if known is None:
            if len(self._seen) >= SEEN_MAX:
                self._seen.clear()
            known = self._seen[key] = self._hides(Location(grant_id, path), state)
        return known

    def _hides(self, at: Location, state: FileState) -> bool:
        look = FileList(at=at) if state.kind == "folder" else FileRead(at=at)
        view = self.view
        if state.kind == "folder":
            folder = view.scope.folder(at.grant_id)
            if folder is not None and not folder.covers(at.path) and folder.is_on_the_way(at.path):
                # It has to be passed on the way to what was given; everything else in it is asked about by itself.
                return False
        facts = Facts(now=self._now, target=state, usage=self._usage, depth=view.depth)
        return view.policy.verdict(look, facts, view.scope, session=view.session_id) != "allow"


class Sights:
    """Keeps the sight of each session and subagent as long as nothing changes in it."""

    def __init__(self) -> None:
        self._sights: OrderedDict[tuple[str, str], PolicySight] = OrderedDict()

    def of(self, view: SessionView, now: datetime) -> PolicySight:
        """Return the sight of a session as it is now."""
        key = (view.session_id, view.scope_digest)
        known = self._sights.get(key)
        if known is None or not known.fits(view):
            known = self._sights[key] = PolicySight(view, now)
        self._sights.move_to_end(key)
        if len(self._sights) > SIGHTS_MAX:
            self._sights.popitem(last=False)
        return known
