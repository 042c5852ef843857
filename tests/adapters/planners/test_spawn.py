"""What a subagent is given of what its parent has: what the plan says, and only where the parent has it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cowork.adapters.planners.spawn import PlannedSpawns
from cowork.domain.action import SubagentSpawn
from cowork.domain.errors import DomainError
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, GrantedHost, Scope, attenuate

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def folder(name: str, *outputs: str) -> FolderScope:
    return FolderScope(
        grant_id=f"grant-{name}",
        name=name,
        root_path=f"/home/ada/{name}",
        verbs=VERBS,
        output_roots=outputs,
        identity=FolderIdentity(1, 2),
    )


HELD = Scope(folders=(folder("box", "out"), folder("photos", "out")))


def given(scope: Scope = HELD, **wished: Any) -> Scope:
    """Return what is given to a subagent that wishes for this."""
    steps = json.dumps([{"id": "x", "action": {"kind": "file.read", "path": "a"}}])
    action = SubagentSpawn(title="helper", scope=json.dumps(wished), steps=steps)
    return PlannedSpawns().read(action, scope, NOW).scope


def refusal(scope: Scope = HELD, **wished: Any) -> str:
    with pytest.raises(DomainError) as refused:
        given(scope, **wished)
    return refused.value.message


def test_results_go_where_the_plan_says_within_what_the_parent_has() -> None:
    (photos,) = given(folders=[{"path": "photos:", "verbs": ["create"], "outputs": ["photos:out/deep"]}]).folders
    assert (photos.grant_id, photos.output_roots) == ("grant-photos", ("out/deep",))


def test_a_place_may_be_as_long_as_a_path() -> None:
    path = "/".join(["out", *["d" * 100] * 4])
    for wish in (path, {"path": path, "verbs": ["read"], "outputs": [f"{path}/x"]}):
        (box,) = given(folders=[wish]).folders
        assert box.within == (path,)
    assert refusal(folders=[{"path": "d" * 4097}]).startswith("subagent `helper`: ")


@pytest.mark.parametrize("output", ["photos:out", "/home/ada/photos/out"])
def test_an_output_of_another_folder_is_none_of_this_one(output: str) -> None:
    said = refusal(folders=[{"path": "box:out", "verbs": ["create"], "outputs": [output]}])
    assert said == f"the output `{output}` does not lie in `box:out`"


@pytest.mark.parametrize("output", ["a", "."])
def test_an_output_that_the_parent_does_not_have_is_refused(output: str) -> None:
    said = refusal(folders=[{"path": ".", "verbs": ["create"], "outputs": [output]}])
    assert said == f"`{output}` can't be given as an output: the task itself has no such output"


@pytest.mark.parametrize(
    ("granted", "wished"),
    [
        ("*.example.com", "*.a.example.com"),
        ("*.example.com", "*.Example.com"),
        ("*.example.com:*", "a.example.com:*"),
        ("*.example.com:*", "*.example.com:8443"),
        ("example.com:*", "example.com"),
        ("example.com", "example.com:443"),
        ("192.0.2.7:80", "192.0.2.7:80"),
    ],
)
def test_a_narrower_host_than_the_parent_has_is_given(granted: str, wished: str) -> None:
    held = Scope(hosts=(GrantedHost(grant_id="g", host=granted),))
    assert [one.host for one in given(held, hosts=[wished]).hosts] == [wished]
    assert attenuate(held, given(held, hosts=[wished])).open_hosts == (wished,)


@pytest.mark.parametrize(
    ("granted", "wished"),
    [
        ("*.a.example.com", "*.example.com"),
        ("a.example.com", "a.example.com:*"),
        ("example.com:443", "example.com:8443"),
        ("*.example.com", "example.com"),
        ("example.com", "example.org"),
    ],
)
def test_a_wider_host_than_the_parent_has_is_refused(granted: str, wished: str) -> None:
    held = Scope(hosts=(GrantedHost(grant_id="g", host=granted),))
    assert refusal(held, hosts=[wished]) == f"`{wished}` can't be given: the task itself has no such host"
