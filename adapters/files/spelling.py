"""Names as their folder lists them: where a file system takes several spellings for one name, only that one is used.

Otherwise a rule about `private/**` would not see `Private/x`, nor the short name that FAT gives to every long one.
"""

import os
from itertools import islice
from typing import Final

from ...domain.path import components, name_of_text
from .failure import PathError
from .resolver import ENTRY, FOLDER, Resolver, opened

_LOOKED_AT_MAX: Final = 64
_KNOWN_MAX: Final = 1024


class Spellings:
    """Knows of each granted folder whether its file system takes upper and lower case for the same."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._known: dict[tuple[int, int], bool] = {}

    def require_listed(self, root: int, path: str) -> None:
        """Raise `PathError` name where a name of the path is there, and its folder lists it in another spelling."""
        if not self._folds(root):
            return
        parts = components(path)
        for count, part in enumerate(parts):
            name = name_of_text(part)
            try:
                with opened(self._resolver.open(root, name_of_text("/".join(parts[:count])), FOLDER)) as folder:
                    os.close(self._resolver.open(folder, name, ENTRY))
                    is_listed = name in map(os.fsencode, os.listdir(folder))
            except OSError:
                # Nothing there, or no way there: that is found out, and said, where it is looked at.
                return
            if not is_listed:
                shown = "/".join(parts[: count + 1])
                raise PathError("name", f"`{shown}` is there under another spelling: use the one that its folder lists")

    def _folds(self, root: int) -> bool:
        status = os.fstat(root)
        key = (status.st_dev, status.st_ino)
        known = self._known.get(key)
        if known is None:
            known = self._try_out(root)
            if known is None:
                # Nothing in it tells: being careful costs little in such a folder.
                return True
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[key] = known
        return known

    def _try_out(self, root: int) -> bool | None:
        """Look some of the names up with upper and lower case exchanged; None where no name tells."""
        try:
            with opened(self._resolver.open(root, b"", FOLDER)) as folder:
                with os.scandir(folder) as entries:
                    names = {os.fsencode(entry.name) for entry in islice(entries, _LOOKED_AT_MAX)}
                for name in sorted(names):
                    other = name.swapcase()
                    if other == name or other in names:
                        continue
                    return self._is_one(folder, name, other)
        except OSError:
            return None
        return None

    def _is_one(self, folder: int, name: bytes, other: bytes) -> bool:
        try:
            with (
                opened(self._resolver.open(folder, name, ENTRY)) as one,
                opened(self._resolver.open(folder, other, ENTRY)) as two,
            ):
                first, second = os.fstat(one), os.fstat(two)
        except OSError:
            return False
        # Where it is one file with two names, both listed, there is no folding.
        return os.path.samestat(first, second) and other not in map(os.fsencode, os.listdir(folder))
