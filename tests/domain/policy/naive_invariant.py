"""The invariants of the naive evaluator: what no document can relax, in the order of the semantics' S4."""

from collections.abc import Sequence
from typing import Any

from tests.domain.policy.naive_condition import (
    CONNECTORS,
    FILES,
    MOVES,
    Facts,
    forms_of,
    host_of,
    is_live,
    is_under,
    root_in,
)

Json = dict[str, Any]

KINDS = FILES | CONNECTORS | {"shell.exec", "code.run", "network.request", "subagent.spawn"}
READS = {"file.read", "file.list", "file.search"}


def broken_request(request: Json) -> str | None:
    """What is wrong with the request whatever was granted: its action, and the facts that it can't be without."""
    kind = request["action"]
    if kind not in KINDS:
        return "invariant.unknown-action"
    items = request.get("items", [{}])
    if not items:
        return "invariant.missing-fact"
    wanted = [("path", "realPath", kind in FILES | {"shell.exec", "code.run"})]
    if kind in MOVES:
        wanted.append(("toPath", "toRealPath", True))
    for item in items:
        for path_key, real_key, is_needed in wanted:
            path = item.get(path_key, request.get(path_key, ...))
            real = item[real_key] if real_key in item else path if path_key in item else request.get(real_key, path)
            if path is ... and not is_needed and real is ...:
                continue
            for text in (path, real):
                if text is None or text is ...:
                    return "invariant.missing-fact"
                if not is_valid_path(text):
                    return "invariant.path-invalid"
    if kind == "network.request":
        for item in items:
            host = item.get("host", request.get("host"))
            if not host:
                return "invariant.missing-fact"
            if host_of(host) is None:
                return "invariant.host-invalid"
    if kind in CONNECTORS and (not request.get("connector") or request.get("requiredScopes", ()) is None):
        return "invariant.missing-fact"
    return None


def is_valid_path(path: str) -> bool:
    """Absolute, without NUL and without `..` between slashes of either kind."""
    return path.startswith("/") and "\0" not in path and ".." not in path.replace("\\", "/").split("/")


def broken_atom(facts: Facts) -> str | None:
    """What the frame's scope does not let the atom do."""
    request, kind = facts.request, facts.request["action"]
    if facts.place is not None:
        fault = _broken_place(facts, kind)
        if fault is not None:
            return fault
    if kind in CONNECTORS:
        fault = _broken_connector(facts, kind)
        if fault is not None:
            return fault
    bound = facts.scope.get("maxDepth")
    depth = request.get("depth", 0)
    if bound is not None and (depth is None or depth + (kind == "subagent.spawn") > bound):
        return "invariant.subagent-depth"
    return None


def _broken_place(facts: Facts, kind: str) -> str | None:
    named, real = (forms_of(path, facts.folded) for path in facts.place)
    spelled = named + [form for form in real if form not in named]
    for number, (form, path) in enumerate(spelled):
        if not _holding(facts.live_grants, form, path):
            return _why_not_granted(facts, form, path, is_real=number >= len(named))
    if kind not in FILES - READS:
        return None
    for form, path in spelled:
        if all(grant.get("mode", "rw") != "rw" for grant in _holding(facts.live_grants, form, path)):
            return "invariant.grant-mode"
    for form, path in spelled:
        for root in facts.scope.get("protectedRoots", ()):
            if is_under(path, root_in(root, form)) or is_under(root_in(root, form), path):
                return "invariant.protected-path"
    if kind in MOVES | {"file.delete"}:
        for form, path in spelled:
            if any(is_under(root_in(grant["root"], form), path) for grant in facts.live_grants):
                return "invariant.grant-root"
    return None


def _holding(grants: Sequence[Json], form: str, path: str) -> list[Json]:
    return [grant for grant in grants if is_under(path, root_in(grant["root"], form))]


def _why_not_granted(facts: Facts, form: str, path: str, *, is_real: bool) -> str:
    if is_real:
        return "invariant.path-escape"
    dead = _holding(facts.scope.get("grants", ()), form, path)
    if any(grant.get("revoked", False) for grant in dead):
        return "invariant.grant-revoked"
    return "invariant.grant-expired" if dead else "invariant.grant-scope"


def _broken_connector(facts: Facts, kind: str) -> str | None:
    mine = [grant for grant in facts.scope.get("connectors", ()) if grant["id"] == facts.part["connector"]]
    live = [grant for grant in mine if is_live(grant, facts.now)]
    if not live:
        if any(grant.get("revoked", False) for grant in mine):
            return "invariant.connector-revoked"
        return "invariant.connector-expired" if mine else "invariant.connector-scope"
    wanted = set(facts.request.get("requiredScopes", ()))
    live = [grant for grant in live if wanted <= set(grant.get("scopes", ()))]
    if not live:
        return "invariant.connector-scope"
    if kind == "connector.action" and not any(grant.get("allowActions", False) for grant in live):
        return "invariant.connector-actions"
    return None
