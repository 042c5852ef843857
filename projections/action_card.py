"""The one rendering of a question that every approver sees, whatever the interface: plain text, no markup.

Blocks stand in one order: who asks, exactly what will be done, risks, why a person is asked, what changed, what the
agent says, what the answer is bound to. Nothing is cut, and nothing from outside is shown unescaped
(`visible_text.py`). The card is a value: the same request gives the same card for ever.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC

from ..domain.confirmation import DIGEST_PREFIX_MIN, Card, CardBlock
from ..domain.policy_decision import Decision
from .card_action import action_lines
from .card_headline import headline
from .card_layout import field
from .card_places import CardPlaces, places_in
from .card_risk import risk_lines
from .card_unknown import unknown_lines
from .measure import span_words
from .question import Question, QuestionItem
from .visible_text import has_escapes, quoted, visible, visible_lines

AGENTS_LABEL = "The agent's reason (not checked)"


def render_card(request: Question) -> Card:
    """Return the card of a question; see this file's head. Never raises for any text that is not half a character."""
    places = places_in(request.scope)
    hides = any(has_escapes(text.replace("\n", "")) for text in _agents_words(request))
    blocks = (
        CardBlock("who", _who(request)),
        CardBlock("action", (*_staged(request), *action_lines(request.items, places))),
        CardBlock("risk", risk_lines(request.items, places, agent_hides=hides)),
        CardBlock("why", _why(request.items)),
        CardBlock("changed", _changed(request, places)),
        CardBlock("agent", _agent(request)),
        CardBlock("binding", _binding(request)),
    )
    first = headline(request.items, places, request.staged)
    return Card(
        headline=f"Did this happen? {first}" if request.unknown_outcome else first,
        blocks=tuple(block for block in blocks if block.lines),
    )


def _agents_words(request: Question) -> tuple[str, str, str]:
    return request.task_title, request.step_title, request.step_description


def _who(request: Question) -> tuple[str, ...]:
    lines = [field("task", f"{visible(request.task_id)} {quoted(request.task_title)}")]
    if request.step_title:
        lines.append(field("step", quoted(request.step_title)))
    lines.append(field("asked by", visible(request.asked_by)))
    return tuple(lines)


def _staged(request: Question) -> tuple[str, ...]:
    """Return what becomes of the changes of a command when this question is answered."""
    staged = request.staged
    if staged is None:
        return ()
    others = staged.changes - len(request.items)
    lines = [field("now", "none of this has happened yet: the command worked on a copy")]
    if staged.together:
        lines.append(field("together", f"all or none{f', with {others:,} more that need no answer' if others else ''}"))
    elif others:
        lines.append(field("besides", f"{others:,} of its {staged.changes:,} changes were decided without a question"))
    return tuple(lines)


def _why(items: Sequence[QuestionItem]) -> tuple[str, ...]:
    """Return a line for each rule that asks, with how many of the actions it asks about, and what it prevailed over."""
    asked: dict[tuple[str, str, str], list[Decision]] = {}
    for item in items:
        decision = item.decision
        asked.setdefault((decision.rule_id, decision.layer, decision.reason), []).append(decision)
    lines: list[str] = []
    for (rule_id, layer, reason), decisions in asked.items():
        where = f" ({visible(layer)})" if layer else ""
        share = f", {len(decisions):,} of {len(items):,} actions" if len(decisions) < len(items) else ""
        lines.append(f"rule {visible(rule_id)}{where}{share}: {visible(reason)}")
        lines += _explained(decisions)
    return tuple(lines)


def _explained(decisions: Sequence[Decision]) -> Iterator[str]:
    """Yield what was not known, and which other rules matched and why they did not decide."""
    missing = dict.fromkeys(fact for decision in decisions for fact in decision.missing_facts)
    if any(decision.by_missing_fact for decision in decisions):
        yield "a fact that the rules ask for is not known, so the strictest of them decides"
    if missing:
        yield f"  not known: {', '.join(map(visible, missing))}"
    for lost in dict.fromkeys(lost for decision in decisions for lost in decision.lost):
        yield f"  {visible(lost.rule)}: {visible(lost.why)}"


def _changed(request: Question, places: CardPlaces) -> tuple[str, ...]:
    if request.unknown_outcome:
        return tuple(unknown_lines(request.items, places, request.changed))
    lines: list[str] = []
    if request.changed:
        lines.append("This was asked before, and is no longer as it was shown.")
        lines += (f"changed: {line}" for line in _stated(request.changed))
    return tuple(lines)


def _stated(text: str) -> tuple[str, ...]:
    return visible_lines(text) if text else ()


def _agent(request: Question) -> tuple[str, ...]:
    if not request.step_description:
        return ()
    return (AGENTS_LABEL, *(f"  | {line}" for line in visible_lines(request.step_description)))


def _binding(request: Question) -> tuple[str, ...]:
    plain = request.digest.removeprefix("sha256:")[:DIGEST_PREFIX_MIN]
    half = DIGEST_PREFIX_MIN // 2
    until = request.expires_at.astimezone(UTC)
    left = span_words(request.expires_at - request.now)
    then = "it stays unknown, and counts as failed" if request.unknown_outcome else "it counts as rejected"
    return (
        field("question", visible(request.confirmation_id)),
        field("digest", f"{plain[:half]} {plain[half:]}"),
        field("expires", f"{until:%Y-%m-%d %H:%M:%S} UTC, {left} after it was asked; then {then}"),
    )
