"""The command line on a store and a folder of its own."""

from pathlib import Path

import pytest

from tests.adapters.cli.command_line import CommandLine


@pytest.fixture
def cowork(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)
