"""The compiled evaluator answers what the naive one answers, on 200,000 random requests, and says the same of why."""

from collections import Counter
from pprint import pformat
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.domain.policy import generated
from tests.domain.policy.evaluators import answer_of, approval_of, naive_answer, ready
from tests.domain.policy.naive_approval import discharged_by

Json = dict[str, Any]

PARTS = 8
SETS = 250
REQUESTS = 100


@pytest.mark.parametrize("part", range(PARTS))
def test_the_compiled_evaluator_answers_as_the_naive_one_to_random_requests(part: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(part * SETS, (part + 1) * SETS):
        compare(generated.Draw(Random(seed)), REQUESTS, seen, f"seed {seed}")
    assert sum(seen[verdict] for verdict in ("allow", "allow_with_confirm", "deny")) == SETS * REQUESTS
    # The comparison says something only as long as it gets everywhere.
    for what in ("allow", "allow_with_confirm", "deny", "invariant", "rule", "fallback", "unknown", "approved"):
        assert seen[what] > SETS, f"{what} was met only {seen[what]} times"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.randoms(use_true_random=False))
def test_a_small_example_of_any_disagreement_is_found(random: Random) -> None:
    compare(generated.Draw(random), 4, Counter(), "example")


def compare(draw: generated.Draw, requests: int, seen: Counter[str], where: str) -> None:
    frames = generated.frames(draw)
    compiled = ready(frames)
    for _ in range(requests):
        request = generated.request(draw)
        wanted, got = naive_answer(frames, request), answer_of(compiled, request)
        assert got == wanted, shown(where, frames, request)
        seen[wanted["decision"]] += 1
        seen["unknown"] += wanted["byMissingFact"]
        seen["invariant" if wanted["layer"] == "invariant" else "rule" if wanted["ruleId"] else "fallback"] += 1
        if wanted["decision"] == "allow_with_confirm":
            approvals = generated.approvals(draw, request, wanted)
            answered = discharged_by(request, wanted, approvals)
            seen["approved"] += answered is not None
            assert approval_of(compiled, request, approvals) == answered, shown(where, frames, request, approvals)


def shown(where: str, *values: object) -> str:
    return "\n".join([where, *(pformat(value, width=150) for value in values)])
