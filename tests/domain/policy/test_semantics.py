"""The semantics paragraph by paragraph: frames and layers, both versions, the unknown, limits and tags."""

from typing import Any

import pytest

from cowork.domain.policy_document import KINDS
from tests.domain.policy.one_question import WS, asked, cited, decide, frame, policy, rule

Json = dict[str, Any]

ALLOW, CONFIRM, DENY = "allow", "allow_with_confirm", "deny"


# Paragraphs S1 to S3: frames, layers, the strictest answer


def test_without_a_layer_everything_is_denied() -> None:
    for frames in ([], [frame()], [frame(), frame(policy())]):
        decision = decide(frames, "file.read")
        assert (decision.verdict, decision.rule_id, decision.layer) == (DENY, "invariant.no-policy", "invariant")
        assert not decision.by_missing_fact
        assert not decision.by_default


def test_a_subagent_s_frame_may_have_no_layers() -> None:
    assert decide([frame(policy()), frame()], "file.read").verdict == ALLOW


def test_the_strictest_layer_wins_whatever_its_place() -> None:
    layers = [policy(rule(verdict)) for verdict in (ALLOW, DENY, CONFIRM)]
    for order in (layers, layers[::-1]):
        assert asked(*order, action="file.read").verdict == DENY


def test_of_answers_as_strict_the_outermost_frame_s_first_layer_is_reported() -> None:
    asking = [policy(rule(CONFIRM, name=name)) for name in "abc"]
    assert cited(asked(*asking, action="file.read")) == "one:a"
    inner = {"scope": WS, "layers": [{"name": "inner", "policy": asking[2]}]}
    assert cited(decide([frame(policy(), asking[1]), inner], "file.read")) == "two:b"


def test_an_answer_that_is_certain_is_reported_before_one_that_a_missing_fact_made() -> None:
    unsure = policy(rule(DENY, name="big", when={"fileSizeGreaterThan": 10}))
    decision = asked(unsure, policy(rule(DENY, name="sure")), action="file.read")
    assert (cited(decision), decision.by_missing_fact) == ("two:sure", False)
    decision = asked(unsure, policy(rule(CONFIRM, name="sure")), action="file.read")
    assert (cited(decision), decision.by_missing_fact) == ("one:big", True)


def test_every_item_counts_and_the_worst_of_them_decides() -> None:
    guarded = policy(rule(DENY, when={"matchesPattern": ["**/.env"]}))
    fine = [{"path": "/ws/a"}, {"path": "/ws/b"}]
    assert asked(guarded, action="file.read", items=fine).verdict == ALLOW
    for at in range(3):
        items = [*fine[:at], {"path": "/ws/.env"}, *fine[at:]]
        assert asked(guarded, action="file.read", items=items).verdict == DENY


def test_both_ends_of_a_move_count() -> None:
    guarded = policy(rule(DENY, when={"matchesPattern": ["**/.env"]}))
    assert asked(guarded, action="file.move", toPath="/ws/.env").verdict == DENY
    assert asked(guarded, action="file.rename", path="/ws/.env").verdict == DENY
    assert asked(guarded, action="file.move", toPath="/ws/l/x", toRealPath="/ws/.env").by_missing_fact
    assert asked(guarded, action="file.read", toPath="/ws/.env").verdict == ALLOW


def test_every_simple_command_of_a_script_counts() -> None:
    guarded = policy(rule(DENY, when={"commandPrefix": [["rm"]]}))
    assert asked(guarded, action="shell.exec", commands=[["ls"], ["git"]]).verdict == ALLOW
    assert asked(guarded, action="shell.exec", commands=[["ls"], ["rm"]]).verdict == DENY
    assert asked(guarded, action="shell.exec", commands=[["rm"], ["ls"]]).verdict == DENY


def test_what_an_item_does_not_say_the_request_says() -> None:
    guarded = policy(rule(DENY, when={"fileSizeGreaterThan": 10}), rule(CONFIRM, name="x", when={"targetExists": True}))
    items = [{"path": "/ws/a"}, {"path": "/ws/b", "fileSizeBytes": 1}]
    assert asked(guarded, action="file.write", items=items, fileSizeBytes=11, targetExists=False).verdict == DENY
    assert asked(guarded, action="file.write", items=items, fileSizeBytes=1, targetExists=True).verdict == CONFIRM
    assert asked(guarded, action="file.write", items=items, fileSizeBytes=1, targetExists=False).verdict == ALLOW


def test_the_real_path_of_the_request_says_nothing_of_an_item_s_own_path() -> None:
    items = [{"path": "/ws/b"}]
    assert asked(policy(), action="file.read", realPath="/etc/x", items=items).verdict == ALLOW
    assert asked(policy(), action="file.read", realPath="/etc/x", items=[{}]).rule_id == "invariant.path-escape"
    assert asked(policy(), action="file.read", realPath=None, items=[{}]).rule_id == "invariant.missing-fact"
    moved = asked(policy(), action="file.move", toRealPath="/etc/x", items=[{"toPath": "/ws/c"}])
    assert moved.verdict == ALLOW
    moved = asked(policy(), action="file.move", toRealPath="/etc/x", items=[{}])
    assert moved.rule_id == "invariant.path-escape"


# Paragraph S5, version 1.0


def old(*rules: Json, fallback: str = DENY) -> Json:
    return policy(*rules, fallback=fallback, version="1.0")


def test_in_1_0_the_first_match_decides() -> None:
    document = old(rule(CONFIRM, "file.read", name="a"), rule(DENY, "file.read", name="b"))
    assert cited(asked(document, action="file.read")) == "one:a"


def test_in_1_0_rules_that_name_the_action_come_before_globs_wherever_they_stand() -> None:
    document = old(rule(DENY, "file.*", name="glob"), rule(ALLOW, "file.read", name="exact"))
    assert cited(asked(document, action="file.read")) == "one:exact"
    document = old(rule(ALLOW, "file.*", name="glob"), rule(DENY, "file.read", name="no", when={"hidden": True}))
    assert cited(asked(document, action="file.read")) == "one:glob"


@pytest.mark.parametrize(
    ("action", "alias"),
    [
        ("file.create", "file.write"),
        ("file.delete", "file.write"),
        ("file.rename", "file.write"),
        ("file.move", "file.write"),
        ("file.list", "file.read"),
        ("file.search", "file.read"),
    ],
)
def test_in_1_0_an_action_that_no_rule_names_goes_by_its_alias(action: str, alias: str) -> None:
    document = old(rule(DENY, "*", name="glob"), rule(CONFIRM, alias, name="alias"))
    assert cited(asked(document, action=action)) == "one:alias"
    # A rule that names it shuts the alias out, even where that rule does not match.
    named = old(rule(CONFIRM, alias, name="alias"), rule(ALLOW, action, name="named", when={"matchesPattern": ["/x"]}))
    assert cited(asked(named, action=action)) == "one:-"


def test_in_1_1_there_are_no_aliases() -> None:
    assert asked(policy(rule(ALLOW, "file.write"), fallback=DENY), action="file.create").by_default


NEEDS_A_PERSON = ("file.delete", "file.rename", "file.move", "shell.exec", "code.run", "subagent.spawn")


@pytest.mark.parametrize("action", KINDS)
def test_in_1_0_what_its_author_could_not_name_is_at_least_asked_about(action: str) -> None:
    floor = CONFIRM if action in NEEDS_A_PERSON else ALLOW
    assert asked(old(rule(ALLOW, "*")), action=action).verdict == floor
    assert asked(old(fallback=ALLOW), action=action).verdict == floor
    assert asked(old(rule(ALLOW, action)), action=action).verdict == ALLOW
    assert asked(old(rule(DENY, "*")), action=action).verdict == DENY
    assert asked(old(), action=action).verdict == DENY
    assert asked(old(fallback=CONFIRM), action=action).verdict == CONFIRM
    assert asked(policy(rule(ALLOW, "*"), fallback=DENY), action=action).verdict == ALLOW


def test_in_1_0_every_rule_that_names_the_action_is_free_of_the_floor() -> None:
    rules = [rule(ALLOW, "file.delete", name=name, when={"matchesPattern": [f"**/{name}"]}) for name in "abc"]
    for name in "abc":
        decision = asked(old(*rules, rule(ALLOW, "*", name="glob")), action="file.delete", path=f"/ws/{name}")
        assert (cited(decision), decision.verdict) == (f"one:{name}", ALLOW)
    assert asked(old(*rules, rule(ALLOW, "*")), action="file.delete", path="/ws/d").verdict == CONFIRM


def test_in_1_0_the_floor_is_under_the_alias_too() -> None:
    decision = asked(old(rule(ALLOW, "file.write", name="w")), action="file.delete")
    assert (cited(decision), decision.verdict, decision.confirm_rules) == ("one:w", CONFIRM, ("one:w",))
    assert asked(old(rule(ALLOW, "file.write")), action="file.create").verdict == ALLOW


def test_in_1_0_a_fallback_under_the_floor_asks_in_its_own_name() -> None:
    decision = asked(old(fallback=ALLOW), action="code.run")
    assert (decision.rule_id, decision.by_default, decision.confirm_rules) == (
        "default-ask",
        True,
        ("one:(fallback)",),
    )


# Paragraph S5, version 1.1


def test_in_1_1_the_strictest_match_decides_in_any_order() -> None:
    rules = [rule(ALLOW, name="a"), rule(DENY, "file.*", name="d"), rule(CONFIRM, "file.read", name="c")]
    assert cited(asked(policy(*rules), action="file.read")) == "one:d"
    assert cited(asked(policy(*rules[::-1]), action="file.read")) == "one:d"


def test_in_1_1_the_fallback_answers_only_where_no_rule_does() -> None:
    assert asked(policy(rule(ALLOW, "file.read"), fallback=DENY), action="file.read").verdict == ALLOW
    nothing = asked(policy(rule(ALLOW, "file.read"), fallback=DENY), action="file.write")
    assert (nothing.verdict, nothing.rule_id, nothing.by_default) == (DENY, "default-deny", True)
    assert asked(policy(fallback=ALLOW), action="file.read").rule_id == "default-allow"
    assert asked(policy(fallback=CONFIRM), action="file.read").rule_id == "default-ask"


def test_ties_are_reported_exact_first_then_in_order() -> None:
    rules = [
        rule(CONFIRM, "*", name="glob"),
        rule(CONFIRM, "file.read", name="x"),
        rule(CONFIRM, "file.read", name="y"),
    ]
    decision = asked(policy(*rules), action="file.read")
    assert cited(decision) == "one:x"
    assert decision.confirm_rules == ("one:x", "one:y", "one:glob")
    assert cited(asked(policy(rules[0], rules[2], rules[1]), action="file.read")) == "one:y"


def test_a_rule_may_name_several_actions() -> None:
    document = policy(rule(DENY, ["file.write", "connector.*"]))
    assert asked(document, action="connector.read").verdict == DENY
    assert asked(document, action="file.write").verdict == DENY
    assert asked(document, action="file.read").verdict == ALLOW


@pytest.mark.parametrize(
    ("pattern", "kinds"),
    [
        ("*", set(KINDS)),
        ("file.*", {kind for kind in KINDS if kind.startswith("file.")}),
        ("*.read", {"file.read", "connector.read"}),
        ("*.r*", {"file.read", "file.rename", "file.restore", "code.run", "network.request", "connector.read"}),
        ("file.*e", {"file.write", "file.create", "file.rename", "file.move", "file.delete", "file.restore"}),
        ("f*e*a*", {"file.read", "file.search", "file.create", "file.rename"}),
        ("*file.read", {"file.read"}),
        ("file.read*", {"file.read"}),
        ("file.rea*ad", set[str]()),
        ("shell", set[str]()),
    ],
)
def test_a_glob_over_actions_means_any_characters(pattern: str, kinds: set[str]) -> None:
    document = policy(rule(DENY, pattern))
    assert {kind for kind in KINDS if asked(document, action=kind).verdict == DENY} == kinds


def test_an_audit_rule_is_listed_and_never_decides() -> None:
    document = policy(rule(DENY, name="trial", mode="audit", riskTags=["large"]), rule(ALLOW, name="ok"))
    decision = asked(document, action="file.read")
    assert (cited(decision), decision.risk_tags) == ("one:ok", ())
    assert decision.matched == ("one:trial", "one:ok")
    assert [(lost.rule, lost.why) for lost in decision.lost] == [
        ("one:trial", "would have said deny, and is only tried out (audit)")
    ]


def test_an_audit_rule_does_not_even_keep_the_fallback_from_answering() -> None:
    document = policy(rule(ALLOW, name="trial", mode="audit"), fallback=DENY)
    assert asked(document, action="file.read").by_default
    asking = policy(rule(CONFIRM, name="trial", mode="audit"), fallback=CONFIRM)
    assert asked(asking, action="file.read").confirm_rules == ("one:(fallback)",)
    unsure = policy(rule(DENY, name="trial", mode="audit", when={"tainted": True}))
    assert asked(unsure, action="file.read", labels=None).verdict == ALLOW


# Paragraph S6, the unknown


def big(verdict: str, **others: Any) -> Json:
    return rule(verdict, "file.read", when={"fileSizeGreaterThan": 10}, **others)


def test_in_1_0_a_rule_that_may_match_is_a_candidate_beside_the_first_that_does() -> None:
    document = old(big(DENY, name="big"), rule(ALLOW, "file.read", name="ok"))
    decision = asked(document, action="file.read")
    assert (cited(decision), decision.by_missing_fact) == ("one:big", True)
    assert cited(asked(document, action="file.read", fileSizeBytes=1)) == "one:ok"
    # It is none where it stands behind the first that matches.
    later = old(rule(ALLOW, "file.read", name="ok"), big(DENY, name="big"))
    assert cited(asked(later, action="file.read")) == "one:ok"


def test_in_1_0_a_rule_that_may_match_never_helps() -> None:
    document = old(big(ALLOW, name="big"), rule(DENY, "file.read", name="no"))
    assert cited(asked(document, action="file.read")) == "one:no"
    assert asked(old(big(ALLOW), fallback=DENY), action="file.read").by_default


def test_in_1_0_of_several_that_may_match_the_strictest_answers_and_of_those_the_first() -> None:
    rules = [big(CONFIRM, name="a"), big(DENY, name="b"), big(DENY, name="c"), rule(ALLOW, "file.read", name="ok")]
    assert cited(asked(old(*rules), action="file.read")) == "one:b"
    asking = asked(old(rules[0], rules[3]), action="file.read")
    assert (cited(asking), asking.rememberable) == ("one:a", False)


def test_in_1_0_certain_is_reported_before_possible() -> None:
    decision = asked(old(big(DENY, name="big"), rule(DENY, "file.read", name="no")), action="file.read")
    assert (cited(decision), decision.by_missing_fact) == ("one:no", False)


def test_in_1_0_a_rule_that_may_match_is_raised_to_the_floor_too() -> None:
    document = old(rule(ALLOW, "file.*", name="big", when={"fileSizeGreaterThan": 10}), rule(ALLOW, "file.delete"))
    assert asked(document, action="file.delete").verdict == ALLOW
    behind = old(rule(ALLOW, "file.*", name="big", when={"fileSizeGreaterThan": 10}), fallback=ALLOW)
    assert cited(asked(behind, action="file.delete")) == "one:-"


def test_in_1_1_a_rule_that_may_match_only_makes_it_stricter() -> None:
    ok = rule(ALLOW, "file.read", name="ok")
    decision = asked(policy(big(DENY, name="big"), ok), action="file.read")
    assert (cited(decision), decision.by_missing_fact, decision.missing_facts) == ("one:big", True, ("fileSizeBytes",))
    assert cited(asked(policy(big(ALLOW, name="big"), fallback=DENY), action="file.read")) == "one:-"
    assert cited(asked(policy(big(CONFIRM, name="big"), fallback=DENY), action="file.read")) == "one:-"
    assert cited(asked(policy(big(CONFIRM, name="big"), fallback=ALLOW), action="file.read")) == "one:big"
    both = policy(big(CONFIRM, name="a"), big(DENY, name="b"), ok)
    assert cited(asked(both, action="file.read")) == "one:b"


def test_a_fallback_is_known() -> None:
    decision = asked(policy(big(DENY), fallback=DENY), action="file.read")
    assert (decision.by_default, decision.by_missing_fact) == (True, False)


# Paragraph S8, limits


def limited(on_exceed: str = DENY, **others: Any) -> Json:
    return policy(limits=({"id": "cap", "action": "file.*", "max": 3, "onExceed": on_exceed, **others},))


@pytest.mark.parametrize(
    ("facts", "exceeded", "unknown"),
    [
        ({"usage": {"cap": 2}}, False, False),
        ({"usage": {"cap": 3}}, True, False),
        ({"usage": {"cap": 0}, "items": [{}] * 3}, False, False),
        ({"usage": {"cap": 1}, "items": [{}] * 3}, True, False),
        ({"usage": {"other": 1}}, True, True),
        ({"usage": {"cap": None}}, True, True),
        ({"usage": {"cap": float("nan")}}, True, True),
        ({"usage": {"cap": -5}}, True, True),
        ({"usage": None}, True, True),
        ({}, True, True),
    ],
)
def test_a_limit_is_exceeded_when_used_and_asked_are_together_more_than_it(
    facts: Json, exceeded: bool, unknown: bool
) -> None:
    decision = asked(limited(), action="file.read", **facts)
    assert (decision.verdict == DENY) == exceeded
    assert decision.by_missing_fact == unknown
    assert decision.missing_facts == (("usage",) if unknown else ())
    if exceeded:
        assert cited(decision) == "one:cap"
        assert decision.reason == "over the limit `cap` of `one`: at most 3"


def test_a_limit_with_a_unit_counts_what_the_request_costs() -> None:
    document = limited(unit="usd", reason="too dear")
    assert asked(document, action="file.read", usage={"cap": 1}, cost={"usd": 2}).verdict == ALLOW
    over = asked(document, action="file.read", usage={"cap": 1}, cost={"usd": 2.5})
    assert (over.verdict, over.reason) == (DENY, "too dear")
    assert asked(document, action="file.read", usage={"cap": 3}, cost={"usd": 0}).verdict == ALLOW
    unknown = asked(document, action="file.read", usage={"cap": 1}, cost={"eur": 1})
    assert (unknown.by_missing_fact, unknown.missing_facts) == (True, ("cost",))


def test_a_limit_is_about_its_actions_only() -> None:
    assert asked(limited(), action="code.run").verdict == ALLOW


def test_a_confirmation_by_a_limit_is_never_remembered() -> None:
    decision = asked(limited(CONFIRM), action="file.read", usage={"cap": 3})
    assert (decision.verdict, decision.confirm_rules, decision.rememberable) == (CONFIRM, ("one:cap",), False)


def test_a_rule_is_reported_before_a_limit_that_is_as_strict() -> None:
    document = policy(rule(DENY, name="no"), limits=limited()["limits"])
    assert cited(asked(document, action="file.read", usage={"cap": 9})) == "one:no"


def test_limits_of_every_layer_and_frame_count() -> None:
    assert asked(policy(), limited(), action="file.read", usage={"cap": 3}).verdict == DENY
    frames = [frame(policy()), frame(limited())]
    assert decide(frames, "file.read", usage={"cap": 3}).verdict == DENY
    assert decide(frames, "file.read", usage={"cap": 2}).verdict == ALLOW


# Paragraph S9, tags


@pytest.mark.parametrize(
    ("action", "facts", "tags"),
    [
        ("file.read", {}, ()),
        ("file.delete", {}, ("delete",)),
        ("file.write", {}, ("overwrite",)),
        ("file.write", {"targetExists": True}, ("overwrite",)),
        ("file.write", {"targetExists": False}, ()),
        ("file.move", {"targetExists": None}, ("overwrite",)),
        ("file.rename", {"targetExists": False}, ()),
        ("file.create", {}, ()),
        ("file.write", {"items": [{"targetExists": False}], "targetExists": True}, ()),
        ("file.write", {"items": [{"targetExists": False}, {}]}, ("batch", "overwrite")),
        ("file.write", {"items": [{}], "targetExists": False}, ()),
        ("network.request", {}, ("network",)),
        ("connector.read", {}, ("connector",)),
        ("connector.action", {}, ("connector",)),
        ("shell.exec", {}, ("execute",)),
        ("code.run", {}, ("execute",)),
        ("subagent.spawn", {}, ("spawn",)),
        ("file.read", {"items": [{"path": "/ws/a"}]}, ()),
        ("file.read", {"items": [{"path": "/ws/a"}] * 2}, ("batch",)),
        ("file.read", {"items": [{"path": "/ws/a"}] * 2, "batchCount": 1}, ("batch",)),
        ("file.read", {"batchCount": 2}, ("batch",)),
        ("file.read", {"batchCount": 1}, ()),
        ("file.read", {"batchCount": None}, ("batch",)),
        ("file.read", {"labels": ["web"]}, ("untrusted",)),
        ("file.read", {"labels": []}, ()),
        ("file.read", {"labels": None}, ("untrusted",)),
    ],
)
def test_a_request_has_the_tags_of_what_it_does(action: str, facts: Json, tags: tuple[str, ...]) -> None:
    assert asked(policy(), action=action, **facts).risk_tags == tags


def test_a_denied_request_has_its_tags_too() -> None:
    assert asked(policy(), action="file.delete", path="/etc/x").risk_tags == ("delete",)


def test_the_deciding_rule_of_every_layer_adds_its_tags() -> None:
    layers = [
        policy(rule(ALLOW, name="a", riskTags=["large"]), rule(CONFIRM, name="c", riskTags=["sensitive"])),
        policy(rule(DENY, riskTags=["outside"])),
        policy(rule(ALLOW, mode="audit", riskTags=["never"])),
    ]
    assert asked(*layers, action="file.read").risk_tags == ("outside", "sensitive")


def test_the_tags_of_a_rule_count_for_the_items_that_it_decides() -> None:
    document = policy(rule(ALLOW, riskTags=["large"], when={"fileSizeGreaterThan": 10}), rule(ALLOW, name="z"))
    items = [{"path": "/ws/a", "fileSizeBytes": 1}, {"path": "/ws/b", "fileSizeBytes": 11}]
    assert asked(document, action="file.read", items=items).risk_tags == ("batch", "large")
    assert asked(document, action="file.read", items=items[:1]).risk_tags == ()
