"""Both evaluators behind the same questions: frames and requests as JSON values, answers as dictionaries."""

from collections.abc import Sequence
from typing import Any

import msgspec

from cowork.domain.policy_approval import Approval, find_approval
from cowork.domain.policy_decision import Judgement, ReadyFrame, judge, ready_frame
from cowork.domain.policy_document import PolicyDocument, layer
from cowork.domain.policy_request import FrameScope, Request
from cowork.domain.policy_risk import tags_of_request
from tests.domain.policy import naive

Json = dict[str, Any]

LEVELS = naive.LEVELS


def ready(frames: Sequence[Json]) -> list[ReadyFrame]:
    """Frames as the compiled evaluator takes them."""
    return [
        ready_frame(
            msgspec.convert(frame["scope"], FrameScope),
            [layer(one["name"], msgspec.convert(one["policy"], PolicyDocument)) for one in frame["layers"]],
        )
        for frame in frames
    ]


def judged(frames: Sequence[ReadyFrame], request: Json) -> Judgement:
    """The compiled evaluator's judgement."""
    return judge(frames, msgspec.convert(request, Request))


def level_of(frames: Sequence[ReadyFrame], request: Json) -> int:
    """The compiled evaluator's verdict as a number, the mildest 0."""
    return judged(frames, request).level


def tags_of(judgement: Judgement) -> list[str]:
    """All risk tags of a decision."""
    return sorted(tags_of_request(judgement.request) | judgement.rule_tags)


def answer_of(frames: Sequence[ReadyFrame], request: Json) -> Json:
    """The compiled evaluator's answer in the form of the naive one."""
    judgement = judged(frames, request)
    decision = judgement.explained(risk_tags=tuple(tags_of(judgement)))
    return {
        "decision": decision.verdict,
        "ruleId": None if decision.by_default else decision.rule_id,
        "layer": decision.layer,
        "riskTags": list(decision.risk_tags),
        "byMissingFact": decision.by_missing_fact,
        "confirmRules": list(decision.confirm_rules),
        "rememberable": decision.rememberable,
        "matched": set(decision.matched),
        "lost": {one.rule for one in decision.lost},
    }


def naive_answer(frames: list[Json], request: Json) -> Json:
    """The naive evaluator's answer; a rule is lost where it matched, or may have, and did not decide."""
    answer = naive.decide(frames, request)
    deciding = f"{answer['layer']}:{answer['ruleId']}"
    answer["lost"] = (answer["matched"] | answer.pop("possible")) - {deciding}
    return answer


def approval_of(frames: Sequence[ReadyFrame], request: Json, approvals: Sequence[Json]) -> str | None:
    """Which approval answers by the compiled evaluator."""
    judgement = judged(frames, request)
    known = [msgspec.convert(approval, Approval) for approval in approvals]
    found = find_approval(known, judgement.request, judgement, tags_of(judgement))
    return None if found is None else found.id
