"""The command `cowork`: its command groups, and the last frame, where every error becomes a sentence and a status."""

import sys
from typing import TYPE_CHECKING, Final

try:
    from cyclopts import App, CycloptsError
except KeyboardInterrupt:
    # Nothing has begun yet, so nothing needs to be said either.
    sys.exit(3)

from . import output
from .argument_text import READ_ALIKE
from .exit_status import EXPLAINED, OF_ERROR, ExitStatus

if TYPE_CHECKING:
    from ...domain.errors import DomainError

_HELP: Final = """Let agents work on your files: every action is proposed, decided by rules, confirmed by you where the
rules say so, and recorded.

Begin with `cowork demo`, which shows a whole task in a folder of its own.

`cowork COMMAND --help` explains a command and gives examples."""


def _version() -> str:
    from importlib.metadata import version

    return f"cowork {version('cowork')}"


app = App(
    name="cowork",
    help=_HELP,
    help_format="plaintext",
    help_epilogue=EXPLAINED,
    version_flags=["--version"],
    version=_version,
    default_parameter=READ_ALIKE,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

# Commands are imported when they are used: the start of a program that is called often has to be fast.
_COMMANDS: Final = {
    "run": "run:run",
    "resume": "run:resume",
    "queue": "work:queue",
    "work": "work:work",
    "digest": "digest:digest",
    "undo": "undo:undo",
    "task": "task:app",
    "confirmation": "confirmation:app",
    "grant": "grant:app",
    "policy": "policy:app",
    "audit": "audit:app",
    "replay": "replay:replay",
    "projections": "projections:app",
    "session": "session:app",
    "store": "store:app",
    "doctor": "doctor:doctor",
    "demo": "demo:demo",
}
for _name, _place in _COMMANDS.items():
    app.command(f"{__package__}.{_place}", name=_name)


def main() -> None:
    """Run the command line and exit with its status."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> ExitStatus:
    """Run one command and return its status; whatever happens, a person gets a sentence and no trace."""
    from .interrupts import heed_signals

    output.prepare()
    heed_signals()
    status = _guarded(arguments)
    output.flush()
    return ExitStatus.FAILED if output.was_lost() and status == ExitStatus.DONE else status


def _guarded(arguments: list[str]) -> ExitStatus:
    from ...domain.errors import DomainError

    wants_json = "--json" in arguments
    try:
        result = app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        from .usage import usage_error

        return _refuse(usage_error(error), wants_json=wants_json)
    except DomainError as error:
        return _refuse(error, wants_json=wants_json)
    except KeyboardInterrupt:
        output.note("interrupted")
        return ExitStatus.WAITING
    except Exception as error:  # the last frame: a bug becomes one sentence here, and a trace in the log
        from .bug import report_bug

        return report_bug(error, arguments, wants_json=wants_json)
    return result if isinstance(result, ExitStatus) else ExitStatus.DONE


def _visible(sentence: str) -> str:
    """Return the sentence with what hides written out. Parts of it may be visible text already: backslashes stay."""
    from ...projections.visible_text import visible_line

    return "\\".join(map(visible_line, sentence.split("\\")))


def _refuse(error: "DomainError", *, wants_json: bool) -> ExitStatus:
    output.flush()
    output.note(f"error: {_visible(error.message)}")
    if error.hint:
        output.note(f"hint: {_visible(error.hint)}")
    if wants_json:
        output.object_line({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
    return OF_ERROR[error.code]
