"""An attempt at an action, and the name that follows from it: the same after a restart, known from the log alone."""

import hashlib
from typing import Final

_CHARACTERS: Final = 24


def mark_of_attempt(action_id: str, attempt: int) -> str:
    """Return the name (24 hexadecimal digits) under which the attempt leaves things, such as what it deletes."""
    return hashlib.sha256(f"{action_id}\n{attempt}".encode()).hexdigest()[:_CHARACTERS]
