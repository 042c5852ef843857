"""What never weakens a decision, whatever the documents say: more layers, more frames, fewer facts, another order."""

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cowork.domain.policy_approval import Approval, find_approval
from tests.domain.policy import generated
from tests.domain.policy.evaluators import LEVELS, answer_of, approval_of, judged, level_of, ready, tags_of

Json = dict[str, Any]

NAMED_FACTS = (
    *("fileSizeBytes", "targetExists", "linkCount", "host", "method", "connector", "tool", "toolTrusted"),
    *("annotations", "commands", "now", "usage", "cost"),
)
"""Facts that are unknown where they are absent."""
NULLED_FACTS = (*NAMED_FACTS, "path", "realPath", "toPath", "toRealPath", "requiredScopes", "labels", "depth")
"""Facts that are unknown where they are null; those that are not among the first stand for something when absent."""
OF_ITEMS = ("path", "realPath", "toPath", "toRealPath", "fileSizeBytes", "targetExists", "linkCount", "host", "method")
REQUESTS = 12

over_seeds = pytest.mark.parametrize("start", range(0, 400, 100))
examples = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def drawn(start: int, count: int = 100) -> list[generated.Draw]:
    return [generated.Draw(Random(7_000_000 + seed)) for seed in range(start, start + count)]


@over_seeds
def test_another_layer_never_weakens_a_decision(start: int) -> None:
    for draw in drawn(start):
        frames = generated.frames(draw)
        frame = draw.one(frames)
        at = draw.random.randint(0, len(frame["layers"]))
        added = {"name": "added", "policy": generated.document(draw)}
        more = [
            {**one, "layers": [*one["layers"][:at], added, *one["layers"][at:]]} if one is frame else one
            for one in frames
        ]
        _assert_as_strict(draw, ready(frames), ready(more))


@over_seeds
def test_another_frame_never_weakens_a_decision(start: int) -> None:
    for draw in drawn(start):
        frames = generated.frames(draw)
        more = [*frames, generated.frames(draw)[0]]
        _assert_as_strict(draw, ready(frames), ready(more))


def test_a_subagent_with_wider_grants_may_no_more_than_its_parent() -> None:
    wide = {
        "grants": [{"root": "/"}],
        "outputRoots": ["/"],
        "hostAllowlist": [*generated.ENTRIES],
        "connectors": [{"id": name, "scopes": ["read", "send"], "allowActions": True} for name in ("mail", "crm")],
    }
    allowing = {"name": "child", "policy": {"version": "1.1", "defaults": {"fallback": "allow"}, "rules": []}}
    for draw in drawn(0):
        frames = generated.frames(draw)[:1]
        child = {"scope": wide, "layers": [allowing]}
        parent, both = ready(frames), ready([*frames, child])
        for _ in range(REQUESTS):
            request = generated.request(draw)
            assert answer_of(both, request) == answer_of(parent, request)


def _assert_as_strict(draw: generated.Draw, less: list[Any], more: list[Any]) -> None:
    for _ in range(REQUESTS):
        request = generated.request(draw)
        assert level_of(more, request) >= level_of(less, request), request


@over_seeds
def test_a_fact_that_is_taken_away_never_weakens_a_decision(start: int) -> None:
    taken = 0
    for draw in drawn(start):
        frames = ready(generated.frames(draw))
        for _ in range(REQUESTS // 3):
            request = generated.request(draw)
            level = level_of(frames, request)
            for fewer in _with_fewer_facts(request):
                taken += 1
                assert level_of(frames, fewer) >= level, (request, fewer)
    assert taken > 1000


@examples
@given(st.randoms(use_true_random=False))
def test_a_small_example_of_a_fact_that_is_better_left_out_is_found(random: Random) -> None:
    draw = generated.Draw(random)
    frames = ready(generated.frames(draw))
    request = generated.request(draw)
    level = level_of(frames, request)
    for fewer in _with_fewer_facts(request):
        assert level_of(frames, fewer) >= level


def _with_fewer_facts(request: Json) -> list[Json]:
    needed = {"path", "toPath"} if request["action"].startswith("file.") else set[str]()
    absent = [key for key in request if key in {*NAMED_FACTS, *needed}]
    fewer = [{key: value for key, value in request.items() if key != left} for left in absent]
    fewer += [{**request, key: None} for key in request if key in NULLED_FACTS]
    for at, item in enumerate(request.get("items", ())):
        for key in item:
            if key in OF_ITEMS:
                items = [*request["items"][:at], {**item, key: None}, *request["items"][at + 1 :]]
                fewer.append({**request, "items": items})
    for table in ("usage", "cost"):
        fewer += [{**request, table: {**request[table], key: None}} for key in request.get(table, ())]
    return fewer


@over_seeds
def test_the_order_of_the_rules_of_version_1_1_never_matters(start: int) -> None:
    for draw in drawn(start):
        frames = generated.frames(draw)
        shuffled = [
            {**frame, "layers": [_with_rules_in_another_order(draw, one) for one in frame["layers"]]}
            for frame in frames
        ]
        first, second = ready(frames), ready(shuffled)
        for _ in range(REQUESTS):
            request = generated.request(draw)
            one, other = answer_of(first, request), answer_of(second, request)
            for key in ("decision", "byMissingFact", "rememberable", "matched", "layer"):
                assert one[key] == other[key], key
            assert sorted(one["confirmRules"]) == sorted(other["confirmRules"])
            assert (one["ruleId"] is None) == (other["ruleId"] is None)


def _with_rules_in_another_order(draw: generated.Draw, layer: Json) -> Json:
    policy = layer["policy"]
    if policy["version"] == "1.0":
        return layer
    rules = list(policy["rules"])
    draw.random.shuffle(rules)
    return {**layer, "policy": {**policy, "rules": rules}}


@over_seeds
def test_a_batch_is_as_strict_as_the_strictest_of_its_items(start: int) -> None:
    batches = 0
    for draw in drawn(start):
        frames = ready(_without_limits(generated.frames(draw)))
        for _ in range(REQUESTS):
            request = generated.request(draw)
            items = request.get("items")
            if items and "realPath" not in request and "toRealPath" not in request:
                batches += 1
                whole = {**request, "batchCount": request.get("batchCount", len(items))}
                rest = {key: value for key, value in whole.items() if key != "items"}
                levels = [level_of(frames, {**rest, "items": [item]}) for item in items]
                assert level_of(frames, request) == max(levels)
    assert batches > 50


def _without_limits(frames: list[Json]) -> list[Json]:
    return [
        {**frame, "layers": [{**one, "policy": {**one["policy"], "limits": []}} for one in frame["layers"]]}
        for frame in frames
    ]


@over_seeds
def test_an_audit_rule_never_decides(start: int) -> None:
    for draw in drawn(start):
        frames = generated.frames(draw)
        without = [{**frame, "layers": [_without_audit_rules(one) for one in frame["layers"]]} for frame in frames]
        first, second = ready(frames), ready(without)
        for _ in range(REQUESTS):
            request = generated.request(draw)
            one, other = answer_of(first, request), answer_of(second, request)
            for key in ("decision", "ruleId", "layer", "riskTags", "byMissingFact", "confirmRules", "rememberable"):
                assert one[key] == other[key], key


def _without_audit_rules(layer: Json) -> Json:
    rules = [rule for rule in layer["policy"]["rules"] if rule.get("mode") != "audit"]
    return {**layer, "policy": {**layer["policy"], "rules": rules}}


@over_seeds
def test_a_frame_that_has_answered_before_answers_as_a_new_one(start: int) -> None:
    for draw in drawn(start, 40):
        frames = generated.frames(draw)
        used = ready(frames)
        for _ in range(REQUESTS):
            request = generated.request(draw)
            assert answer_of(used, request) == answer_of(ready(frames), request)


@over_seeds
def test_an_approval_never_answers_for_a_risk_or_a_rule_that_it_does_not_name(start: int) -> None:
    answered = 0
    for draw in drawn(start):
        frames = generated.frames(draw)
        compiled = ready(frames)
        for _ in range(REQUESTS):
            request = generated.request(draw)
            decision = answer_of(compiled, request)
            if decision["decision"] != "allow_with_confirm":
                continue
            approvals = generated.approvals(draw, request, decision)
            if approval_of(compiled, request, approvals) is None:
                continue
            answered += 1
            _assert_no_more_is_answered(frames, request, approvals)
    assert answered > 20


def _assert_no_more_is_answered(frames: list[Json], request: Json, approvals: list[Json]) -> None:
    compiled = ready(frames)
    judgement = judged(compiled, request)
    known = [msgspec.convert(approval, Approval) for approval in approvals]
    assert find_approval(known, judgement.request, judgement, [*tags_of(judgement), "another-risk"]) is None
    asks = {"id": "more", "action": "*", "decision": "allow_with_confirm"}
    policy = {"version": "1.1", "defaults": {"fallback": "allow"}, "rules": [asks]}
    first, *rest = frames
    more = ready([{**first, "layers": [*first["layers"], {"name": "stricter", "policy": policy}]}, *rest])
    assert level_of(more, request) == LEVELS["allow_with_confirm"]
    assert approval_of(more, request, approvals) is None
