"""The SessionMemory port's contract over both memories, and what only files can get wrong."""

import base64
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowork.adapters.memory.files import FileSessionMemory
from cowork.adapters.memory.volatile import VolatileSessionMemory
from cowork.domain.errors import DomainError
from cowork.engine import limits
from cowork.engine.keeping_ports import MemorySize, SessionMemory

ROOT = Path(__file__).resolve().parents[3]
ONE, OTHER = "session-06bq2wr0t0x5k9qz", "session-06bq2wr0t0x5k9r0"
NAME, VALUE = "canary-name-zoë", b"canary-value-8c1e55f0"


@pytest.fixture(params=["files", "volatile"])
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> SessionMemory:
    return FileSessionMemory(tmp_path / "memory") if request.param == "files" else VolatileSessionMemory()


def forms(secret: bytes) -> list[bytes]:
    """Return the ways in which bytes are written down."""
    return [secret, base64.b64encode(secret)[:-4], base64.urlsafe_b64encode(secret)[:-4], secret.hex().encode()]


def found_in(folder: Path, secret: bytes) -> list[str]:
    """Return the files that hold the bytes in any form, or bear them in their names."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    in_names = [str(path) for path in folder.rglob("*") if secret.decode() in path.name]
    return in_names + [str(path) for path in files if any(form in path.read_bytes() for form in forms(secret))]


def test_what_was_put_comes_back_and_can_be_replaced_and_removed(memory: SessionMemory) -> None:
    assert memory.get(ONE, "a") is None
    assert memory.names(ONE) == []
    assert memory.put(ONE, "b", b"first") == MemorySize(1, 6)
    assert memory.put(ONE, "a", b"") == MemorySize(2, 7)
    assert memory.put(ONE, "b", bytes(range(256))) == MemorySize(2, 258)
    assert memory.names(ONE) == ["a", "b"]
    assert (memory.get(ONE, "a"), memory.get(ONE, "b")) == (b"", bytes(range(256)))
    assert memory.put(ONE, "b", None) == MemorySize(1, 1)
    assert memory.put(ONE, "never", None) == MemorySize(1, 1)
    assert memory.size(ONE) == MemorySize(1, 1)


def test_one_session_knows_nothing_of_another(memory: SessionMemory) -> None:
    memory.put(ONE, NAME, VALUE)
    assert memory.get(OTHER, NAME) is None
    assert memory.names(OTHER) == []
    memory.put(OTHER, NAME, b"its own")
    assert memory.destroy(OTHER)
    memory.clear(OTHER)
    assert memory.get(ONE, NAME) == VALUE
    assert memory.sessions() == [ONE]


def test_a_destroyed_memory_has_nothing_and_leaves_its_name_until_it_is_cleared(memory: SessionMemory) -> None:
    memory.put(ONE, NAME, VALUE)
    assert memory.destroy(ONE)
    assert (memory.get(ONE, NAME), memory.names(ONE)) == (None, [])
    assert memory.sessions() == [ONE]
    assert not memory.destroy(ONE)
    memory.clear(ONE)
    assert memory.sessions() == []
    memory.clear(ONE)


def test_what_was_written_after_the_end_does_not_bring_the_old_back(memory: SessionMemory) -> None:
    memory.put(ONE, NAME, VALUE)
    memory.destroy(ONE)
    memory.put(ONE, "late", b"x")
    assert memory.names(ONE) == ["late"]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("", b"x", "invalid"),
        ("\ud800", b"x", "invalid"),
        ("n" * (limits.MEMORY_NAME_BYTES_MAX + 1), b"x", "limit"),
        ("n", bytes(limits.MEMORY_BYTES_MAX), "limit"),
    ],
)
def test_what_is_too_much_is_refused_and_changes_nothing(
    memory: SessionMemory, name: str, value: bytes, code: str
) -> None:
    memory.put(ONE, "kept", b"before")
    with pytest.raises(DomainError) as caught:
        memory.put(ONE, name, value)
    assert caught.value.code == code
    assert memory.names(ONE) == ["kept"]


def test_there_may_be_so_many_entries_and_no_more() -> None:
    memory = VolatileSessionMemory()
    for number in range(limits.MEMORY_ENTRIES_MAX):
        memory.put(ONE, f"{number}", b"")
    memory.put(ONE, "0", b"again")
    with pytest.raises(DomainError) as caught:
        memory.put(ONE, "one more", b"")
    assert caught.value.code == "limit"


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=20), st.binary(max_size=200), max_size=6))
def test_files_hold_any_names_and_contents(tmp_path_factory: pytest.TempPathFactory, entries: dict[str, bytes]) -> None:
    if any("\ud800" <= character <= "\udfff" for name in entries for character in name):
        return
    memory = FileSessionMemory(tmp_path_factory.mktemp("memory"))
    for name, value in entries.items():
        memory.put(ONE, name, value)
    assert {name: memory.get(ONE, name) for name in memory.names(ONE)} == entries


# Files


def test_neither_names_nor_contents_are_in_any_file_in_any_form(tmp_path: Path) -> None:
    memory = FileSessionMemory(tmp_path / "memory")
    memory.put(ONE, NAME, VALUE)
    assert memory.get(ONE, NAME) == VALUE
    assert found_in(tmp_path, VALUE) == found_in(tmp_path, NAME.encode()) == []


def test_only_the_owner_may_read_what_there_is(tmp_path: Path) -> None:
    FileSessionMemory(tmp_path / "memory").put(ONE, NAME, VALUE)
    for path in (tmp_path / "memory", *(tmp_path / "memory").iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_key_is_overwritten_before_it_is_removed_and_what_is_left_is_noise(tmp_path: Path) -> None:
    memory = FileSessionMemory(tmp_path)
    memory.put(ONE, NAME, VALUE)
    key = tmp_path / f"{ONE}.key"
    os.link(key, tmp_path / "another name")
    before, sealed = key.read_bytes(), (tmp_path / ONE).read_bytes()
    assert memory.destroy(ONE)
    assert not key.exists()
    assert (tmp_path / "another name").read_bytes() == bytes(32) != before
    # With the key that there was it could still be read: the key is what has to go.
    key.write_bytes(before)
    assert ((tmp_path / ONE).read_bytes(), memory.get(ONE, NAME)) == (sealed, VALUE)


@pytest.mark.parametrize("damage", ["swap", "flip", "cut", "empty", "key"])
def test_what_is_not_what_was_written_is_damaged_and_never_returned(damage: str, tmp_path: Path) -> None:
    memory = FileSessionMemory(tmp_path)
    memory.put(ONE, NAME, VALUE)
    memory.put(OTHER, NAME, b"another")
    path = tmp_path / ONE
    data = path.read_bytes()
    match damage:
        case "swap":
            # Another session's file and key under this one's name: it is bound to the session's id.
            path.write_bytes((tmp_path / OTHER).read_bytes())
            (tmp_path / f"{ONE}.key").write_bytes((tmp_path / f"{OTHER}.key").read_bytes())
        case "flip":
            path.write_bytes(data[:20] + bytes([data[20] ^ 1]) + data[21:])
        case "cut":
            path.write_bytes(data[:20])
        case "empty":
            path.write_bytes(b"")
        case _:
            (tmp_path / f"{ONE}.key").write_bytes(os.urandom(32))
    with pytest.raises(DomainError) as caught:
        memory.get(ONE, NAME)
    assert caught.value.code == "damaged"


@pytest.mark.parametrize("session_id", ["../outside", "", "session/x", "session-1.key", "Session-1"])
def test_a_name_that_is_no_sessions_leads_nowhere(session_id: str, tmp_path: Path) -> None:
    memory = FileSessionMemory(tmp_path / "memory")
    with pytest.raises(DomainError) as caught:
        memory.put(session_id, "a", b"x")
    assert caught.value.code == "invalid"
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_a_crash_left_half_written_is_made_again(tmp_path: Path) -> None:
    (tmp_path / f"{ONE}.key").write_bytes(b"half")
    memory = FileSessionMemory(tmp_path)
    memory.put(ONE, NAME, VALUE)
    assert memory.get(ONE, NAME) == VALUE


WRITER = """
import sys
from pathlib import Path
from cowork.adapters.memory.files import FileSessionMemory
memory = FileSessionMemory(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    memory.put("session-06bq2wr0t0x5k9qz", f"{sys.argv[2]}-{number}", b"x")
"""


def test_writers_of_several_processes_lose_nothing(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), who, "40"], cwd=ROOT) for who in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert FileSessionMemory(tmp_path).size(ONE).entries == 120


def test_who_reads_while_it_is_destroyed_gets_all_of_it_or_nothing(tmp_path: Path) -> None:
    memory = FileSessionMemory(tmp_path)
    seen: list[bytes | None] = []
    for _ in range(30):
        memory.put(ONE, NAME, VALUE)
        readers = [threading.Thread(target=lambda: seen.append(memory.get(ONE, NAME))) for _ in range(3)]
        for reader in readers:
            reader.start()
        memory.destroy(ONE)
        for reader in readers:
            reader.join()
        memory.clear(ONE)
    assert len(seen) == 90
    assert set(seen) <= {VALUE, None}
