"""Descriptors that are handed to the sandbox, closed in every other child."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from .launch import LOWEST_FREE_FD

_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Handed:
    """Descriptors that a child will have, numbered above its script's own, to be closed here as soon as it has them."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def take(self, descriptor: int) -> int:
        """Take over a descriptor and return the number that it has from now on."""
        try:
            number = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, LOWEST_FREE_FD)
        finally:
            os.close(descriptor)
        self.numbers.append(number)
        return number

    def share(self, descriptor: int) -> int:
        """Hand over a descriptor that stays the caller's, and return the number that the child has it under."""
        return self.take(os.dup(descriptor))

    def bytes(self, data: bytes) -> int:
        """Hand over bytes, to be read from the beginning and never to be changed."""
        return self.take(sealed(data))

    def close(self) -> None:
        """Close all of them."""
        while self.numbers:
            os.close(self.numbers.pop())


@contextmanager
def handed() -> Iterator[Handed]:
    """Give descriptors to hand over, closed at the end of the block at the latest."""
    descriptors = Handed()
    try:
        yield descriptors
    finally:
        descriptors.close()


def sealed(data: bytes) -> int:
    """Return a descriptor of memory that holds the bytes and can't be changed by anyone any more."""
    memory = os.memfd_create("cowork", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(memory, rest) :]
        os.lseek(memory, 0, os.SEEK_SET)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(memory)
        raise
    return memory


def pipe(stack: ExitStack) -> tuple[int, int]:
    """Return the ends of a pipe: the one to read from does not block and is closed with the stack."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    stack.callback(os.close, reading)
    os.set_blocking(reading, False)
    return reading, writing


def memory(stack: ExitStack) -> int:
    """Return a descriptor of memory, closed with the stack, for what bwrap says about itself.

    It is no pipe: bwrap would be ended by writing to one that nobody reads any more. Its child, which waits for a word
    of it, would wait for ever after an engine that was killed.
    """
    descriptor = os.memfd_create("cowork", os.MFD_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


def channel(stack: ExitStack) -> tuple[socket.socket, int]:
    """Return a socket that does not block, closed with the stack, and the descriptor of its other end."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    stack.enter_context(mine)
    mine.settimeout(0)
    return mine, theirs.detach()
