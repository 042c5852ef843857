"""No claim of an analysis is refuted by requests, and the evaluator confirms every witness: on 1,000 random documents."""

from collections import Counter
from random import Random

import msgspec
import pytest

from cowork.domain.policy_analysis import diff, lint, prove, who_can
from cowork.domain.policy_atom import MOVES
from cowork.domain.policy_decision import Judgement, judge, ready_frame
from cowork.domain.policy_document import PolicyDocument, Rule
from cowork.domain.policy_finding import Finding
from cowork.domain.policy_glob import glob_matches
from cowork.domain.policy_layer import ALLOW, LEVEL, ReadyLayer
from cowork.domain.policy_lint import RISKY
from cowork.domain.policy_witness import Witness
from tests.domain.analysis.documents import (
    Asked,
    answered,
    as_layer,
    random_document,
    random_edit,
    random_requests,
    ready,
)

CHUNKS, DOCUMENTS, REQUESTS = 20, 50, 500


def confirmed(document: PolicyDocument, witness: Witness) -> Judgement:
    """Return the evaluator's answer to a witness, which has to be the one that the witness carries."""
    judgement = judge((ready_frame(witness.scope, [as_layer(document)]),), witness.request)
    assert judgement.broken is None
    assert (judgement.verdict, f"{judgement.layer}:{judgement.rule_id}") == (witness.verdict, witness.rule)
    return judgement


def is_matched(judgement: Judgement, rule_id: str) -> bool:
    return f"policy:{rule_id}" in judgement.matched()


def without(document: PolicyDocument, rule_id: str) -> ReadyLayer:
    rules = tuple(rule for rule in document.rules if rule.id != rule_id)
    return ready(msgspec.structs.replace(document, rules=rules))


def exchanged(document: PolicyDocument, one: str, other: str) -> PolicyDocument:
    by_id = {rule.id: rule for rule in document.rules}
    turned = {one: by_id[other], other: by_id[one]}
    return msgspec.structs.replace(document, rules=tuple(turned.get(rule.id, rule) for rule in document.rules))


class Evidence:
    """A document and its answers to many requests."""

    def __init__(self, document: PolicyDocument, requests: list[Asked]) -> None:
        self.document = document
        self.rules: dict[str, Rule] = {rule.id: rule for rule in document.rules}
        self.layer = ready(document)
        answers = [(asked, answered([self.layer], asked)) for asked in requests]
        self.answers = [(asked, judgement) for asked, judgement in answers if judgement.broken is None]
        self.matched = [(asked, judgement, set(judgement.matched())) for asked, judgement in self.answers]
        assert not any(judgement.by_missing_fact for _, judgement in self.answers)

    def check(self, finding: Finding) -> None:
        """Fail where a request, or the finding's own witness, refutes it."""
        judgement = None if finding.witness is None else confirmed(self.document, finding.witness)
        rule = self.rules.get(finding.rules[0]) if finding.rules else None
        match finding.code:
            case "dead-rule":
                assert rule is not None
                assert not any(f"policy:{rule.id}" in matched for _, _, matched in self.matched)
            case "never-decides" | "deny-never-bites":
                assert rule is not None and judgement is not None and is_matched(judgement, rule.id)
                assert not any(judgement.rule is rule for _, judgement in self.answers)
            case "overridden-everywhere":
                assert rule is not None and judgement is not None and is_matched(judgement, rule.id)
                hits = [one for _, one, matched in self.matched if f"policy:{rule.id}" in matched]
                assert all(one.level > LEVEL[rule.decision] for one in (*hits, judgement))
            case "overridden-by-weaker":
                assert rule is not None and judgement is not None and is_matched(judgement, rule.id)
                assert judgement.rule is not None and judgement.rule.id == finding.rules[1]
                assert judgement.level < LEVEL[rule.decision] or finding.kind is not None
            case "order-dependent":
                assert finding.witness is not None and judgement is not None
                turned = as_layer(exchanged(self.document, *finding.rules))
                other = judge((ready_frame(finding.witness.scope, [turned]),), finding.witness.request)
                assert other.verdict != judgement.verdict
            case "redundant-rule":
                rest = without(self.document, finding.rules[0])
                assert all(answered([rest], asked).level == one.level for asked, one in self.answers)
            case "dead-exception":
                self.check_exception(finding)
            case "dead-pattern":
                pattern = finding.sentence.split("`")[1]
                paths = [asked.request.path for asked, _ in self.answers]
                assert not any(isinstance(path, str) and glob_matches(pattern, path) for path in paths)
            case "allows-everything":
                assert all(one.level == ALLOW for _, one in self.answers)
            case "allowed-unasked":
                assert judgement is not None and judgement.level == ALLOW
            case _:
                pytest.fail(f"nothing checks {finding.code}")

    def check_exception(self, finding: Finding) -> None:
        rule = self.rules[finding.rules[0]]
        number = int(finding.sentence.split()[1]) - 1
        kept = msgspec.structs.replace(rule, unless=(*rule.unless[:number], *rule.unless[number + 1 :]))
        rules = tuple(kept if one is rule else one for one in self.document.rules)
        other = ready(msgspec.structs.replace(self.document, rules=rules))
        assert all(answered([other], asked).level == one.level for asked, one in self.answers)


def chunk(number: int) -> list[Evidence]:
    random = Random(number)
    requests = random_requests(random, REQUESTS)
    return [Evidence(random_document(random), requests) for _ in range(DOCUMENTS)]


@pytest.mark.parametrize("number", range(CHUNKS))
def test_no_finding_is_refuted_and_every_witness_is_confirmed(number: int) -> None:
    counts: Counter[str] = Counter()
    for evidence in chunk(number):
        report = lint(evidence.document)
        for finding in report.findings:
            counts[finding.code if finding.status == "proved" else "not settled"] += 1
            if finding.status == "proved":
                evidence.check(finding)
        allowed = {finding.kind for finding in report.findings if finding.code == "allowed-unasked"}
        seen = {
            kind for kind in RISKY for asked, one in evidence.answers if asked.request.action == kind and not one.level
        }
        assert seen <= allowed
    assert counts["dead-rule"] > 10
    assert counts["redundant-rule"] > 10
    assert counts["not settled"] <= 1


@pytest.mark.parametrize("number", range(CHUNKS))
def test_a_diff_misses_no_request_that_is_answered_differently(number: int) -> None:
    random = Random(1000 + number)
    equivalent = 0
    for evidence in chunk(number):
        edited = random_edit(random, evidence.document)
        found = diff(evidence.document, edited)
        assert not found.unsettled
        pairs = {(change.kind, change.old_rule, change.new_rule) for change in found.changes}
        for change in found.changes:
            confirmed(edited, change.witness)
            before = judge((ready_frame(change.witness.scope, [as_layer(evidence.document)]),), change.witness.request)
            assert (before.verdict, f"policy:{before.rule_id}") == (change.old_verdict, change.old_rule)
            assert change.old_verdict != change.new_verdict
        after = ready(edited)
        for asked, judgement in evidence.answers:
            now = answered([after], asked)
            if now.level != judgement.level:
                assert not found.equivalent
                pair = (asked.request.action, f"policy:{judgement.rule_id}", f"policy:{now.rule_id}")
                # What decides about a move may be one end before and the other end after.
                assert pair in pairs or asked.request.action in MOVES, (pair, asked)
        equivalent += found.equivalent
    assert equivalent > 5


CLAIMS = (
    "no file.* matching **/.env* without confirm",
    "no file.write outside outputRoots without confirm",
    "no file.delete",
    "no network.request to *.a.com without confirm",
    "no file.move when crossRoot without confirm",
    "no connector.action through mail when tainted",
    "no * outside /ws/a without confirm",
    "no file.read when sensitive without confirm",
)


@pytest.mark.parametrize("number", range(CHUNKS // 4))
def test_what_is_proved_no_request_refutes(number: int) -> None:
    from cowork.domain.policy_claim import Probe, parse_claim

    statuses: Counter[str] = Counter()
    for evidence in chunk(100 + number):
        for text in CLAIMS:
            proof = prove(evidence.document, text)
            statuses[proof.status] += 1
            claim = parse_claim(text)
            worst = 0 if claim.may_ask else 1
            probe = Probe(claim.rule)
            if proof.status == "refuted":
                assert proof.witness is not None
                assert confirmed(evidence.document, proof.witness).level <= worst
                assert probe.is_about(proof.witness.request, proof.witness.scope)
            elif proof.status == "proved":
                for asked, judgement in evidence.answers:
                    if judgement.level <= worst and asked.request.action in claim.kinds:
                        assert not probe.is_about(asked.request, asked.scope.scope), (text, asked)
    assert statuses["not settled"] <= 1
    assert min(statuses["proved"], statuses["refuted"]) > 20


@pytest.mark.parametrize("number", range(CHUNKS // 4))
def test_who_can_names_everyone_who_is_seen_to_decide(number: int) -> None:
    for evidence in chunk(200 + number):
        report = who_can(evidence.document, "*")
        reached = {(one.kind, one.verdict, one.rule) for one in report.reached}
        nobody = {(one.kind, one.verdict) for one in report.nobody}
        assert not report.unsettled
        for one in report.reached:
            confirmed(evidence.document, one.witness)
        for asked, judgement in evidence.answers:
            assert (asked.request.action, judgement.verdict) not in nobody
            assert (asked.request.action, judgement.verdict, f"policy:{judgement.rule_id}") in reached
