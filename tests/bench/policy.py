"""One decision of the rules themselves, at 10, 100 and 1,000 rules, and Cedar with the same rules at the same time."""

import importlib
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple, TypeVar

from cowork.domain.policy_decision import Judgement, ReadyFrame, judge, ready_frame
from cowork.domain.policy_document import PolicyDocument, layer
from cowork.domain.policy_request import Request
from tests.bench.figure import Figure, number, quantile
from tests.bench.policy_workload import SCOPE, cedar_policies, cedar_request, document_of, requests_of

SIZES = (10, 100, 1000)
AIM_US = 12
AIM_RATIO = 10
REQUESTS = 2000
CEDAR_REQUESTS = {10: 600, 100: 300, 1000: 100}
LAYERS = 5
RULES_OF_A_LAYER = 8

T = TypeVar("T")


class Times(NamedTuple):
    """What half of the calls and what 99 of 100 take at most, in microseconds."""

    p50: float
    p99: float


def measure_rules(rounds: int) -> list[Figure]:
    """Microseconds of a decision and of its explanation, and how many times as long Cedar takes."""
    requests = requests_of(REQUESTS)
    figures: list[Figure] = []
    for size in SIZES:
        figures += _measure_size(size, requests, rounds)
    layers = [layer(f"layer-{at}", document_of(RULES_OF_A_LAYER, seed=at)) for at in range(LAYERS)]
    of_layers = [_ours((ready_frame(SCOPE, layers),), requests) for _ in range(rounds)]
    figures.append(
        _figure(
            f"layers-{LAYERS}",
            f"rules decide: {LAYERS} layers of {RULES_OF_A_LAYER}",
            [ours for ours, _ in of_layers],
            f"explained in {number(median(explained.p50 for _, explained in of_layers))} us more",
        )
    )
    return figures


def _measure_size(size: int, requests: Sequence[Request], rounds: int) -> list[Figure]:
    document = document_of(size)
    frames = (ready_frame(SCOPE, [layer("user", document)]),)
    cedar = _cedar(document, requests[: CEDAR_REQUESTS[size]])
    ours, explanations, others = [], [], []
    for _ in range(rounds):
        decided, explained = _ours(frames, requests)
        ours.append(decided)
        explanations.append(explained)
        if cedar is not None:
            others.append(cedar())
    title = f"rules decide: {size:,} rules"
    figures = [
        _figure(f"rules-{size}", title, ours, aim=AIM_US if size == SIZES[-1] else None),
        _figure(f"rules-explained-{size}", "  the same, explained", explanations),
    ]
    if others:
        figures.append(
            Figure(
                key=f"rules-cedar-{size}",
                title="  the same, by cedarpy (policies parsed before)",
                unit="x as long",
                rounds=tuple(other.p50 / own.p50 for other, own in zip(others, ours, strict=True)),
                aim=AIM_RATIO,
                absolute=f"{number(median(one.p50 for one in others))} us,"
                f" 99 % at most {number(median(one.p99 for one in others))} us",
            )
        )
    return figures


def _figure(key: str, title: str, times: Sequence[Times], more: str = "", *, aim: float | None = None) -> Figure:
    slow = f"99 % take at most {number(median(one.p99 for one in times))} us"
    return Figure(
        key=f"policy-{key}",
        title=title,
        unit="us",
        rounds=tuple(one.p50 for one in times),
        aim=aim,
        better="less",
        absolute=f"{slow}, {more}" if more else slow,
    )


def _ours(frames: Sequence[ReadyFrame], requests: Sequence[Request]) -> tuple[Times, Times]:
    """Return the times of the decisions, and of their explanations."""
    judgements: list[Judgement] = []
    decided = _times(lambda request: judgements.append(judge(frames, request)), requests)
    return decided, _times(lambda judgement: judgement.explained(risk_tags=()), judgements)


def _cedar(document: PolicyDocument, requests: Sequence[Request]) -> Callable[[], Times] | None:
    """Return what measures Cedar at the same rules; None where its Python binding is not installed."""
    try:
        cedarpy: Any = importlib.import_module("cedarpy")
    except ModuleNotFoundError:
        return None
    policies = cedarpy.PolicySet.from_str(cedar_policies(document))
    entities = cedarpy.Entities.from_json_str("[]")
    asked = [cedar_request(request) for request in requests]
    answers = [cedarpy.is_authorized(request, policies, entities) for request in asked]
    if any(answer.diagnostics.errors for answer in answers):
        raise RuntimeError("a policy of the comparison has an error, and would be skipped")
    return lambda: _times(lambda request: cedarpy.is_authorized(request, policies, entities), asked)


def _times(act: Callable[[T], object], values: Sequence[T]) -> Times:
    times_us = []
    for value in values:
        began = time.perf_counter_ns()
        act(value)
        times_us.append((time.perf_counter_ns() - began) / 1000)
    return Times(quantile(times_us, 0.5), quantile(times_us, 0.99))
