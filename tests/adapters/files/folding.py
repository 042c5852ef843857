"""A file system that takes several spellings for one name, played by a resolver: this machine's kernel has none."""

import os
import unicodedata

from cowork.adapters.files.resolver import FOLDER, Openat2Resolver, opened


def same_name(name: bytes) -> str:
    """Compare as a case-folding ext4 does, so far as the names of the tests go."""
    text = unicodedata.normalize("NFD", os.fsdecode(name)).replace("\u200b", "")
    return unicodedata.normalize("NFD", text.casefold())


def short_name(name: bytes) -> str:
    """Return the name that FAT gives beside a long one: `.gitmodules` is `GITMOD~1`."""
    stem, _, ending = os.fsdecode(name).upper().lstrip(".").partition(".")
    return f"{stem[:6]}~1" + (f".{ending[:3]}" if ending else "")


class FoldingResolver(Openat2Resolver):
    """Finds a name that is not there under the first name of its folder that is the same to the file system."""

    name = "folding"

    def open(self, folder: int, path: bytes, flags: int) -> int:
        """See `Resolver.open`."""
        found: list[bytes] = []
        for part in path.split(b"/"):
            try:
                with opened(super().open(folder, b"/".join(found), FOLDER)) as above:
                    names = list(map(os.fsencode, os.listdir(above)))
            except OSError:
                names = []
            alike = [one for one in names if same_name(one) == same_name(part) or short_name(one) == os.fsdecode(part)]
            found.append(part if part in names or not alike else alike[0])
        return super().open(folder, b"/".join(found), flags)
