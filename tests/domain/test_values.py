"""Paths, globs, places, digests, ids and scopes: rules that hold for every value."""

import hashlib
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowork.domain.action import (
    ACTION_TYPES,
    Action,
    Content,
    FileCreate,
    FileMove,
    FileRead,
    Location,
    canonical_bytes,
    digest_of,
)
from cowork.domain.confirmation import digest_matches, digest_of_question
from cowork.domain.errors import DomainError
from cowork.domain.facts import Facts, FileState
from cowork.domain.glob import parse_glob
from cowork.domain.ids import TaskId, action_id, format_id
from cowork.domain.path import find_problem, is_beneath, name_of_text, normal, text_of_name
from cowork.domain.places import SENSITIVE, is_engines, is_executed, is_hidden, is_sensitive
from cowork.domain.plan import Plan, Step, check_plan
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Scope, attenuate

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@given(st.binary(max_size=40))
def test_every_name_on_disk_has_one_text_and_every_text_one_name(name: bytes) -> None:
    assert name_of_text(text_of_name(name)) == name


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_two_names_never_share_a_text(one: bytes, other: bytes) -> None:
    assert (text_of_name(one) == text_of_name(other)) is (one == other)


def test_a_real_character_of_the_carrying_block_is_carried_byte_by_byte() -> None:
    name = chr(0x10FEFF).encode()

    assert name_of_text(text_of_name(name)) == name
    assert text_of_name(name) != text_of_name(b"\xff")


@pytest.mark.parametrize(("path", "folder", "beneath"), [("a/b", "a", True), ("a", "a", True), ("a-b/c", "a", False)])
def test_containment_goes_by_components_and_not_by_letters(path: str, folder: str, beneath: bool) -> None:
    assert is_beneath(path, folder) is beneath


@given(st.text(st.sampled_from("ab./"), min_size=1, max_size=12))
def test_a_path_that_is_fit_to_use_stays_below_its_folder(path: str) -> None:
    if find_problem(path, root_allowed=True) is None:
        assert ".." not in normal(path).split("/")
        assert not normal(path).startswith("/")
        assert normal(normal(path)) == normal(path)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.csv", "a.csv", True),
        ("*.csv", "x/a.csv", False),
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "x/y/a.csv", True),
        ("**/*.csv", "x/.h/a.csv", False),
        ("**/.h/*.csv", "x/.h/a.csv", True),
        ("*", ".env", False),
        (".*", ".env", True),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("a[b]?", "a[b]c", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("**", "a/b", True),
    ],
)
def test_globs(pattern: str, path: str, matches: bool) -> None:
    assert parse_glob(pattern).matches(path) is matches


def test_no_pattern_takes_long() -> None:
    # Backtracking would need more steps than there are atoms: this ends at once or never.
    assert not parse_glob("**/" * 60 + "*a" * 60 + "b").matches("/".join(["a" * 200] * 60))


@pytest.mark.parametrize("entry", SENSITIVE)
def test_what_is_on_the_list_of_secrets_is_found_anywhere_in_a_path(entry: str) -> None:
    name = entry.replace("*", "x")

    assert is_sensitive(name)
    assert is_sensitive(f"a/{name.upper()}/b")
    assert not is_sensitive(f"a/x{name}x.txt") or "*" in entry


def test_full_width_letters_do_not_hide_a_place() -> None:
    assert is_executed("\uff0egit/hooks/pre-commit")
    assert is_engines(".COWORK/quarantine")
    assert is_hidden("a/.b")
    assert not is_hidden("a/b.c")


def test_the_digest_changes_with_every_byte_of_an_action() -> None:
    variants: list[Action] = [
        FileRead(at=Location("g", "a")),
        FileRead(at=Location("g", "A")),
        FileRead(at=Location("g", "a ")),
        FileRead(at=Location("h", "a")),
        FileRead(at=Location("g", "a"), length=1),
        FileRead(at=Location("g", "\u00e9")),
        FileRead(at=Location("g", "e\u0301")),
        FileMove(at=Location("g", "a"), to=Location("g", "b")),
        FileMove(at=Location("g", "b"), to=Location("g", "a")),
        FileCreate(at=Location("g", "a"), content=Content("sha256:00", 1)),
        FileCreate(at=Location("g", "a"), content=Content("sha256:01", 1)),
    ]

    assert len({digest_of(action) for action in variants}) == len(variants)
    assert all(canonical_bytes(action).startswith(b"{") for action in variants)


def test_the_digest_of_an_action_is_the_same_for_ever() -> None:
    """Stored approvals rest on it: if this fails, the canonical form has changed."""
    canonical = b'{"at":{"grantId":"grant-1","path":"a/b"},"kind":"file.read"}'
    action = FileRead(at=Location("grant-1", "a/b"))

    assert canonical_bytes(action) == canonical
    assert digest_of(action) == f"sha256:{hashlib.sha256(b'cowork.action.v1' + bytes([10]) + canonical).hexdigest()}"


def test_a_question_is_bound_to_the_state_of_what_it_shows() -> None:
    seen = FileState("file", device=1, inode=2, size=3, mtime_ns=4, digest="sha256:aa")

    def question(state: FileState) -> str:
        return digest_of_question([("sha256:11", Facts(now=NOW, target=state))])

    assert question(seen) == question(msgspec.structs.replace(seen, mtime_ns=99))
    assert question(seen) != question(msgspec.structs.replace(seen, digest="sha256:bb"))
    assert question(seen) != question(msgspec.structs.replace(seen, inode=3))


@pytest.mark.parametrize(
    ("given_digest", "matches"),
    [
        ("sha256:9c417e02aa", True),
        ("9c41 7e02", True),
        ("9C417E02", True),
        ("9c417e0", False),
        ("", False),
        ("0c417e02", False),
    ],
)
def test_an_answer_names_at_least_eight_digits_of_the_digest(given_digest: str, matches: bool) -> None:
    assert digest_matches(given_digest, "sha256:9c417e02aa") is matches


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1), st.integers(0, 2**32 - 1))
def test_ids_sort_by_their_time(one: int, other: int, entropy: int) -> None:
    first, second = format_id("task", one, entropy), format_id("task", other, entropy)

    assert (first < second) is (one < other)
    assert len(first) == len("task-") + 16


def test_an_action_has_the_same_id_after_a_crash() -> None:
    assert action_id(TaskId("task-1"), 7) == "task-1.7"


VERB_SETS = st.lists(st.sampled_from(VERBS), unique=True).map(tuple)
ROOTS = st.lists(st.sampled_from([".", "a", "a/b", "b", "a/b/c"]), unique=True).map(tuple)
ENDS = st.sampled_from([None, NOW, NOW + timedelta(days=1)])


def scopes() -> st.SearchStrategy[Scope]:
    folders = st.builds(
        FolderScope,
        grant_id=st.sampled_from(["g", "h"]),
        name=st.just("n"),
        root_path=st.just("/n"),
        verbs=VERB_SETS,
        output_roots=ROOTS,
        identity=st.just(FolderIdentity(1, 2)),
        expires_at=ENDS,
        revoked=st.booleans(),
    )
    return st.lists(folders, max_size=2, unique_by=lambda f: f.grant_id).map(lambda held: Scope(tuple(held)))


@given(scopes(), scopes())
def test_a_child_never_has_more_than_its_parent(parent: Scope, wished: Scope) -> None:
    for folder in attenuate(parent, wished).folders:
        held = parent.folder(folder.grant_id)
        assert held is not None
        assert set(folder.verbs) <= set(held.verbs)
        assert all(held.is_output(root) for root in folder.output_roots)
        assert held.expires_at is None or (folder.expires_at is not None and folder.expires_at <= held.expires_at)
        assert folder.revoked or not held.revoked


def plan(**needs: tuple[str, ...]) -> Plan:
    request = FileRead(at=Location("", "x"))
    return Plan(title="t", steps=tuple(Step(step_id=i, title=i, needs=n, request=request) for i, n in needs.items()))


@pytest.mark.parametrize(
    "bad", [plan(), plan(a=("b",)), plan(a=("a",)), plan(a=("b",), b=("c",), c=("a",)), plan(x=(), a=("b",), b=("a",))]
)
def test_a_plan_without_steps_with_a_missing_need_or_a_circle_is_refused(bad: Plan) -> None:
    with pytest.raises(DomainError) as caught:
        check_plan(bad)
    assert caught.value.code == "invalid"


def test_a_long_chain_of_needs_is_no_circle() -> None:
    names = [f"s{n}" for n in range(5000)]
    check_plan(plan(**{name: (names[n - 1],) if n else () for n, name in enumerate(names)}))


def test_every_kind_of_action_is_registered_under_its_own_name() -> None:
    for kind, struct in ACTION_TYPES.items():
        assert msgspec.inspect.type_info(struct).tag == kind  # type: ignore[attr-defined]
