"""SHL-28, 30: where the sandbox is missing, or is not what it should be, commands do not run, and nothing else does."""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from cowork.adapters.sandbox import bubblewrap, trial
from cowork.adapters.sandbox.bubblewrap import BUBBLEWRAP, PYTHON
from cowork.domain.action import Action
from cowork.domain.policy_document import Conditions, Rule, layer_of_rules
from cowork.domain.task import ActionDenied
from tests.acceptance.sandbox.commands import code, shell
from tests.acceptance.sandbox.field import Field
from tests.acceptance.sandbox.playing import Setting, opened, play
from tests.acceptance.sandbox.process import plan_of, run_cowork, run_plan, step

ANYTHING_GOES = layer_of_rules(
    "anything", (Rule("anything", "*", "allow", Conditions(), "this person allows everything"),)
)


def shim(field: Field) -> str:
    """Return a program that runs what it is given without any sandbox, and leaves a mark outside."""
    return f'#!/bin/sh\necho pwned >>{field.out}/pwned\nfor last; do :; done\nexec sh -c "touch {field.out}/ran"\n'


def in_place(make: Callable[[Path, Field], object]) -> Callable[[Field], str]:
    """Return what makes a program in a folder that is not the system's, and says where it is."""

    def made(field: Field) -> str:
        path = field.home / "bwrap"
        make(path, field)
        return str(path)

    return made


def _script(path: Path, field: Field) -> None:
    path.write_text(shim(field))
    path.chmod(0o755)


def _copy(path: Path, mode: int = 0o755) -> None:
    shutil.copy(BUBBLEWRAP, path)
    path.chmod(mode)


def _link(path: Path, field: Field) -> None:
    _copy(field.home / "x")
    path.symlink_to(field.home / "x")


BROKEN: dict[str, Callable[[Field], str]] = {
    "absent": lambda _: "/usr/bin/bwrap-that-is-not-there",
    "a folder": lambda _: "/usr/bin",
    "no program": lambda _: "/etc/passwd",
    "a device": lambda _: "/dev/null",
    "a script": in_place(_script),
    "somebody else's": in_place(lambda path, _: _copy(path)),
    "a link to somebody else's": in_place(_link),
}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("program", "how"),
    [
        *(("BUBBLEWRAP", how) for how in BROKEN),
        *(
            (program, how)
            for program in ("PYTHON", "UNSHARE", "SHELL", "MOUNT")
            for how in ("absent", "somebody else's")
        ),
    ],
)
async def test_without_each_of_its_programs_nothing_runs_whatever_the_rules_say(
    field: Field, program: str, how: str
) -> None:
    place = BROKEN[how](field)
    field.write({"a.txt": "mine\n"})
    commands: list[Action] = [
        shell(field, f"touch {field.out}/ran; echo x >a.txt", writes="staged"),
        code(field, "print('ran')"),
    ]
    with mock.patch.object(bubblewrap, program, place):
        for rules in (None, ANYTHING_GOES):
            # A second try, and another policy, find the same.
            played = await play(field, *commands, *commands, setting=Setting(rules=rules, seconds_max=10))
            assert {ran.word for ran in played.actions} == {"denied/unavailable"}, played.actions
            assert all(isinstance(ran.end, ActionDenied) and not ran.started for ran in played.actions)
            # What lies beneath a folder of somebody else's is not even looked at.
            why = "can be changed by others than root" if place.startswith(str(field.base)) else place
            assert all(why in ran.reason for ran in played.actions), played.actions[0].reason
            assert played.asked == (), "somebody was asked about what can't be done"
    assert field.tree() == {"a.txt": b"mine\n"}
    # What was missing is there again: so are commands.
    assert (await play(field, shell(field, "echo back"))).only.out == "back\n"


@pytest.mark.anyio
async def test_a_sandbox_that_goes_between_question_and_answer_runs_nothing(field: Field) -> None:
    with contextlib.ExitStack() as stack:

        async def take_away(_question: object) -> None:
            stack.enter_context(mock.patch.object(bubblewrap, "BUBBLEWRAP", "/usr/bin/bwrap-that-is-gone"))

        setting = Setting(before_answer=take_away, seconds_max=10)
        played = await play(field, shell(field, "echo ran >ran", writes="staged"), setting=setting)
    assert (played.only.word, played.only.started) == ("denied/unavailable", False)
    assert field.tree() == {}


@pytest.mark.anyio
async def test_a_self_test_that_fails_closes_commands(field: Field) -> None:
    """A wall that does not hold: the host sees that a file outside was changed."""
    (field.state / "events.db").unlink()
    with mock.patch.object(trial.Trial, "_seen_from_here", return_value={"hard-link": "it was changed"}):
        played = await play(field, shell(field, "echo ran"), setting=Setting(seconds_max=20))
        assert played.only.word == "denied/unavailable"
        assert "sandbox does not hold" in played.only.reason
        with opened(field, Setting()) as app:
            assert await app.sandbox.find_missing(network=False) is not None


PROGRAMS = ("bwrap", "unshare", "sh", "mount", "mkdir", "python3", "env", "python", "bash", "cat")


@pytest.mark.parametrize(
    "where", ["in the granted folder", "before all others in PATH", "instead of all others in PATH"]
)
def test_a_program_of_that_name_elsewhere_is_not_taken_for_the_sandbox(field: Field, where: str) -> None:
    folder = field.grant if where == "in the granted folder" else field.home / "bin"
    folder.mkdir(exist_ok=True)
    for name in PROGRAMS:
        (folder / name).write_text(shim(field))
        (folder / name).chmod(0o755)
    path = {"in the granted folder": ".:", "before all others in PATH": f"{folder}:/usr/bin:/bin"}.get(
        where, str(folder)
    )
    plan = plan_of(step(field, "grep Seccomp: /proc/self/status; command -v python3; command -v sh; true"))
    ended = run_plan(field, plan, env={"PATH": path}, cwd=folder)
    assert ended.task.only.out == "Seccomp:\t2\n/usr/bin/python3\n/usr/bin/sh\n", ended.task.only
    assert not (field.out / "pwned").exists()


def test_in_a_user_namespace_nobody_can_tell_whose_the_programs_are(field: Field) -> None:
    """There everything of the machine's root is nobody's: it could be anybody's."""
    plan = plan_of(step(field, "echo ran"), {"kind": "file.list", "path": "."})
    unsafe = {"COWORK_UNSAFE_AS_ROOT": "1"}
    ended = run_plan(field, plan, started_by=("unshare", "--map-root-user", "--mount"), env=unsafe)
    if os.geteuid() != 0:
        assert [ran.word for ran in ended.task.actions] == ["denied/unavailable", "completed"]
    # The same store on the machine itself: commands run.
    assert run_plan(field, plan).task.actions[0].word == "completed"


OVER_IT = 'mount --bind "$1" /usr/bin/bwrap || exit 99; shift; exec "$@"'
WHITEOUT = 'mount -t overlay -o "lowerdir=$1:/usr/bin" overlay /usr/bin || exit 99; shift; exec "$@"'


def _whiteout(path: Path, _: Field) -> None:
    path.mkdir()
    os.mknod(path / "bwrap", stat.S_IFCHR, os.makedev(0, 0))


def _anothers(path: Path, _: Field) -> None:
    _copy(path)
    os.chown(path, 12345, 12345)


def _program(name: str) -> Callable[[Path, Field], None]:
    def make(path: Path, _: Field) -> None:
        shutil.copy(f"/usr/bin/{name}", path)
        path.chmod(0o755)

    return make


REAL: dict[str, tuple[str, Callable[[Path, Field], object]]] = {
    "gone": (WHITEOUT, _whiteout),
    "empty": (OVER_IT, lambda path, _: path.touch(0o755)),
    "a shim": (OVER_IT, _script),
    "another person's": (OVER_IT, _anothers),
    "writable by all": (OVER_IT, lambda path, _: _copy(path, 0o777)),
    "not executable": (OVER_IT, lambda path, _: _copy(path, 0o644)),
    "another program": (OVER_IT, _program("true")),
    "one that runs what it is given": (OVER_IT, _program("env")),
}


@pytest.mark.as_root
@pytest.mark.parametrize("how", REAL)
def test_the_real_place_of_the_sandbox_holds_something_else(field: Field, how: str, tmp_path: Path) -> None:
    assert os.geteuid() == 0, "`make test` runs these as root"
    script, make = REAL[how]
    made = tmp_path / "bwrap"
    make(made, field)
    plan = plan_of(step(field, f"touch {field.out}/ran; echo ran"), {"kind": "file.list", "path": "."})
    ended = run_plan(field, plan, started_by=("unshare", "--mount", "sh", "-c", script, "sh", str(made)))
    assert [ran.word for ran in ended.task.actions] == ["denied/unavailable", "completed"], ended
    assert "bwrap" in ended.task.first.reason
    doctor = run_cowork(field, "doctor", started_by=("unshare", "--mount", "sh", "-c", script, "sh", str(made)))
    assert doctor.status == 1
    assert "absent" in doctor.out


def test_the_programs_of_the_sandbox_are_where_they_are_looked_for() -> None:
    """A machine without them fails these tests; it does not skip them."""
    for place in (BUBBLEWRAP, PYTHON):
        assert os.stat(place).st_uid in (0, 65534), place
