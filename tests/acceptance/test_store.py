"""Letting go of what nothing needs any more, with the installed command: on real stores, killed, and beside others."""

import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cowork.adapters.bootstrap import open_application
from tests.acceptance.workplace import Ended, Forks, Workplace, fork_server, workplace
from tests.engine.rig import assert_clean

HOUR = 3600


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with fork_server() as server:
        yield server


@pytest.fixture
def place(forks: Forks) -> Iterator[Workplace]:
    with workplace(forks) as made:
        yield made


def plan(place: Workplace, name: str, *steps: str) -> str:
    lines = [f'title = "{name}"']
    lines += [f'[[step]]\nid = "s{number}"\naction = {{ {step} }}' for number, step in enumerate(steps)]
    (place.folder / f"{name}.toml").write_text("\n".join(lines))
    return f"{name}.toml"


def overwrite(path: str, text: str) -> str:
    return f'kind = "file.write", path = "{path}", content = "{text}"'


def blobs(place: Workplace) -> dict[str, Path]:
    """Return the contents that are kept, by their digests."""
    found = (place.store / "blobs").glob("??/*")
    return {f"sha256:{path.parent.name}{path.name}": path for path in found if len(path.name) == 62}


def make_old(place: Workplace, *, hours: int = 24) -> None:
    then = time.time() - hours * HOUR
    for path in blobs(place).values():
        os.utime(path, (then, then))


def ran(ended: Ended, status: int = 0) -> Ended:
    assert ended.status == status, (ended.status, ended.out, ended.err)
    return ended


def run(place: Workplace, name: str, *steps: str, answer: str = "approve", status: int = 0) -> str:
    """Run a plan and return the task's id."""
    place.write({f"inbox/{text}": f"{text} of {name}" for text in ("a.txt", "b.txt", "c.txt")})
    before = {task["taskId"] for task in tasks(place)}
    ran(place.run("run", plan(place, name, *steps), "--folder", "inbox", "--answer", answer), status)
    (task_id,) = {task["taskId"] for task in tasks(place)} - before
    return str(task_id)


def tasks(place: Workplace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = place.run("task", "list", "--json").json()
    return found


def collect(place: Workplace, *options: str) -> dict[str, Any]:
    report: dict[str, Any] = ran(place.run("store", "gc", "--json", *options)).json()
    return report


def needed(place: Workplace, task_id: str) -> set[str]:
    """Return the digests of contents that the task's events name, of those that are kept now."""
    text = place.run("replay", task_id, "--json").out
    return set(re.findall("sha256:[0-9a-f]{64}", text)) & set(blobs(place))


def assert_sound(place: Workplace) -> None:
    app = open_application(place.store)
    try:
        assert_clean(app.audit())
    finally:
        app.close()


def test_a_dry_run_says_exactly_what_the_run_then_does(place: Workplace) -> None:
    ended = run(
        place, "ended", overwrite("a.txt", "one"), overwrite("b.txt", "two"), 'kind = "file.read", path = "c.txt"'
    )
    waiting = run(place, "waiting", overwrite("a.txt", "three"), answer="wait", status=3)
    make_old(place)
    before, kept = blobs(place), needed(place, waiting)
    assert kept

    told = collect(place, "--dry-run", "--keep-days", "0")
    assert blobs(place) == before
    done = collect(place, "--keep-days", "0")

    same = [{key: report[key] for key in report if key not in ("dryRun", "at")} for report in (told, done)]
    assert same[0] == same[1]
    assert [loss["taskId"] for loss in done["tasks"]] == [ended]
    gone = set(before) - set(blobs(place))
    assert len(gone) == done["blobs"] == done["tasks"][0]["blobs"] > 3
    assert kept <= set(blobs(place))
    assert collect(place, "--keep-days", "0")["blobs"] == 0
    assert_sound(place)


def test_what_an_open_task_needs_stays_and_the_task_can_be_finished(place: Workplace) -> None:
    waiting = run(place, "waiting", overwrite("a.txt", "the new text"), answer="wait", status=3)
    make_old(place, hours=24 * 400)
    report = collect(place, "--keep-days", "0", "--max-bytes", "0")
    assert (report["blobs"], report["withinBytesMax"], report["tasks"]) == (0, False, [])
    said = place.run("store", "gc", "--keep-days", "0", "--max-bytes", "0").err
    assert "more than the 0 bytes that may be kept: it belongs to open tasks" in said
    (question,) = place.questions()
    ran(place.approve(question))
    ran(place.run("resume", waiting))
    assert (place.inbox / "a.txt").read_text() == "the new text"


def test_what_was_put_a_short_while_ago_stays_although_nothing_needs_it(place: Workplace) -> None:
    run(place, "ended", overwrite("a.txt", "one"))
    report = collect(place, "--keep-days", "0")
    assert (report["blobs"], report["freedBytes"]) == (0, 0)
    assert report["tooNewBytes"] == report["leftBytes"] > 0
    assert "can go in two hours" in place.run("store", "gc", "--keep-days", "0").out


def test_the_tasks_that_ended_first_lose_theirs_when_there_is_too_much(place: Workplace) -> None:
    text = [letter * 2000 for letter in "xyz"]
    first, second, third = [run(place, f"task{n}", overwrite("a.txt", text[n])) for n in range(3)]
    make_old(place)
    report = collect(place, "--max-bytes", "5KB")
    assert [(loss["taskId"], loss["because"]) for loss in report["tasks"]] == [(first, "size")]
    assert report["leftBytes"] <= 5000
    assert report["withinBytesMax"]
    report = collect(place, "--max-bytes", "1KB")
    assert [loss["taskId"] for loss in report["tasks"]] == [second, third]


def test_who_asks_for_what_is_gone_is_told_since_when_in_one_sentence(place: Workplace) -> None:
    task = run(place, "reading", 'kind = "file.read", path = "c.txt"')
    action = f"{task}.1"
    assert ran(place.run("task", "output", action)).out == "c.txt of reading\n"
    make_old(place)
    collect(place, "--keep-days", "0")
    ended = ran(place.run("task", "output", action), 2)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert f"error: what `{action}` brought back is no longer kept since {day}: task `{task}` ended on" in ended.err
    assert "Traceback" not in ended.err


def test_contents_that_nothing_names_go_and_are_counted(place: Workplace) -> None:
    run(place, "ended", overwrite("a.txt", "one"))
    app = open_application(place.store)
    app.close()
    stray = place.store / "blobs" / "00" / ("0" * 62)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"of a process that died before it recorded anything")
    make_old(place)
    report = collect(place)
    assert (report["blobs"], report["unreferenced"], report["tasks"]) == (1, 1, [])
    assert not stray.exists()


def test_what_was_removed_is_on_record_and_the_log_says_who_removed_it(place: Workplace) -> None:
    run(place, "ended", overwrite("a.txt", "one"))
    make_old(place)
    collect(place, "--keep-days", "0")
    rows = [row for row in ran(place.run("audit", "log", "--json")).json() if row["kind"].startswith("store.")]
    assert [row["kind"] for row in rows] == ["store.collection_started", "store.collection_finished"]
    assert {row["actor"] for row in rows} == {"person:somebody"}


def test_the_status_names_every_part_and_the_largest_tasks(place: Workplace) -> None:
    small = run(place, "small", overwrite("a.txt", "one"))
    large = run(place, "large", overwrite("a.txt", "x" * 5000), answer="wait", status=3)
    status = ran(place.run("store", "status", "--json")).json()
    sizes = {part["name"]: part["sizeBytes"] for part in status["parts"]}
    assert set(sizes) == {"log", "read model", "contents", "deleted files", "memory", "areas", "other"}
    assert sizes["contents"] == sum(path.stat().st_size for path in blobs(place).values())
    assert [(task["taskId"], task["open"]) for task in status["tasks"]] == [(large, True), (small, False)]
    shown = ran(place.run("store", "status")).out
    assert "tasks that need most:" in shown
    assert large in shown


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--max-bytes", "much"], "`much` is not a size"),
        (["--max-bytes=-1"], "`-1` is not a size"),
        (["--keep-days=-3"], "nothing can be kept for `-3` days"),
    ],
)
def test_a_retention_that_makes_no_sense_is_refused(place: Workplace, options: list[str], sentence: str) -> None:
    run(place, "ended", overwrite("a.txt", "one"))
    before = blobs(place)
    ended = ran(place.run("store", "gc", *options), 2)
    assert f"error: {sentence}" in ended.err
    assert blobs(place) == before


def test_killed_at_any_point_a_collection_goes_on_with_the_next_one(place: Workplace) -> None:
    for n in range(3):
        run(place, f"ended{n}", *(overwrite("a.txt", f"{n} {k} {'x' * 50}") for k in range(6)))
    waiting = run(place, "waiting", overwrite("a.txt", "three"), answer="wait", status=3)
    make_old(place)
    before, kept = set(blobs(place)), needed(place, waiting)
    whole = place.run("store", "gc", "--dry-run", "--keep-days", "0", "--json").calls
    chance = random.Random(8)
    killed = partly = 0
    for _ in range(12):
        # A dry run makes all calls but those of the removal itself: beyond them the removal is under way.
        died = place.run("store", "gc", "--keep-days", "0", kill_at_call=whole + chance.randrange(40))
        killed += died.status < 0
        partly += before > set(blobs(place)) > kept
        assert kept <= set(blobs(place))
    assert killed > 3
    assert partly > 0
    collect(place, "--keep-days", "0")
    assert set(blobs(place)) == kept
    assert_sound(place)
    (question,) = place.questions()
    ran(place.approve(question))
    ran(place.run("resume", waiting))


def test_beside_running_tasks_nothing_goes_that_they_need(place: Workplace) -> None:
    """Every content that the tasks write lies there already, old and unneeded, when the first collection begins."""
    texts = [f"text {number} {'x' * 100}" for number in range(8)]
    tasks_done = [run(place, f"before{n}", overwrite("a.txt", text)) for n, text in enumerate(texts)]
    place.write({"inbox/a.txt": "as it was"})
    make_old(place)
    assert len(tasks_done) == len(texts)
    after: list[Ended] = []
    for number, text in enumerate(texts):
        name = plan(place, f"after{number}", overwrite("a.txt", text), overwrite("b.txt", text))
        running = place.start("run", name, "--folder", "inbox", "--answer", "approve")
        collecting = [place.start("store", "gc", "--keep-days", "0") for _ in range(2)]
        after.append(running.wait())
        for one in collecting:
            # A second collection at the same time is refused, and says so.
            ended = one.wait()
            assert ended.status == 0 or "another process is collecting already" in ended.err
    assert [ended.status for ended in after] == [0] * len(texts)
    app = open_application(place.store)
    try:
        last = sorted(str(row["task_id"]) for row in app.rows("tasks"))[-len(texts) :]
        for task_id in last:
            assert app.task(task_id).status == "completed"
        assert_clean(app.audit())
    finally:
        app.close()
