"""Blobs are collected beside processes that put and ask for them: who was promised a blob finds it."""

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cowork.adapters.blobs.collecting import BlobCollector
from cowork.adapters.blobs.store import FileBlobStore
from cowork.domain.errors import DomainError
from cowork.engine.keeping_ports import KeptItem
from cowork.engine.limits import COLLECT_UNTOUCHED_S_MIN

ROOT = Path(__file__).resolve().parents[3]


def make_old(path: Path, hours: float = 24) -> None:
    then = datetime.now(UTC).timestamp() - hours * 3600
    os.utime(path, (then, then))


def path_of(folder: Path, digest: str) -> Path:
    digits = digest.removeprefix("sha256:")
    return folder / digits[:2] / digits[2:]


def untouched() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=COLLECT_UNTOUCHED_S_MIN)


def only(folder: Path) -> KeptItem:
    (item,) = BlobCollector(folder).kept()
    return item


def test_every_blob_is_found_with_its_size_and_age_and_nothing_else_is(tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path)
    contents = {store.put(bytes(n)).digest: n for n in range(3)}
    (tmp_path / "unfinished" / "begun").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("somebody's")
    (tmp_path / "ab").mkdir(exist_ok=True)
    (tmp_path / "ab" / "short").write_text("somebody's")
    make_old(path_of(tmp_path, next(iter(contents))))
    items = list(BlobCollector(tmp_path).kept())
    assert {item.name: item.size for item in items} == contents
    assert [item.touched_at < untouched() for item in items].count(True) == 1
    assert list(BlobCollector(tmp_path / "nowhere").kept()) == []


def test_an_old_blob_goes_and_a_second_time_there_is_nothing_to_remove(tmp_path: Path) -> None:
    digest = FileBlobStore(tmp_path).put(b"old").digest
    make_old(path_of(tmp_path, digest))
    item = only(tmp_path)
    assert BlobCollector(tmp_path).remove(item, untouched_since=untouched())
    assert not BlobCollector(tmp_path).remove(item, untouched_since=untouched())
    assert not FileBlobStore(tmp_path).has(digest)


@pytest.mark.parametrize("how", ["put", "put_stream", "has", "another process puts"])
def test_what_was_put_again_or_asked_for_after_it_was_seen_stays(how: str, tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path)
    digest = store.put(b"wanted again").digest
    make_old(path_of(tmp_path, digest))
    seen = only(tmp_path)
    match how:
        case "put":
            store.put(b"wanted again")
        case "put_stream":
            store.put_stream((b"wanted ", b"again"))
        case "has":
            assert store.has(digest)
        case _:
            FileBlobStore(tmp_path).put(b"wanted again")
    assert not BlobCollector(tmp_path).remove(seen, untouched_since=untouched())
    assert store.get(digest) == b"wanted again"


def test_asking_for_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path)
    assert not store.has(f"sha256:{hashlib.sha256(b'x').hexdigest()}")
    assert list(BlobCollector(tmp_path).kept()) == []


def test_a_touch_is_not_made_every_time(tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path)
    path = path_of(tmp_path, store.put(b"x").digest)
    make_old(path, hours=0.2)
    before = path.stat().st_mtime_ns
    store.put(b"x")
    assert path.stat().st_mtime_ns == before
    make_old(path, hours=0.3)
    store.put(b"x")
    assert path.stat().st_mtime_ns > before


def test_a_blob_that_can_not_be_removed_is_named(tmp_path: Path) -> None:
    digest = FileBlobStore(tmp_path).put(b"x").digest
    path = path_of(tmp_path, digest)
    make_old(path)
    item = only(tmp_path)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(DomainError, match=digest) as caught:
            BlobCollector(tmp_path).remove(item, untouched_since=untouched())
    finally:
        path.parent.chmod(0o700)
    assert caught.value.code == "unavailable"


WRITER = """
import sys
from pathlib import Path
from cowork.adapters.blobs.store import FileBlobStore
store = FileBlobStore(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    content = store.put(b"content %d" % number)
    # It was promised: whatever collects meanwhile, it is there.
    assert store.get(content.digest)
print("done")
"""


def test_what_a_writer_puts_while_another_process_collects_is_there(tmp_path: Path) -> None:
    """Every content lies there already, old and unneeded, when both come for it at the same time."""
    count = 1500
    store = FileBlobStore(tmp_path)
    digests = [store.put(b"content %d" % number).digest for number in range(count)]
    for digest in digests:
        make_old(path_of(tmp_path, digest))
    collector = BlobCollector(tmp_path)
    items = {item.name: item for item in collector.kept()}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), str(count)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    removed = 0
    while writer.poll() is None:
        for digest in digests:
            removed += collector.remove(items[digest], untouched_since=untouched())
    said, _ = writer.communicate()
    assert (writer.returncode, said) == (0, "done\n")
    assert all(store.has(digest) for digest in digests)
    assert removed > 0
