"""Search in file contents with RE2, which takes time proportional to the text whatever the pattern, within a budget."""

import os
import time
from collections import Counter
from typing import Final, Protocol

import msgspec
import re2

from ...domain.action import FileSearch
from ...domain.effect import Result
from ...domain.glob import parse_glob
from ...domain.path import components, name_of_text, text_of_name
from ...domain.places import is_engines, is_hidden, is_sensitive
from ...engine.ports import Done, Permit
from .failure import PathError
from .places import granted, require_same
from .reading import counted
from .resolver import ENTRY, FOLDER, opened
from .state import chunks_of, kind_of, open_data, state_of, walk
from .world import World

_JSON: Final = msgspec.json.Encoder()
_LINE_BYTES_MAX: Final = 1000
_PATTERN_BYTES_MAX: Final = 10_000
_BINARY_LOOK_BYTES: Final = 8192
_PATTERN_MEMORY_BYTES: Final = 8 * 1024 * 1024


class Match(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One line that matches: path below the granted folder, number from 1, text. `cut` says that the line goes on."""

    path: str
    line: int
    text: str
    cut: bool = False


class Matches(msgspec.Struct, frozen=True, rename="camel"):
    """The result of a search. `skipped` counts, by reason, the files that were not searched.

    The reasons are `hidden`, `sensitive`, `binary`, `large`, `hardLinked`, `special` and `unreadable`.
    """

    matches: list[Match]
    files_searched: int
    skipped: dict[str, int]


class _Span(Protocol):
    def start(self) -> int: ...


class _Pattern(Protocol):
    def search(self, text: bytes, pos: int) -> _Span | None: ...


def compile_pattern(pattern: str) -> _Pattern:
    """Return the compiled pattern, with `^` and `$` those of a line. Raises `PathError` name for one that is none."""
    if len(pattern.encode("utf-8", "surrogatepass")) > _PATTERN_BYTES_MAX:
        raise PathError("limit", f"a pattern has at most {_PATTERN_BYTES_MAX:,} bytes")
    options = re2.Options()
    options.log_errors = False
    options.never_nl = True
    options.never_capture = True
    options.max_mem = _PATTERN_MEMORY_BYTES
    try:
        compiled: _Pattern = re2.compile(f"(?m:{pattern})".encode(), options)
    except (re2.error, UnicodeEncodeError) as error:
        raise PathError("name", f"`{pattern}` is no RE2 pattern: {_words_of(error)}") from error
    return compiled


def _words_of(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)


def perform_search(world: World, permit: Permit, action: FileSearch) -> Done:
    """Search a file, or the files of a folder. The result is a JSON object of `Matches`; no syncs but the blob's."""
    search = _Search(world, action)
    path = name_of_text("/".join(components(action.at.path)))
    with granted(world, permit.scope, action.at) as root:
        with opened(world.resolver.open(root, path, ENTRY)) as entry:
            status = os.fstat(entry)
        require_same(permit.facts.target, state_of(status), action.at.path)
        if kind_of(status.st_mode) == "folder":
            with opened(world.resolver.open(root, path, FOLDER)) as folder:
                search.folder(folder)
        else:
            search.file(root, path, "", status)
    content = world.blobs.put(_JSON.encode(search.matches()))
    return Done(result=Result(summary=search.summary(), digest=content.digest, size=content.size))


class _Search:
    """One search with its budget."""

    def __init__(self, world: World, action: FileSearch) -> None:
        self._world = world
        self._pattern = compile_pattern(action.pattern)
        self._glob = parse_glob(action.glob) if action.glob else None
        self._at = "/".join(components(action.at.path))
        self._ends_at = time.monotonic() + world.limits.search_s_max
        self._bytes_left = world.limits.search_bytes_max
        self._found: list[Match] = []
        self._files = 0
        self._skipped: Counter[str] = Counter()

    def folder(self, folder: int) -> None:
        """Search the files beneath the folder, in the byte order of their paths."""
        found = walk(
            self._world.resolver,
            folder,
            entries_max=self._world.limits.list_entries_max,
            lenient=True,
            enters=lambda path: not self._is_closed(text_of_name(path)),
        )
        for path, status in sorted(found, key=lambda item: item[0]):
            kind = kind_of(status.st_mode)
            below = text_of_name(path)
            if kind in ("folder", "link") or is_engines(below) or (self._glob and not self._glob.matches(below)):
                continue
            self.file(folder, path, below, status)

    def file(self, folder: int, path: bytes, below: str, status: os.stat_result) -> None:
        """Search one file, `below` the place where the search began (empty for that place itself)."""
        reason = self._reason_to_skip(below, status)
        if reason:
            self._skipped[reason] += 1
            return
        try:
            with opened(open_data(self._world.resolver, folder, path, status)) as fd:
                data = b"".join(chunks_of(fd, bytes_max=self._world.limits.search_file_bytes_max))
        except (OSError, PathError):
            self._skipped["unreadable"] += 1
            return
        if b"\x00" in data[:_BINARY_LOOK_BYTES]:
            self._skipped["binary"] += 1
            return
        self._spend(len(data))
        self._files += 1
        self._lines(self._shown(below), data)

    def matches(self) -> Matches:
        """Return everything that was found."""
        return Matches(self._found, self._files, dict(sorted(self._skipped.items())))

    def summary(self) -> str:
        """Return the counts in one sentence."""
        in_files = len({match.path for match in self._found})
        found = f"{counted(len(self._found), 'matching line')} in {counted(in_files, 'file')}"
        skipped = sum(self._skipped.values())
        return f"{found}, {counted(self._files, 'file')} searched" + (f", {skipped:,} skipped" if skipped else "")

    def _shown(self, below: str) -> str:
        return "/".join(part for part in (self._at, below) if part)

    def _is_closed(self, below: str) -> bool:
        return is_hidden(below) or is_sensitive(self._shown(below))

    def _reason_to_skip(self, below: str, status: os.stat_result) -> str:
        if is_hidden(below):
            return "hidden"
        if is_sensitive(self._shown(below)):
            return "sensitive"
        if kind_of(status.st_mode) != "file":
            return "special"
        if status.st_nlink > 1:
            return "hardLinked"
        return "large" if status.st_size > self._world.limits.search_file_bytes_max else ""

    def _spend(self, size: int) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise PathError("limit", f"a search reads at most {self._world.limits.search_bytes_max:,} bytes")

    def _lines(self, shown: str, data: bytes) -> None:
        """Add each line with a match once; the search goes on behind the line, so nothing is scanned twice for it."""
        position = number = counted_to = 0
        while position <= len(data):
            if time.monotonic() > self._ends_at:
                raise PathError("limit", f"a search takes at most {self._world.limits.search_s_max:g} seconds")
            span = self._pattern.search(data, position)
            if span is None or (span.start() == len(data) and data.endswith(b"\n")):
                return
            begin = data.rfind(b"\n", 0, span.start()) + 1
            end = data.find(b"\n", span.start())
            end = len(data) if end < 0 else end
            number += data.count(b"\n", counted_to, begin)
            counted_to = begin
            if len(self._found) >= self._world.limits.search_matches_max:
                raise PathError("limit", f"more than {self._world.limits.search_matches_max:,} lines match")
            line = data[begin:end]
            text = line[:_LINE_BYTES_MAX].decode("utf-8", "replace")
            self._found.append(Match(shown, number + 1, text, cut=len(line) > _LINE_BYTES_MAX))
            position = end + 1
