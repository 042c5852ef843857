"""What a person was shown of the world, held against the world as it is now."""

from ..domain.action import locations_of
from ..domain.facts import ABSENT, Facts, FileState, is_same_object
from ..domain.task import OpenAction, Proposed


def is_as_shown(shown: Facts, now: Facts) -> bool:
    """Whether both targets are the objects, with the contents, that a person was shown."""
    return _same(shown.target, now.target) and _same(shown.destination, now.destination)


def _same(before: FileState | None, now: FileState | None) -> bool:
    return is_same_object(before or ABSENT, now or ABSENT)


def what_changed(action: OpenAction, facts: Facts) -> str:
    """Return what is no longer as it was shown, in words."""
    if isinstance(action.phase, Proposed):
        return "nothing is known"
    shown = action.phase.judgement.facts
    for place, before, now in zip(
        locations_of(action.action), (shown.target, shown.destination), (facts.target, facts.destination), strict=False
    ):
        if not _same(before, now):
            return f"`{place.path}` has changed ({_in_words(before)}, now {_in_words(now)})"
    return "what policy says about it has changed"


def _in_words(state: FileState | None) -> str:
    if state is None or state.kind == "absent":
        return "absent"
    return f"{state.kind} of {state.size} bytes {state.digest.removeprefix('sha256:')[:8]}".rstrip()
