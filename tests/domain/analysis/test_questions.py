"""What `diff`, `prove` and `who_can` say of small documents, and which claims can be read."""

import json
from typing import Any

import msgspec
import pytest

from cowork.domain.errors import DomainError
from cowork.domain.policy_analysis import PolicyDiff, Proof, ReachReport, diff, prove, who_can
from cowork.domain.policy_claim import parse_claim
from cowork.domain.policy_document import KINDS, PolicyDocument, layer
from tests.domain.analysis.test_lint import document

FILE_KINDS = [kind for kind in KINDS if kind.startswith("file.")]
ENV = {"matchesPattern": ["**/.env*"]}
READ = {"action": "file.read"}
DENY_ENV = {"action": "file.*", "decision": "deny", "when": ENV}


# Diff ---------------------------------------------------------------------------------------------------------------


def test_a_diff_has_one_request_for_each_pair_of_rules() -> None:
    old, new = document(READ, DENY_ENV), document(READ, {**DENY_ENV, "decision": "allow_with_confirm"})
    found = diff(old, new)
    changes = [(one.kind, one.becomes, one.old_rule, one.new_rule) for one in found.changes]
    assert ("file.read", "asked", "policy:b", "policy:b") in changes
    # What no rule allows is denied by default, and is now asked about where the pattern matches.
    assert len(changes) == len(FILE_KINDS)
    assert not found.equivalent
    assert len(found.becoming("asked")) == len(FILE_KINDS)
    assert found.becoming("allowed") == found.becoming("denied") == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((READ, DENY_ENV), (DENY_ENV, READ)),
        (({"action": "file.read", "when": {"matchesPattern": ["/a", "/a/**"]}},) * 1, (READ,)),
        ((DENY_ENV,), ()),
        (
            ({"action": "file.read", "when": {"fileSizeGreaterThan": 5}},),
            ({"action": "file.read", "unless": [{"fileSizeGreaterThan": 5}]},),
        ),
    ],
)
def test_equivalence_is_proved_or_shown_to_be_none(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    found = diff(document(*one), document(*other))
    expected = one == (DENY_ENV,) or READ in one
    assert found.equivalent is expected
    assert bool(found.changes) is not expected


def test_layers_are_compared_as_a_whole() -> None:
    ceiling = layer("organisation", document({"action": "network.request", "decision": "deny"}, fallback="allow"))
    net = layer("user", document(READ, {"action": "network.request"}))
    old, new = [ceiling, layer("user", document(READ))], [ceiling, net]
    assert diff(old, new).equivalent
    assert [change.becomes for change in diff(old[1:], new[1:]).changes] == ["allowed"]


def test_limits_and_what_stands_beside_an_answer_are_compared_as_they_are_written() -> None:
    limit = {"id": "few", "action": "file.delete", "max": 3}
    old = document({**READ, "riskTags": ["x"]}, limits=[limit])
    new = document(READ, limits=[{**limit, "max": 5}])
    found = diff(old, new)
    assert (found.changes, found.equivalent) == ((), False)
    assert found.limits == ("limit `few` of `policy` differs: was at most 3, then deny; is at most 5, then deny",)
    assert found.notes == ("rule `a` of `policy`: risk tags differs",)


def test_an_alias_that_comes_back_is_a_change() -> None:
    old = document({"action": "file.create", "decision": "deny"}, {"action": "file.write"}, version="1.0")
    new = document({"action": "file.write"}, version="1.0")
    (change,) = diff(old, new).changes
    assert (change.kind, change.becomes, change.new_rule) == ("file.create", "allowed", "policy:a")


# Prove --------------------------------------------------------------------------------------------------------------

CAREFUL = document(
    {"action": ["file.read", "file.list"]},
    {"action": ["file.write", "file.create"], "when": {"pathWithinOutputRoot": True}},
    {"action": ["file.write", "file.create"], "decision": "allow_with_confirm"},
    {"action": "file.delete", "decision": "allow_with_confirm"},
    {"action": "file.*", "decision": "deny", "when": {"sensitive": True}},
    {"action": "network.request", "decision": "allow_with_confirm", "when": {"hostMatches": ["*.example.com"]}},
)


@pytest.mark.parametrize(
    ("claim", "status"),
    [
        ("no file.write outside outputRoots without confirm", "proved"),
        ("no file.write without confirm", "proved"),
        ("no file.delete without confirm", "proved"),
        ("no file.delete", "refuted"),
        ("no file.* when sensitive", "proved"),
        ("no file.* matching **/.env*", "refuted"),
        ("no file.read inside /etc without confirm", "refuted"),
        ("no file.move", "proved"),
        ("no network.request to example.com", "proved"),
        ("no network.request to api.example.com", "refuted"),
        ("no network.request to api.example.com without confirm", "proved"),
        ("no shell.exec without confirm", "proved"),
        ("no file.* outside /srv/** when not targetExists without confirm", "refuted"),
        ("no connector.* through mail", "proved"),
        ("no * when tainted without confirm", "refuted"),
    ],
)
def test_a_claim_is_proved_or_refuted(claim: str, status: str) -> None:
    proof = prove(CAREFUL, claim)
    assert proof.status == status
    assert (proof.witness is None) is (status == "proved")
    assert not proof.by_invariant


def test_the_write_rule_is_stricter_where_both_match() -> None:
    # In version 1.1 asking wins over allowing, also inside the output folders.
    first = msgspec.structs.replace(CAREFUL, version="1.0")
    assert prove(CAREFUL, "no file.write without confirm").status == "proved"
    assert prove(first, "no file.write without confirm").status == "refuted"
    assert prove(first, "no file.write outside outputRoots without confirm").status == "proved"


def test_a_secret_below_the_granted_folder_is_never_read_but_the_granted_folder_may_be_a_secret_itself() -> None:
    proof = prove(CAREFUL, "no file.read matching **/secrets/**")
    assert proof.status == "refuted"
    assert proof.witness is not None
    assert "/secrets" in proof.witness.scope.grants[0].root


def test_grants_are_held_by_the_invariants_whatever_a_document_says() -> None:
    proof = prove(document(fallback="allow"), "no file.write outside grants")
    assert (proof.status, proof.by_invariant) == ("proved", True)
    assert prove(document(fallback="allow"), "no file.write inside grants").status == "refuted"


def test_a_subject_to_no_layer_is_denied() -> None:
    assert prove([], "no file.read").status == "proved"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", ""),
        ("every file.read", "every"),
        ("no", "no"),
        ("no file.explode", "file.explode"),
        ("no file.read within /ws", "within"),
        ("no file.read inside", "inside"),
        ("no file.read inside outputs", "outputs"),
        ("no file.read matching secrets/**", "secrets/**"),
        ("no file.read without asking", "asking"),
        ("no file.read without", "without"),
        ("no file.read without confirm when hidden", "when"),
        ("no network.request to http://x", "http://x"),
        ("no file.read to example.com", "file.read"),
        ("no file.read when shiny", "shiny"),
        ("no file.read when hidden when not hidden", "hidden"),
        ("no shell.exec when crossRoot", "shell.exec"),
    ],
)
def test_a_malformed_claim_names_the_word_and_the_forms(text: str, word: str) -> None:
    with pytest.raises(DomainError) as refused:
        parse_claim(text)
    assert f"`{word}`" in refused.value.message
    assert "no ACTION" in refused.value.hint


def test_a_claim_is_read_as_a_rule() -> None:
    claim = parse_claim("no  file.* outside /srv/out matching **/*.md when not hidden without confirm")
    assert claim.text == "no file.* outside /srv/out matching **/*.md when not hidden without confirm"
    assert claim.may_ask
    assert claim.rule.when.matches_pattern == ("**/*.md",)
    assert claim.rule.when.hidden is False
    assert claim.rule.unless[0].matches_pattern == ("/srv/out", "/srv/out/**")


# Who can ------------------------------------------------------------------------------------------------------------


def test_who_can_lists_every_way_to_an_answer_and_the_answers_that_nobody_gets() -> None:
    report = who_can(CAREFUL, "file.read")
    assert [(one.verdict, one.rule) for one in report.reached] == [("deny", "policy:e"), ("allow", "policy:a")]
    assert [(one.kind, one.verdict) for one in report.nobody] == [("file.read", "allow_with_confirm")]
    assert report.unsettled == ()


def test_who_can_is_asked_of_a_place_or_a_host() -> None:
    assert [one.verdict for one in who_can(CAREFUL, "network.request", host="example.com").reached] == ["deny"]
    inside = who_can(CAREFUL, "network.request", host="*.example.com").reached
    assert [(one.verdict, one.rule) for one in inside] == [("allow_with_confirm", "policy:f")]
    place = who_can(CAREFUL, "file.delete", pattern="/ws/**/id_rsa")
    assert [one.rule for one in place.reached] == ["policy:e"]


def test_a_fallback_and_a_limit_are_ways_too() -> None:
    limits = [{"id": "few", "action": "file.delete", "max": 3, "onExceed": "allow_with_confirm"}]
    report = who_can(document({"action": "file.read"}, fallback="allow", limits=limits), "file.delete")
    assert [(one.verdict, one.rule) for one in report.reached] == [
        ("allow", "policy:default-allow"),
        ("allow_with_confirm", "policy:few"),
    ]


@pytest.mark.parametrize("wrong", [{"action": "x"}, {"action": "file.read", "host": "a.com"}, {"pattern": "a/**"}])
def test_a_wrong_question_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(DomainError):
        who_can(CAREFUL, **{"action": "file.read", **wrong})


def test_every_answer_is_json() -> None:
    other: PolicyDocument = document(READ)
    answers: list[tuple[object, type]] = [
        (diff(CAREFUL, other), PolicyDiff),
        (prove(CAREFUL, "no file.delete"), Proof),
        (who_can(CAREFUL, "*"), ReachReport),
    ]
    for answer, kind in answers:
        assert msgspec.convert(json.loads(msgspec.json.encode(answer)), kind) == answer
