"""Single keys from the terminal, without echo, with nothing that was typed too early and with a way to be woken.

A terminal that is gone, at whatever moment, is the end of the input and no error.
"""

import codecs
import errno
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

SETTLING_S: Final = 0.4
"""How long no key may have been pressed before one counts as an answer to what has just appeared."""


class Woken(Exception):  # noqa: N818 - not an error: somebody else has decided
    """Waiting for a key was ended from outside."""


class Keyboard:
    """Reads keys from standard input. `wake` may be called from any thread, and ends every waiting from then on."""

    def __init__(self) -> None:
        self._fd = sys.stdin.fileno()
        self._woken, self._waker = os.pipe()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._woken)
        os.close(self._waker)

    def wake(self) -> None:
        """End the waiting for a key."""
        os.write(self._waker, b"!")

    @contextmanager
    def keys(self) -> Iterator[None]:
        """Have keys come one at a time and unseen for the length of the block; Ctrl-C still interrupts."""
        before: list[Any] | None = None
        try:
            with _while_it_is_there():
                before = termios.tcgetattr(self._fd)
                tty.setcbreak(self._fd, termios.TCSADRAIN)
            yield
        finally:
            if before is not None:
                with _while_it_is_there():
                    termios.tcsetattr(self._fd, termios.TCSADRAIN, before)

    def forget(self) -> None:
        """Drop what was typed before now."""
        with _while_it_is_there():
            termios.tcflush(self._fd, termios.TCIFLUSH)

    def settle(self) -> None:
        """Drop what was typed before now, and wait until no key has been pressed for `SETTLING_S`.

        Somebody who types on, or holds a key down, does not answer what has just appeared. Raises `Woken`.
        """
        self.forget()
        quiet_from = time.monotonic()
        while (left := quiet_from + SETTLING_S - time.monotonic()) > 0:
            if self._ready(left):
                if not self._read():
                    return
                quiet_from = time.monotonic()

    def key(self, timeout_s: float) -> str | None:
        """Return the next key; None when the time is over. Pasted text is no key and is dropped.

        The end of the input is the empty text. Raises `Woken`.
        """
        until = time.monotonic() + timeout_s
        while (left := until - time.monotonic()) > 0:
            text = self.typed(left)
            if text is None or len(text) <= 1:
                return text
        return None

    def typed(self, timeout_s: float) -> str | None:
        """Return what was typed or pasted next, one character or many; None and the empty text as `key`."""
        until = time.monotonic() + timeout_s
        while (left := until - time.monotonic()) > 0:
            if self._ready(left):
                read = self._read()
                text = self._decoder.decode(read)
                if text or not read:
                    return text
        return None

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 1024)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return b""

    def _ready(self, timeout_s: float) -> bool:
        readable, _, _ = select.select([self._fd, self._woken], [], [], max(0.0, timeout_s))
        if self._woken in readable:
            raise Woken
        return self._fd in readable


@contextmanager
def _while_it_is_there() -> Iterator[None]:
    try:
        yield
    except termios.error as error:
        if error.args[0] != errno.EIO:
            raise
