"""The view in a terminal: what is done stays as ordinary lines, what moves is taken away, colour is never needed."""

import re

import pytest

from tests.adapters.cli.command_line import DELETE_ALL, CommandLine

FILES = [f"{number:03}.txt" for number in range(80)]
READ_ALL = 'title = "Read"\n[[step]]\nid = "read"\naction = { kind = "file.read", match = "*.txt" }\n'
_COLOUR = re.compile(rb"\x1b\[[0-9;]*[34][0-7](;[0-9;]*)?m")


def test_a_batch_shows_how_far_it_is_and_leaves_one_line(cowork: CommandLine) -> None:
    cowork.fill(*FILES)
    with cowork.terminal("run", cowork.plan(DELETE_ALL), "--folder", "inbox", "--answer", "approve") as terminal:
        assert terminal.ended() == 0, terminal.text
        shown = terminal.text
    assert re.search(r"running   gone  \d+ of 80", shown)
    assert "80 done of 80 actions" in shown
    assert "position " in shown
    assert shown.count("delete 0") < len(FILES)
    assert cowork.files() == []


def test_what_is_done_stays_above_what_moves(cowork: CommandLine) -> None:
    cowork.fill("a.txt", "b.txt")
    with cowork.terminal("run", cowork.plan(READ_ALL), "--folder", "inbox") as terminal:
        assert terminal.ended() == 0
        raw = terminal.raw
    for name in (b"read a.txt", b"read b.txt"):
        line = next(line for line in raw.split(b"\n") if name in line and b"done" in line)
        assert b"\xe2\x9c\x93" in line
    # The cursor is shown again and the moving region taken away before the last sentence.
    end = raw.rindex(b"completed")
    assert raw.rindex(b"\x1b[?25h") < end
    assert b"\x1b[?25l" not in raw[end:]


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_respected(cowork: CommandLine, env: dict[str, str], coloured: bool) -> None:
    cowork.fill("a.txt")
    with cowork.terminal("run", cowork.plan(READ_ALL), "--folder", "inbox", env=env) as terminal:
        assert terminal.ended() == 0
        assert (_COLOUR.search(terminal.raw) is not None) is coloured
        assert "done" in terminal.text


@pytest.mark.parametrize(("more", "env"), [(("--plain",), {}), ((), {"TERM": "dumb"})])
def test_plainly_nothing_is_redrawn(cowork: CommandLine, more: tuple[str, ...], env: dict[str, str]) -> None:
    cowork.fill("a.txt")
    with cowork.terminal("run", cowork.plan(READ_ALL), "--folder", "inbox", *more, env=env) as terminal:
        assert terminal.ended() == 0
        assert b"\x1b" not in terminal.raw
        assert "done       read a.txt" in terminal.text


def test_markup_in_a_file_name_is_only_text(cowork: CommandLine) -> None:
    cowork.fill("[red]a[bold] :smile:.txt")
    with cowork.terminal("run", cowork.plan(READ_ALL), "--folder", "inbox") as terminal:
        assert terminal.ended() == 0
        assert "read [red]a[bold] :smile:.txt" in terminal.text


def test_a_narrow_terminal_cuts_nothing_that_stays(cowork: CommandLine) -> None:
    name = f"{'long' * 30}.txt"
    cowork.fill(name)
    with cowork.terminal("run", cowork.plan(READ_ALL), "--folder", "inbox", columns=30) as terminal:
        assert terminal.ended() == 0
        assert f"read {name}" in terminal.text.replace("\n", "")
