"""Writing to standard output and standard error.

When the reader of standard output is gone (`cowork run … | head`, a closed terminal), what is written from then on is
dropped and the command goes on to its end: a task does not depend on somebody watching it, and its events are in the
log. A disk that is full under a redirected output is said once on standard error and ends in status 1.
"""

import codecs
import errno
import os
import sys
from typing import Final, TextIO

_READER_GONE: Final = (errno.EPIPE, errno.EIO, errno.ECONNRESET)
_lost: list[str] = []


def line(text: str = "") -> None:
    """Write a line to standard output. `text` must be visible text (`projections/visible_text.py`) or our own."""
    _write(sys.stdout, f"{text}\n")


def note(text: str) -> None:
    """Write a line to standard error, for what is not part of the answer."""
    _write(sys.stderr, f"{text}\n")
    _flush(sys.stderr)


def document(value: object) -> None:
    """Write a value as one indented JSON document."""
    import msgspec

    exactly(msgspec.json.format(msgspec.json.encode(value), indent=2))


def raw(data: bytes) -> None:
    """Write bytes to standard output as they are."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        _drop(sys.stdout, error)


def object_line(value: object) -> None:
    """Write a value as JSON on one line."""
    import msgspec

    exactly(msgspec.json.encode(value))


def exactly(text: bytes) -> None:
    """Write a line for programs, UTF-8 whatever the encoding: the escapes of `prepare` are none of JSON or TOML."""
    encoding = sys.stdout.encoding
    if encoding is None or codecs.lookup(encoding).name == "utf-8":
        line(text.decode())
    else:
        raw(text + b"\n")


def flush() -> None:
    """Let what was written go out now."""
    _flush(sys.stdout)


def was_lost() -> bool:
    """Whether output was lost for another reason than that nobody read it."""
    return bool(_lost)


def prepare() -> None:
    """Make both streams able to take every text: what their encoding lacks is written as an escape.

    A stream that the command was started without leads nowhere: else the first file that is opened would be it.
    """
    import io

    _fill_gaps()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fill_gaps() -> None:
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is taken, which is this one: those beneath it have been filled.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)  # noqa: FBT003 - it takes no name
    # Python leaves a stream out whose descriptor was closed, whatever its type says.
    sys.stdin = sys.stdin or os.fdopen(0, "r", encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except OSError as error:
        _drop(stream, error)


def _flush(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError as error:
        _drop(stream, error)


def _drop(stream: TextIO, error: OSError) -> None:
    """Send the stream's text to nowhere from here on, so that nothing later stumbles over it again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    if error.errno not in _READER_GONE and stream is sys.stdout and not _lost:
        _lost.append(str(error))
        note(f"error: the output can't be written: {error.strerror}")
