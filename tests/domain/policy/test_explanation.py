"""The whole explanation of a decision: what decided, what matched, what lost and why, what was not known."""

from typing import Any

import pytest

from cowork.domain.policy_decision import FACT_OF_CONDITION
from cowork.domain.policy_document import Conditions
from cowork.domain.policy_request import Request
from tests.domain.policy.evaluators import judged, ready
from tests.domain.policy.one_question import asked, decide, frame, policy, rule

Json = dict[str, Any]


def test_the_deciding_rule_gives_its_reason_or_else_its_name() -> None:
    assert asked(policy(rule("deny", reason="not here")), action="file.read").reason == "not here"
    assert asked(policy(rule("deny", name="x")), action="file.read").reason == "rule `x` of `one`"


@pytest.mark.parametrize(
    ("fallback", "rule_id", "reason"),
    [
        ("deny", "default-deny", "no rule of `one` allows file.read: what is not allowed is denied"),
        ("allow_with_confirm", "default-ask", "no rule of `one` is about it: file.read is asked about by default"),
        ("allow", "default-allow", "no rule of `one` is about it: file.read is allowed by default"),
    ],
)
def test_a_default_says_that_it_is_one(fallback: str, rule_id: str, reason: str) -> None:
    decision = asked(policy(fallback=fallback), action="file.read")
    assert (decision.rule_id, decision.reason, decision.by_default, decision.layer) == (rule_id, reason, True, "one")
    assert not asked(policy(rule("deny")), action="file.read").by_default
    assert not asked(policy(), action="file.read", path="/x").by_default


def test_a_denial_has_a_code_and_nothing_else_has_one() -> None:
    assert asked(policy(rule("deny", code="sensitive")), action="file.read").reason_code == "sensitive"
    assert asked(policy(rule("deny")), action="file.read").reason_code == "policy"
    assert asked(policy(fallback="deny"), action="file.read").reason_code == "policy"
    assert asked(policy(rule("allow", code="sensitive")), action="file.read").reason_code is None
    assert asked(policy(rule("allow_with_confirm")), action="file.read").reason_code is None


def test_every_rule_that_matched_is_listed_once_and_every_other_one_says_why_it_lost() -> None:
    first = policy(
        rule("allow", name="a"), rule("deny", name="d"), rule("deny", name="e"), rule("deny", "code.run", name="f")
    )
    second = policy(rule("allow_with_confirm", name="c"), rule("deny", name="g", when={"tainted": True}))
    decision = asked(first, second, action="file.read", items=[{"path": "/ws/a"}, {"path": "/ws/b"}])
    assert decision.matched == ("one:a", "one:d", "one:e", "two:c")
    assert [(lost.rule, lost.why) for lost in decision.lost] == [
        ("one:a", "says allow, `one:d` is stricter"),
        ("one:e", "says the same as `one:d`"),
        ("two:c", "says allow_with_confirm, `one:d` is stricter"),
    ]


def test_a_rule_that_only_may_match_lost_without_having_matched() -> None:
    document = policy(rule("allow_with_confirm", name="c", when={"tainted": True}), fallback="deny")
    decision = asked(document, action="file.read", labels=None)
    assert decision.matched == ()
    assert [(lost.rule, lost.why) for lost in decision.lost] == [
        ("one:c", "says allow_with_confirm, `one:default-deny` is stricter")
    ]
    assert decision.missing_facts == ("labels",)


def test_in_1_0_what_comes_after_the_first_match_lost_by_its_place() -> None:
    document = policy(
        rule("allow_with_confirm", name="maybe", when={"fileSizeGreaterThan": 1}),
        rule("allow_with_confirm", name="first"),
        rule("deny", name="late"),
        rule("deny", name="later", when={"fileSizeGreaterThan": 1}),
        version="1.0",
    )
    decision = asked(document, action="file.read")
    assert decision.rule_id == "first"
    assert decision.matched == ("one:first", "one:late")
    assert [(lost.rule, lost.why) for lost in decision.lost] == [
        ("one:maybe", "says the same as `one:first`"),
        ("one:late", "comes after the first rule that matches"),
        ("one:later", "comes after the first rule that matches"),
    ]
    assert decision.confirm_rules == ("one:maybe", "one:first")


def test_in_1_0_the_first_match_itself_may_lose_to_what_may_match_before_it() -> None:
    document = policy(
        rule("deny", name="maybe", when={"fileSizeGreaterThan": 1}),
        rule("allow", name="first"),
        rule("allow", name="late"),
        version="1.0",
    )
    decision = asked(document, action="file.read")
    assert decision.rule_id == "maybe"
    assert [(lost.rule, lost.why) for lost in decision.lost] == [
        ("one:first", "says allow, `one:maybe` is stricter"),
        ("one:late", "comes after the first rule that matches"),
    ]


def test_in_1_0_nothing_comes_after_a_first_match_that_is_not_there() -> None:
    unsure = {"fileSizeGreaterThan": 1}
    document = policy(
        rule("allow_with_confirm", name="a", when=unsure), rule("deny", name="b", when=unsure), version="1.0"
    )
    decision = asked(document, action="file.read")
    assert [(lost.rule, lost.why) for lost in decision.lost] == [
        ("one:a", "says allow_with_confirm, `one:b` is stricter")
    ]


def test_what_asks_is_named_once_and_remembered_only_where_all_of_it_may_be() -> None:
    asking = policy(rule("allow_with_confirm", name="a"), rule("allow_with_confirm", name="b", remember=False))
    decision = asked(asking, action="file.read", items=[{"path": "/ws/a"}, {"path": "/ws/b"}])
    assert (decision.confirm_rules, decision.rememberable) == (("one:a", "one:b"), False)
    fine = policy(rule("allow_with_confirm", name="a"), rule("allow", name="b", remember=False))
    decision = asked(fine, action="file.read")
    assert (decision.confirm_rules, decision.rememberable) == (("one:a",), True)


def test_a_rule_of_that_name_in_two_frames_is_remembered_only_where_both_may_be() -> None:
    def asks(*, remember: bool) -> Json:
        return frame(policy(rule("allow_with_confirm", name="a", remember=remember)))

    for order in ((True, False), (False, True)):
        decision = decide([asks(remember=one) for one in order], "file.read")
        assert (decision.confirm_rules, decision.rememberable) == (("one:a",), False)
    assert decide([asks(remember=True)] * 2, "file.read").rememberable


def test_a_layer_that_does_not_ask_is_not_asked() -> None:
    layers = [policy(rule("allow", name="a")), policy(rule("allow_with_confirm", name="b"))]
    assert asked(*layers, action="file.read").confirm_rules == ("two:b",)
    assert asked(*layers, policy(fallback="allow_with_confirm"), action="file.read").confirm_rules == (
        "two:b",
        "three:(fallback)",
    )


def test_what_is_denied_asks_nothing() -> None:
    decision = asked(policy(rule("allow_with_confirm")), policy(rule("deny")), action="file.read")
    assert (decision.confirm_rules, decision.rememberable) == ((), False)


def test_a_fallback_that_asks_stands_beside_the_rules_that_may() -> None:
    document = policy(
        rule("allow_with_confirm", name="a", when={"tainted": True}),
        rule("allow", name="b", when={"tainted": True}),
        fallback="allow_with_confirm",
    )
    decision = asked(document, action="file.read", labels=None)
    assert (decision.by_default, decision.confirm_rules, decision.rememberable) == (
        True,
        ("one:a", "one:(fallback)"),
        True,
    )


def test_what_an_unknown_fact_decided_is_not_remembered() -> None:
    decision = asked(policy(rule("allow_with_confirm", when={"tainted": True})), action="file.read", labels=None)
    assert (decision.verdict, decision.by_missing_fact, decision.rememberable) == ("allow_with_confirm", True, False)


def test_every_missing_fact_is_named_once_whatever_asks_for_it() -> None:
    document = policy(
        rule("allow", name="a", when={"fileSizeGreaterThan": 1}),
        rule("allow", name="b", when={"targetExists": True, "tainted": True}),
        rule("allow", name="c", unless=[{"fileSizeGreaterThan": 9}, {"hardLink": True}]),
        rule("allow", name="d", when={"hidden": True, "timeWindow": {}}),
    )
    facts: Json = {"labels": None, "items": [{"path": "/ws/a"}, {"path": "/ws/b"}]}
    decision = asked(document, policy(), action="file.read", **facts)
    assert sorted(decision.missing_facts) == ["fileSizeBytes", "labels", "linkCount", "targetExists"]
    known: Json = {"labels": [], "fileSizeBytes": 1, "linkCount": 1, "targetExists": True}
    assert asked(document, action="file.read", **known).missing_facts == ()


def test_an_exception_s_facts_are_missed_only_where_its_rule_may_match() -> None:
    document = policy(
        rule("deny", name="a", when={"hidden": True, "targetExists": True}, unless=[{"fileSizeGreaterThan": 9}]),
        rule("deny", name="b", when={"tainted": True}),
    )
    assert asked(document, action="file.read", labels=None).missing_facts == ("labels",)
    known = asked(document, action="file.read", path="/ws/.a", targetExists=True)
    assert known.missing_facts == ("fileSizeBytes",)


def test_each_condition_has_the_fact_that_answers_it() -> None:
    fields = {_camel(field) for field in Conditions.__struct_fields__}
    assert FACT_OF_CONDITION.keys() == fields
    facts = {_camel(field) for field in Request.__struct_fields__}
    assert set(FACT_OF_CONDITION.values()) <= facts


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def test_what_the_judgement_was_about_goes_with_it() -> None:
    decision = judged(ready([frame(policy(rule("allow")))]), {"action": "file.read", "path": "/ws/a"}).explained(
        risk_tags=("large",), policy_digest="sha256:1", approval_id="ap1"
    )
    assert (decision.risk_tags, decision.policy_digest, decision.approval_id) == (("large",), "sha256:1", "ap1")
    assert (decision.verdict, decision.rule_id, decision.layer) == ("allow", "r", "one")
    bare = judged(ready([frame(policy())]), {"action": "file.read", "path": "/ws/a"}).explained(risk_tags=())
    assert (bare.risk_tags, bare.policy_digest, bare.approval_id) == ((), "", "")
