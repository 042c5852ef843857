"""On 1,000 random documents no claim of an analysis is refuted by requests, and every witness is confirmed."""

from collections import Counter
from random import Random

import msgspec
import pytest

from cowork.domain.policy_analysis import PolicyDiff, diff, lint, prove, who_can
from cowork.domain.policy_atom import MOVES
from cowork.domain.policy_claim import Probe, parse_claim
from cowork.domain.policy_decision import Judgement, judge, ready_frame
from cowork.domain.policy_document import Layer, PolicyDocument, Rule
from cowork.domain.policy_encoding import has_floor
from cowork.domain.policy_finding import Finding
from cowork.domain.policy_glob import glob_matches
from cowork.domain.policy_layer import ALLOW, CONFIRM, LEVEL, ReadyLayer
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
                assert rule is not None
                assert judgement is not None
                assert is_matched(judgement, rule.id)
                assert not any(judgement.rule is rule for _, judgement in self.answers)
            case "overridden-everywhere":
                assert rule is not None
                assert judgement is not None
                assert is_matched(judgement, rule.id)
                hits = [one for _, one, matched in self.matched if f"policy:{rule.id}" in matched]
                assert all(one.level > LEVEL[rule.decision] for one in (*hits, judgement))
            case "overridden-by-weaker":
                assert rule is not None
                assert judgement is not None
                assert is_matched(judgement, rule.id)
                assert judgement.rule is not None
                assert judgement.rule.id == finding.rules[1]
                is_raised = finding.kind and has_floor(finding.kind) and finding.kind not in rule.actions
                assert judgement.level < max(LEVEL[rule.decision], CONFIRM if is_raised else ALLOW)
            case "order-dependent":
                assert finding.witness is not None
                assert judgement is not None
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
                assert judgement is not None
                assert judgement.level == ALLOW
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


@pytest.fixture(scope="module", params=range(CHUNKS))
def documents(request: pytest.FixtureRequest) -> list[Evidence]:
    return chunk(request.param)


def test_no_finding_is_refuted_and_every_witness_is_confirmed(documents: list[Evidence]) -> None:
    counts: Counter[str] = Counter()
    for evidence in documents:
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
    assert counts["not settled"] == 0


def test_a_diff_misses_no_request_that_is_answered_differently(documents: list[Evidence]) -> None:
    random = Random(REQUESTS)
    equivalent = 0
    for evidence in documents:
        edited = random_edit(random, evidence.document)
        found = diff(evidence.document, edited)
        check_diff(found, [as_layer(evidence.document)], [as_layer(edited)])
        after = ready(edited)
        for asked, judgement in evidence.answers:
            now = answered([after], asked)
            if now.level != judgement.level:
                assert is_listed(found, asked, judgement, now), asked
        equivalent += found.equivalent
    assert equivalent > 5


def check_diff(found: PolicyDiff, old: list[Layer], new: list[Layer]) -> None:
    assert not found.unsettled
    for change in found.changes:
        scope, request = change.witness.scope, change.witness.request
        before, after = (judge((ready_frame(scope, layers),), request) for layers in (old, new))
        assert (before.verdict, f"{before.layer}:{before.rule_id}") == (change.old_verdict, change.old_rule)
        assert (after.verdict, f"{after.layer}:{after.rule_id}") == (change.new_verdict, change.new_rule)
        assert change.old_verdict != change.new_verdict


def is_listed(found: PolicyDiff, asked: Asked, before: Judgement, now: Judgement) -> bool:
    """Whether a diff lists the pair of rules that decided about a request before and after."""
    kind, old, new = asked.request.action, f"{before.layer}:{before.rule_id}", f"{now.layer}:{now.rule_id}"
    if kind in MOVES:
        # Each end is compared by itself, and the stricter one decides: what became stricter or milder is listed.
        if now.level > before.level:
            return any((change.kind, change.new_rule) == (kind, new) for change in found.changes)
        return any((change.kind, change.old_rule) == (kind, old) for change in found.changes)
    return any((change.kind, change.old_rule, change.new_rule) == (kind, old, new) for change in found.changes)


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


@pytest.mark.parametrize("number", range(2))
def test_what_is_proved_no_request_refutes(number: int) -> None:
    statuses: Counter[str] = Counter()
    for evidence in chunk(100 + number):
        for text in CLAIMS:
            proof = prove(evidence.document, text)
            statuses[proof.status] += 1
            claim = parse_claim(text)
            worst = ALLOW if claim.may_ask else CONFIRM
            probe = Probe(claim.rule)
            if proof.status == "refuted":
                assert proof.witness is not None
                assert confirmed(evidence.document, proof.witness).level <= worst
                assert probe.is_about(proof.witness.request, proof.witness.scope)
            elif proof.status == "proved":
                for asked, judgement in evidence.answers:
                    if judgement.level <= worst and asked.request.action in claim.kinds:
                        assert not probe.is_about(asked.request, asked.scope.scope), (text, asked)
    assert statuses["not settled"] == 0
    assert min(statuses["proved"], statuses["refuted"]) > 20


@pytest.mark.parametrize("number", range(2))
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


@pytest.mark.parametrize("number", range(3))
def test_the_same_holds_of_layers_over_each_other(number: int) -> None:
    random = Random(300 + number)
    requests = random_requests(random, REQUESTS)
    for _ in range(12):
        first, second, third = (random_document(random) for _ in range(3))
        old = [as_layer(first, "organisation"), as_layer(second, "user"), as_layer(third, "task")]
        new = [old[0], as_layer(random_edit(random, second), "user"), old[2]]
        found, reach, report = diff(old, new), who_can(old, "*"), lint(old)
        check_diff(found, old, new)
        before, after = ([ReadyLayer(layer) for layer in layers] for layers in (old, new))
        answers = [(asked, answered(before, asked)) for asked in requests]
        reached = {(one.kind, one.verdict, one.rule) for one in reach.reached}
        overruled = {(one.layer, one.rules[0]) for one in report.findings if one.code == "overridden-by-layers"}
        assert [one for one in report.findings if one.status != "proved"] == []
        for asked, judgement in answers:
            if judgement.broken is None:
                now = answered(after, asked)
                assert (asked.request.action, judgement.verdict, f"{judgement.layer}:{judgement.rule_id}") in reached
                assert (judgement.layer, judgement.rule_id) not in overruled
                assert now.level == judgement.level or is_listed(found, asked, judgement, now)
