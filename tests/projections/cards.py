"""What the tests of cards share: a scope, the policy, and cards of actions as the engine asks for them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cowork.domain.action import Action, digest_of
from cowork.domain.confirmation import Card
from cowork.domain.facts import ABSENT, Facts, FileState
from cowork.domain.policy import Policy
from cowork.domain.policy_document import Rule, layer_of_rules
from cowork.domain.scope import VERBS, FolderIdentity, FolderScope, Scope
from cowork.engine.card_ports import CardItem, CardRenderer, CardRequest
from cowork.projections.action_card import render_card

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
SCOPE = Scope(
    (
        FolderScope(
            grant_id="g1", name="reports", root_path="/home/ann/reports", verbs=VERBS, identity=FolderIdentity(1, 1)
        ),
        FolderScope(
            grant_id="g2", name="photos", root_path="/home/ann/photos", verbs=VERBS, identity=FolderIdentity(1, 2)
        ),
    )
)
CAUTIOUS = (Rule("everything-needs-a-person", ("*",), "allow_with_confirm", reason="say yes first"),)
ASKS = Policy((layer_of_rules("cautious", CAUTIOUS),))
DIGEST = "sha256:9c417e02" + "ab" * 28

_RENDER: CardRenderer = render_card


def file_facts(size: int = 212_000, **more: Any) -> Facts:
    """Return facts about an ordinary file that stands where the action needs it."""
    return Facts(now=NOW, target=FileState("file", size=size, digest="sha256:old"), destination=ABSENT, **more)


def nothing_there(**more: Any) -> Facts:
    """Return facts about a place where nothing stands."""
    return Facts(now=NOW, target=ABSENT, **more)


def card_of(actions: Sequence[Action], facts: Facts | Sequence[Facts], **more: Any) -> Card:
    """Return the card of a question about these actions, with the same facts for all, or one's own for each."""
    each = [facts] * len(actions) if isinstance(facts, Facts) else facts
    items = tuple(
        CardItem(f"task-1.{number}", action, digest_of(action), ASKS.decide(action, fact, SCOPE), fact)
        for number, (action, fact) in enumerate(zip(actions, each, strict=True), start=1)
    )
    request: dict[str, Any] = {
        "confirmation_id": "confirmation-1",
        "task_id": "task-1",
        "task_title": "tidy the reports",
        "step_title": "",
        "step_description": "",
        "asked_by": "task task-1",
        "items": items,
        "scope": SCOPE,
        "digest": DIGEST,
        "now": NOW,
        "expires_at": NOW + timedelta(hours=24),
        **more,
    }
    return _RENDER(CardRequest(**request))


def lines_of(card: Card, role: str) -> list[str]:
    """Return the lines of the card's block with that role; none where it has no such block."""
    return [line for block in card.blocks if block.role == role for line in block.lines]


def text_of(card: Card) -> str:
    """Return everything that the card shows."""
    return "\n".join([card.headline, *(line for block in card.blocks for line in block.lines)])
