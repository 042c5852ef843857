"""PTH-31 on a file system that folds: a name is used as its folder lists it, so that every rule sees the same name."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cowork.adapters.files.resolver import ENTRY, Openat2Resolver, opened
from cowork.domain.action import Action, FileCreate, FileDelete, FileMove, FileRead, FileWrite
from cowork.domain.baseline import BASELINE
from cowork.domain.policy_document import Conditions, Layer, Rule, layer_of_rules
from tests.adapters.files.cases.direct import RESOLVERS, DirectDriver, executor_of
from tests.adapters.files.cases.ground import Ground
from tests.adapters.files.folding import FoldingResolver

pytestmark = pytest.mark.anyio

PRIVATE: Layer = layer_of_rules(
    "private-stays-closed",
    (
        Rule("private", "file.*", "deny", Conditions(matches_pattern=("**/private/**",)), "private"),
        Rule("rest", "file.*", "allow", reason="the rest"),
    ),
)


@pytest.fixture
def folding(ground: Ground) -> Iterator[DirectDriver]:
    """A driver on a file system that folds, with a rule about one folder."""
    executor = executor_of(ground.blobs, ground.state, FoldingResolver())
    (ground.grant / "private").mkdir()
    (ground.grant / "private" / "Notes.txt").write_text(ground.canary)
    yield DirectDriver(executor, ground.blobs, ground.scope, PRIVATE)
    executor.close()


def test_the_fake_folds_as_some_file_systems_do(ground: Ground) -> None:
    (ground.grant / ".gitmodules").touch()
    with opened(os.open(ground.grant, os.O_PATH | os.O_DIRECTORY)) as root:
        for spelling in (b".gitmodules", b".GITMODULES", ".g\u200bitmodule\u017f".encode(), b"GITMOD~1"):
            with opened(FoldingResolver().open(root, spelling, ENTRY)) as found:
                assert os.path.samestat(os.fstat(found), (ground.grant / ".gitmodules").stat())
        with pytest.raises(FileNotFoundError):
            Openat2Resolver().open(root, b".GITMODULES", ENTRY)


@pytest.mark.parametrize("spelling", ["Private", "PRIVATE", "pr\u0131vate", "private\u200b", "PRIVAT~1"])
async def test_another_spelling_does_not_get_past_a_rule(spelling: str, ground: Ground, folding: DirectDriver) -> None:
    content = ground.content("x")
    actions: list[Action] = [
        FileRead(at=ground.at(f"{spelling}/Notes.txt")),
        FileWrite(at=ground.at(f"{spelling}/Notes.txt"), content=content),
        FileCreate(at=ground.at(f"{spelling}/new.txt"), content=content),
        FileDelete(at=ground.at(spelling)),
        FileMove(at=ground.at(f"{spelling}/Notes.txt"), to=ground.at("moved")),
        FileMove(at=ground.at("plain"), to=ground.at(f"{spelling}/plain")),
    ]
    (ground.grant / "plain").write_text("plain")
    for action in actions:
        answer = await folding.act(action)
        assert answer.outcome in ("denied", "completed")
        assert ground.canary.encode() not in answer.shown
        if answer.outcome == "completed":
            # To this file system it is another name after all: nothing of the folder was touched.
            assert spelling == "pr\u0131vate"
    assert (ground.grant / "private" / "Notes.txt").read_text() == ground.canary
    assert os.listdir(ground.grant / "private") == ["Notes.txt"]


async def test_the_listed_spelling_is_the_one_that_can_be_used(ground: Ground, folding: DirectDriver) -> None:
    (ground.grant / "Reports").mkdir()
    (ground.grant / "Reports" / "a.txt").write_text("a")
    assert (await folding.act(FileRead(at=ground.at("Reports/a.txt")))).result == b"a"
    for spelling in ("reports/a.txt", "Reports/A.TXT", "REPOR~1/a.txt"):
        answer = await folding.act(FileRead(at=ground.at(spelling)))
        assert answer.word == "denied/name" or (spelling == "REPOR~1/a.txt" and answer.word == "denied/not_found")
    new = await folding.act(FileCreate(at=ground.at("Reports/b.txt"), content=ground.content("b")))
    assert new.word == "completed"
    again = await folding.act(FileCreate(at=ground.at("Reports/B.txt"), content=ground.content("b")))
    assert again.word == "denied/name"


@pytest.mark.parametrize(
    "path", [".GIT/hooks/x", ".Git/Hooks/x", ".MCP.json", ".mcp.json", "GIT~1/hooks/x", "MCP~1.JSO"]
)
@pytest.mark.parametrize("present", [True, False])
async def test_pth_31_a_protected_name_stays_so_present_or_absent(path: str, present: bool, ground: Ground) -> None:
    executor = executor_of(ground.blobs, ground.state, FoldingResolver())
    if present:
        (ground.grant / ".git" / "hooks").mkdir(parents=True)
        (ground.grant / ".mcp.json").write_text("as it was")
    driver = DirectDriver(executor, ground.blobs, ground.scope, BASELINE)
    before = sorted(str(found) for found in ground.grant.rglob("*"))
    answer = await driver.act(FileWrite(at=ground.at(path), content=ground.content("evil")))
    executor.close()
    if present or "~" not in path:
        assert answer.word in ("denied/protected", "denied/name")
        assert sorted(str(found) for found in ground.grant.rglob("*")) == before


@pytest.mark.parametrize("resolver", RESOLVERS)
async def test_where_nothing_folds_upper_and_lower_case_are_two_names(resolver: str, ground: Ground) -> None:
    executor = executor_of(ground.blobs, ground.state, resolver)
    driver = DirectDriver(executor, ground.blobs, ground.scope, PRIVATE)
    for name in ("Aa", "aA", "private~1"):
        (ground.grant / name).write_text(name)
    os.link(ground.grant / "Aa", ground.grant / "AA")
    for name in ("Aa", "aA", "AA", "private~1"):
        (facts,) = executor.observe_now([FileRead(at=ground.at(name))], driver.scope, datetime.now(UTC), 1)
        assert facts.obstacle is None
        assert facts.target is not None
        assert facts.target.kind == "file"
    executor.close()
