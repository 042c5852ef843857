"""Layers on record: which come first, what a resumed task is under, limits counted from the log, trusted folders."""

from pathlib import Path

import msgspec
import pytest

from cowork.domain.baseline import BASELINE
from cowork.domain.errors import DomainError
from cowork.domain.plan import Batch
from cowork.domain.policy_document import Defaults, Layer, Limit, PolicyDocument, Rule, layer, layer_of_rules
from cowork.domain.policy_record import DocumentStored
from cowork.domain.session import PolicyAdopted
from cowork.domain.task import ActionConfirmationRequired, ActionDenied, ActionStarted
from cowork.engine.policy_records import NOTHING_STANDING, in_force
from cowork.engine.ports import StandingLayers
from tests.engine.rig import PERSON, Rig, create, read, write

pytestmark = pytest.mark.anyio

OPEN = Rule("all", "*", "allow")


def named(name: str, *rules: Rule, fallback: str = "allow") -> Layer:
    return layer_of_rules(name, rules, fallback)  # type: ignore[arg-type]


def limited(name: str, limit: Limit) -> Layer:
    return layer(name, PolicyDocument(defaults=Defaults("deny"), rules=(OPEN,), limits=(limit,)))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a", "b.txt": "b", "c.txt": "c"})


ORGANISATION = named("organisation", Rule("no-b", "file.read", "deny", reason="not today"))
USER, SPACE, RUN, SESSION = named("user"), named("workspace"), named("run"), named("session")


def names(layers: tuple[Layer, ...]) -> list[str]:
    return [one.name for one in layers]


def test_without_any_file_the_baseline_is_the_first_layer() -> None:
    assert in_force(NOTHING_STANDING) == (BASELINE,)


def test_a_runs_root_document_takes_the_baselines_place_and_the_others_follow() -> None:
    standing = StandingLayers(user=USER, workspaces=(SPACE,))
    assert names(in_force(standing, (SESSION, RUN))) == ["run", "user", "workspace", "session"]


def test_on_a_managed_machine_nobody_takes_the_organisations_place() -> None:
    standing = StandingLayers(organisation=ORGANISATION, root=named("root"), user=USER)
    assert names(in_force(standing, (RUN, SESSION))) == ["organisation", "user", "run", "session"]


async def test_a_document_is_on_record_once_however_many_sessions_adopt_it(rig: Rig) -> None:
    for _ in range(3):
        await rig.run(read("a.txt"))
    assert [event.digest for event in rig.events(DocumentStored)] == [BASELINE.digest]
    assert {event.layers[0].digest for event in rig.events(PolicyAdopted)} == {BASELINE.digest}


async def test_a_rule_that_the_organisation_makes_meanwhile_holds_for_what_is_resumed(rig: Rig) -> None:
    task_id = await rig.start(read("a.txt"), rules=named("run", OPEN, fallback="deny"))
    rig.machine = StandingLayers(organisation=ORGANISATION)
    task = await rig.app.carry_on(task_id)
    assert task.status == "blocked"
    denied = rig.events(ActionDenied)[-1].decision
    assert (denied.rule_id, denied.layer) == ("no-b", "organisation")
    assert [one.name for one in rig.events(PolicyAdopted)[-1].layers] == ["organisation", "run"]
    rig.assert_clean()


async def test_a_waiting_approval_does_not_outlive_a_rule_that_forbids_it(rig: Rig) -> None:
    task = await rig.run(write("a.txt", rig.content("new")))
    await rig.answer()
    closed = named("organisation", Rule("closed", "file.write", "deny", reason="closed by the organisation"))
    rig.machine = StandingLayers(organisation=closed)
    ended = await rig.app.carry_on(task.task_id)
    assert rig.files()["a.txt"] == "a"
    assert ended.status == "blocked"
    rig.assert_clean()


async def test_resuming_under_the_same_documents_records_nothing_about_them(rig: Rig) -> None:
    task_id = await rig.start(read("a.txt"))
    await rig.app.carry_on(task_id)
    assert len(rig.events(PolicyAdopted)) == 1


async def test_a_layer_below_never_gives_back_what_a_layer_above_takes(rig: Rig) -> None:
    standing = StandingLayers(organisation=ORGANISATION, user=named("user", OPEN))
    task_id = await rig.start(read("b.txt"))
    rig.machine = standing
    await rig.app.carry_on(task_id)
    assert rig.events(ActionDenied)[-1].decision.layer == "organisation"


# Limits


async def test_a_limit_counts_what_was_started_in_the_task(rig: Rig) -> None:
    rules = limited("l", Limit(id="two", action="file.*", max=2))
    task = await rig.run(read("a.txt"), read("b.txt"), read("c.txt"), rules=rules)
    assert len(rig.events(ActionStarted)) == 2
    assert rig.events(ActionDenied)[-1].decision.rule_id == "two"
    assert rig.events(ActionDenied)[-1].facts.usage == (("two", 2),)
    assert task.status == "blocked"
    rig.assert_clean()


async def test_a_limit_counts_the_files_of_a_batch_one_by_one(rig: Rig) -> None:
    rules = limited("l", Limit(id="two", action="file.read", max=2))
    await rig.run(Batch(of="file.read", match="*.txt"), rules=rules)
    assert len(rig.events(ActionStarted)) == 2
    rig.assert_clean()


async def test_beyond_a_limit_that_asks_a_person_is_asked_every_time(rig: Rig) -> None:
    rules = limited("l", Limit(id="two", action="file.create", max=0, on_exceed="allow_with_confirm"))
    await rig.run(create("new.txt", rig.content("x")), rules=rules)
    asked = rig.events(ActionConfirmationRequired)[-1].decision
    assert (asked.rule_id, asked.rememberable) == ("two", False)
    await rig.answer()
    await rig.app.carry_on(rig.app.resumable()[0])
    assert rig.files()["new.txt"] == "x"
    rig.assert_clean()


async def test_a_limit_in_money_that_nobody_counts_is_exceeded(rig: Rig) -> None:
    rules = limited("l", Limit(id="spend", action="*", max=5, unit="usd"))
    await rig.run(read("a.txt"), rules=rules)
    denied = rig.events(ActionDenied)[-1].decision
    assert (denied.rule_id, denied.by_missing_fact) == ("spend", True)
    rig.assert_clean()


# Trust


async def test_trust_is_in_a_folder_and_not_in_its_path(rig: Rig) -> None:
    root = await rig.app.policies.trust(str(rig.work), by=PERSON)
    trusted = rig.app.policies.trusted()
    ((path, identity),) = trusted.folders
    assert (path, root) == (str(rig.work), str(rig.work))
    assert trusted.trusts(path, identity)
    assert not trusted.trusts(path, msgspec.structs.replace(identity, inode=identity.inode + 1))
    await rig.app.policies.distrust(str(rig.work), by=PERSON)
    assert rig.app.policies.trusted().folders == ()
    rig.assert_clean()


async def test_an_approval_that_nobody_knows_cant_be_revoked(rig: Rig) -> None:
    with pytest.raises(DomainError, match="there is no approval `approval-9`"):
        await rig.app.policies.revoke_approval("approval-9", by=PERSON)
