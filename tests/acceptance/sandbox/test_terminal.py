"""SHL-18: a command of an engine in a real terminal types nothing into it and paints nothing on it."""

import os
import re
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.acceptance.sandbox.field import CANARY, Field
from tests.acceptance.sandbox.oracle import Watch
from tests.acceptance.sandbox.process import (
    environment,
    plan_of,
    played_of,
    run_cowork,
    run_plan,
    step,
    tasks_of,
    write_plan,
)
from tests.adapters.cli.command_line import COWORK, Terminal

TYPING = """
import fcntl, os, pty, struct, sys, termios
def tried(what, deed):
    try:
        deed()
    except (OSError, termios.error) as error:
        return
    print("worked:", what)
ends = {"stdin": 0, "stdout": 1, "stderr": 2}
for path in ("/dev/tty", "/dev/console", "/dev/tty0", "/dev/pts/0", "/dev/pts/1", "/proc/self/fd/0", "/proc/1/fd/0"):
    try:
        ends[path] = os.open(path, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        pass
for name, end in ends.items():
    for character in b"echo INJECTED\\n":
        tried(f"TIOCSTI {name}", lambda: fcntl.ioctl(end, termios.TIOCSTI, bytes([character])))
    for request in (0x541C, 1 << 32 | 0x5412, 0x5412 | 1 << 63):
        tried(f"ioctl {request:x} {name}", lambda: fcntl.ioctl(end, request & 0xFFFFFFFF, b"\\2"))
    tried(f"attributes {name}", lambda: termios.tcgetattr(end))
    tried(f"size {name}", lambda: fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 1, 1, 0, 0)))
    tried(f"controlling {name}", lambda: fcntl.ioctl(end, termios.TIOCSCTTY, 1))
    print(name, os.isatty(end)) if os.isatty(end) else None
mine, theirs = pty.openpty()
tried("TIOCSTI on its own", lambda: fcntl.ioctl(theirs, termios.TIOCSTI, b"x"))
print("done")
"""

PAINTING = {
    "clipboard": "\x1b]52;c;ZWNobyBwd25lZA==\x07",
    "title": "\x1b]0;PWNED\x07\x1b]2;PWNED\x1b\\",
    "queries": "\x1b[c\x1b[>c\x1b[=c\x1b[6n\x1b[5n\x1b[?6n\x1bZ\x05\x1b[18t\x1b[21t\x1bP$qm\x1b\\\x1b]10;?\x07",
    "C1": "\x9b6n\x9d0;PWNED\x9c\x90+q544e\x9c",
    "clearing": "\x1b[2J\x1b[H\x1b[3J\x1bc\x1b[?1049h\x1b[?25l",
    "over the line": "\rAPPROVED\b\b\b\b\x7f\x0b\x0c\x1b[1A\x1b[2K",
    "link": "\x1b]8;;http://evil.test/\x1b\\here\x1b]8;;\x1b\\",
    "keys": "\x1b[?1000h\x1b[?2004h\x1b=\x1b[>4;2m\x1b#8\x0e",
    "direction": "\u202etxt.exe\u2066x\u2069\u200b\u200f\ufeff",
    "reports": "\x1b]4;0;?\x07\x1b]11;?\x1b\\\x1b_Gi=31;AAAA\x1b\\\x1b]1337;File=inline=1:AA==\x07",
}


@contextmanager
def in_a_terminal(field: Field, actions: list[dict[str, Any]], *arguments: str) -> Iterator[Terminal]:
    """Run a plan in a terminal, and hold what it did against the oracle."""
    plan = write_plan(field, plan_of(*actions))
    watch = Watch(field, seconds_max=40)
    # What is typed into the terminal waits there, also after the command: then it is counted.
    counting = (
        "import fcntl, struct, subprocess, sys, termios, time; status = subprocess.call(sys.argv[1:]); time.sleep(0.3);"
        "left = struct.unpack('i', fcntl.ioctl(0, termios.FIONREAD, b'1234'))[0];"
        "size = struct.unpack('HHHH', fcntl.ioctl(0, termios.TIOCGWINSZ, b'12345678'))[:2];"
        "print('ENDED', status, 'TYPED', left, 'SIZE', *size, flush=True)"
    )
    command = [str(COWORK), "run", plan, "--folder", str(field.grant), *arguments]
    with Terminal([sys.executable, "-c", counting, *command], field.base, environment(field), 40, 100) as terminal:
        tty.setraw(terminal.fd, termios.TCSANOW)
        yield terminal
        terminal.ended(40)
    watch.stop()
    watch.require_clean()
    assert CANARY not in terminal.raw
    assert "INJECTED" not in terminal.text.replace("echo INJECTED", "")
    ends = re.findall(r"ENDED (-?\d+) TYPED (\d+) SIZE (\d+) (\d+)", terminal.text)
    assert [end[1:] for end in ends] == [("0", "40", "100")], terminal.text


def of_the_view(raw: bytes) -> bytes:
    """Return what was shown without the sequences that `cowork` itself draws with: colours, and moving about lines."""
    return re.sub(rb"\x1b\[[0-9;]*[mKA-H]|\x1b\[\?(25|2026)[hl]|\x1b\[[02]?J", b"", raw)


@pytest.mark.parametrize("arguments", [(), ("--verbose",), ("--plain",), ("--plain", "--verbose")], ids=" ".join)
def test_nothing_is_typed_and_nothing_is_painted(field: Field, arguments: tuple[str, ...]) -> None:
    typing = {"kind": "code.run", "python": TYPING, "args": [field.marker]}
    programs = step(field, "stty; stty -F /dev/tty raw; tput clear; reset; clear; script -c true /dev/null; mesg; true")
    painting = "".join(PAINTING.values())
    loud = step(field, 'printf "%s" "$1"; printf "%s" "$1" >&2; printf "%s\\n" "$1" >&2; exit 3', painting)
    named = step(field, 'mkdir "$1"; echo x >"x$1"; exit 0', "\u202egnp\x1b]0;x\x07", writes="staged")
    with in_a_terminal(field, [typing, programs, loud, named], "--answer", "approve", *arguments) as terminal:
        terminal.read_until("ENDED", seconds=40)
    shown = of_the_view(terminal.raw)
    rest = [byte for byte in shown if (byte < 32 and byte not in b"\r\n\t") or byte == 127]
    assert rest == [], shown[-3000:]
    text = shown.decode("utf-8")
    assert not set(text) & {"\u202e", "\u2066", "\u2069", "\u200b", "\u200f", "\ufeff", "\x9b", "\x9d", "\x90", "\x9c"}
    (task_id,) = tasks_of(field)
    actions = played_of(field, task_id).actions
    assert actions[0].out == "done\n", actions[0].out
    assert (actions[1].word, actions[2].word) == ("completed", "failed/exit")
    # The record has the bytes as they were printed.
    assert actions[2].out == painting


def test_keys_pressed_ahead_are_no_answer_to_a_question_about_a_command(field: Field) -> None:
    action = step(field, "echo ran", writes="none")
    with in_a_terminal(field, [action]) as terminal:
        os.write(terminal.fd, b"a")
        terminal.read_until("approve", seconds=30)
        terminal.press("r", after=1.5)
        terminal.read_until("ENDED", seconds=30)
    (task_id,) = tasks_of(field)
    assert played_of(field, task_id).only.word == "denied/rejected"


def test_looking_at_a_command_later_paints_nothing_either(field: Field) -> None:
    painting = "".join(PAINTING.values())
    loud = step(field, 'printf "%s" "$1"; printf "%s\\n" "$1" >&2; exit 3', painting)
    ended = run_plan(field, plan_of(loud))
    task_id = ended.task.task.task_id
    for look in (["task", "show", task_id], ["task", "summary", task_id], ["replay", task_id], ["audit", "log"]):
        shown = run_cowork(field, *look)
        assert shown.out, (look, shown)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", shown.out), (
            look
        )
