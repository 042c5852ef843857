"""From the places, hosts and commands that history needed to the few patterns that hold them, and not much else."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from ..domain.policy_document import CommandPattern

PATTERNS_MAX: Final = 12
"""How many patterns a rule may have before a whole folder is named instead."""

EXTENSIONS_MAX: Final = 4
"""How many extensions are few enough to be named."""

SUBCOMMANDS_MAX: Final = 6
"""How many second words of one program are few enough to be named."""


class _Folder(msgspec.Struct):
    files: set[str] = msgspec.field(default_factory=set)
    shunned: set[str] = msgspec.field(default_factory=set)
    folders: "dict[str, _Folder]" = msgspec.field(default_factory=dict)
    needed: int = 0
    avoided: int = 0

    def add(self, parts: Sequence[str], *, is_needed: bool) -> None:
        folder = self
        for part in parts[:-1]:
            folder.count(is_needed=is_needed)
            folder = folder.folders.setdefault(part, _Folder())
        folder.count(is_needed=is_needed)
        (folder.files if is_needed else folder.shunned).add(parts[-1])

    def count(self, *, is_needed: bool) -> None:
        self.needed += is_needed
        self.avoided += not is_needed

    def needed_folders(self) -> list[tuple[str, "_Folder"]]:
        return [(name, folder) for name, folder in sorted(self.folders.items()) if folder.needed]


def patterns_of_files(needed: Iterable[str], avoided: Iterable[str], root: str) -> list[str]:
    """Return patterns that match all the needed places below a root and, where that can be, none of those to avoid.

    Places are absolute. A folder that only files were needed of is `folder/*`, one with needed subfolders `folder/**`;
    the root itself is never taken whole as long as a few of its folders will do.
    """
    base = root.rstrip("/")
    tree = _Folder()
    found: list[str] = []
    for place in needed:
        if place.startswith(f"{base}/") and place != root:
            tree.add(place[len(base) + 1 :].split("/"), is_needed=True)
        else:
            found.append(place)
    for place in avoided:
        if place.startswith(f"{base}/") and place != root:
            tree.add(place[len(base) + 1 :].split("/"), is_needed=False)
    if tree.needed:
        parts = list(_parts(tree, base, whole=False))
        found += parts if len(parts) <= PATTERNS_MAX else [f"{base}/**"]
    return found


def _parts(folder: _Folder, path: str, *, whole: bool) -> Iterable[str]:
    """Yield the patterns of what is needed in a folder; with `whole` it may be taken whole where nothing is avoided."""
    inner = folder.needed_folders()
    if whole and not folder.files and len(inner) == 1:
        name, only = inner[0]
        yield from _parts(only, f"{path}/{name}", whole=True)
        return
    if whole and not folder.avoided:
        yield f"{path}/**" if inner else f"{path}/*"
        return
    if folder.files:
        if folder.shunned and len(folder.files) <= PATTERNS_MAX:
            yield from (f"{path}/{name}" for name in sorted(folder.files))
        else:
            yield f"{path}/*"
    for name, one in inner:
        yield from _parts(one, f"{path}/{name}", whole=True)


def patterns_of_folders(needed: Collection[str], root: str) -> list[str]:
    """Return patterns for places that are folders themselves (to list, to run in): these very ones, if few."""
    distinct = sorted(set(needed))
    return distinct if len(distinct) <= PATTERNS_MAX else patterns_of_files(distinct, (), root)


def extensions_of(places: Iterable[str]) -> tuple[str, ...] | None:
    """Return the extensions of all names, None where they are many or a name has none."""
    found: set[str] = set()
    for place in places:
        name = place[place.rfind("/") + 1 :].lower()
        at = name.rfind(".")
        if at <= 0 or at == len(name) - 1:
            return None
        found.add(name[at:])
    return tuple(sorted(found)) if 0 < len(found) <= EXTENSIONS_MAX else None


def prefixes_of(commands: Iterable[tuple[str, ...]]) -> tuple[CommandPattern, ...]:
    """Return the token prefixes of commands: the program, and its second words where they are few and no more."""
    seconds: dict[str, set[str | None]] = {}
    for program, *arguments in commands:
        second = arguments[0] if arguments and _is_subcommand(arguments[0]) else None
        seconds.setdefault(program, set()).add(second)
    found: list[CommandPattern] = []
    for program, words in sorted(seconds.items()):
        named = tuple(sorted(word for word in words if word is not None))
        if None in words or not 0 < len(named) <= SUBCOMMANDS_MAX:
            found.append((program,))
        else:
            found.append((program, named))
    return tuple(found)


def _is_subcommand(word: str) -> bool:
    """Whether a program's second word looks like a part of its name (`git status`), and not like what it works on."""
    return word.isascii() and word.replace("-", "").isalnum() and not word.startswith("-") and word[0].isalpha()
