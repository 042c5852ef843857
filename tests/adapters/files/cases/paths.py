"""Cases of path resolution: what a path may not mean, however it is written and whatever stands on the way."""

import os
import subprocess

from cowork.domain.action import (
    Action,
    FileCreate,
    FileDelete,
    FileList,
    FileMove,
    FileRead,
    FileRename,
    FileSearch,
    FileWrite,
    Location,
)
from tests.adapters.files.cases.case import Answer, Case
from tests.adapters.files.cases.ground import Ground


def reads(*paths: str) -> list[Action]:
    """Return one action per path that reads it."""
    return [FileRead(at=Location("g", path)) for path in paths]


def every_kind(ground: Ground, path: str, other: str = "free.txt") -> list[Action]:
    """Return an action of each kind on the path."""
    content = ground.content("new")
    at, to = ground.at(path), ground.at(other)
    return [
        FileList(at=at),
        FileSearch(at=at, pattern="."),
        FileRead(at=at),
        FileWrite(at=at, content=content),
        FileCreate(at=at, content=content),
        FileRename(at=at, to=to),
        FileMove(at=at, to=to),
        FileDelete(at=at),
    ]


def _mount_etc(ground: Ground) -> None:
    (ground.grant / "mnt").mkdir()
    subprocess.run(["mount", "--bind", "/etc", str(ground.grant / "mnt")], check=True)


def _link_parent(ground: Ground) -> None:
    (ground.grant / "d").symlink_to("../out")


def _link_parent_beside_file(ground: Ground) -> None:
    _link_parent(ground)
    (ground.grant / "f").write_text("f")


def _link_inside(ground: Ground) -> None:
    (ground.grant / "sub").mkdir()
    (ground.grant / "sub" / "f").write_text("inside")
    (ground.grant / "in").symlink_to("sub")


def _replace_grant(ground: Ground) -> None:
    ground.grant.rename(ground.base / "grant-gone")
    ground.grant.symlink_to("out")


def _replace_grant_by_folder(ground: Ground) -> None:
    ground.grant.rename(ground.base / "grant-gone")
    ground.grant.mkdir()
    (ground.grant / "secret.txt").write_text("not what was granted")


def _nothing_new(ground: Ground, _answers: list[Answer]) -> None:
    assert list(ground.grant.iterdir()) == []


def _make_expandable(ground: Ground) -> None:
    """What the paths of PTH-30 would lead to, if anything expanded them."""
    (ground.grant / "a").mkdir()
    (ground.grant / "a" / "file.txt").write_text("not to be matched")


def _write_foreign(ground: Ground) -> None:
    with open(os.fsencode(ground.grant) + b"/x\xff", "wb") as file:
        file.write(b"foreign")


def _assert(holds: bool) -> None:
    assert holds


PATHS: tuple[Case, ...] = (
    Case(
        id="PTH-01",
        title="a path that climbs out is refused",
        ask=lambda g: [
            *reads("../out/secret.txt", "a/../../out/secret.txt", "a/..", "./../out/secret.txt", "..", "x/../y"),
            *every_kind(g, "../out/secret.txt"),
        ],
        allowed=("denied/escape",),
    ),
    Case(
        id="PTH-03",
        title="an absolute path is refused",
        ask=lambda g: [*reads(str(g.out / "secret.txt")), *every_kind(g, str(g.out / "secret.txt"))],
        allowed=("denied/no_grant",),
    ),
    Case(
        id="PTH-04",
        title="a sibling whose name begins like the grant's is outside",
        ask=lambda g: reads(str(g.evil / "f"), f"{g.grant}-evil/f"),
        allowed=("denied/no_grant",),
    ),
    Case(
        id="PTH-06",
        title="a link to a file outside is not read, written, moved or deleted",
        arrange=lambda g: (g.grant / "l").symlink_to("../out/secret.txt"),
        ask=lambda g: every_kind(g, "l"),
        allowed=("denied/symlink",),
        check=lambda g, _: _assert(os.readlink(g.grant / "l") == "../out/secret.txt"),
    ),
    Case(
        id="PTH-08",
        title="a linked folder leads nowhere",
        arrange=_link_parent,
        ask=lambda g: [
            *every_kind(g, "d/new.txt"),
            *every_kind(g, "d/secret.txt"),
            *every_kind(g, "d/more/new.txt"),
            FileList(at=g.at("d"), recursive=True),
        ],
        allowed=("denied/symlink",),
        check=lambda g, _: _assert(sorted(os.listdir(g.grant)) == ["d"]),
    ),
    Case(
        id="PTH-08-destination",
        title="nothing is moved through a linked folder",
        arrange=_link_parent_beside_file,
        ask=lambda g: [FileMove(at=g.at("f"), to=g.at("d/f")), FileRename(at=g.at("f"), to=g.at("d/x/f"))],
        allowed=("denied/symlink",),
        check=lambda g, _: _assert((g.grant / "f").read_text() == "f"),
    ),
    Case(
        id="PTH-10",
        title="a link inside the grant is refused too: the path that was decided on is the path that is used",
        arrange=_link_inside,
        ask=lambda g: reads("in/f", "in"),
        allowed=("denied/symlink",),
    ),
    Case(
        id="PTH-12",
        title="a link to itself ends at once",
        arrange=lambda g: (g.grant / "loop").symlink_to("loop"),
        ask=lambda g: [*reads("loop", "loop/loop/x"), *every_kind(g, "loop")],
        allowed=("denied/symlink",),
        seconds_max=0.5,
    ),
    Case(
        id="PTH-14",
        title="a dangling link is not created through",
        arrange=lambda g: (g.grant / "dang").symlink_to("../out/new"),
        ask=lambda g: [
            FileCreate(at=g.at("dang"), content=g.content("x")),
            FileWrite(at=g.at("dang"), content=g.content("x")),
        ],
        allowed=("denied/symlink",),
        check=lambda g, _: _assert(not (g.out / "new").exists()),
    ),
    Case(
        id="PTH-16",
        title="the kernel's own links are as absolute as any",
        ask=lambda _: reads("/proc/self/root/etc/hostname", "/proc/self/cwd", "/dev/fd/0", "/proc/1/environ"),
        allowed=("denied/no_grant",),
    ),
    Case(
        id="PTH-18",
        title="a mount inside the grant is another file system",
        privileged=True,
        arrange=_mount_etc,
        ask=lambda g: [
            *reads("mnt/hostname"),
            *every_kind(g, "mnt"),
            *every_kind(g, "mnt/hostname"),
            FileCreate(at=g.at("mnt/new/x"), content=g.content("x")),
        ],
        allowed=("denied/xdev",),
    ),
    Case(
        id="PTH-20",
        title="NUL in a path is refused, not cut off",
        arrange=lambda g: (g.grant / "a").write_text("not to be read"),
        ask=lambda g: [*reads("a\0b", "a\0"), *every_kind(g, "a\0b")],
        allowed=("denied/name",),
        check=lambda g, _: _assert((g.grant / "a").read_text() == "not to be read"),
    ),
    Case(
        id="PTH-22",
        title="an overlong path, name or depth is a limit, never an error of the system",
        ask=lambda g: [
            *reads("a/" * 2500 + "f", "n" * 256, "é" * 128, "a/" * 400 + "f"),
            *every_kind(g, "n" * 256),
            *every_kind(g, "a/" * 400 + "f"),
        ],
        allowed=("denied/limit",),
    ),
    Case(
        id="PTH-24",
        title="no file gets a name that a person can't read",
        ask=lambda g: [
            FileCreate(at=g.at(f"a{hidden}b"), content=g.content("x"))
            for hidden in ("\n", "\r", "\x1b", "\u202e", "\u200b", "\u2066", "\u2028", "\x7f", "\ue000")
        ],
        allowed=("denied/name",),
        check=_nothing_new,
    ),
    Case(
        id="PTH-24-new-names",
        title="no file is renamed to such a name, nor written anew",
        arrange=lambda g: (g.grant / "f").write_text("f"),
        ask=lambda g: [
            FileRename(at=g.at("f"), to=g.at("a\u202eb")),
            FileMove(at=g.at("f"), to=g.at("a\nb/f")),
            FileWrite(at=g.at("a\x1bb"), content=g.content("x")),
        ],
        allowed=("denied/name",),
        check=lambda g, _: _assert(os.listdir(g.grant) == ["f"]),
    ),
    Case(
        id="PTH-26",
        title="the granted folder itself is never written, deleted or renamed",
        ask=lambda g: [
            action
            for path in ("", ".", "./", "  ", "././.")
            for action in every_kind(g, path)
            if not isinstance(action, FileList | FileSearch)
        ],
        allowed=("denied/name",),
        check=_nothing_new,
    ),
    Case(
        id="PTH-26-root",
        title="nor is the root of the machine",
        ask=lambda g: every_kind(g, "/"),
        allowed=("denied/no_grant",),
        check=_nothing_new,
    ),
    Case(
        id="PTH-28",
        title="a grant whose folder was replaced by a link is no grant any more",
        ask=lambda g: [*every_kind(g, "secret.txt"), FileList(at=g.at("."))],
        between=_replace_grant,
        allowed=("denied/conflict",),
    ),
    Case(
        id="PTH-28-folder",
        title="nor is one whose folder was replaced by another folder",
        ask=lambda g: [*every_kind(g, "secret.txt"), FileList(at=g.at("."))],
        between=_replace_grant_by_folder,
        allowed=("denied/conflict",),
    ),
    Case(
        id="PTH-30",
        title="nothing in a path is expanded",
        arrange=_make_expandable,
        ask=lambda g: reads(
            f"file://{g.out}/secret.txt",
            "%2e%2e/out/secret.txt",
            "..\\out",
            "..\\out\\secret.txt",
            "～/x",
            "~/.ssh/id",
            "~",
            "$HOME/x",
            "a/*",
            "a/f?le.txt",
            "{a,b}/file.txt",
        ),
        allowed=("denied/not_found", "denied/sensitive"),
    ),
    Case(
        id="PTH-31",
        title="a protected name is protected in every spelling that some file system takes for it",
        ask=lambda g: [
            FileWrite(at=g.at(path), content=g.content("x"))
            for path in (
                ".GIT/hooks/x",
                ".Git/Hooks/x",
                ".MCP.json",
                ".git./hooks /x",
                ".g\u200bit/hooks/x",
                "Claude.MD",
            )
        ],
        allowed=("denied/protected", "denied/name"),
        check=_nothing_new,
    ),
    Case(
        id="PTH-32",
        title="a name has one text: another spelling of the same bytes is refused",
        arrange=lambda g: (g.grant / "é").write_text("e"),
        ask=lambda _: reads("\U0010fec3\U0010fea9"),
        allowed=("denied/name",),
    ),
    Case(
        id="PTH-33",
        title="a name that is not UTF-8 can be read, moved and deleted by the text that a listing gives it",
        arrange=_write_foreign,
        ask=lambda g: [
            FileRead(at=g.at("x\U0010feff")),
            FileRename(at=g.at("x\U0010feff"), to=g.at("readable")),
            FileDelete(at=g.at("readable")),
        ],
        allowed=("completed",),
        check=_nothing_new,
    ),
)
