"""The questions of recorded history: what an approval would have answered is counted on them."""

from collections.abc import Iterator

from ..domain.action import kind_of
from ..domain.ids import root_task_id
from ..domain.policy_translation import request_of
from .backtest_report import place_of
from .policy_history import Decided, PolicyHistory
from .ports import EventStore
from .remembering import PastQuestion


def past_questions(store: EventStore) -> Iterator[PastQuestion]:
    """Yield every decision on record that asked for a person, whether one was there or an approval answered."""
    for moment in PolicyHistory().read(store):
        if not isinstance(moment, Decided) or moment.recorded.verdict != "allow_with_confirm":
            continue
        if moment.is_about_outcome:
            continue
        past, scope = moment.past, moment.standing.scope
        yield PastQuestion(
            position=moment.position,
            action_id=past.action_id,
            shown=f"{kind_of(past.action)} {place_of(past.action, scope)}",
            request=request_of(
                past.action, moment.facts, scope, session=past.session_id, task=root_task_id(past.task_id)
            ),
            decision=moment.recorded,
        )
