"""The talk with stage 0 over a socket: it says that it is ready, is told to go, and is heard of no more."""

import re
import socket
from typing import Final

import anyio
import msgspec

_FDS_MAX: Final = 4
_MESSAGE_BYTES_MAX: Final = 4096


class Ready(msgspec.Struct, frozen=True):
    """Stage 0 has closed all doors and waits; `listener` is where the command will look for its proxy."""

    listener: socket.socket | None


class NotReady(msgspec.Struct, frozen=True):
    """It did not get that far: what it said, or nothing where it never began."""

    said: str


async def await_ready(channel: socket.socket) -> Ready | NotReady:
    """Wait until stage 0 is ready, or ends."""
    await anyio.wait_readable(channel)
    data, descriptors, _, _ = socket.recv_fds(channel, _MESSAGE_BYTES_MAX, _FDS_MAX)
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    if data == b"R" and len(sockets) <= 1:
        for listener in sockets:
            listener.settimeout(0)
        return Ready(sockets[0] if sockets else None)
    for unexpected in sockets:
        unexpected.close()
    return NotReady(data[2:].decode("utf-8", "replace") if data.startswith(b"F ") else "")


async def go(channel: socket.socket) -> int | None:
    """Tell stage 0 to become the command; return the number of the error where that failed, None where it did not."""
    try:
        channel.send(b"G")
    except OSError:
        return None  # It is gone already, which its exit status tells better.
    await anyio.wait_readable(channel)
    try:
        data = channel.recv(_MESSAGE_BYTES_MAX)
    except ConnectionResetError:
        return None
    failure = re.fullmatch(rb"E ([0-9]{1,4})", data)
    return int(failure[1]) if failure else None
