"""Cases of file semantics: special files, hard links, set-id bits, full disks, protected and secret names."""

import json
import os
import socket
import stat
import subprocess
from pathlib import Path

from cowork.adapters.files.executor import FileExecutor
from cowork.domain.action import (
    FileCreate,
    FileDelete,
    FileMove,
    FileRead,
    FileRename,
    FileRestore,
    FileSearch,
    FileWrite,
)
from cowork.domain.baseline import BASELINE
from cowork.domain.effect import Effect
from cowork.domain.policy_document import Conditions, Rule, layer_of_rules
from cowork.engine.ports import Done
from tests.adapters.files.cases.case import Answer, Case, Check, Driver
from tests.adapters.files.cases.direct import DirectDriver
from tests.adapters.files.cases.ground import Ground, Manifest, manifest_of, opened_folder
from tests.adapters.files.cases.paths import every_kind

PROTECTED = (
    ".git/hooks/pre-commit",
    ".git/config",
    ".mcp.json",
    ".vscode/tasks.json",
    ".idea/workspace.xml",
    ".claude/settings.json",
    ".cursor/mcp.json",
    ".codex/config.toml",
    ".agents/a.md",
    "CLAUDE.md",
    "AGENTS.md",
    ".envrc",
    ".bashrc",
    "deep/er/.git/hooks/post-checkout",
)

CROSS_ROOT_ASKS = layer_of_rules(
    "cross-root-asks",
    (
        Rule(
            "cross-root-asks", ("file.move",), "allow_with_confirm", Conditions(cross_root=True), "into another grant"
        ),
        *(rule for rule in BASELINE.document.rules if rule.id != "no-move-between-grants"),
    ),
)
HIDDEN_IS_OPEN = layer_of_rules(
    "hidden-is-open",
    tuple(rule for rule in BASELINE.document.rules if rule.id != "hidden-files-stay-closed"),
)


def _bind_socket(ground: Ground) -> None:
    with opened_folder(ground.grant) as folder, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"/proc/self/fd/{folder}/sock")


def _make_devices(ground: Ground) -> None:
    for name, kind, device in (
        ("null", stat.S_IFCHR, os.makedev(1, 3)),
        ("loop", stat.S_IFBLK, os.makedev(7, 0)),
    ):
        path = ground.grant / name
        try:
            os.mknod(path, kind | 0o666, device)
        except PermissionError:
            # An ordinary user's namespace can't make one, but can bind one of the machine's into the grant.
            path.touch()
            subprocess.run(["mount", "--bind", "/dev/null", str(path)], check=True)


def _hard_link(ground: Ground) -> None:
    os.link(ground.out / "linked.txt", ground.grant / "hl")


def _setuid(ground: Ground) -> None:
    path = ground.grant / "tool"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o6755)
    assert path.stat().st_mode & 0o6000


def _without_setid(ground: Ground, answers: list[Answer]) -> None:
    status = (ground.grant / "tool").stat()
    assert stat.S_IMODE(status.st_mode) == 0o755
    assert (ground.grant / "tool").read_text() == "new"
    assert not (ground.grant / "fresh").stat().st_mode & 0o6000


def _sparse(ground: Ground) -> None:
    with open(ground.grant / "sparse", "wb") as file:
        file.write(b"begin")
        file.truncate(1 << 40)


def _sparse_answers(ground: Ground, answers: list[Answer]) -> None:
    assert [answer.word for answer in answers] == ["denied/limit", "completed", "completed"]
    assert answers[1].result == b"begin\0\0\0"
    assert answers[2].result == b"\0" * 16
    assert (ground.grant / "sparse").stat().st_blocks * 512 < 1024 * 1024


def _tiny_file_system(ground: Ground) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(ground.grant)], check=True)
    ground.grant_again()
    (ground.grant / "large").write_bytes(b"o" * 1_000_000)


def _still_whole(ground: Ground, answers: list[Answer]) -> None:
    assert (ground.grant / "large").read_bytes() == b"o" * 1_000_000
    assert os.listdir(ground.grant) == ["large"]


def _three_files(ground: Ground) -> None:
    folder = ground.grant / "d"
    (folder / "inner").mkdir(parents=True)
    for name in ("a", "b", "inner/c"):
        (folder / name).write_text(f"content of {name}")
    (folder / "a").chmod(0o640)


def _links_outside(ground: Ground) -> None:
    _three_files(ground)
    (ground.grant / "d" / "out").symlink_to("../../out")
    (ground.grant / "d" / "secret").symlink_to("../../out/secret.txt")
    os.link(ground.out / "linked.txt", ground.grant / "d" / "hl")


def kept_name(answer: Answer) -> str:
    """Return the name in quarantine that the answer's only effect tells."""
    assert isinstance(answer.performed, Done)
    effect = answer.performed.effects[0]
    assert effect.kept.startswith("quarantine:")
    return effect.kept.removeprefix("quarantine:")


def _executor_of(driver: Driver) -> FileExecutor:
    assert isinstance(driver, DirectDriver)
    return driver.executor


def _shape(manifest: Manifest, top: Path) -> dict[str, object]:
    return {path.removeprefix(str(top)): values for path, values in manifest.items()}


async def _restore(ground: Ground, driver: Driver, answers: list[Answer]) -> None:
    """Put the deleted tree back under another name and compare it with what it was."""
    name = kept_name(answers[0])
    kept = _shape(manifest_of(ground.state / "quarantine" / name), ground.state / "quarantine" / name)
    assert len(kept) == 4
    done = answers[0].performed
    assert isinstance(done, Done)
    digest = done.effects[0].before
    assert isinstance(driver, DirectDriver)
    back = FileRestore(at=ground.at("back"), kept=f"quarantine:{name}", digest=digest)
    outcome = await driver.executor.perform(driver.permit(back, await driver.observe(back)))
    assert outcome == Done((Effect(change="create", at=ground.at("back"), after=digest),))
    assert _shape(manifest_of(ground.grant / "back"), ground.grant / "back") == kept
    assert (ground.grant / "back" / "inner" / "c").read_text() == "content of inner/c"
    assert stat.S_IMODE((ground.grant / "back" / "a").stat().st_mode) == 0o640


async def _purge(ground: Ground, driver: Driver, answers: list[Answer]) -> None:
    before = ground.untouchable(links_may_drop=True)
    executor = _executor_of(driver)
    assert await executor.purge(kept_name(answers[0]), ground.at("d"), ground.scope)
    assert not await executor.purge(kept_name(answers[0]), ground.at("d"), ground.scope)
    assert os.listdir(ground.state / "quarantine") == []
    assert ground.untouchable(links_may_drop=True) == before


def _moved_across(ground: Ground, answers: list[Answer]) -> None:
    answer = answers[0]
    assert answer.decision is not None
    assert "cross-root" in answer.decision.risk_tags
    assert isinstance(answer.performed, Done)
    (effect,) = answer.performed.effects
    assert (effect.at, effect.previous) == (ground.at("a", "g2"), ground.at("a"))
    assert effect.before == effect.after != ""
    assert not (ground.grant / "a").exists()
    assert (ground.grant2 / "a").read_text() == "moved"


def _catastrophic(ground: Ground) -> None:
    (ground.grant / "text").write_text("a" * 100_000 + "!")


def _absent(*paths: str) -> Check:
    def check(ground: Ground, _answers: list[Answer]) -> None:
        assert [path for path in paths if (ground.grant / path).exists()] == []

    return check


def _protected_exist(ground: Ground) -> None:
    for path in PROTECTED:
        (ground.grant / path).parent.mkdir(parents=True, exist_ok=True)
        (ground.grant / path).write_text("as it was")


def _protected_unchanged(ground: Ground, _answers: list[Answer]) -> None:
    assert {(ground.grant / path).read_text() for path in PROTECTED} == {"as it was"}


def _script_and_hooks(ground: Ground) -> None:
    (ground.grant / "safe").write_text("#!/bin/sh")
    (ground.grant / "x" / "hooks").mkdir(parents=True)
    (ground.grant / ".git").mkdir()


def _folders_that_wait(ground: Ground) -> None:
    for path in (
        "repository/hooks/pre-commit",
        "scripts/pre-commit",
        "settings/fish/config.fish",
        "mine/share/systemd/user/x.service",
        "project/.git/hooks/pre-commit",
    ):
        (ground.grant / path).parent.mkdir(parents=True)
        (ground.grant / path).write_text("#!/bin/sh")


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and text in path.read_text(errors="replace")


def _words(answers: list[Answer], expected: set[str]) -> None:
    assert {answer.word for answer in answers} == expected


def _same(found: object, expected: object) -> None:
    assert found == expected


CONTENTS: tuple[Case, ...] = (
    Case(
        id="FIL-01",
        title="a pipe without a writer is refused and keeps nobody waiting",
        arrange=lambda g: os.mkfifo(g.grant / "p"),
        ask=lambda g: every_kind(g, "p"),
        allowed=("denied/special", "denied/conflict"),
        seconds_max=0.5,
        check=lambda g, answers: _words(answers, {"denied/special"}),
    ),
    Case(
        id="FIL-03",
        title="a socket is refused",
        arrange=_bind_socket,
        ask=lambda g: every_kind(g, "sock"),
        allowed=("denied/special",),
    ),
    Case(
        id="FIL-03-devices",
        title="a device is refused and never opened",
        privileged=True,
        arrange=_make_devices,
        ask=lambda g: [*every_kind(g, "null"), *every_kind(g, "loop")],
        allowed=("denied/special", "denied/xdev"),
    ),
    Case(
        id="FIL-05",
        title="a file with another name outside is replaced, never changed in place",
        arrange=_hard_link,
        ask=lambda g: [FileWrite(at=g.at("hl"), content=g.content("new"))],
        allowed=("completed",),
        asked=True,
        check=lambda g, _: _same(
            ((g.out / "linked.txt").read_text(), (g.grant / "hl").read_text()), ("linked from outside\n", "new")
        ),
    ),
    Case(
        id="FIL-05-preview",
        title="what such a file holds is neither shown nor copied when it is replaced",
        arrange=lambda g: os.link(g.out / "secret.txt", g.grant / "hl"),
        ask=lambda g: [FileWrite(at=g.at("hl"), content=g.content("new"))],
        allowed=("completed",),
        asked=True,
        check=lambda g, _: _same([p for p in (g.state / "blobs").rglob("*") if _holds(p, g.canary)], []),
    ),
    Case(
        id="FIL-07",
        title="reading a file with another name asks a person, with the reason as a tag",
        arrange=_hard_link,
        ask=lambda g: [FileRead(at=g.at("hl"))],
        allowed=("completed",),
        asked=True,
        check=lambda _g, answers: _same(
            answers[0].decision is not None and "hardlink" in answers[0].decision.risk_tags, True
        ),
    ),
    Case(
        id="FIL-08",
        title="what is written has no set-id bits",
        arrange=_setuid,
        ask=lambda g: [
            FileWrite(at=g.at("tool"), content=g.content("new")),
            FileCreate(at=g.at("fresh"), content=g.content("x")),
        ],
        allowed=("completed",),
        check=_without_setid,
    ),
    Case(
        id="FIL-11",
        title="a file is as large as it says, and a part of it can be read",
        arrange=_sparse,
        ask=lambda g: [
            FileRead(at=g.at("sparse")),
            FileRead(at=g.at("sparse"), offset=0, length=8),
            FileRead(at=g.at("sparse"), offset=(1 << 40) - 16),
        ],
        allowed=("denied/limit", "completed"),
        check=_sparse_answers,
    ),
    Case(
        id="FIL-13",
        title="a full disk leaves the old content whole",
        privileged=True,
        arrange=_tiny_file_system,
        ask=lambda g: [FileWrite(at=g.at("large"), content=g.content(b"n" * 1_000_000))],
        allowed=("failed/io",),
        check=_still_whole,
    ),
    Case(
        id="FIL-15",
        title="creating never replaces",
        arrange=lambda g: (g.grant / "f").write_text("old"),
        ask=lambda g: [FileCreate(at=g.at("f"), content=g.content("new"))],
        allowed=("denied/conflict",),
        check=lambda g, _: _same((g.grant / "f").read_text(), "old"),
    ),
    Case(
        id="FIL-17",
        title="a deleted folder can be put back byte for byte",
        arrange=_three_files,
        ask=lambda g: [FileDelete(at=g.at("d"))],
        allowed=("completed",),
        asked=True,
        replay=_restore,
    ),
    Case(
        id="FIL-18",
        title="deleting and purging a folder leaves alone what its links point to",
        arrange=_links_outside,
        ask=lambda g: [FileDelete(at=g.at("d"))],
        allowed=("completed",),
        links_may_drop=True,
        replay=_purge,
    ),
    Case(
        id="FIL-21",
        title="a move into another grant is asked for, and told with both places",
        arrange=lambda g: (g.grant / "a").write_text("moved"),
        ask=lambda g: [FileMove(at=g.at("a"), to=g.at("a", "g2"))],
        rules=CROSS_ROOT_ASKS,
        allowed=("completed",),
        asked=True,
        check=_moved_across,
    ),
    Case(
        id="FIL-21-closed",
        title="without a rule for it, a move into another grant is denied",
        arrange=lambda g: (g.grant / "a").write_text("moved"),
        ask=lambda g: [FileMove(at=g.at("a"), to=g.at("a", "g2"))],
        allowed=("denied/policy",),
        check=lambda g, _: _same((g.grant / "a").read_text(), "moved"),
    ),
    Case(
        id="FIL-22",
        title="nothing is moved out of the grants",
        arrange=lambda g: (g.grant / "a").write_text("a"),
        ask=lambda g: [
            FileMove(at=g.at("a"), to=g.at("../out/a")),
            FileRename(at=g.at("a"), to=g.at("../out/a")),
            FileMove(at=g.at("a"), to=g.at(str(g.out / "a"))),
            FileMove(at=g.at("a"), to=g.at("a", "nowhere")),
        ],
        allowed=("denied/escape", "denied/no_grant"),
        check=lambda g, _: _same((g.grant / "a").read_text(), "a"),
    ),
    Case(
        id="FIL-26",
        title="what other programs run or obey is not written",
        arrange=_protected_exist,
        ask=lambda g: [
            action
            for path in PROTECTED
            for action in (FileWrite(at=g.at(path), content=g.content("evil")), FileDelete(at=g.at(path)))
        ],
        allowed=("denied/protected",),
        check=_protected_unchanged,
    ),
    Case(
        id="FIL-27",
        title="its absence is no permission",
        ask=lambda g: [
            action
            for path in PROTECTED
            for action in (
                FileCreate(at=g.at(path), content=g.content("evil")),
                FileWrite(at=g.at(path), content=g.content("evil")),
            )
        ],
        allowed=("denied/protected",),
        check=_absent(*PROTECTED, ".git", ".vscode", ".claude"),
    ),
    Case(
        id="FIL-30",
        title="the destination of a move is written to",
        arrange=_script_and_hooks,
        ask=lambda g: [
            FileMove(at=g.at("safe"), to=g.at(".git/hooks/pre-commit")),
            FileMove(at=g.at("x/hooks"), to=g.at(".git/hooks")),
            FileRename(at=g.at("x/hooks"), to=g.at(".git/hooks")),
            FileRename(at=g.at("safe"), to=g.at("CLAUDE.md")),
        ],
        allowed=("denied/protected",),
        check=_absent(".git/hooks", "CLAUDE.md"),
    ),
    Case(
        id="FIL-30-folders",
        title="a folder is not given a name that makes its content something that other programs run",
        arrange=_folders_that_wait,
        ask=lambda g: [
            FileRename(at=g.at("repository"), to=g.at("sub/.git")),
            FileMove(at=g.at("scripts"), to=g.at("bare/hooks")),
            FileRename(at=g.at("scripts"), to=g.at("Hooks")),
            FileMove(at=g.at("settings"), to=g.at("x/.config")),
            FileRename(at=g.at("mine"), to=g.at(".local")),
        ],
        rules=HIDDEN_IS_OPEN,
        allowed=("denied/protected",),
        check=_absent("sub", "bare", "Hooks", "x", ".local"),
    ),
    Case(
        id="FIL-30-along",
        title="what is such a file already moves along with the folder around it, and any other folder moves",
        arrange=_folders_that_wait,
        ask=lambda g: [
            FileMove(at=g.at("project"), to=g.at("archive/project")),
            FileRename(at=g.at("scripts"), to=g.at("programs")),
        ],
        allowed=("completed",),
        asked=True,
        check=lambda g, _: _same((g.grant / "archive/project/.git/hooks/pre-commit").read_text(), "#!/bin/sh"),
    ),
    Case(
        id="FIL-32",
        title="no pattern keeps a search busy",
        arrange=_catastrophic,
        ask=lambda g: [FileSearch(at=g.at("."), pattern=pattern) for pattern in ("(a+)+$", "(a|aa)+$", "(.*a){20}x")],
        allowed=("completed",),
        seconds_max=1.0,
        check=lambda _g, answers: _same([json.loads(answer.result)["matches"] for answer in answers], [[], [], []]),
    ),
)
