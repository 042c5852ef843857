"""What a person and a developer get of an error that nobody expected: a sentence, and a trace in a file."""

import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from ...projections.visible_text import visible
from . import output
from .exit_status import ExitStatus


def report_bug(error: Exception, arguments: list[str], *, wants_json: bool) -> ExitStatus:
    """Print one sentence, keep the trace in a file beside the store, and return the status of a bug.

    With the environment variable COWORK_DEBUG=1 the trace is printed instead.
    """
    trace = "".join(traceback.format_exception(error))
    message = f"cowork has a bug: {type(error).__name__}: {visible(str(error).partition(chr(10))[0])}"
    if os.environ.get("COWORK_DEBUG") == "1":
        hint = "the trace is above"
        output.note(trace)
    else:
        hint = _kept(trace, arguments)
    output.note(f"error: {message}")
    output.note(f"hint: {hint}")
    if wants_json:
        output.object_line({"error": {"code": "bug", "message": message, "hint": hint}})
    return ExitStatus.BUG


def _kept(trace: str, arguments: list[str]) -> str:
    """Write the trace to a file and return the sentence that says where; never raises for what the disk does."""
    now = datetime.now(UTC)
    name = f"bug-{now:%Y%m%d-%H%M%S}-{os.getpid()}.log"
    text = f"{now.isoformat()}\ncowork {' '.join(map(visible, arguments))}\n\n{trace}"
    for folder in (_log_folder(arguments), Path(tempfile.gettempdir())):
        try:
            # Not with its parents: a store that is not there is not made by an error.
            folder.mkdir(mode=0o700, exist_ok=True)
            path = folder / name
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return f"please report it with the trace in {visible(str(path))}"
    return "please report it with what COWORK_DEBUG=1 prints"


def _log_folder(arguments: list[str]) -> Path:
    """Return the folder for logs in the store that the command named, without relying on what may be broken."""
    named = os.environ.get("COWORK_STORE", "")
    for number, argument in enumerate(arguments):
        if argument == "--store" and number + 1 < len(arguments):
            named = arguments[number + 1]
        elif argument.startswith("--store="):
            named = argument.partition("=")[2]
    if not named:
        from ..bootstrap import default_store_dir

        return default_store_dir() / "logs"
    return Path(named) / "logs"
