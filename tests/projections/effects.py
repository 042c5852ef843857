"""What an executor would report: the effects of made-up actions."""

from cowork.domain.action import Action, FileCreate, FileDelete, FileMove, FileWrite
from cowork.domain.effect import Effect


def effects_of(action: Action) -> tuple[Effect, ...]:
    """Return what an executor would report for the action."""
    match action:
        case FileCreate(at=at):
            return (Effect(change="create", at=at, after="sha256:new"),)
        case FileWrite(at=at):
            return (Effect(change="update", at=at, before="sha256:old", after="sha256:new"),)
        case FileMove(at=at, to=to):
            return (Effect(change="move", at=to, previous=at, before="sha256:x", after="sha256:x"),)
        case FileDelete(at=at):
            return (Effect(change="delete", at=at, before="sha256:x", kept="quarantine:q"),)
        case _:
            return ()
