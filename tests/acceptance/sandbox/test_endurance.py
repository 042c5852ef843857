"""SHL-19, 22: nothing outlives a command, and nothing that it uses up is used up for the engine."""

import os
import time

import anyio
import pytest

from cowork.adapters.sandbox.performing import Bounds
from cowork.adapters.sandbox.starting import Limits
from cowork.adapters.sandbox.watching import StagedLimits
from cowork.domain.action import FileRead
from cowork.engine.application import Application
from cowork.engine.limits import COMMAND_OUTPUT_BYTES_MAX
from tests.acceptance.sandbox.commands import Writes, code, here, shell
from tests.acceptance.sandbox.field import Field
from tests.acceptance.sandbox.playing import Setting, play
from tests.adapters.sandbox.ground import processes_with

pytestmark = pytest.mark.anyio

LEFT_BEHIND = {
    "in the background": 'sleep 9999 "$0" &',
    "setsid": 'setsid sh -c "sleep 9999" "$0" &',
    "setsid nohup": 'setsid nohup sh -c "sleep 9999" "$0" >/dev/null 2>&1 &',
    "two forks": '( ( setsid sh -c "sleep 9999" "$0" & ) & )',
    "holding the output": 'setsid sh -c "sleep 9999; echo late" "$0" &\n echo early',
    "deaf to signals": "trap '' TERM HUP INT QUIT; setsid sh -c \"trap '' TERM HUP; sleep 9999\" \"$0\" &",
    "stopped": 'setsid sh -c "kill -STOP \\$\\$; sleep 9999" "$0" &',
    "many": 'for i in 1 2 3 4 5 6 7 8; do setsid sh -c "sleep 9999" "$0" & done',
}
DAEMON = """
    import os, signal, sys, time
    for number in range(1, 32):
        if number not in (9, 17, 19):
            signal.signal(number, signal.SIG_IGN)
    for _ in range(2):
        if os.fork():
            os._exit(0)
        os.setsid()
    os.chdir("/")
    os.execv("/usr/bin/python3", ["python3", "-c", "import time; time.sleep(9999)", sys.argv[-1]])
    """


@pytest.mark.parametrize("how", LEFT_BEHIND)
async def test_nothing_is_left_running(field: Field, how: str) -> None:
    began = time.monotonic()
    played = await play(field, shell(field, f"{LEFT_BEHIND[how]}\nexit 0", writes="staged"))
    assert played.only.word == "completed", played.only
    assert time.monotonic() - began < 4
    assert processes_with(field.marker) == []


async def test_a_daemon_ends_with_its_command(field: Field, account: str) -> None:
    played = await play(field, code(field, DAEMON))
    assert played.only.word == "completed", played.only.err
    assert "late" not in played.only.out


async def test_nobody_can_be_asked_to_start_something_later(field: Field) -> None:
    line = """
        job="touch $1/pwned"
        try_line "echo '$job' | at now"; try_line "echo '$job' | batch"; try_line "echo '* * * * * $job' | crontab -"
        try_it crontab -l; try_it systemd-run --user touch "$1/pwned"; try_it systemd-run touch "$1/pwned"
        try_it systemctl --user status; try_it systemctl start x; try_it loginctl enable-linger; try_it machinectl list
        try_it dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.ListNames
        try_it dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.ListNames
        try_it gdbus call --session --dest org.freedesktop.systemd1 --object-path / --method x.y; try_it busctl list
        try_it docker ps; try_it podman ps; try_it tmux new -d "$job"
        try_it ssh -o BatchMode=yes localhost true; try_it xdg-open "$1"; try_it notify-send x
        ls -A /run /var/spool /tmp/.X11-unix "$XDG_RUNTIME_DIR" 2>/dev/null | grep -v '^/run:$' | grep .
        echo done
        """
    played = await play(field, shell(field, line, str(field.out)), setting=Setting(seconds_max=10))
    assert played.only.out.splitlines()[-1] == "done"
    # A terminal multiplexer may start: its server ends with the command.
    assert [line for line in played.only.out.splitlines()[:-1] if "tmux" not in line] == []


SMALL = Bounds(
    output_bytes=64 * 1024,
    limits=Limits(data_bytes=256 << 20, file_bytes=8 << 20, cpu_s=1, processes=64, tmp_bytes=8 << 20, tmp_files=200),
    staged=StagedLimits(bytes_max=16 << 20, files_max=500),
)
"""The bounds, small, so that they are reached at once."""

OVER: dict[str, tuple[str, tuple[str, ...]]] = {
    "a fork bomb": ("bomb() { bomb | bomb & }; bomb; sleep 30", ("failed/limit", "failed/exit")),
    "processor time": ("while :; do :; done", ("failed/limit",)),
    "a file": ("head -c 100000000 /dev/zero >big; exit $?", ("failed/limit", "failed/exit")),
    "a file with a hole": ("truncate -s 10G big || exit 3", ("failed/limit", "failed/exit")),
    "a file that is reserved": ("fallocate -l 10G big || exit 3", ("failed/limit", "failed/exit")),
    "files": ("i=0; while :; do i=$((i+1)); : >f$i; done", ("failed/limit",)),
    "folders": ("i=0; while :; do i=$((i+1)); mkdir d$i; done", ("failed/limit",)),
    "depth": ("while mkdir d && cd d; do :; done; sleep 30", ("failed/limit",)),
    "many files together": ("for i in 1 2 3 4; do head -c 7000000 /dev/zero >b$i; done; sleep 30", ("failed/limit",)),
    "temporary files": ("i=0; while : >/tmp/f$i; do i=$((i+1)); done; exit 3", ("failed/exit",)),
    "temporary bytes": ("cat /dev/zero >/tmp/a; cat /dev/zero >/dev/shm/b; exit 3", ("failed/exit",)),
    "time": ("sleep 9999", ("failed/limit",)),
    "time, deaf": ("trap '' TERM INT HUP; setsid sleep 9999 & sleep 9999; sleep 9999", ("failed/limit",)),
    "sleepers": ("while :; do sleep 9999 & done", ("failed/limit", "failed/exit")),
}


@pytest.mark.parametrize("what", OVER)
async def test_a_bound_ends_a_command_and_nothing_of_it_is_kept(field: Field, what: str) -> None:
    line, expected = OVER[what]
    field.write({"own.txt": "mine\n"})
    setting = Setting(bounds=SMALL, seconds_max=15)
    over = shell(field, f"echo lost >>own.txt; {line}", writes="staged", timeout_s=1 if "time" in what else 2)
    played = await play(field, over, FileRead(at=here("own.txt")), setting=setting)
    assert played.first.word in expected, played.first
    assert played.first.reason
    assert played.changes == ()
    assert played.actions[-1].word == "completed"
    assert field.tree() == {"own.txt": b"mine\n"}


@pytest.mark.parametrize("stream", ["1", "2"])
async def test_output_is_kept_as_far_as_its_bound_and_the_rest_is_counted(field: Field, stream: str) -> None:
    played = await play(
        field,
        shell(field, f"printf start >&{stream}; head -c 3000000 /dev/zero | tr '\\0' x >&{stream}"),
        setting=Setting(bounds=SMALL),
    )
    output = played.only.command.stdout if stream == "1" else played.only.command.stderr
    assert output.content.size <= 64 * 1024
    assert output.content.size + output.cut == 3_000_005
    assert (played.only.out if stream == "1" else played.only.err).startswith("startxxx")


MEMORY = """
    import os
    held = []
    try:
        held.append(bytearray(4 << 30))
        print("got it")
    except MemoryError:
        print("refused at once")
    try:
        while True:
            held.append(bytearray(b"x") * (64 << 20))
    except MemoryError:
        print("refused at", sum(map(len, held)) <= 2 << 30)
    """
MILLION = "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); : >f$i || exit 3; done"
REAL: dict[str, tuple[str, str]] = {
    "10 GB in a file": ("dd if=/dev/zero of=big bs=1M count=10000", "failed/limit"),
    "10 GB reserved": ("fallocate -l 10G big || exit 3", "failed/limit failed/exit"),
    "a million files": (MILLION, "failed/limit"),
    "1 GB of output without an end of line": ("head -c 1000000000 /dev/zero", "completed"),
    "4 GB of memory": (MEMORY, "completed"),
}


@pytest.mark.parametrize("what", REAL)
async def test_the_real_bounds_hold_and_the_engine_answers_meanwhile(field: Field, what: str) -> None:
    answered: list[float] = []

    async def ask(app: Application, task_id: str) -> None:
        status = "running"
        while status == "running":
            await anyio.sleep(0.05)
            began = time.monotonic()
            status = app.task(task_id).status
            answered.append(time.monotonic() - began)
        # The task may have ended by the time of the last question.
        assert status in ("completed", "completed_with_skips", "failed")

    text, expected = REAL[what]
    command = code(field, text) if text is MEMORY else shell(field, text, writes="staged")
    before = os.statvfs(field.state).f_bavail
    played = await play(field, command, setting=Setting(seconds_max=60, during=ask))
    assert played.only.word in expected.split(), played.only
    # A command that ends at once leaves no time to ask.
    assert max(answered, default=0) < 1, "the engine did not answer"
    # Others write to this disk, too.
    assert before - os.statvfs(field.state).f_bavail < 100_000, "the disk was not given back"
    assert field.tree() == {}
    if text is MEMORY:
        assert played.only.out == "refused at once\nrefused at True\n"
    elif expected == "completed":
        kept = played.only.command.stdout
        assert COMMAND_OUTPUT_BYTES_MAX - 64 * 1024 <= kept.content.size <= COMMAND_OUTPUT_BYTES_MAX
        assert kept.content.size + kept.cut == 1_000_000_000


@pytest.mark.parametrize("writes", ["none", "staged"])
async def test_many_commands_leave_as_little_as_one(field: Field, writes: Writes) -> None:
    open_at: list[int] = []

    async def count(app: Application, task_id: str) -> None:
        while True:
            await anyio.sleep(0.005)
            if app.task(task_id).actions in (2, 20):
                open_at.append(len(os.listdir("/proc/self/fd")))

    # Not the same ones: a task that does the same again and again is stopped.
    commands = [shell(field, f"echo {number}; sleep 0.01", writes=writes) for number in range(20)]
    played = await play(field, *commands, setting=Setting(seconds_max=30, during=count))
    assert {ran.word for ran in played.actions} == {"completed"}
    # While a command runs, its pipes are open: no more of them at the end than at the beginning.
    assert max(open_at[-5:]) <= max(open_at[:5]) + 16
