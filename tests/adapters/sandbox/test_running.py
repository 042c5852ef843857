"""Commands run, print, are given input, end, and leave nothing behind."""

import pytest

from cowork.domain.action import FileCreate, FileWrite
from tests.adapters.sandbox.ground import Ground

pytestmark = pytest.mark.anyio


async def test_a_command_sees_its_folder_and_its_output_is_kept(ground: Ground) -> None:
    (ground.grant / "a.txt").write_text("hello\n")
    ran = await ground.run(ground.shell("cat", "a.txt"))
    assert (ran.out, ran.report.exit_code) == ("hello\n", 0)
    assert ground.witness.shown["stdout"] == b"hello\n"
    ground.require_no_residue()


async def test_what_a_writing_command_changes_is_proposed_and_not_done(ground: Ground) -> None:
    (ground.grant / "a.txt").write_text("hello\n")
    ran = await ground.run(ground.line("echo more >>a.txt; echo new >b.txt", writes=True))
    staged = ran.done().staged
    assert [type(change.action) for change in staged] == [FileWrite, FileCreate]
    assert (ground.grant / "a.txt").read_text() == "hello\n"
    assert not (ground.grant / "b.txt").exists()
    ground.require_no_residue()
