"""What a command changed, all the way: one question, an answer, and the folder as the person wants it.

CNF-06 as well: what a command names in its arguments is what was shown, and what runs is what was hashed.
"""

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from cowork.domain.action import FileCreate, FileDelete, FileWrite, ShellExec
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.policy_document import Conditions, Rule, layer_of_rules
from cowork.domain.task import ActionStarted
from cowork.engine.application import Answer, Application
from tests.acceptance.engine import NO, YES
from tests.acceptance.sandbox.commands import here, shell
from tests.acceptance.sandbox.field import Field
from tests.acceptance.sandbox.playing import Setting, in_turn, play, recorded

pytestmark = pytest.mark.anyio

MINE = {"a.txt": "first\n", "b.txt": "second\n", "c/d.txt": "third\n", "keep.txt": "kept\n"}
CHANGE = """
    echo more >>a.txt; rm b.txt; mv c/d.txt c/e.txt; mkdir -p new/deep; echo made >new/deep/f.txt
    printf '#!/bin/sh\\n' >tool; chmod 755 tool
    """
CHANGED = {
    "a.txt": b"first\nmore\n",
    "c/e.txt": b"third\n",
    "new/deep/f.txt": b"made\n",
    "tool": b"#!/bin/sh\n",
    "keep.txt": b"kept\n",
}


def mine() -> dict[str, bytes]:
    return {name: text.encode() for name, text in MINE.items()}


def prepared(field: Field) -> None:
    """Fill the granted folder a moment ago: what is there was there before any command."""
    field.write(dict(MINE))


async def test_all_that_a_command_changed_is_one_question_and_made_when_approved(field: Field) -> None:
    prepared(field)
    seen: list[dict[str, bytes]] = []
    setting = Setting(answering=in_turn(True, True, then=lambda: seen.append(field.tree())))
    played = await play(field, shell(field, CHANGE, writes="staged"), setting=setting)
    assert len(played.asked) == 2
    assert seen == [mine(), mine()], "something was changed before it was approved"
    listed = "\n".join(line for block in played.asked[1].card.blocks for line in block.lines)
    for name in ("a.txt", "b.txt", "e.txt", "new/deep/f.txt", "tool"):
        assert name in listed
    assert len(played.asked[1].items) == len(played.changes)
    assert {ran.word for ran in played.changes} == {"completed"}
    assert field.tree() == CHANGED
    assert stat.S_IMODE((field.grant / "tool").stat().st_mode) == 0o755
    assert played.task.status == "completed"


@pytest.mark.parametrize("together", [False, True], ids=["each", "together"])
async def test_a_no_changes_nothing(field: Field, together: bool) -> None:
    prepared(field)
    setting = Setting(answering=in_turn(True, False), together=together)
    played = await play(field, shell(field, CHANGE, writes="staged"), setting=setting)
    assert {ran.word for ran in played.changes} <= {"denied/rejected", "denied/withdrawn"}
    assert field.tree() == mine()
    assert played.first.word == "completed"


async def test_a_command_that_fails_changes_nothing(field: Field) -> None:
    prepared(field)
    endings = ["exit 1", "kill -9 $$", "kill -TERM $$", "exec /nothing/there", "false"]
    commands = [shell(field, f"{CHANGE}\n{ending}", writes="staged") for ending in endings]
    played = await play(field, *commands, setting=Setting(seconds_max=10))
    assert {ran.word for ran in played.actions} == {"failed/exit"}
    assert played.changes == ()
    assert field.tree() == mine()


@pytest.mark.parametrize("together", [False, True], ids=["each", "together"])
async def test_where_one_change_is_denied_the_others_are_made_or_none(field: Field, together: bool) -> None:
    prepared(field)
    line = f"{CHANGE}\necho evil >.envrc"
    setting = Setting(together=together)
    played = await play(field, shell(field, line, writes="staged"), setting=setting)
    assert field.tree() == (mine() if together else CHANGED)
    denied = [ran for ran in played.changes if ran.word.startswith("denied/")]
    assert len(denied) == (len(played.changes) if together else 1)
    assert len(played.asked) == (1 if together else 2), "somebody was asked about what could not be made"


async def test_changes_in_an_output_root_are_made_unasked_and_others_are_asked_about(field: Field) -> None:
    prepared(field)
    line = "mkdir out; echo report >out/report.txt; echo x >elsewhere.txt"
    setting = Setting(outputs=("out",), answering=in_turn(True, False))
    played = await play(field, shell(field, line, writes="staged"), setting=setting)
    assert field.tree() == mine() | {"out/report.txt": b"report\n"}
    assert [(ran.word, ran.asked) for ran in played.changes if "report" in repr(ran.action)] == [("completed", False)]
    assert len(played.asked) == 2


# Somebody else is faster

WAIT = "while [ ! -e /tmp/go ] && [ $((i=${i:-0}+1)) -lt 60 ]; do sleep 0.01; done"
EDITS: dict[str, tuple[Callable[[Path], object], str, dict[str, bytes]]] = {
    "other bytes": (lambda f: (f / "a.txt").write_text("a person's\n"), "a.txt", {"a.txt": b"a person's\n"}),
    "replaced": (lambda f: _replace(f / "a.txt", "a person's\n"), "a.txt", {"a.txt": b"a person's\n"}),
    "appended": (lambda f: _append(f / "a.txt", "too\n"), "a.txt", {"a.txt": b"first\ntoo\n"}),
    "same length": (lambda f: (f / "a.txt").write_text("FIRST\n"), "a.txt", {"a.txt": b"FIRST\n"}),
    "what it deletes": (lambda f: (f / "b.txt").write_text("a person's\n"), "b.txt", {"b.txt": b"a person's\n"}),
    "what it moves": (lambda f: (f / "c/d.txt").write_text("a person's\n"), "c/d.txt", {"c/d.txt": b"a person's\n"}),
    "where it makes": (lambda f: (f / "tool").write_text("a person's\n"), "tool", {"tool": b"a person's\n"}),
    "gone": (lambda f: (f / "a.txt").unlink(), "a.txt", {}),
    "became a folder": (lambda f: _folder_instead(f / "a.txt"), "a.txt", {"a.txt/x": b"x"}),
}


def _replace(path: Path, text: str) -> None:
    beside = path.with_name("beside")
    beside.write_text(text)
    beside.replace(path)


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def _folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "x").write_text("x")


@pytest.mark.parametrize("edit", EDITS)
async def test_what_a_person_did_while_a_command_ran_stays(field: Field, edit: str) -> None:
    prepared(field)
    deed, place, theirs = EDITS[edit]

    async def meanwhile(app: Application, _task_id: str) -> None:
        await recorded(app, ActionStarted)
        await anyio.sleep(0.1)
        await anyio.to_thread.run_sync(deed, field.grant)

    command = shell(field, f"sleep 0.4; {CHANGE}", writes="staged")
    played = await play(field, command, setting=Setting(during=meanwhile, seconds_max=10))
    after = field.tree()
    assert theirs.items() <= after.items(), [ran.word for ran in played.changes]
    assert place in after or not theirs or edit == "became a folder"
    assert after["keep.txt"] == b"kept\n"
    assert {"completed"} <= {ran.word for ran in played.changes} <= {"completed", "denied/conflict", "denied/not_found"}


@pytest.mark.parametrize("edit", EDITS)
async def test_what_a_person_did_before_answering_stays_and_nobody_is_offered_to_put_a_copy_over_it(
    field: Field, edit: str
) -> None:
    prepared(field)
    deed, place, theirs = EDITS[edit]
    asked: list[str] = []

    def answer(question: ConfirmationRequested) -> Answer:
        asked.append(question.digest)
        if len(asked) == 2:
            deed(field.grant)
        return YES

    command = shell(field, CHANGE, writes="staged")
    played = await play(field, command, setting=Setting(answering=answer, seconds_max=10))
    after = field.tree()
    words = {ran.word for ran in played.changes}
    assert theirs.items() <= after.items(), words
    assert place in after or not theirs or edit == "became a folder"
    assert len(asked) == 2
    assert words & {"denied/conflict", "denied/not_found"}
    assert after["keep.txt"] == b"kept\n"


def _edit_when_it_appears(field: Field, deed: Callable[[Path], object], stop: threading.Event) -> None:
    while not stop.is_set() and not (field.grant / "new").exists():
        time.sleep(0.0002)
    with contextlib.suppress(OSError):
        deed(field.grant)


@pytest.mark.parametrize("edit", ["other bytes", "replaced", "same length", "what it deletes", "where it makes"])
async def test_what_a_person_did_while_changes_were_made_is_never_lost(field: Field, edit: str) -> None:
    prepared(field)
    deed, place, theirs = EDITS[edit]
    stop = threading.Event()
    person = threading.Thread(target=_edit_when_it_appears, args=(field, deed, stop))
    person.start()
    try:
        await play(field, shell(field, CHANGE, writes="staged"), setting=Setting(seconds_max=10))
    finally:
        stop.set()
        person.join()
    # It came before the change, and is kept, or after it, and is there.
    kept = [path.read_bytes() for path in field.state.rglob("*") if path.is_file()]
    assert field.tree().get(place) == theirs[place] or theirs[place] in kept, "a person's bytes are lost"


@pytest.mark.parametrize("moment", ["while it runs", "while its changes are asked about"])
async def test_no_change_is_made_under_a_grant_that_was_taken_back(field: Field, moment: str) -> None:
    prepared(field)
    apps: list[Application] = []

    async def revoke() -> None:
        (row,) = apps[0].rows("grants", {"name": "grant"})
        await apps[0].revoke(str(row["grant_id"]), by="person:tester")

    async def while_it_runs(app: Application, _task_id: str) -> None:
        apps.append(app)
        if moment == "while it runs":
            await recorded(app, ActionStarted)
            await revoke()

    async def while_asked(question: ConfirmationRequested) -> None:
        if len(question.items) > 1:
            await revoke()

    setting = Setting(
        during=while_it_runs, before_answer=None if moment == "while it runs" else while_asked, seconds_max=10
    )
    line = f"{'sleep 0.5' if moment == 'while it runs' else 'true'}; {CHANGE}"
    played = await play(field, shell(field, line, writes="staged"), setting=setting)
    assert field.tree() == mine()
    assert len(played.changes) > 4
    assert not any(ran.started for ran in played.changes)
    assert {ran.word for ran in played.changes} <= {"denied/no_grant", "denied/withdrawn"}, played.changes


async def test_a_folder_that_was_exchanged_meanwhile_gets_nothing(field: Field) -> None:
    prepared(field)

    async def exchange(app: Application, _task_id: str) -> None:
        await recorded(app, ActionStarted)
        await anyio.sleep(0.1)
        os.rename(field.grant, field.grant2 / "moved")
        os.symlink(field.out, field.grant)

    command = shell(field, f"sleep 0.4; {CHANGE}", writes="staged")
    try:
        played = await play(field, command, setting=Setting(during=exchange, seconds_max=10))
    finally:
        os.unlink(field.grant)
        os.rename(field.grant2 / "moved", field.grant)
    assert not any(ran.word == "completed" for ran in played.changes)
    assert field.tree() == mine()


async def test_two_commands_one_after_the_other_build_on_each_other(field: Field) -> None:
    prepared(field)
    first, second = (shell(field, line, writes="staged") for line in ("echo 1 >>a.txt", "cat a.txt; echo 2 >>a.txt"))
    played = await play(field, first, second, setting=Setting(in_order=True))
    assert field.tree()["a.txt"] == b"first\n1\n2\n"
    assert [ran.out for ran in played.actions if isinstance(ran.action, ShellExec)] == ["", "first\n1\n"]


async def test_what_a_command_changed_can_be_read_back_from_the_log(field: Field) -> None:
    prepared(field)
    played = await play(field, shell(field, CHANGE, writes="staged"))
    kinds = {type(ran.action) for ran in played.changes}
    assert {FileCreate, FileWrite, FileDelete} <= kinds
    assert {ran.staged_by for ran in played.changes} == {f"{played.task.task_id}.1"}


# CNF-06: a script that a command names

SCRIPT = "#!/bin/sh\necho shown >>ran.txt\n"
OTHER = "#!/bin/sh\necho other >>ran.txt\n"
ANY_COMMAND = layer_of_rules(
    "any-command",
    (
        Rule("any", ("shell.exec", "file.*"), "allow", Conditions(), "this person lets commands run"),
        Rule("asks", ("shell.exec",), "allow_with_confirm", Conditions(), "and is asked about each"),
    ),
)


def _link_instead(path: Path) -> None:
    path.unlink()
    path.symlink_to("other.sh")


def _empty_folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


SWAPS: dict[str, Callable[[Path], object]] = {
    "other bytes": lambda path: path.write_text(OTHER),
    "another file": lambda path: _replace(path, OTHER),
    "a link": _link_instead,
    "gone": lambda path: path.unlink(),
    "a folder": _empty_folder_instead,
}


@pytest.mark.parametrize(
    "argv", [("sh", "s.sh"), ("./s.sh",), ("sh", "sub/../s.sh"), ("sh", "{grant}/s.sh")], ids=" ".join
)
@pytest.mark.parametrize("swap", SWAPS)
async def test_a_script_that_was_exchanged_after_it_was_shown_does_not_run(
    field: Field, swap: str, argv: tuple[str, ...]
) -> None:
    field.write({"s.sh": SCRIPT, "other.sh": OTHER, "sub/x": "x"})
    (field.grant / "s.sh").chmod(0o755)
    argv = tuple(part.format(grant=field.grant) for part in argv)
    digests: list[str] = []

    def answer(question: ConfirmationRequested) -> Answer:
        if digests:
            return NO
        digests.append(question.digest)
        SWAPS[swap](field.grant / "s.sh")
        return YES

    command = ShellExec(argv=argv, cwd=here(), writes="staged")
    played = await play(field, command, setting=Setting(answering=answer, rules=ANY_COMMAND))
    assert not played.first.started, played.first
    assert played.first.word in ("denied/rejected", "denied/conflict", "denied/not_found", "denied/symlink")
    assert "ran.txt" not in field.tree()
    # Whoever is asked once more is asked about something else.
    assert len({question.digest for question in played.asked}) == len(played.asked)


async def test_what_runs_is_what_was_shown_however_fast_it_is_exchanged(field: Field) -> None:
    field.write({"s.sh": "sleep 0.2\ncat s.sh\n" + SCRIPT})
    shown = (field.grant / "s.sh").read_text()

    async def exchange(app: Application, _task_id: str) -> None:
        await recorded(app, ActionStarted)
        for _ in range(200):
            (field.grant / "s.sh").write_text(OTHER)
            await anyio.sleep(0.001)

    command = ShellExec(argv=("sh", "s.sh"), cwd=here(), writes="staged")
    played = await play(field, command, setting=Setting(during=exchange, rules=ANY_COMMAND))
    assert played.first.word in ("completed", "failed/conflict")
    assert "other" not in played.first.out
    if played.first.word == "completed":
        assert played.first.out.startswith(shown)
    assert b"other" not in field.tree().get("ran.txt", b"")
    assert field.tree()["s.sh"] == OTHER.encode()
