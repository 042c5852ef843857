"""What becomes of a file's content and mode: what was changed goes back, what somebody else changed since stays."""

from typing import Protocol

import msgspec

from ..domain.text_merge import Unmergeable
from .undo_tree import FolderKey, Node


class Contents(Protocol):
    """The contents that are known by their digests."""

    def has(self, digest: str) -> bool:
        """Whether these bytes are there to be written."""
        ...

    def merge(self, base: str, one: str, other: str) -> str | Unmergeable:
        """Return the digest of what both made of the base, which is there from then on."""
        ...


class Rewrite(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is to hold: `digest`, and `mode` where that changes. `is_merged` where both sides' changes are in it.

    With `kept` the file itself comes back from quarantine. `remark` says what of somebody else's stays as it is.
    """

    digest: str
    mode: int | None = None
    is_merged: bool = False
    kept: str = ""
    folder: FolderKey | None = None
    remark: str = ""


def is_edited(node: Node) -> bool:
    """Whether the file holds something that neither was there before nor was left behind: then its bytes are needed."""
    current = node.digest
    for version in reversed(node.versions):
        if current == version.after:
            current = version.before
        elif current != version.before:
            return True
    return node.mode_left is not None and node.mode_left == node.mode


def find_rewrite(node: Node, contents: Contents) -> Rewrite | str | None:
    """Return what the file is to hold, None where it holds it already, or why it is left as it is."""
    if node.kind != "file":
        return "no file stands there now"
    mode, remark = _mode(node)
    current, is_merged = node.digest, False
    for version in reversed(node.versions):
        if current == version.after:
            current = version.before
        elif current != version.before:
            merged = contents.merge(version.after, version.before, current)
            if isinstance(merged, Unmergeable):
                return f"it was changed since, and can't be merged: {merged.reason}"
            is_merged = is_merged or merged != current
            current = merged
    if current == node.digest and mode is None:
        return remark or None
    if contents.has(current):
        return Rewrite(digest=current, mode=mode, is_merged=is_merged, remark=remark)
    first = node.versions[0] if node.versions else None
    if first is not None and first.before == current and first.kept.startswith("quarantine:"):
        return Rewrite(digest=current, kept=first.kept, folder=first.folder, remark=remark)
    if current == node.digest:
        return "only its mode was changed, and it is too large to be written anew"
    return "what it held before is no longer kept"


def _mode(node: Node) -> tuple[int | None, str]:
    """Return the mode to give back, and what is to be said where somebody else has set another."""
    if node.is_made or node.mode_left is None or node.mode_before is None or node.mode_left == node.mode_before:
        return None, ""
    if node.mode == node.mode_left:
        return node.mode_before, ""
    if node.mode == node.mode_before:
        return None, ""
    return None, f"its mode was changed since, to {node.mode:o}, and stays so"
