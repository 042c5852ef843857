"""SHL-11, 12, 14, 16: what a command wants to change is proposed, and nothing of it takes effect unasked."""

import os
import unicodedata

import msgspec
import pytest

from cowork.domain.action import FileCreate, FileWrite, Location
from cowork.domain.confirmation import ConfirmationRequested
from cowork.domain.place_lists import EXECUTED_PLACES
from cowork.domain.policy_document import Conditions, Rule, layer_of_rules
from cowork.engine.application import Answer
from tests.acceptance.engine import NO, YES
from tests.acceptance.sandbox.commands import here, shell
from tests.acceptance.sandbox.field import Field
from tests.acceptance.sandbox.playing import Played, Setting, in_turn, play
from tests.adapters.files.cases.contents import PROTECTED

pytestmark = pytest.mark.anyio

ANYTHING_GOES = layer_of_rules(
    "anything-goes", (Rule("anything", "*", "allow", Conditions(), "this person lets everything happen"),)
)
"""What stays in force is the floor, which no document can lower."""


def listed_names() -> list[str]:
    """Return a name for every entry of the list of places that other programs run or obey."""
    entries = (entry for group in EXECUTED_PLACES for listed in group.listed for entry in listed.entries)
    return list(dict.fromkeys(entry.removesuffix("/.").replace("*", "x") for entry in entries))


def spellings(name: str) -> list[str]:
    """Return other names that some file system, or some program, takes for this one."""
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c not in "/." else c for c in name)
    first, _, rest = name.rpartition("/")
    parent = f"{first}/" if first else ""
    return [
        *(name.upper(), name.title(), name.swapcase(), wide, f"{name}.", f"{name}. .", f"{name} "),
        unicodedata.normalize("NFD", name.replace("i", "İ")) if "i" in name else f"{name}\u200d",
        *(f"{parent}\u200b{rest}", f"{parent}{rest}\u200c", f"{parent}{rest[:2]}\ufeff{rest[2:]}"),
        *(f"{parent}\u202e{rest}", f"{name}\ufe0f", name.replace("s", "ſ"), name.replace("k", "K")),
    ]


def in_folders(names: list[str], folders: list[str]) -> list[str]:
    """Return every name in every folder."""
    return [f"{folder}/{name}" if folder else name for folder in folders for name in names]


def python_that_writes(names: list[str]) -> str:
    """Return a line that writes to each name, in whatever way a command can."""
    return """python3 -c '
import os, shutil, sys
for number, name in enumerate(eval(sys.argv[1])):
    folder = os.path.dirname(name)
    try:
        if folder:
            os.makedirs(folder, exist_ok=True)
        if number % 3 == 0:
            with open(name, "a") as file: file.write("evil")
        elif number % 3 == 1:
            with open("/tmp/made", "w") as file: file.write("evil")
            shutil.copy("/tmp/made", name)
        else:
            with open(name + "~tmp", "w") as file: file.write("evil")
            os.replace(name + "~tmp", name)
    except OSError as error:
        print("not made", ascii(name), error)
' "$1" """


async def write_all(field: Field, names: list[str], setting: Setting) -> Played:
    """Have a command write to each name."""
    command = shell(field, python_that_writes(names), repr(names), writes="staged")
    played = await play(field, command, setting=setting)
    assert played.first.word == "completed", played.first.err
    return played


@pytest.mark.parametrize("present", [False, True], ids=["absent", "present"])
async def test_no_listed_place_is_changed_by_a_command(field: Field, present: bool) -> None:
    names = in_folders([*PROTECTED, *listed_names()], [""])
    if present:
        for name in PROTECTED:
            field.write({name: "mine\n"})
    before = field.tree()
    played = await write_all(field, names, Setting(seconds_max=20))
    assert played.changes or present, "the command changed nothing"
    for ran in played.changes:
        assert (ran.word in ("denied/protected", "denied/sensitive", "denied/conflict"), ran.asked) == (True, False), (
            ran
        )
    assert field.tree() == before
    assert not any((field.grant / name).exists() for name in PROTECTED) or present


async def test_no_listed_place_is_changed_however_deep_it_lies_and_is_spelled(field: Field) -> None:
    deep = in_folders([*PROTECTED, "mcp.json", "hooks/post-merge", "bare.git/hooks/update"], ["a/b/c/d/e/f", "n"])
    other = [one for name in PROTECTED for one in spellings(name)] + [f"n/.GIT/HOOKS/{x}" for x in ("x", "Pre-Commit")]
    played = await write_all(field, [*deep, *other], Setting(seconds_max=20))
    kept = [str(path.relative_to(field.grant)) for path in field.grant.rglob("*") if path.is_file()]
    assert len(played.changes) > 100
    assert kept == [], "these got through"
    assert {ran.word for ran in played.changes if ran.started} == set()


@pytest.mark.parametrize("rules", ["the baseline", "anything goes"])
async def test_a_person_who_says_no_keeps_hooks_out_whatever_the_rules_say(field: Field, rules: str) -> None:
    # Yes to the command, and no to whatever comes after it.
    answering = in_turn(True, *[False] * 8)
    setting = Setting(rules=ANYTHING_GOES if rules == "anything goes" else None, answering=answering, seconds_max=20)
    if rules == "anything goes":
        setting = msgspec.structs.replace(setting, answering=in_turn(*[False] * 8))
    played = await write_all(field, [*PROTECTED, "safe.txt"], setting)
    assert set(field.tree()) == ({"safe.txt"} if rules == "anything goes" else set())
    for ran in played.changes:
        assert ran.word in ("denied/rejected", "denied/protected", "denied/sensitive", "completed"), ran
    if rules == "anything goes":
        question = played.asked[-1]
        assert "host-executed" in " ".join(question.risk_tags), question.risk_tags
        listed = "\n".join(line for block in question.card.blocks for line in block.lines)
        assert all(name in listed for name in PROTECTED), "not every change is on the card"


CHANGING = ("shell.exec", "file.write", "file.create", "file.rename", "file.move", "file.delete")
HOOK_TRICKS = {
    "written": "echo '#!/bin/sh' >.git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
    "folder swapped": "mv .git .g; mkdir -p .git/hooks; echo evil >.git/hooks/pre-commit",
    "folder copied": "cp -r .git .g; rm -rf .git; mv .g .git; echo evil >.git/hooks/pre-commit",
    "renamed into place": "mkdir x; echo evil >x/pre-commit; rm -rf .git/hooks; mv x .git/hooks",
    "moved along": "mkdir -p y/.git/hooks; echo evil >y/.git/hooks/pre-commit; mv y z",
    "from ordinary names": "mkdir safe; echo evil >safe/update; mkdir -p q/.git; mv safe q/.git/hooks",
    "linked": "ln -s ../../evil .git/hooks/pre-commit; rm -rf .git/hooks; ln -s ../x .git/hooks; ln -s x .git2",
    "by git": "git init -q .; git config core.fsmonitor ./x; git init -q sub; git -C sub config core.pager x",
    "a file of that name": "mkdir away; mv .git away/x; echo 'gitdir: ./e' >.git; mkdir -p e/hooks; >e/hooks/update",
    "bare": "mkdir -p b/hooks b/refs; echo 'ref: refs/heads/x' >b/HEAD; echo x >b/hooks/post-update",
}


@pytest.mark.parametrize("readable", [False, True], ids=["hidden from it", "seen by it"])
@pytest.mark.parametrize("trick", HOOK_TRICKS)
async def test_a_repository_keeps_its_hooks_and_settings(field: Field, trick: str, readable: bool) -> None:
    field.write({".git/HEAD": "ref: refs/heads/main\n", ".git/config": "[core]\n", ".git/hooks/pre-commit": "mine\n"})
    before = {name: data for name, data in field.tree().items() if name.startswith(".git/")}
    allow = Rule("see", ("file.read", "file.list"), "allow", Conditions(), "this person lets everything be read")
    own = layer_of_rules("own", (allow, Rule("ask", CHANGING, "allow_with_confirm", Conditions(), "the rest is asked")))

    def all_but_what_others_run(question: ConfirmationRequested) -> Answer:
        return NO if "host-executed" in question.risk_tags else YES

    setting = Setting(rules=own if readable else None, answering=all_but_what_others_run, seconds_max=10)
    played = await play(field, shell(field, f"{HOOK_TRICKS[trick]}\ntrue", writes="staged"), setting=setting)
    assert played.first.word == "completed", played.first.err
    assert played.changes or played.first.command.left_out or not readable, "the trick changed nothing"
    after = field.tree()
    assert {name: data for name, data in after.items() if name.startswith(".git/")} == before
    hooks = [name for name in after if "/hooks/" in f"/{name}" and name not in before]
    assert hooks == [], "a hook got through"
    assert not [path for path in field.grant.rglob("*") if path.is_symlink()]
    assert (field.grant / ".git").is_dir()


async def test_a_second_name_of_a_file_outside_is_never_written_through(field: Field) -> None:
    os.link(field.out / "linked.txt", field.grant / "hl")
    line = "cat hl; echo evil >>hl; chmod 600 hl; truncate -s 0 hl; touch hl; cp /bin/true hl; rm hl; echo x >hl"
    played = await play(field, shell(field, line, writes="staged"), setting=Setting(links_may_drop=True))
    assert played.first.word == "completed"
    assert (field.out / "linked.txt").read_text() == "linked from outside\n"
    for ran in played.changes:
        assert ran.word != "completed" or ran.asked, "a file with two names was changed without a word"


async def test_a_second_name_that_may_be_read_is_broken_off_by_the_change(field: Field) -> None:
    os.link(field.out / "linked.txt", field.grant / "hl")
    setting = Setting(rules=ANYTHING_GOES, links_may_drop=True, answering=in_turn(True, True, True))
    await play(field, shell(field, "echo evil >>hl || true", writes="staged"), setting=setting)
    assert (field.out / "linked.txt").read_text() == "linked from outside\n"


@pytest.mark.parametrize("target", ["{out}", "../out", "{out}/secret.txt", "/etc", "/proc/self/cwd", "absent", "own"])
async def test_a_link_made_by_a_command_is_refused_on_record_and_leads_no_file_action_out(
    field: Field, target: str
) -> None:
    field.write({"own/f": "x"})
    target = target.format(out=field.out)
    steps = (
        shell(field, 'ln -s "$1" o; ln -sf "$1" own/o; ls -l', target, writes="staged"),
        FileCreate(at=Location("", "o/x"), content=field.content("new")),
        FileWrite(at=here("own/o"), content=field.content("new")),
    )
    played = await play(field, *steps, setting=Setting(contents=(b"new",)))
    report = played.first.command
    links = [ran for ran in played.changes if "link" in ran.reason]
    assert any("link" in line for line in report.left_out) or links, "nobody was told of the link"
    assert not any(ran.word == "completed" for ran in links)
    assert not (field.grant / "o").is_symlink()
    assert not (field.grant / "own" / "o").is_symlink()
    assert not (field.out / "x").exists()


@pytest.mark.parametrize("kind", ["mkfifo p", "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'"])
async def test_what_is_no_file_and_no_folder_does_not_come_out(field: Field, kind: str) -> None:
    played = await play(field, shell(field, f"{kind}; echo x >f; true", writes="staged"))
    assert field.tree() == {"f": b"x\n"}
    assert os.listdir(field.grant) == ["f"]
    assert len(played.changes) + len(played.first.command.left_out) >= (2 if "mkfifo" in kind else 1)
