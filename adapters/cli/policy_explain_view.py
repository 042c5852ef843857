"""An explanation as lines for a terminal. All of it is visible text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ...projections.policy_words import VERDICT_WORDS, request_in_words
from ...projections.visible_text import visible, visible_line
from .layout import in_columns

if TYPE_CHECKING:
    from ...domain.policy_decision import Decision
    from ...domain.policy_document import Verdict
    from ...engine.application import AtPosition, Explanation

_SAYS: Final[dict["Verdict", str]] = {"allow": "allow", "allow_with_confirm": "ask", "deny": "deny"}


def explanation_lines(explained: "Explanation") -> Iterator[str]:
    """Yield a decision: what decides, what was not known, and every rule about the kind with what came of it."""
    decision = explained.decision
    yield f"{VERDICT_WORDS[decision.verdict]}: {request_in_words(explained.request)}"
    yield from _decision(decision)
    why = {lost.rule: lost.why for lost in decision.lost}
    rows: list[tuple[str, str, str, str]] = []
    for note in explained.rules:
        lacks = [f"not so: {', '.join(note.refuted)}"] if note.refuted else []
        lacks += [f"not known: {', '.join(note.unknown)}"] if note.unknown else []
        lacks += [why[note.rule]] if note.rule in why else []
        state = "tried out" if note.audit else note.state
        rows.append((f"  {state}", _SAYS[note.verdict], visible(note.rule), visible_line("; ".join(lacks)) or "-"))
    if rows:
        yield "rules about it:"
        yield from in_columns(rows)
    for limit in explained.limits:
        used = "an unknown number" if limit.used is None else f"{limit.used:g}"
        yield f"  limit {visible(limit.limit)}: {used} of {limit.max:g} used"


def _decision(decision: "Decision") -> Iterator[str]:
    if decision.layer == "invariant":
        yield f"  by {visible(decision.rule_id)}, which no document can relax: {visible_line(decision.reason)}"
    elif decision.by_default:
        yield f"  by the fallback of {visible(decision.layer)}: {visible_line(decision.reason)}"
    else:
        yield f"  by {visible(decision.layer)}:{visible(decision.rule_id)}: {visible_line(decision.reason)}"
    if decision.by_missing_fact:
        yield "  because something is not known: what is not known never helps"
    if decision.missing_facts:
        yield f"  not known: {', '.join(decision.missing_facts)}"
    if decision.approval_id:
        yield f"  answered by {visible(decision.approval_id)}, which is remembered"
    elif decision.verdict == "allow_with_confirm":
        yield f"  the answer {'can' if decision.rememberable else 'can not'} be remembered"
    if decision.risk_tags:
        yield f"  risks: {visible(', '.join(decision.risk_tags))}"


def position_lines(then: "AtPosition") -> Iterator[str]:
    """Yield what was in force at a position: sessions with their layers and grants, approvals, and the answers."""
    yield f"at position {then.position}, {then.at:%Y-%m-%d %H:%M:%S} UTC"
    if not then.sessions:
        yield "no session was open"
    for one in then.sessions:
        layers = ", ".join(f"{layer.name} ({layer.digest[:19]})" for layer in one.layers)
        yield f"session {visible(one.session_id)} of {visible(one.user)}: {visible(one.title)}"
        yield f"  layers: {visible(layers) or 'none'}"
        for grant in one.grants:
            verbs, state = ", ".join(grant.verbs), "" if grant.state == "in force" else f" ({grant.state})"
            roots = ", ".join(map(visible, grant.output_roots))
            outputs = f", results in {roots}" if roots else ""
            yield f"  {visible(grant.root_path)}: {verbs}{outputs}{state}"
        if one.answer is not None:
            yield from (f"  {line}" for line in explanation_lines(one.answer))
    for approval in then.approvals:
        yield f"remembered: {visible_line(approval.sentence)} ({visible(approval.remembered_by)})"
    if then.decided is not None:
        decided = then.decided
        yield f"decided there: {decided.kind} {visible_line(decided.place)}, wanted by {visible(decided.proposed_by)}"
        if decided.recorded is not None:
            yield f"  on record: {VERDICT_WORDS[decided.recorded.verdict]}"
        if decided.explanation is not None:
            yield from (f"  {line}" for line in explanation_lines(decided.explanation))
