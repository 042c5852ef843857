"""Which of the rights that were granted anything on record needed: verbs and output roots of each folder."""

from collections.abc import Iterable

import msgspec

from ..domain.action import Action
from ..domain.action_invariant import required_verbs
from ..domain.facts import Facts
from ..domain.path import is_beneath
from ..domain.scope import VERBS, FolderScope, Verb
from .tighten_report import GrantUse


class Touch(msgspec.Struct, frozen=True, gc=False):
    """A verb that an action needed at a place of a grant."""

    grant_id: str
    path: str
    verb: Verb


def touches_of(action: Action, facts: Facts) -> tuple[Touch, ...]:
    """Return what the action needed of grants."""
    return tuple(Touch(at.grant_id, at.path, verb) for at, verb in required_verbs(action, facts))


class _Folder(msgspec.Struct):
    grants: int = 0
    used: int = 0
    verbs: set[Verb] = msgspec.field(default_factory=set)
    verbs_used: set[Verb] = msgspec.field(default_factory=set)
    outputs: set[str] = msgspec.field(default_factory=set)
    outputs_used: set[str] = msgspec.field(default_factory=set)


class GrantUses:
    """Collects what was needed, grant by grant, and reports it folder by folder."""

    def __init__(self) -> None:
        self._verbs: dict[str, set[Verb]] = {}
        self._written: dict[str, set[str]] = {}

    def add(self, touches: Iterable[Touch]) -> None:
        """Note what an action needed that did what it was for."""
        for touch in touches:
            self._verbs.setdefault(touch.grant_id, set()).add(touch.verb)
            if touch.verb in ("create", "write"):
                folder, _, _name = touch.path.rpartition("/")
                self._written.setdefault(touch.grant_id, set()).add(folder or ".")

    def uses(self, granted: Iterable[FolderScope]) -> list[GrantUse]:
        """Return for each granted folder what its grants were used for."""
        folders: dict[str, _Folder] = {}
        for grant in granted:
            folder = folders.setdefault(grant.root_path, _Folder())
            folder.grants += 1
            folder.used += grant.grant_id in self._verbs
            folder.verbs |= set(grant.verbs)
            folder.verbs_used |= self._verbs.get(grant.grant_id, set())
            written = self._written.get(grant.grant_id, set())
            for root in grant.output_roots:
                place = grant.absolute(root)
                folder.outputs.add(place)
                if any(is_beneath(one, root) for one in written):
                    folder.outputs_used.add(place)
        return [_use(path, folder) for path, folder in sorted(folders.items())]


def _use(path: str, folder: _Folder) -> GrantUse:
    return GrantUse(
        root_path=path,
        grants=folder.grants,
        grants_never_used=folder.grants - folder.used,
        verbs=tuple(verb for verb in VERBS if verb in folder.verbs),
        verbs_never_used=tuple(verb for verb in VERBS if verb in folder.verbs - folder.verbs_used),
        output_roots=tuple(sorted(folder.outputs)),
        output_roots_never_used=tuple(sorted(folder.outputs - folder.outputs_used)),
    )
