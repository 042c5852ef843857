"""The shipped baseline: it has nothing in it that never decides, and what it promises is proved for every request."""

import pytest

from cowork.domain.baseline import BASELINE, FLOOR
from cowork.domain.policy_analysis import lint, prove, who_can
from cowork.domain.policy_document import KINDS, Layer, layer_of_rules, names_kind

SESSION = (BASELINE, FLOOR)


def test_the_baseline_has_no_rule_that_is_in_vain() -> None:
    report = lint(SESSION)
    assert [one.sentence for one in report.findings if one.severity == "error"] == []
    assert [one.sentence for one in report.findings if one.status == "not settled"] == []
    # Two rules say what the fallback would say, too: they are there for their reasons.
    redundant = {one.rules for one in report.findings if one.layer == "baseline" and one.severity != "error"}
    assert redundant == {("no-network",), ("no-connectors",)}


@pytest.mark.parametrize(
    "claim",
    [
        "no file.delete without confirm",
        "no file.rename without confirm",
        "no file.move without confirm",
        "no file.* outside grants",
        "no file.write outside outputRoots without confirm",
        "no file.create outside outputRoots without confirm",
        "no file.write when targetExists without confirm",
        "no file.* when hidden",
        "no file.* when sensitive",
        "no file.write when executed",
        "no file.move when crossRoot",
        "no file.read when hardLink without confirm",
        "no network.request without confirm",
        "no network.request to example.org without confirm",
        "no connector.*",
        "no shell.exec without confirm",
        "no code.run without confirm",
    ],
)
def test_the_baseline_keeps_its_promises_for_every_request(claim: str) -> None:
    proof = prove(SESSION, claim)
    assert proof.status == "proved", proof.why


@pytest.mark.parametrize(
    "claim", ["no file.read", "no file.create without confirm", "no file.delete", "no file.write when targetExists"]
)
def test_a_claim_that_does_not_hold_is_refuted_by_a_request(claim: str) -> None:
    proof = prove(SESSION, claim)
    assert proof.status == "refuted"
    assert proof.witness is not None
    assert proof.witness.rule.startswith("baseline:")


def test_every_rule_of_the_baseline_decides_about_some_request() -> None:
    deciding = {one.rule for kind in KINDS for one in who_can(SESSION, kind).reached}
    assert {f"baseline:{rule.id}" for rule in BASELINE.document.rules} <= deciding
    assert {f"floor:{rule.id}" for rule in FLOOR.document.rules} <= {
        one.rule for kind in KINDS for one in who_can((ALL_ALLOWED, FLOOR), kind).reached
    }


ALL_ALLOWED: Layer = layer_of_rules("root", (), fallback="allow")


@pytest.mark.parametrize(
    "claim",
    [
        "no file.write when executed without confirm",
        "no file.delete when executed without confirm",
        "no file.read when hardLink without confirm",
        "no file.move when hardLink without confirm",
    ],
)
def test_the_floor_holds_under_a_document_that_allows_everything(claim: str) -> None:
    assert prove((ALL_ALLOWED, FLOOR), claim).status == "proved"
    assert prove((ALL_ALLOWED,), claim).status == "refuted"


def test_every_kind_of_action_is_named_by_the_baseline_or_denied_by_its_fallback() -> None:
    assert BASELINE.document.defaults.fallback == "deny"
    named = {kind for kind in KINDS for rule in BASELINE.document.rules for a in rule.actions if names_kind(a, kind)}
    assert set(KINDS) - named == set()
