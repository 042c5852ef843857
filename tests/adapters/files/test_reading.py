"""Observing, listing, reading, searching: what is told of files, and that nothing is opened or shown too much."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from cowork.adapters.files.executor import FileExecutor
from cowork.adapters.files.preview import unified_diff
from cowork.adapters.files.resolver import Openat2Resolver
from cowork.adapters.files.world import FileLimits
from cowork.domain.action import (
    Action,
    FileCreate,
    FileDelete,
    FileList,
    FileMove,
    FileRead,
    FileSearch,
    FileWrite,
    Location,
)
from cowork.domain.facts import Facts, is_same_object
from cowork.domain.scope import Scope
from cowork.engine.ports import Done, Failed, NotApplied
from tests.adapters.files.cases.direct import DirectDriver
from tests.adapters.files.cases.ground import Ground

pytestmark = pytest.mark.anyio


def plant(ground: Ground) -> None:
    folder = ground.grant / "notes"
    (folder / ".hidden").mkdir(parents=True)
    (folder / "b").mkdir()
    (folder / "a.txt").write_text("alpha\nbeta\n")
    (folder / "b-2.txt").write_text("beta gamma")
    (folder / "b" / "c.txt").write_text("gamma\n\nbeta and beta\n")
    (folder / ".hidden" / "h.txt").write_text("beta hidden")
    (folder / ".env").write_text("beta secret")
    (folder / "bin").write_bytes(b"\0\1beta")
    (folder / "link").symlink_to("a.txt")
    os.mkfifo(folder / "pipe")
    (folder / ".cowork-leftover").write_text("of the engine")


async def result_of(driver: DirectDriver, action: Action) -> tuple[str, bytes]:
    answer = await driver.act(action)
    assert isinstance(answer.performed, Done), answer
    assert answer.performed.result is not None
    assert answer.performed.result.size == len(answer.result)
    return answer.performed.result.summary, answer.result


async def test_a_listing_is_sorted_by_bytes_and_follows_nothing(ground: Ground, driver: DirectDriver) -> None:
    plant(ground)
    summary, listed = await result_of(driver, FileList(at=ground.at("notes"), recursive=True))
    entries = json.loads(listed)
    assert [(entry["path"].removeprefix("notes/"), entry["kind"], entry["size"]) for entry in entries] == [
        (".env", "file", 11),
        (".hidden", "folder", 0),
        (".hidden/h.txt", "file", 11),
        ("a.txt", "file", 11),
        ("b", "folder", 0),
        ("b-2.txt", "file", 10),
        ("b/c.txt", "file", 21),
        ("bin", "file", 6),
        ("link", "link", 0),
        ("pipe", "special", 0),
    ]
    assert summary == "6 files, 2 folders, 1 link and 1 special file, 70 bytes"
    assert datetime.fromisoformat(entries[0]["mtime"]).tzinfo is not None
    summary, listed = await result_of(driver, FileList(at=ground.at("notes")))
    assert "notes/b/c.txt" not in [entry["path"] for entry in json.loads(listed)]
    assert summary == "4 files, 2 folders, 1 link and 1 special file, 38 bytes"
    summary, listed = await result_of(driver, FileList(at=ground.at("notes/b")))
    assert summary == "1 file and 0 folders, 21 bytes"


async def test_a_listing_of_too_much_is_a_limit(ground: Ground) -> None:
    executor = FileExecutor(ground.blobs, ground.state, limits=FileLimits(list_entries_max=3))
    driver = DirectDriver(executor, ground.blobs, ground.scope)
    for name in "abcd":
        (ground.grant / name).touch()
    for recursive in (True, False):
        answer = await driver.act(FileList(at=ground.at("."), recursive=recursive))
        assert answer.word == "failed/limit"
    executor.close()


async def test_a_search_tells_line_and_number_and_what_it_skipped(ground: Ground, driver: DirectDriver) -> None:
    plant(ground)
    os.link(ground.grant / "notes" / "a.txt", ground.grant / "notes" / "again.txt")
    summary, found = await result_of(driver, FileSearch(at=ground.at("notes"), pattern="^be.a"))
    matches = json.loads(found)
    assert [(m["path"], m["line"], m["text"]) for m in matches["matches"]] == [
        ("notes/b-2.txt", 1, "beta gamma"),
        ("notes/b/c.txt", 3, "beta and beta"),
    ]
    assert matches["skipped"] == {"binary": 1, "hardLinked": 2, "hidden": 1, "special": 1}
    assert summary == "2 matching lines in 2 files, 2 files searched, 5 skipped"


async def test_a_search_can_be_narrowed_and_be_of_one_file(ground: Ground, driver: DirectDriver) -> None:
    plant(ground)
    _, found = await result_of(driver, FileSearch(at=ground.at("."), pattern="beta", glob="**/b/*.txt"))
    assert [match["path"] for match in json.loads(found)["matches"]] == ["notes/b/c.txt"]
    _, found = await result_of(driver, FileSearch(at=ground.at("notes/a.txt"), pattern="beta$"))
    assert [(m["path"], m["line"]) for m in json.loads(found)["matches"]] == [("notes/a.txt", 2)]


async def test_a_match_lies_within_one_line(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "f").write_text("alpha\nbeta\n\nalpha beta\n")
    for pattern, lines in (
        (r"alpha\s+beta", [4]),
        ("(?s)a.*a", [1, 4]),
        ("[^x]+", [1, 2, 4]),
        ("^$", [3]),
        ("$", [1, 2, 3, 4]),
    ):
        _, found = await result_of(driver, FileSearch(at=ground.at("."), pattern=pattern))
        assert [match["line"] for match in json.loads(found)["matches"]] == lines, pattern


async def test_what_is_no_pattern_is_refused_with_the_reason(ground: Ground, driver: DirectDriver) -> None:
    for pattern in ("(", "(?=x)", r"(a)\1", "x" * 20_000):
        answer = await driver.act(FileSearch(at=ground.at("."), pattern=pattern))
        assert answer.outcome == "denied"
        facts = Facts(now=datetime.now(UTC), target=(await driver.observe(FileList(at=ground.at(".")))).target)
        action = FileSearch(at=ground.at("."), pattern=pattern)
        outcome = await driver.executor.perform(driver.permit(action, facts))
        assert isinstance(outcome, Failed)
        assert "pattern" in outcome.reason


async def test_a_search_keeps_to_its_budgets(ground: Ground) -> None:
    (ground.grant / "large").write_text("x\n" * 3000)
    (ground.grant / "small").write_text("x\n" * 20)
    driver = DirectDriver(FileExecutor(ground.blobs, ground.state), ground.blobs, ground.scope)
    for limits, word in (
        (FileLimits(search_file_bytes_max=1000), "completed"),
        (FileLimits(search_bytes_max=1000), "failed/limit"),
        (FileLimits(search_matches_max=100), "failed/limit"),
        (FileLimits(search_s_max=0.0), "failed/limit"),
    ):
        driver.executor.close()
        driver.executor = FileExecutor(ground.blobs, ground.state, limits=limits)
        answer = await driver.act(FileSearch(at=ground.at("."), pattern="x"))
        assert answer.word == word
        if word == "completed":
            assert json.loads(answer.result)["skipped"] == {"large": 1}
    driver.executor.close()


async def test_a_long_line_is_cut_and_says_so(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "long").write_text("needle " + "h" * 5000)
    _, found = await result_of(driver, FileSearch(at=ground.at("."), pattern="needle"))
    (match,) = json.loads(found)["matches"]
    assert match["cut"] is True
    assert len(match["text"]) == 1000


async def test_a_part_of_a_file_is_what_was_asked_for(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "f").write_bytes(bytes(range(100)))
    for offset, length, expected in (
        (0, None, bytes(range(100))),
        (10, 5, bytes(range(10, 15))),
        (95, None, bytes(range(95, 100))),
        (95, 50, bytes(range(95, 100))),
        (500, 5, b""),
        (0, 0, b""),
    ):
        _, data = await result_of(driver, FileRead(at=ground.at("f"), offset=offset, length=length))
        assert data == expected
    for offset, length in ((-1, None), (0, -1)):
        answer = await driver.act(FileRead(at=ground.at("f"), offset=offset, length=length))
        assert answer.word == "denied/limit"


async def test_a_file_that_changed_since_it_was_decided_is_not_read(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "f").write_text("shown")
    action = FileRead(at=ground.at("f"))
    facts = await driver.observe(action)
    (ground.grant / "f").write_text("other")
    outcome = await driver.executor.perform(driver.permit(action, facts))
    assert isinstance(outcome, Failed)
    assert outcome.reason_code == "conflict"


async def test_looking_again_after_a_restart_finds_reading_not_done(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "f").write_text("f")
    action = FileRead(at=ground.at("f"))
    permit = driver.permit(action, await driver.observe(action))
    assert await driver.executor.reconcile(permit) == NotApplied()


async def test_facts_tell_one_object_from_another(ground: Ground, driver: DirectDriver) -> None:
    path = ground.grant / "f"
    path.write_text("one")
    action = FileDelete(at=ground.at("f"))
    seen = [(await driver.observe(action)).target]
    os.utime(path)
    seen.append((await driver.observe(action)).target)
    path.write_text("two")
    seen.append((await driver.observe(action)).target)
    path.rename(ground.grant / "g")
    path.write_text("two")
    seen.append((await driver.observe(action)).target)
    first, touched, changed, replaced = [state for state in seen if state is not None]
    assert is_same_object(first, touched)
    assert not is_same_object(first, changed)
    assert not is_same_object(changed, replaced)
    assert (replaced.digest, replaced.size) == (changed.digest, changed.size)


async def test_a_folders_digest_is_of_its_content_and_nothing_else(ground: Ground, driver: DirectDriver) -> None:
    for top in ("one", "two"):
        (ground.grant / top / "inner").mkdir(parents=True)
        (ground.grant / top / "inner" / "f").write_text("f")
        (ground.grant / top / "link").symlink_to("inner")
    states = [(await driver.observe(FileDelete(at=ground.at(top)))).target for top in ("one", "two")]
    one, two = [state for state in states if state is not None]
    assert one.digest == two.digest
    assert (one.entries, one.size) == (3, 1)
    digests = {one.digest}
    for change in (
        lambda: (ground.grant / "two" / "inner" / "f").write_text("g"),
        (ground.grant / "two" / "more").mkdir,
        lambda: (ground.grant / "two" / "more").rename(ground.grant / "two" / "less"),
        lambda: _relink(ground.grant / "two" / "link", "more"),
    ):
        change()
        changed = (await driver.observe(FileDelete(at=ground.at("two")))).target
        assert changed is not None
        digests.add(changed.digest)
    assert len(digests) == 5


def _relink(link: Path, target: str) -> None:
    link.unlink()
    link.symlink_to(target)


async def test_a_grant_not_in_force_is_not_even_looked_at(ground: Ground) -> None:
    class Closed(Openat2Resolver):
        def open(self, folder: int, path: bytes, flags: int) -> int:
            raise AssertionError("the path reached the operating system")

        def open_root(self, path: bytes) -> int:
            raise AssertionError("the grant's folder was opened")

    now = datetime.now(UTC)
    granted, _ = ground.scope.folders
    revoked = msgspec.structs.replace(granted, revoked=True)
    expired = msgspec.structs.replace(granted, expires_at=now - timedelta(seconds=1))
    executor = FileExecutor(ground.blobs, ground.state, Closed())
    for scope, path in (
        (Scope((revoked,)), "f"),
        (Scope((expired,)), "f"),
        (Scope(()), "f"),
        (ground.scope, "../f"),
        (ground.scope, "a\0b"),
        (ground.scope, "\ud800"),
        (ground.scope, "x" * 5000),
        (ground.scope, ".cowork/quarantine/x"),
        (ground.scope, ".COWORK-1234"),
    ):
        for action in (FileRead(at=ground.at(path)), FileDelete(at=ground.at(path))):
            (facts,) = await executor.observe([action], scope, now, batch=1)
            assert facts == Facts(now=now)


async def test_many_actions_are_one_batch_in_their_order(ground: Ground, driver: DirectDriver) -> None:
    for number in range(50):
        (ground.grant / f"f{number}").write_text("x" * number)
    actions = [FileRead(at=ground.at(f"f{number}")) for number in range(50)]
    facts = await driver.executor.observe(actions, ground.scope, datetime.now(UTC), batch=50)
    assert [fact.target.size for fact in facts if fact.target is not None] == list(range(50))
    assert {fact.batch for fact in facts} == {50}


async def test_the_preview_is_the_whole_difference(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "f").write_text("one\ntwo\nthree")
    facts = await driver.observe(FileWrite(at=ground.at("f"), content=ground.content("one\n2\nthree\n")))
    assert facts.preview.splitlines() == [
        "--- before",
        "+++ after",
        "@@ -1,3 +1,3 @@",
        " one",
        "-two",
        "-three",
        "\\ No newline at end of file",
        "+2",
        "+three",
    ]
    facts = await driver.observe(FileCreate(at=ground.at("new"), content=ground.content("all\nof it")))
    assert facts.preview == "all\nof it"


async def test_what_is_not_shown_says_why(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "binary").write_bytes(b"\0\xff")
    (ground.grant / "text").write_text("text")
    (ground.grant / ".env").write_text("KEY=1")
    large, binary = ground.content("x\n" * 200_000), ground.content(b"\0\1\2")
    cases: list[tuple[Action, str]] = [
        (FileCreate(at=ground.at("new"), content=large), f"too large to be shown: 400.0 kB, {large.digest}"),
        (FileCreate(at=ground.at("new"), content=binary), f"not text: 3 bytes, {binary.digest}"),
        (FileWrite(at=ground.at("binary"), content=ground.content("x")), "the file that is replaced is not text"),
        (FileWrite(at=ground.at(".env"), content=ground.content("KEY=2")), "the content is not shown"),
    ]
    for action, words in cases:
        facts = await driver.observe(action)
        assert facts.preview.startswith(words)
        assert "KEY" not in facts.preview


@pytest.mark.parametrize("size", [10, 1000, 1600, 40_000])
async def test_a_difference_is_complete_and_quick_whatever_the_texts(size: int) -> None:
    """Applying the difference gives the new text, even for texts that are slow to compare."""
    old = [f"{number % 7} {number * 7919 % size}" for number in range(size)]
    new = sorted(old[: size // 2]) + ["x"] * (size // 10) + old[size // 2 :][::-1]
    before, after = "\n".join(old), "\n".join(new) + "\n"
    started = time.monotonic()
    difference = unified_diff(before, after)
    assert time.monotonic() - started < 3
    assert patched(before, difference) == after


def patched(text: str, difference: str) -> str:
    """Apply a unified difference, checking that it fits."""
    lines, result, position = text.splitlines(keepends=True), "", 0
    hunks = difference.splitlines(keepends=True)[2:]
    for index, line in enumerate(hunks):
        content, ends = line[1:], index + 1 < len(hunks) and hunks[index + 1].startswith("\\")
        content = content.removesuffix("\n") if ends else content
        if line.startswith("@@"):
            start = int(line.split()[1][1:].partition(",")[0])
            start -= 0 if line.split()[1].endswith(",0") else 1
            result += "".join(lines[position:start])
            position = start
        elif line[0] in " -":
            assert lines[position] == content
            position += 1
            result += content if line[0] == " " else ""
        elif line[0] == "+":
            result += content
    return result + "".join(lines[position:])


async def test_a_name_beneath_a_file_is_absent_for_reading_and_refused_for_writing(
    ground: Ground, driver: DirectDriver
) -> None:
    (ground.grant / "f").write_text("f")
    assert (await driver.act(FileRead(at=ground.at("f/x")))).word == "denied/not_found"
    assert (await driver.act(FileCreate(at=ground.at("f/x/y"), content=ground.content("x")))).word == "denied/conflict"
    answer = await driver.act(FileMove(at=ground.at("f"), to=Location("g", "f/x")))
    assert answer.word == "denied/conflict"


async def test_closing_lets_go_of_every_descriptor(ground: Ground, driver: DirectDriver) -> None:
    (ground.grant / "f").write_text("f")
    before = len(os.listdir("/proc/self/fd"))
    await driver.act(FileRead(at=ground.at("f")))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    driver.executor.close()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_an_unreadable_folder_is_left_out_of_a_listing_and_stops_a_delete(
    ground: Ground, driver: DirectDriver
) -> None:
    """As root everything can be read, so the refusal is made: by a resolver that refuses one name."""
    (ground.grant / "d" / "closed").mkdir(parents=True)
    inner = Openat2Resolver()

    class Refusing:
        name = "refusing"

        def open(self, folder: int, path: bytes, flags: int) -> int:
            if path.endswith(b"closed") and flags & os.O_DIRECTORY:
                raise PermissionError(13, "Permission denied")
            return inner.open(folder, path, flags)

        def open_root(self, path: bytes) -> int:
            return inner.open_root(path)

    executor = FileExecutor(ground.blobs, ground.state, Refusing())
    refusing = DirectDriver(executor, ground.blobs, ground.scope)
    summary, _ = await result_of(refusing, FileList(at=ground.at("."), recursive=True))
    assert summary == "0 files and 2 folders, 0 bytes"
    answer = await refusing.act(FileDelete(at=ground.at("d")))
    assert answer.word == "denied/io"
    executor.close()
    assert os.listdir(ground.grant / "d") == ["closed"]
