"""What a command printed, as text that is safe to look at: line by line, every control character written out."""

import codecs
import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from ...domain.path import FOREIGN_BYTE
from ...projections.visible_text import visible_line, visible_lines

Stream: TypeAlias = Literal["stdout", "stderr"]

UNFINISHED_CHARACTERS_MAX: Final = 2_000
"""How long a line may get before its beginning is shown: a program may print without ever ending a line."""

_SURROGATE: Final = re.compile("[\udc80-\udcff]")
MARKS: Final[dict[Stream, str]] = {"stdout": "|", "stderr": "!"}
"""What stands before a line, by where it was printed."""


class PrintedLine(NamedTuple):
    """One line that a command printed, in visible characters."""

    stream: Stream
    text: str

    def shown(self) -> str:
        """Return the line with a mark that says where it was printed."""
        return f"{MARKS[self.stream]} {self.text}".rstrip()


def printed_lines(data: bytes) -> tuple[str, ...]:
    """Return all that was printed as visible lines; bytes that are no UTF-8 are written out as well."""
    if not data:
        return ()
    return visible_lines(_text(data.decode("utf-8", "surrogateescape")).removesuffix("\n"))


def _text(decoded: str) -> str:
    return _SURROGATE.sub(lambda found: chr(ord(found[0]) - 0xDC00 + FOREIGN_BYTE), decoded)


class PrintedText:
    """Puts what commands print while they run together to lines. `last` is the line that was printed last."""

    def __init__(self) -> None:
        self.last = ""
        self._decoders: dict[tuple[str, Stream], codecs.IncrementalDecoder] = {}
        self._unfinished: dict[tuple[str, Stream], str] = {}

    def take(self, action_id: str, stream: Stream, chunk: bytes) -> Iterator[PrintedLine]:
        """Yield the lines that are whole with this chunk."""
        yield from self._taken((action_id, stream), chunk, final=False)

    def end(self, action_id: str) -> Iterator[PrintedLine]:
        """Yield what a command that has ended printed last, without a line feed."""
        for key in [key for key in self._decoders if key[0] == action_id]:
            yield from self._taken(key, b"", final=True)
            rest = self._unfinished.pop(key)
            del self._decoders[key]
            if rest:
                yield PrintedLine(key[1], visible_line(rest))
        self.last = ""

    def _taken(self, key: tuple[str, Stream], chunk: bytes, *, final: bool) -> Iterator[PrintedLine]:
        decoder = self._decoders.get(key)
        if decoder is None:
            decoder = self._decoders[key] = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        *whole, rest = (self._unfinished.get(key, "") + _text(decoder.decode(chunk, final))).split("\n")
        while len(rest) > UNFINISHED_CHARACTERS_MAX:
            whole.append(rest[:UNFINISHED_CHARACTERS_MAX])
            rest = rest[UNFINISHED_CHARACTERS_MAX:]
        self._unfinished[key] = rest
        self._remember([*whole, rest])
        for line in whole:
            yield PrintedLine(key[1], visible_line(line))

    def _remember(self, lines: list[str]) -> None:
        """Keep the last line with something on it; of one that a program draws anew, what it drew last."""
        for line in reversed(lines):
            drawn = line.rstrip("\r").rpartition("\r")[2]
            if drawn.strip():
                self.last = visible_line(drawn)
                return
