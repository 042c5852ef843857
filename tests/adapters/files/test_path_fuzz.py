"""Paths that nobody should write, through the whole executor, with everything outside the grant as the oracle.

The short form is a part of every run of the tests; `make fuzz` puts more than 100,000 paths through.
"""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cowork.adapters.files.executor import FileExecutor
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
from cowork.domain.baseline import BASELINE
from cowork.domain.path import text_of_name
from cowork.domain.places import is_engines, is_executed
from cowork.domain.policy import Policy
from cowork.domain.policy_document import Layer, Rule, layer_of_rules
from cowork.domain.reason import REASON_CODES
from cowork.engine.ports import Done, Failed
from tests.adapters.files.cases.direct import RESOLVERS, DirectDriver, executor_of
from tests.adapters.files.cases.ground import Ground

ALL_ALLOWED = layer_of_rules("all-allowed", (Rule("all", "*", "allow", reason="whatever it is"),))
"""Nothing but the invariants and the floor in the way; whoever is asked says yes."""

PLAIN = ["a", "f", "sub", "deep", "x.txt", "new", "é", "e\u0301", "-rf", "hl", "tool", "p"]
LINKS = ["l", "d", "in", "loop", "dang", "up", "top", "abs"]
CLIMBING = ["..", ".", "", "...", ".. ", "..\u200b", "\uff0e\uff0e", "%2e%2e", "..\\", "..%2f", "\u2024\u2024"]
EXPANDED = [
    "~",
    "~root",
    "$HOME",
    "${HOME}",
    "*",
    "?",
    "[a]",
    "{a,f}",
    "`id`",
    "$(id)",
    "%00",
    "C:",
    "file:",
    "\\\\host",
]
UNREADABLE = [
    "a\0b",
    "\0",
    "\n",
    "\r",
    "\x1b[2J",
    "\x7f",
    "\u202e",
    "\u200b",
    "\u2066",
    "\ufeff",
    "\ud800",
    "\U0010fec3",
]
OVERLONG = ["n" * 255, "n" * 256, "é" * 127, "é" * 128, "n" * 5000]
PROTECTED = [
    *(".git", ".GIT", "hooks", "Hooks.", "config", "pre-commit", ".g\u200bit", ".gi\u0165", ".g\u0131t", ".git "),
    *(
        ".mcp.json",
        ".MCP.json",
        "CLAUDE.md",
        "\uff23LAUDE.md",
        ".envrc",
        ".cowork",
        ".COWORK",
        ".cowork-0",
        "quarantine",
    ),
]
SECRET = [".env", "id_rsa", "secret.txt", ".ssh"]

NAMES = st.one_of(
    *(
        st.sampled_from(names)
        for names in (PLAIN, PLAIN, PLAIN, LINKS, LINKS, CLIMBING, EXPANDED, UNREADABLE, PROTECTED, SECRET)
    ),
    st.sampled_from(OVERLONG),
    st.text(max_size=4),
)
PATHS = st.tuples(
    st.sampled_from(
        ["", "", "", "", "", "", "/", "//", "./", "OUT/", "GRANT/", "EVIL/", "/proc/self/root", "/dev/fd/"]
    ),
    st.one_of(*(st.lists(NAMES, min_size=1, max_size=size) for size in (1, 2, 3, 6))),
    st.sampled_from(["/", "/", "/", "/", "//", "/./", "\\"]),
    st.sampled_from(["", "", "", "/", "/.", "/.."]),
)
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)
KINDS = st.sampled_from(["list", "search", "read", "write", "create", "rename", "move", "delete"])
GRANTS = st.sampled_from([*["g"] * 20, "g2", "", "no-such"])
ATTEMPTS = st.lists(st.tuples(KINDS, PATHS, PATHS, GRANTS), min_size=30, max_size=30)


Written: TypeAlias = tuple[str, list[str], str, str]
Attempt: TypeAlias = tuple[str, Written, Written, str]


def text_of(parts: Written, ground: Ground) -> str:
    before, names, between, after = parts
    for word, folder in (("OUT", ground.out), ("GRANT", ground.grant), ("EVIL", ground.evil)):
        before = before.replace(word, str(folder))
    return before + between.join(names) + after


def action_of(kind: str, at: Location, to: Location, ground: Ground) -> Action:
    match kind:
        case "list":
            return FileList(at=at, recursive=True)
        case "search":
            return FileSearch(at=at, pattern="CANARY")
        case "read":
            return FileRead(at=at)
        case "write":
            return FileWrite(at=at, content=ground.content("new"), mode=0o755)
        case "create":
            return FileCreate(at=at, content=ground.content("new"))
        case "rename":
            return FileRename(at=at, to=to)
        case "move":
            return FileMove(at=at, to=to)
        case _:
            return FileDelete(at=at)


def plant(ground: Ground) -> None:
    """Make a grant with everything in it that a path may stumble over."""
    grant = ground.grant
    for folder in ("sub/deep", "a/sub", ".git/hooks", "new"):
        (grant / folder).mkdir(parents=True)
    for path in ("f", "x.txt", "sub/f", "sub/deep/x.txt", "a/f", "é", "-rf", ".git/config", ".mcp.json", ".env", "C:"):
        (grant / path).write_text("inside")
    for name, target in (("l", "../out/secret.txt"), ("d", "../out"), ("in", "sub"), ("loop", "loop"), ("up", "..")):
        (grant / name).symlink_to(target)
    (grant / "dang").symlink_to("../out/new")
    (grant / "top").symlink_to("/")
    (grant / "abs").symlink_to(ground.out / "secret.txt")
    (grant / "sub" / "d").symlink_to("../../out")
    os.link(ground.out / "linked.txt", grant / "hl")
    os.mkfifo(grant / "p")
    (grant / "tool").touch()
    (grant / "tool").chmod(0o4755)


def executed_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the files and folders that other programs run or obey, with what they hold."""
    found: dict[str, tuple[int, bytes]] = {}
    for top, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(top, name)
            text = text_of_name(os.fsencode(path.relative_to(folder)))
            if is_executed(text) and not is_engines(text):
                found[text] = (path.lstat().st_mode, b"" if path.is_dir() else path.read_bytes())
    return found


def put_through(executor: FileExecutor, driver: DirectDriver, policy: Policy, action: Action) -> bytes:
    """Observe, decide and perform; return everything that came out."""
    (facts,) = executor.observe_now([action], driver.scope, datetime.now(UTC), 1)
    decision = policy.decide(action, facts, driver.scope)
    shown = _bytes_of([facts, decision])
    if decision.verdict == "deny":
        assert decision.reason_code in REASON_CODES
        return shown
    outcome = executor.perform_now(driver.permit(action, facts))
    shown += _bytes_of(outcome)
    match outcome:
        case Done(result=result) if result is not None and result.digest:
            return shown + driver.blobs.get(result.digest)
        case Failed(reason_code=code):
            assert code in REASON_CODES
        case Done():
            pass
    return shown


def _bytes_of(value: object) -> bytes:
    """Return the value's whole text: half a character is refused, and stands in the sentence that says so."""
    return repr(value).encode("utf-8", "backslashreplace")


def attack(attempts: list[Attempt], rules: Layer, resolver: str) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as base:
        ground = Ground(Path(base) / "base")
        plant(ground)
        executor = executor_of(ground.blobs, ground.state, resolver)
        try:
            driver = DirectDriver(executor, ground.blobs, ground.scope, rules)
            policy = Policy((rules,))
            before, executed = ground.untouchable(), executed_in(ground.grant)
            open_before = len(os.listdir("/proc/self/fd"))
            for kind, at, to, grant_id in attempts:
                path = text_of(at, ground)
                action = action_of(kind, Location(grant_id, path), Location("g", text_of(to, ground)), ground)
                shown = put_through(executor, driver, policy, action)
                assert ground.canary.encode() not in shown, action
            assert len(os.listdir("/proc/self/fd")) <= open_before + 2, "the two grants may stay open, and nothing else"
            assert ground.untouchable() == before, attempts
            assert ground.leftovers() == []
            assert ground.files_with(ground.canary.encode()) == []
            assert not ground.has_visitors()
            if rules is BASELINE:
                assert executed_in(ground.grant) == executed, attempts
        finally:
            executor.close()
            ground.close()


@pytest.mark.parametrize("rules", [BASELINE, ALL_ALLOWED], ids=["the default rules", "everything allowed"])
@pytest.mark.parametrize("resolver", RESOLVERS)
@settings(max_examples=25, suppress_health_check=SLOW)
@given(attempts=ATTEMPTS)
def test_no_path_leads_out(attempts: list[Attempt], rules: Layer, resolver: str) -> None:
    attack(attempts, rules, resolver)


@pytest.mark.fuzz_long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rules", [BASELINE, ALL_ALLOWED], ids=["the default rules", "everything allowed"])
@pytest.mark.parametrize("resolver", RESOLVERS)
@settings(max_examples=900, suppress_health_check=SLOW, database=None)
@given(attempts=ATTEMPTS)
def test_no_path_of_more_than_100_000_leads_out(attempts: list[Attempt], rules: Layer, resolver: str) -> None:
    attack(attempts, rules, resolver)
