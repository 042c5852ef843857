"""What a plan's text means: each place lies beneath exactly one grant, or beneath none and is denied."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.domain.action import FileDelete, FileMove, FileRead, FileRename, Location
from cowork.domain.path import components
from cowork.domain.plan import Batch
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Scope, attenuate
from cowork.engine.binding import bind, bind_text, expand, name_without_grant


def folder(grant_id: str, name: str) -> FolderScope:
    return FolderScope(
        grant_id=grant_id, name=name, root_path=f"/home/ada/{name}", verbs=VERBS, identity=FolderIdentity(1, 2)
    )


SCOPE = Scope((folder("g1", "inbox"), folder("g2", "photos")))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a/b", Location("g1", "a/b")),
        ("./a//b/", Location("g1", "a/b")),
        ("photos:2024/a.jpg", Location("g2", "2024/a.jpg")),
        ("photos:", Location("g2", ".")),
        ("other:a", Location("g1", "other:a")),
        ("/home/ada/photos/x", Location("g2", "x")),
        ("/home/ada/photos", Location("g2", ".")),
        ("/home/ada/photos-evil/x", Location("", "/home/ada/photos-evil/x")),
        ("/home/ada/photos/../x", Location("", "/home/ada/photos/../x")),
        ("/etc/passwd", Location("", "/etc/passwd")),
        ("../x", Location("g1", "../x")),
        ("~/x", Location("g1", "~/x")),
        ("file:///etc/passwd", Location("g1", "file:/etc/passwd")),
        ("%2e%2e/x", Location("g1", "%2e%2e/x")),
        ("", Location("g1", "")),
    ],
)
def test_a_text_means_one_place_and_nothing_in_it_is_expanded(text: str, place: Location) -> None:
    assert bind_text(text, SCOPE) == place


def test_a_folder_that_only_those_above_have_is_none_of_a_subagents_own() -> None:
    photos = Scope((folder("g2", "photos"),))
    child = attenuate(SCOPE, photos)
    grandchild = attenuate(child, photos)
    for scope in (child, grandchild):
        assert bind_text("inbox:a", scope) == Location("", "inbox:a")
        assert bind_text("photos:a", scope) == Location("g2", "a")
        assert bind_text("other:a", scope) == Location("g2", "other:a")


def test_without_grants_every_place_lies_nowhere() -> None:
    assert bind_text("a", Scope()) == Location("", "a")


@given(st.text(st.sampled_from("ab/.:~"), max_size=14))
def test_a_path_beneath_a_grant_never_begins_outside_it(text: str) -> None:
    place = bind_text(text, SCOPE)

    if place.grant_id and ".." not in place.path.split("/"):
        assert not place.path.startswith("/") or place.path == text
        assert components(place.path) == components(place.path.removeprefix("./"))


def test_a_move_into_a_folder_keeps_the_name() -> None:
    action = FileMove(at=Location("", "a/b.txt"), to=Location("", "photos:x/"))

    assert bind(action, SCOPE) == FileMove(at=Location("g1", "a/b.txt"), to=Location("g2", "x/b.txt"))


def test_a_pattern_becomes_one_action_for_each_path() -> None:
    pattern = Location("g1", "*")

    assert expand(Batch(of="file.delete", match="*"), pattern, ["a", "b"], SCOPE) == [
        FileDelete(at=Location("g1", "a")),
        FileDelete(at=Location("g1", "b")),
    ]
    assert expand(Batch(of="file.read", match="*"), pattern, ["a"], SCOPE) == [FileRead(at=Location("g1", "a"))]
    assert expand(Batch(of="file.rename", match="*", to="photos:p/"), pattern, ["x/a"], SCOPE) == [
        FileRename(at=Location("g1", "x/a"), to=Location("g2", "p/a"))
    ]


@pytest.mark.parametrize(
    ("text", "name"), [("other:*.txt", "other"), ("photos:*", ""), ("a/b:c", ""), ("*.txt", ""), (":x", "")]
)
def test_a_name_that_no_grant_has_is_noticed(text: str, name: str) -> None:
    assert name_without_grant(text, SCOPE) == name
