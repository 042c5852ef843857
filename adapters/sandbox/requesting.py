"""What is wrong with a command before anything is looked at: what the kernel or the sandbox would not take."""

import re
from collections.abc import Iterator
from typing import Final

from ...domain.action import CommandAction, ShellExec
from ...domain.environment import refused_names
from ...domain.errors import DomainError
from ...domain.facts import Obstacle
from ...domain.path import name_of_text
from ...engine.limits import COMMAND_ARGUMENT_BYTES_MAX, COMMAND_S_DEFAULT, READ_BYTES_MAX
from ...engine.ports import BlobStore
from .bubblewrap import PYTHON
from .view import CODE_FILE

_HALF: Final = re.compile("[\ud800-\udfff]")


def find_obstacle_of_request(action: CommandAction, blobs: BlobStore, seconds_max: int) -> Obstacle | None:
    """Return why a command can't be run as it is asked for, or None."""
    for problem in _problems(action, blobs, seconds_max):
        return problem
    return None


def argv_of(action: CommandAction) -> tuple[bytes, ...]:
    """Return the argument vector, as the operating system knows it. Raises `DomainError` invalid.

    Code is run isolated: no folder of the granted one is looked for modules in, and no variable of the environment
    changes what the interpreter does.
    """
    words = action.argv if isinstance(action, ShellExec) else (PYTHON, "-I", "-B", "-u", CODE_FILE, *action.args)
    if any(_HALF.search(word) for word in words):
        raise DomainError("invalid", "an argument holds half of a character")
    return tuple(name_of_text(word) for word in words)


def code_of(action: CommandAction) -> bytes | None:
    """Return the Python source that is to be run, None for a command. Raises `DomainError` invalid."""
    if isinstance(action, ShellExec):
        return None
    if _HALF.search(action.python):
        raise DomainError("invalid", "the code holds half of a character")
    return action.python.encode()


def seconds_of(action: CommandAction) -> int:
    """Return how long a command may take."""
    return COMMAND_S_DEFAULT if action.timeout_s is None else action.timeout_s


def _problems(action: CommandAction, blobs: BlobStore, seconds_max: int) -> Iterator[Obstacle]:
    if isinstance(action, ShellExec) and (not action.argv or not action.argv[0]):
        yield Obstacle("name", "a command needs the name of a program")
    try:
        arguments = argv_of(action)
        code_of(action)
    except DomainError as error:
        yield Obstacle("name", error.message)
        return
    if any(b"\0" in argument for argument in arguments):
        yield Obstacle("name", "an argument can't contain NUL")
    if any(len(argument) >= COMMAND_ARGUMENT_BYTES_MAX for argument in arguments):
        yield Obstacle("limit", f"an argument has less than {COMMAND_ARGUMENT_BYTES_MAX:,} bytes")
    refused = refused_names(action.env)
    if refused:
        names = ", ".join(f"`{name}`" for name in refused)
        yield Obstacle("policy", f"a command's environment can't have {names}")
    if action.timeout_s is not None and not 0 < action.timeout_s <= seconds_max:
        yield Obstacle("limit", f"a command takes 1 to {seconds_max:,} s, not `{action.timeout_s}`")
    if action.stdin is not None:
        if action.stdin.size > READ_BYTES_MAX:
            yield Obstacle("limit", f"a command's input has at most {READ_BYTES_MAX:,} bytes")
        if not blobs.has(action.stdin.digest):
            yield Obstacle("not_found", f"no content `{action.stdin.digest}` is kept for the command's input")
