"""Signals that end a command: none of them is lost, wherever it comes.

Python lets Ctrl-C raise `KeyboardInterrupt` at the next instruction. Inside some code of libraries (a destructor, a
callback from compiled code) nothing can be raised: the interpreter prints a trace, goes on, and the signal has had no
effect. Such a one comes again a moment later.
"""

import signal
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_AGAIN_S: Final = 0.005


def heed_signals() -> None:
    """Let SIGTERM end a command as Ctrl-C does, and let no signal be swallowed.

    While a task runs, `carrying.py` pauses it instead.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    sys.unraisablehook = _raise_later


def _raise_later(swallowed: "UnraisableHookArgs") -> None:
    if issubclass(swallowed.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
    else:
        sys.__unraisablehook__(swallowed)
