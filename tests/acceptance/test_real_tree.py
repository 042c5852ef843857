"""A tree that nobody made for a test: thousands of the running Python's own files are moved, reported on, deleted."""

import hashlib
import os
import shutil
import stat
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from cowork.adapters.bootstrap import open_application
from cowork.domain.places import is_executed, is_sensitive
from tests.acceptance.event_oracle import assert_history_is_sound
from tests.acceptance.workplace import Ended, Workplace, fork_server, workplace

FILES: Final = 2200
FILE_BYTES_MAX: Final = 1024 * 1024

PLAN: Final = """
title = "Sort the library"

[[step]]
id = "look"
action = { kind = "file.list", path = ".", recursive = true }

[[step]]
id = "modules"
title = "Modules into one folder"
action = { kind = "file.move", match = "library/**/*.py", to = "modules/" }

[[step]]
id = "report"
action = { kind = "file.create", path = "reports/duplicates.md", content = '''
REPORT''' }

[[step]]
id = "duplicates"
title = "Delete the second copy"
needs = ["report"]
action = { kind = "file.delete", match = "backup/**/*" }
"""


class Sorted(msgspec.Struct, frozen=True, kw_only=True):
    """What the run was given and what it left behind."""

    before: dict[str, str]
    after: dict[str, str]
    report: str
    waiting: Ended
    questions: list[dict[str, Any]]
    ended: Ended
    summary: dict[str, Any]
    place: Workplace
    task_id: str
    seconds: float


def real_files() -> Iterator[tuple[str, Path]]:
    """Yield the running Python's ordinary files with a relative path for each."""
    tops = {"python": sysconfig.get_path("stdlib"), "packages": sysconfig.get_path("purelib")}
    for name, top in tops.items():
        for folder, folders, files in os.walk(top):
            folders[:] = sorted(one for one in folders if one != "site-packages")
            for file in sorted(files):
                path = Path(folder, file)
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and status.st_size <= FILE_BYTES_MAX:
                    yield f"{name}/{path.relative_to(top)}", path


def chosen_files() -> dict[str, Path]:
    """Return as many as the test wants, spread over all there are; keys and start files are denied, so none of them."""
    found = {name: path for name, path in real_files() if not (is_sensitive(name) or is_executed(name))}
    visible = {name: path for name, path in found.items() if not any(part[0] == "." for part in name.split("/"))}
    assert len(visible) >= FILES, "this Python has too few files"
    stride = len(visible) // FILES
    return dict(sorted(visible.items())[:: stride or 1][:FILES])


def digests_of(folder: Path) -> dict[str, str]:
    """Return the digest of every file beneath the folder, by relative path."""
    return {
        str(path.relative_to(folder)): f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def sort_the_library(place: Workplace) -> Sorted:
    """Lay out the tree with a second copy of itself, run the plan until it waits, approve, resume."""
    for name, path in chosen_files().items():
        for top in ("library", "backup"):
            (place.inbox / top / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place.inbox / top / name)
    before = digests_of(place.inbox)
    copies = {name: digest for name, digest in before.items() if name.startswith("backup/")}
    report = "".join(f"- {digest[7:19]} {name!r}\n" for name, digest in copies.items())
    (place.folder / "plan.toml").write_text(PLAN.replace("REPORT", report), encoding="utf-8")
    began = time.monotonic()
    waiting = place.run("run", "plan.toml", "--folder", "inbox", "--output", "inbox/reports", "--answer", "wait")
    questions = place.questions()
    for question in questions:
        assert place.approve(question).status == 0
    task_id = questions[0]["taskId"]
    ended = place.run("resume", task_id)
    seconds = time.monotonic() - began
    return Sorted(
        before=before,
        after=digests_of(place.inbox),
        report=report,
        waiting=waiting,
        questions=questions,
        ended=ended,
        summary=place.run("task", "summary", task_id, "--json").json(),
        place=place,
        task_id=task_id,
        seconds=seconds,
    )


@pytest.fixture(scope="module")
def run() -> Iterator[Sorted]:
    with fork_server() as forks, workplace(forks) as place:
        yield sort_the_library(place)


def expected_moves(before: dict[str, str]) -> dict[str, str]:
    """Return where each module goes: the first of each name in byte order, for no move replaces another file."""
    moves: dict[str, str] = {}
    for name in sorted((n for n in before if n.startswith("library/") and n.endswith(".py")), key=os.fsencode):
        moves.setdefault(f"modules/{name.rpartition('/')[2]}", name)
    return {source: target for target, source in moves.items()}


def test_the_tree_is_as_large_and_as_mixed_as_real_ones(run: Sorted) -> None:
    copies = [name for name in run.before if name.startswith("backup/")]
    assert len(copies) == FILES
    samples = [(run.place.inbox / name).read_bytes() for name in run.after]
    assert any(b"\0" in sample for sample in samples)
    assert any(sample.isascii() and sample for sample in samples)


def test_every_file_is_where_the_plan_says_and_no_byte_is_lost(run: Sorted) -> None:
    moves = expected_moves(run.before)
    assert len(moves) > 200
    wanted = {moves.get(name, name): digest for name, digest in run.before.items() if not name.startswith("backup/")}
    report = f"sha256:{hashlib.sha256(run.report.encode()).hexdigest()}"
    assert run.after == wanted | {"reports/duplicates.md": report}
    assert not [path for path in (run.place.inbox / "backup").rglob("*") if path.is_file()]


def test_the_question_names_every_single_file(run: Sorted) -> None:
    assert run.waiting.status == 3, run.waiting.err
    (deleting,) = (one for one in run.questions if one["card"]["headline"].startswith("Delete"))
    (actions,) = (block["lines"] for block in deleting["card"]["blocks"] if block["role"] == "action")
    text = "\n".join(actions) + "\n"
    copies = [name for name in run.before if name.startswith("backup/")]
    assert len(copies) >= 2000
    assert [name for name in copies if name.removeprefix("backup/") not in text] == []
    assert len(deleting["actionIds"]) == len(copies)


def test_two_files_of_one_name_never_replace_each_other(run: Sorted) -> None:
    modules = [name for name in run.before if name.startswith("library/") and name.endswith(".py")]
    clashes = len(modules) - len(expected_moves(run.before))
    assert clashes > 0
    denied = [one for one in run.summary["actionLog"] if one["outcome"] == "denied"]
    assert len(denied) == clashes
    assert {one["action"] for one in denied} == {"file.move"}
    # A clash is a failure of the plan, not a breach of the rules: the status says so, and the rest was done.
    assert run.ended.status == 1
    assert "did not succeed: modules" in run.ended.out


def test_the_summary_agrees_with_the_file_system(run: Sorted) -> None:
    changes = run.summary["fileChanges"]
    counts = {change: sum(one["change"] == change for one in changes) for change in ("create", "move", "delete")}
    assert counts == {"create": 1, "move": len(expected_moves(run.before)), "delete": FILES}
    for one in changes:
        match one["change"]:
            case "delete":
                assert one["digestBefore"] == run.before[one["path"]]
                assert one["path"] not in run.after
            case "move":
                assert run.after[one["path"]] == one["digestAfter"] == run.before[one["previousPath"]]
            case _:
                assert run.after[one["path"]] == one["digestAfter"]
    assert [output["path"] for output in run.summary["outputs"]] == ["reports/duplicates.md"]


def test_the_log_is_sound(run: Sorted) -> None:
    application = open_application(run.place.store, create=False)
    try:
        assert_history_is_sound(application, run.task_id)
        assert application.audit().violations == ()
    finally:
        application.close()


def test_time_and_size_are_told(run: Sorted, record_property: Callable[[str, object], None]) -> None:
    sizes = {path.name: path.stat().st_size for path in run.place.store.iterdir() if path.is_file()}
    told = {"files": len(run.before), "seconds": round(run.seconds, 2), "log_bytes": sizes["events.db"]}
    for name, value in told.items():
        record_property(name, value)
    print(told)
    assert sizes["events.db"] > 0
