"""The command in this process: the same arguments, output and status as the installed one, in a tenth of the time.

What is about processes (signals, terminals, standard input, the installed program itself) is tested with
`CommandLine.run`, which starts one.
"""

import contextlib
import io
import os
import signal
from collections.abc import Iterator, Mapping
from unittest.mock import patch

from cowork.adapters.cli.main import run_command
from tests.adapters.cli.command_line import CommandLine, Ended


class InProcess(CommandLine):
    """A `CommandLine` whose commands run here."""

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, self.environment(env), clear=True),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            _signals_kept(),
        ):
            status = run_command(list(arguments))
        return Ended(status.value, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
