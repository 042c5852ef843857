"""What a subagent was given, in words: one sentence for a line of a log."""

from collections.abc import Sequence

from ..domain.scope import WHOLE, FolderScope, PartVerbs, Scope
from ..domain.subagent import SubagentSpawned
from .budget_words import budget_words
from .row import rfc3339


def rights_words(event: SubagentSpawned) -> str:
    """Return what the subagent may do and use up; names as recorded."""
    bounds = budget_words(event.budget)
    return f"{scope_words(event.scope)}; {f'budget {_listed(bounds)}' if bounds else 'no budget of its own'}"


def scope_words(scope: Scope) -> str:
    """Return what a scope covers: folders with their verbs and parts, hosts, kinds, connectors, and until when."""
    folders = [_folder_words(folder) for folder in scope.folders if not folder.revoked]
    parts = [f"folders {'; '.join(folders)}" if folders else "no folder"]
    only = "only " if scope.only_hosts else ""
    parts.append(f"{only}hosts {_listed(scope.open_hosts)}" if scope.open_hosts else "no granted host")
    if scope.kinds is not None:
        parts.append(f"only {_listed(scope.kinds)}" if scope.kinds else "no action at all")
    if scope.connectors is not None:
        parts.append(f"connectors {_listed(scope.connectors)}" if scope.connectors else "no connector")
    if scope.until is not None:
        parts.append(f"until {rfc3339(scope.until)}")
    return ", ".join(parts)


def _folder_words(folder: FolderScope) -> str:
    if folder.by_part:
        # One list for each subagent on the way: what holds is what all of them let through.
        return f"{folder.name} within {', and of these '.join(_parts_words(parts) for parts in folder.by_part)}"
    within = "" if folder.within == WHOLE else f" within {_listed(folder.within) or 'nothing'}"
    return f"{folder.name}{within} ({_listed(folder.verbs) or 'nothing'})"


def _parts_words(parts: Sequence[PartVerbs]) -> str:
    return _listed([f"{part.path} ({_listed(part.verbs) or 'nothing'})" for part in parts])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
