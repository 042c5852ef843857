"""A line of the audit log about anything that is not an action, as a row."""

from typing import Final

from ..domain.event import Event, Recorded
from .row import Put, Scalar, Table, micros

LIFE: Final = Table(
    name="audit_life",
    key={"position": "integer"},
    columns={
        "at": "integer",
        "kind": "text",
        "subject": "text",
        "step_id": "text",
        "target": "text",
        "actor": "text",
        "reason": "text",
        "rule_id": "text",
        "risk_tags": "json",
        "outcome": "text",
    },
    indexes=(("subject",),),
)


def life_row(recorded: Recorded[Event], kind: str, **values: Scalar) -> Put:
    """Return the line about an event."""
    return Put(
        "audit_life",
        (recorded.position,),
        {
            "at": micros(recorded.origin.at),
            "kind": kind,
            "subject": recorded.stream,
            "actor": recorded.origin.actor,
            **values,
        },
    )
