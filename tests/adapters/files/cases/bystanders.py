"""What a permit for a file carries beside it: a sight that hides nothing, and a witness that nobody may call."""

from typing import Literal

from cowork.domain.facts import FileState
from cowork.engine.ports import Connection


class SilentSight:
    """Hides nothing; see the `Sight` port."""

    def hides(self, grant_id: str, path: str, state: FileState) -> bool:
        """Whether policy keeps it from commands: it does not."""
        return False


class NoWitness:
    """Work on files has neither connections nor output; see the `Witness` port."""

    async def connection(self, connection: Connection) -> None:
        """Fail: a file action has asked for a connection."""
        raise AssertionError(f"a file action has asked for {connection}")

    def output(self, stream: Literal["stdout", "stderr"], chunk: bytes) -> None:
        """Fail: a file action has printed something."""
        raise AssertionError(f"a file action has printed {chunk!r} to {stream}")
