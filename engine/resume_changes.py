"""Then and now held against each other, as values: policy layers, grants, rights, places, versions."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from ..domain.action import Location
from ..domain.effect import Effect
from ..domain.facts import ABSENT, Confinement, FileState, is_same_object
from ..domain.grant import FolderGrant, GrantState, HostGrant, NoGrant
from ..domain.scope import FolderScope, GrantedHost, Scope
from ..domain.session import AdoptedLayer
from .resume_report import FileMove, GrantChange, GrantMove, LayerChange, PolicyChange, RightsLost, VersionChange

# Policy


def find_policy_change(
    then: Sequence[AdoptedLayer], then_digest: str, now: Sequence[AdoptedLayer], now_digest: str
) -> PolicyChange | None:
    """Return how the policy differs, None where it does not. Layers of one name are told apart by their order."""
    if then_digest == now_digest:
        return None
    before, after = _numbered(then), _numbered(now)
    layers = (
        LayerChange(layer=name, then=before.get((name, number), ""), now=after.get((name, number), ""))
        for name, number in dict.fromkeys((*before, *after))
    )
    return PolicyChange(then=then_digest, now=now_digest, layers=tuple(one for one in layers if one.then != one.now))


def _numbered(layers: Sequence[AdoptedLayer]) -> dict[tuple[str, int], str]:
    seen: Counter[str] = Counter()
    numbered: dict[tuple[str, int], str] = {}
    for layer in layers:
        numbered[layer.name, seen[layer.name]] = layer.digest
        seen[layer.name] += 1
    return numbered


# Grants and rights


def find_grant_change(then: GrantState, now: GrantState, since: datetime, at: datetime) -> GrantChange | None:
    """Return how a grant differs from what it was at `since`, None where it does not; `at` is the present time."""
    match then, now:
        case NoGrant(), FolderGrant(scope=folder):
            return _changed(folder.grant_id, folder.name, "given", f"{', '.join(folder.verbs)} at {folder.root_path}")
        case NoGrant(), HostGrant(host=host):
            return _changed(host.grant_id, host.host, "given", "it may be reached")
        case HostGrant(host=before), HostGrant(host=after) if after.revoked and not before.revoked:
            return _changed(after.grant_id, after.host, "revoked", "it can't be reached any more")
        case FolderGrant(scope=before), FolderGrant(scope=after):
            return _change_of_folder(before, after, since, at)
        case _:
            return None


def _change_of_folder(then: FolderScope, now: FolderScope, since: datetime, at: datetime) -> GrantChange | None:
    if not _is_open(then, since):
        return None
    if now.expires_at is not None and at >= now.expires_at:
        return _changed(now.grant_id, now.name, "expired", f"it was given until {now.expires_at:%Y-%m-%d %H:%M:%S} UTC")
    if now.revoked:
        return _changed(now.grant_id, now.name, "revoked", f"nothing in {now.root_path} may be touched any more")
    if (then.verbs, then.output_roots, then.expires_at) == (now.verbs, now.output_roots, now.expires_at):
        return None
    return _changed(now.grant_id, now.name, "narrowed", f"it covers {', '.join(now.verbs) or 'nothing'} now")


def _changed(grant_id: str, name: str, change: GrantMove, detail: str) -> GrantChange:
    return GrantChange(grant_id=grant_id, name=name, change=change, detail=detail)


def _is_open(folder: FolderScope, at: datetime) -> bool:
    return not folder.revoked and (folder.expires_at is None or at < folder.expires_at)


def rights_lost(
    task_id: str, then: Scope, since: datetime, now: Scope, at: datetime, gone: Iterable[str] = ()
) -> Iterator[RightsLost]:
    """Yield what a task could do by `then` at `since`, and can't by `now` at `at`.

    `gone` are the ids of grants whose folder is not the one that was granted: nothing is left of those.
    """
    lost_folders = set(gone)
    if now.until is not None and at >= now.until > since:
        lost_folders = {folder.grant_id for folder in then.folders}
    for before in then.folders:
        after = now.folder(before.grant_id)
        if not _is_open(before, since):
            continue
        if after is None or not _is_open(after, at) or before.grant_id in lost_folders:
            after = msgspec.structs.replace(before, verbs=(), output_roots=(), within=())
        lost = RightsLost(
            task_id=task_id,
            grant_id=before.grant_id,
            name=before.name,
            verbs=tuple(verb for verb in before.verbs if verb not in after.verbs),
            left=tuple(verb for verb in before.verbs if verb in after.verbs),
            output_roots=tuple(root for root in before.output_roots if not after.is_output(root)),
            parts=tuple(part for part in before.within if not after.covers(part)) if after.verbs else (),
        )
        if lost.verbs or lost.output_roots or lost.parts:
            yield lost
    yield from (_closed(task_id, host) for host in then.hosts if host.host in _closed_hosts(then, now))


def _closed_hosts(then: Scope, now: Scope) -> set[str]:
    return set(then.open_hosts) - set(now.open_hosts)


def _closed(task_id: str, host: GrantedHost) -> RightsLost:
    return RightsLost(task_id=task_id, grant_id=host.grant_id, name=host.host)


# Places


def find_move(then: FileState, now: FileState) -> FileMove | None:
    """Return what became of what stood at a place, None where it is the same object with the same content."""
    if is_same_object(then, now):
        return None
    if now.kind == "absent":
        return "missing"
    return "new" if then.kind == "absent" else "changed"


def find_move_since(known: str, now: FileState) -> FileMove | None:
    """Return the same for a place of which only the last digest is known (empty: nothing stood there)."""
    if now.kind == "absent":
        return "missing" if known else None
    if not known:
        return "new"
    return None if now.digest in (known, "") else "changed"


def note_effects(known: dict[Location, str], effects: Iterable[Effect]) -> None:
    """Enter what an action did into what is known of places: the digest of what stands there, empty for nothing."""
    for effect in effects:
        if effect.previous is not None:
            known[effect.previous] = ""
        known[effect.at] = "" if effect.change == "delete" else effect.after or effect.before


def note_state(known: dict[Location, str], place: Location, state: FileState | None) -> None:
    """Enter what was seen at a place, if its content was looked at."""
    if state is None or state.kind == "absent":
        known[place] = ""
    elif state.digest:
        known[place] = state.digest


# Versions


def version_changes(
    engine_then: str, engine_now: str, then: Confinement | None, now: Confinement | None
) -> Iterator[VersionChange]:
    """Yield what the task runs on that is another version now. Of commands only where both were ever looked at."""
    if engine_then and engine_then != engine_now:
        yield VersionChange(part="engine", then=engine_then, now=engine_now)
    if then is None or now is None:
        return
    if then.sandbox != now.sandbox:
        yield VersionChange(part="sandbox", then=then.sandbox, now=now.sandbox)
    if then.network == now.network and then.seccomp != now.seccomp:
        yield VersionChange(part="filter", then=then.seccomp, now=now.seccomp)
    if then.landlock != now.landlock:
        yield VersionChange(part="landlock", then=str(then.landlock), now=str(now.landlock))


def digest_or_nothing(state: FileState | None) -> str:
    """Return the digest of what stands at a place, empty for nothing."""
    return (state or ABSENT).digest
