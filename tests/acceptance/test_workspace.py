"""A session's own folder: results go to `outputs:`, and what is in `uploads:` can only be read, whichever way."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cowork.adapters.bootstrap import open_application
from tests.acceptance.workplace import Ended, Forks, Workplace, fork_server, workplace
from tests.engine.rig import assert_clean

FIGURES = b"name,amount\nann,12\nbob,30\n" * 1000 + bytes(range(256))


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with fork_server() as server:
        yield server


@pytest.fixture
def place(forks: Forks, tmp_path: Path) -> Iterator[Workplace]:
    with workplace(forks, tmp_path) as made:
        (made.folder / "figures.csv").write_bytes(FIGURES)
        yield made


def plan(place: Workplace, *steps: str, title: str = "Sum it up") -> str:
    lines = [f'title = "{title}"']
    lines += [f'[[step]]\nid = "s{number}"\n{step}' for number, step in enumerate(steps)]
    (place.folder / "plan.toml").write_text("\n".join(lines))
    return "plan.toml"


def act(text: str) -> str:
    return f"action = {{ {text} }}"


READ = act('kind = "file.read", path = "uploads:figures.csv"')
REPORT = act('kind = "file.create", path = "outputs:report.md", content = "42"')


def folder_of(parent: Path) -> Path:
    (folder,) = parent.iterdir()
    return folder


def uploaded(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "uploads").iterdir()}


def run(place: Workplace, *steps: str, options: tuple[str, ...] = ("--upload", "figures.csv")) -> Ended:
    return place.run("run", plan(place, *steps), "--workspace", "ws", *options, "--answer", "approve")


def test_results_go_to_outputs_and_uploads_are_read(place: Workplace) -> None:
    ended = run(place, READ, REPORT, act('kind = "file.create", path = "second.md", content = "first grant"'))
    assert ended.status == 0, ended.err
    folder = folder_of(place.folder / "ws")
    assert folder.name.endswith("-sum-it-up")
    assert sorted(path.name for path in (folder / "outputs").iterdir()) == ["report.md", "second.md"]
    assert uploaded(folder) == {"figures.csv": FIGURES}
    assert f"workspace {folder}: results go to outputs/, uploads/ has 1 file, 26 KB to be read only" in ended.err
    grants = {grant["name"]: grant for grant in place.run("grant", "list", "--all", "--json").json()}
    assert grants["outputs"]["outputRoots"] == ["."]
    verbs = ("Read", "Create", "Write", "Move", "Delete")
    assert [verb for verb in verbs if grants["uploads"][f"allow{verb}"]] == ["Read"]
    assert all(grants["outputs"][f"allow{verb}"] for verb in verbs)


COMMAND = 'argv = ["sh", "-c", "{}"], cwd = "uploads:", writes = "staged"'
WAYS = {
    "write": act('kind = "file.write", path = "uploads:figures.csv", content = "x"'),
    "create": act('kind = "file.create", path = "uploads:new.txt", content = "x"'),
    "delete": act('kind = "file.delete", path = "uploads:figures.csv"'),
    "rename": act('kind = "file.rename", path = "uploads:figures.csv", to = "uploads:other.csv"'),
    "move out": act('kind = "file.move", path = "uploads:figures.csv", to = "outputs:figures.csv"'),
    "move in": act('kind = "file.move", path = "outputs:report.md", to = "uploads:report.md"'),
    "pattern": act('kind = "file.delete", match = "uploads:*.csv"'),
    "roundabout": act('kind = "file.write", path = "outputs:../uploads/figures.csv", content = "x"'),
    "command writes": act(f'kind = "shell.exec", {COMMAND.format("echo x > figures.csv")}'),
    "command adds": act(f'kind = "shell.exec", {COMMAND.format("echo x > new.txt")}'),
    "command deletes": act(f'kind = "shell.exec", {COMMAND.format("rm figures.csv")}'),
    "code": act('kind = "code.run", python = "open(\'figures.csv\', \'w\')", cwd = "uploads:", writes = "staged"'),
    "command from outputs": act(
        'kind = "shell.exec", argv = ["sh", "-c", "echo x > ../uploads/figures.csv"], cwd = "outputs:",'
        ' writes = "staged"'
    ),
    "subagent": """
[step.action]
kind = "subagent.spawn"
title = "helper"
[step.action.scope]
folders = [{ path = "uploads:", verbs = ["read", "create", "write", "move", "delete"], outputs = ["uploads:"] }]
[[step.action.step]]
id = "in"
action = { kind = "file.write", path = "uploads:figures.csv", content = "x" }
""",
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_changes_what_was_uploaded(place: Workplace, way: str) -> None:
    report = act('kind = "file.create", path = "outputs:report.md", content = "42"')
    needs = f'needs = ["s0"]\n{WAYS[way].lstrip()}'
    ended = run(place, report, needs)
    assert ended.status in (1, 4), (ended.status, ended.out, ended.err)
    folder = folder_of(place.folder / "ws")
    assert uploaded(folder) == {"figures.csv": FIGURES}
    assert [path.name for path in (folder / "outputs").iterdir()] == ["report.md"]
    app = open_application(place.store)
    try:
        assert_clean(app.audit())
    finally:
        app.close()


def test_a_command_may_read_what_was_uploaded(place: Workplace) -> None:
    step = act('kind = "shell.exec", argv = ["sh", "-c", "wc -c < figures.csv"], cwd = "uploads:"')
    ended = run(place, step)
    assert ended.status == 0, ended.err
    (task,) = place.run("task", "list", "--json").json()
    assert place.run("task", "output", f"{task['taskId']}.1").out.strip() == str(len(FIGURES))


def test_every_session_gets_a_folder_of_its_own(place: Workplace) -> None:
    for _ in range(3):
        assert run(place, REPORT).status == 0
    names = sorted(path.name for path in (place.folder / "ws").iterdir())
    assert [name[11:] for name in names] == ["sum-it-up", "sum-it-up-2", "sum-it-up-3"]


@pytest.mark.parametrize(
    ("title", "name"),
    [("Übersicht für März", "übersicht-für-märz"), ("../..", "session"), ("a/b c", "a-b-c"), ("x" * 99, "x" * 40)],
)
def test_a_title_becomes_the_name_of_a_folder(place: Workplace, title: str, name: str) -> None:
    place.run("run", plan(place, REPORT, title=title), "--workspace", "ws")
    assert folder_of(place.folder / "ws").name[11:] == name


def test_without_a_name_the_workspace_is_in_the_documents_or_where_it_was_set(place: Workplace) -> None:
    assert place.run("run", plan(place, REPORT), "--workspace").status == 0
    assert (folder_of(place.folder / "Documents" / "cowork") / "outputs" / "report.md").exists()


def test_other_granted_folders_go_first_and_keep_their_rights(place: Workplace) -> None:
    place.write({"inbox/outputs/a.txt": "a"})
    steps = (act('kind = "file.create", path = "made.txt", content = "x"'), REPORT)
    ended = place.run(
        "run", plan(place, *steps), "--folder", "inbox/outputs", "--workspace", "ws", "--answer", "approve"
    )
    assert ended.status == 0, ended.err
    assert (place.inbox / "outputs" / "made.txt").exists()
    assert (folder_of(place.folder / "ws") / "outputs" / "report.md").exists()
    names = {grant["name"] for grant in place.run("grant", "list", "--all", "--json").json()}
    assert names == {"outputs", "uploads", "outputs-2"}


def test_several_files_arrive_whole_and_with_their_digests(place: Workplace) -> None:
    files = {f"file {n}.bin": os.urandom(1000 * n) for n in range(5)} | {"ünïcode.txt": b"x", ".hidden": b"y"}
    options: list[str] = []
    for name, data in files.items():
        (place.folder / name).write_bytes(data)
        options += ["--upload", name]
    assert run(place, REPORT, options=tuple(options)).status == 0
    found = uploaded(folder_of(place.folder / "ws"))
    digests = [{name: hashlib.sha256(data).digest() for name, data in each.items()} for each in (files, found)]
    assert digests[0] == digests[1]


BAD = {
    "no such file": (["--workspace", "ws", "--upload", "nope.csv"], "there is no file `nope.csv` to upload"),
    "a folder": (["--workspace", "ws", "--upload", "inbox"], "`inbox` is a folder"),
    "a pipe": (["--workspace", "ws", "--upload", "pipe"], "`pipe` is not an ordinary file"),
    "a name twice": (
        ["--workspace", "ws", "--upload", "figures.csv", "--upload", "inbox/figures.csv"],
        "have the same name",
    ),
    "hidden characters": (["--workspace", "ws", "--upload", "a\u202eb.txt"], "can't be uploaded under its name"),
    "cowork's own name": (["--workspace", "ws", "--upload", ".cowork-x"], "it is cowork's own name"),
    "no workspace": (["--upload", "figures.csv"], "files to upload need a workspace"),
    "two workspaces": (["--workspace", "ws", "--workspace", "ws2"], "a session has one workspace"),
    "in the store": (["--workspace", "store/ws"], "which is cowork's own"),
    "the store by a link": (["--workspace", "link/ws"], "which is cowork's own"),
    "in a granted folder": (["--workspace", "inbox/ws", "--folder", "inbox"], "lies in the granted folder"),
    "a file": (["--workspace", "figures.csv"], "is not a folder"),
    "in a file": (["--workspace", "figures.csv/ws"], "no folder can be made in"),
    "no permission": (["--workspace", "locked/ws"], "no folder can be made in"),
    "a wrong host": (["--workspace", "ws", "--host", "bad host"], "`bad host` is not a host"),
    "a wrong folder": (["--workspace", "ws", "--folder", "nowhere"], "no folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_a_sentence_and_leaves_nothing_behind(place: Workplace, name: str) -> None:
    options, sentence = BAD[name]
    place.store.mkdir()
    (place.folder / "link").symlink_to(place.store)
    (place.folder / "locked").mkdir(mode=0o500)
    os.mkfifo(place.folder / "pipe")
    place.write({"inbox/figures.csv": "another", "a\u202eb.txt": "x", ".cowork-x": "x"})
    plan(place, REPORT)
    before = everything(place)
    ended = place.run("run", "plan.toml", *options)
    assert ended.status == 2 or (name in ("in a file", "no permission") and ended.status == 1), ended
    first = ended.err.splitlines()[-2 if ended.err.splitlines()[-1].startswith("hint: ") else -1]
    assert first.startswith("error: ")
    assert sentence in first
    assert everything(place) == before


def everything(place: Workplace) -> list[str]:
    """Return all that there is, without what a command leaves in its own places."""
    own = ("store", "out-", "err-", "calls-", "link")
    found = [str(path.relative_to(place.folder)) for path in place.folder.rglob("*")]
    return sorted(name for name in found if not name.startswith(own))


def test_uploads_are_not_reached_by_way_of_another_granted_folder(place: Workplace) -> None:
    """A folder that holds the workspace is refused, when it is granted in the same breath, by whatever name."""
    (place.folder / "ws").mkdir()
    (place.folder / "other").symlink_to(place.folder / "ws")
    for folder in ("ws", "other", "."):
        ended = place.run("run", plan(place, REPORT), "--folder", folder, "--workspace", "other/in")
        assert ended.status == 2
        assert "lies in the granted folder" in ended.err or "contains the store" in ended.err, ended.err
