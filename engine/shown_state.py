"""What a person was shown of the world, held against the world as it is now."""

from ..domain.action import Action, locations_of, sets_mode
from ..domain.facts import ABSENT, Facts, FileState, is_same_target, writing_too
from ..domain.task import OpenAction, Proposed


def is_as_shown(action: Action, shown: Facts, now: Facts) -> bool:
    """Whether both targets are the objects, with the contents, that a person was shown.

    Where the action sets permission bits: whether those that it replaces are the same, too. Of a command: whether the
    files that it names hold the same, and the same sandbox would hold it.
    """
    return (
        _same(shown.target, now.target, with_mode=sets_mode(action))
        and _same(shown.destination, now.destination)
        and _same(shown.kept, now.kept)
        and (shown.confinement, shown.inputs) == (now.confinement, now.inputs)
    )


def knows_writers(shown: Facts, now: Facts) -> bool:
    """Whether a person was shown everybody else who writes at the same places; who has gone since does not matter."""
    return now.claimants <= shown.claimants


def _same(before: FileState | None, now: FileState | None, *, with_mode: bool = False) -> bool:
    return is_same_target(before or ABSENT, now or ABSENT, with_mode=with_mode)


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
    if sets_mode(action.action) and not _same(shown.target, facts.target, with_mode=True):
        place, modes = locations_of(action.action)[0], mode_change_words(shown.target, facts.target)
        return f"`{place.path}` has changed ({modes})"
    if not _same(shown.kept, facts.kept):
        return f"what is kept of it has changed ({_in_words(shown.kept)}, now {_in_words(facts.kept)})"
    if shown.confinement != facts.confinement:
        return "the sandbox that would hold it has changed"
    if not knows_writers(shown, facts):
        return writing_too(facts.claimants - shown.claimants)
    held = dict.fromkeys(shown.inputs)
    for one in (*facts.inputs, *shown.inputs):
        if one not in held or one not in facts.inputs:
            return f"`{one.path}`, which it names, has changed"
    return "what policy says about it has changed"


def mode_change_words(before: FileState | None, now: FileState | None) -> str:
    """Return which permission bits a file had, and which it has."""
    return f"mode {(before or ABSENT).mode:03o}, now {(now or ABSENT).mode:03o}"


def _in_words(state: FileState | None) -> str:
    if state is None or state.kind == "absent":
        return "absent"
    return f"{state.kind} of {state.size} bytes {state.digest.removeprefix('sha256:')[:8]}".rstrip()
