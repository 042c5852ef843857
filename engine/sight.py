"""What a command may see of a granted folder: what the policy of its session lets be read without asking a person."""

from datetime import datetime

import msgspec

from ..domain.action import FileList, FileRead, Location
from ..domain.facts import Facts, FileState
from .session_view import SessionView


class PolicySight(msgspec.Struct, frozen=True):
    """Asks the session's policy about each file as if the agent asked to read it: a rule holds on every path.

    What would need a person is hidden like what is denied: nobody can be asked about each file of a folder.
    """

    view: SessionView
    task_id: str
    now: datetime
    depth: int = 0

    def hides(self, grant_id: str, path: str, state: FileState) -> bool:
        """Whether a file may not be read, or a folder not be listed, without a person. See the port `Sight`."""
        at = Location(grant_id, path)
        look = FileList(at=at) if state.kind == "folder" else FileRead(at=at)
        facts = Facts(now=self.now, target=state, depth=self.depth)
        policy, view = self.view.policy, self.view
        if policy.has_limits:
            # Looking about is not what a limit on reading counts, and must not be stopped by an unknown count.
            facts = msgspec.structs.replace(facts, usage=policy.usage({}))
        decision = policy.decide(look, facts, view.scope, session=view.session_id, task=self.task_id)
        return decision.verdict != "allow"
