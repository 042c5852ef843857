"""The documents of a machine are found in their places; a broken one stops everything, an untrusted one has no say."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cowork.adapters.policy_files.layers import MachineLayers, standing_layers
from cowork.domain.baseline import BASELINE
from cowork.domain.errors import DomainError
from cowork.domain.folder_trust import TrustedFolders
from cowork.domain.scope import FolderIdentity
from cowork.engine.policy_records import in_force
from cowork.engine.ports import StandingLayers
from tests.adapters.policy_files.documents import document

ME = frozenset((os.getuid(),))
TOML = 'version = "1.1"\ndefaults.fallback = "allow"\nrules = []\n'


class Machine:
    """A machine below a folder of its own."""

    def __init__(self, top: Path) -> None:
        self.organisation = top / "etc"
        self.config = top / "config"
        self.work = top / "work"
        for folder in (self.organisation, self.config, self.work):
            folder.mkdir()
        self.trusted = TrustedFolders()

    def trust(self, *folders: Path) -> None:
        """Let the folders' own files speak."""
        self.trusted = TrustedFolders(
            tuple((str(f), FolderIdentity(f.stat().st_dev, f.stat().st_ino)) for f in folders)
        )

    def found(self, *folders: Path) -> MachineLayers:
        """Return the layers for work in the folders, `work` where none is named."""
        return standing_layers(
            self.config,
            folders or (self.work,),
            self.trusted,
            organisation=self.organisation,
            organisation_owners=ME,
        )

    def refusal(self) -> str:
        """Return the sentence with which everything is stopped."""
        with pytest.raises(DomainError) as caught:
            self.found()
        return caught.value.message


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def put(path: Path, content: Any = None) -> Path:
    """Write a policy file that has no rule, or this one."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content or document()))
    path.chmod(0o644)
    return path


def test_a_machine_without_files_has_no_layers(machine: Machine) -> None:
    assert machine.found() == MachineLayers(StandingLayers())
    assert in_force(machine.found().standing) == (BASELINE,)
    for folder in (machine.organisation, machine.config, machine.work):
        folder.rmdir()
    assert machine.found() == MachineLayers(StandingLayers())


def test_every_document_is_found_in_its_place_and_stands_in_its_order(machine: Machine) -> None:
    put(machine.organisation / "policy.toml", TOML)
    put(machine.config / "policy.json", document({"id": "mine"}))
    put(machine.work / ".cowork" / "policy.toml", TOML)
    machine.trust(machine.work)

    found = machine.found()

    assert [layer.name for layer in in_force(found.standing)] == ["organisation", "user", "workspace"]
    assert found.standing.user is not None
    assert found.standing.user.document.rules[0].id == "mine"
    assert found.notices == ()


def test_the_owners_root_document_takes_the_place_of_the_baseline(machine: Machine) -> None:
    put(machine.config / "root-policy.toml", TOML)

    assert [layer.name for layer in in_force(machine.found().standing)] == ["root"]


def test_on_a_managed_machine_a_root_document_is_not_used_and_that_is_said(machine: Machine) -> None:
    put(machine.organisation / "policy.toml", TOML)
    root = put(machine.config / "root-policy.toml", "broken")

    found = machine.found()

    assert [layer.name for layer in in_force(found.standing)] == ["organisation"]
    assert [notice.message for notice in found.notices] == [
        f"not used: `{root}`, since an organisation manages this machine"
    ]


def test_a_folder_that_is_not_trusted_has_no_say_and_that_is_said(machine: Machine) -> None:
    theirs = put(machine.work / ".cowork" / "policy.toml", "whatever")

    found = machine.found()

    assert found.standing.workspaces == ()
    assert found.notices[0].message == f"not used: `{theirs}`, since the folder is not trusted"
    assert found.notices[0].hint == f"cowork policy trust {machine.work}"


def test_trust_is_in_the_folder_and_not_in_its_name(machine: Machine) -> None:
    put(machine.work / ".cowork" / "policy.toml", TOML)
    machine.trust(machine.work)
    assert len(machine.found().standing.workspaces) == 1
    machine.work.rename(machine.work.with_name("old"))
    machine.work.mkdir()
    put(machine.work / ".cowork" / "policy.toml", TOML)

    found = machine.found()

    assert found.standing.workspaces == ()
    assert len(found.notices) == 1


def test_trust_in_a_folder_is_none_in_the_folders_below(machine: Machine) -> None:
    below = machine.work / "below"
    below.mkdir()
    put(below / ".cowork" / "policy.toml", TOML)
    machine.trust(machine.work)

    assert machine.found(machine.work, below).standing.workspaces == ()


def test_several_folders_speak_each_under_its_own_name(machine: Machine) -> None:
    folders = [machine.work / name for name in ("a/x", "b/x", "y:z")]
    for folder in folders:
        folder.mkdir(parents=True)
        put(folder / ".cowork" / "policy.toml", TOML)
    machine.trust(*folders)

    found = machine.found(*folders, folders[0])

    names = [layer.name for layer in found.standing.workspaces]
    assert names == ["workspace-x", "workspace-x-2", "workspace-y_z"]


@pytest.mark.parametrize("place", ["organisation", "root", "user", "workspace"])
@pytest.mark.parametrize("kind", ["broken", "empty", "link", "link to nothing", "folder", "writable for all", "two"])
def test_a_document_that_is_there_and_can_not_be_taken_stops_everything(
    kind: str, place: str, machine: Machine
) -> None:
    folder = {
        "organisation": machine.organisation,
        "root": machine.config,
        "user": machine.config,
        "workspace": machine.work / ".cowork",
    }[place]
    stem = "root-policy" if place == "root" else "policy"
    path = put(folder / f"{stem}.toml", TOML)
    machine.trust(machine.work)
    machine.found()
    match kind:
        case "broken" | "empty":
            path.write_text("version = " if kind == "broken" else "")
        case "link":
            path.symlink_to(path.rename(folder / "real.toml"))
        case "link to nothing":
            path.unlink()
            path.symlink_to("nothing")
        case "folder":
            path.unlink()
            path.mkdir()
        case "writable for all":
            path.chmod(0o666)
        case _:
            put(folder / f"{stem}.json")

    message = machine.refusal()

    assert f"`{path}`" in message
    if kind == "two":
        assert message == f"there are two policies, `{path}` and `{path.with_suffix('.json')}`"


def test_a_folder_that_others_could_have_emptied_stops_everything(machine: Machine) -> None:
    machine.organisation.chmod(0o777)
    assert machine.refusal() == f"everybody may write the folder `{machine.organisation}`"
    machine.organisation.chmod(0o755)
    put(machine.config / "policy.toml", TOML)
    machine.config.chmod(0o777)
    assert machine.refusal() == f"everybody may write the folder `{machine.config}`"


def test_a_document_of_another_owner_stops_everything(machine: Machine) -> None:
    path = put(machine.organisation / "policy.toml", TOML)

    with pytest.raises(DomainError) as caught:
        standing_layers(machine.config, organisation=machine.organisation, organisation_owners=frozenset((4711,)))

    assert str(path.parent) in caught.value.message
    assert "belongs to user" in caught.value.message


@pytest.mark.parametrize("odd", ["a link", "a file", "a link to itself"])
def test_an_odd_folder_stops_only_who_trusts_it(odd: str, machine: Machine) -> None:
    place = machine.work / ".cowork"
    put(machine.config / "there" / "policy.toml", TOML)
    match odd:
        case "a link":
            place.symlink_to(machine.config / "there")
        case "a file":
            place.write_text("x")
        case _:
            place.symlink_to(".cowork")

    assert machine.found() == MachineLayers(StandingLayers())
    machine.trust(machine.work)
    assert str(place) in machine.refusal()


def test_what_is_a_folders_own_is_not_looked_for_above_it(machine: Machine) -> None:
    below = machine.work / "below"
    below.mkdir()
    put(machine.work / ".cowork" / "policy.toml", TOML)
    machine.trust(machine.work, below)

    assert machine.found(below).standing.workspaces == ()
