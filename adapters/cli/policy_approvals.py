"""`cowork policy approvals …`: what a person said yes to for a while, and taking it back."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import msgspec
from cyclopts import App, Parameter

from . import output
from .opening import opened, person
from .options import PLAIN_OPTIONS, Id, Options

if TYPE_CHECKING:
    from ...domain.approvals import Remembered
    from ...domain.policy_approval import Approval
    from ...engine.application import Application

ApprovalState: TypeAlias = Literal["in_force", "expired", "used_up", "revoked"]

app = App(name="approvals", help="List and revoke the approvals that are remembered.")


class RememberedApproval(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A yes that is remembered. `sentence` is the rule as the person was shown it.

    `scope` is `task`, `session` or `workspace`, and `scope_id` the task, the session or the folder; `uses_left` is left
    out where it may be used again and again.
    """

    id: str
    state: ApprovalState
    sentence: str
    action: str
    rules: tuple[str, ...]
    risk_tags: tuple[str, ...]
    scope: Literal["task", "session", "workspace"]
    scope_id: str
    expires_at: datetime | None = None
    uses_left: int | None = None
    remembered_by: str
    confirmation_id: str


@app.default
@app.command(name="list")
def list_approvals(
    *,
    all_of_them: Annotated[
        bool, Parameter(name="--all", negative="", help="Also those that are revoked, expired or used up.")
    ] = False,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """List the approvals that answer questions without asking anybody again.

    cowork policy approvals list
    cowork policy approvals list --all --json
    """
    with opened(options, absent_is_empty=True) as engine:
        found = [one for one in _approvals(engine) if all_of_them or one.state == "in_force"]
    if options.json:
        output.document(found)
        return
    if not found:
        output.line("no approval is remembered")
        return
    for number, one in enumerate(found):
        if number:
            output.line()
        _print(one)


def _approvals(engine: "Application") -> list[RememberedApproval]:
    now = datetime.now(UTC)
    return [_shown(one, now) for one in engine.policies.approvals()]


def _shown(one: "Remembered", now: datetime) -> RememberedApproval:
    approval = one.approval
    scope: Literal["task", "session", "workspace"] = (
        "task" if approval.scope.task else "session" if approval.scope.session else "workspace"
    )
    return RememberedApproval(
        id=approval.id,
        state=_state(approval, now),
        sentence=one.sentence,
        action=approval.action,
        rules=approval.rule_ids,
        risk_tags=approval.risk_tags,
        scope=scope,
        scope_id=approval.scope.task or approval.scope.session or approval.scope.workspace,
        expires_at=approval.expires_at,
        uses_left=approval.uses_left,
        remembered_by=one.remembered_by,
        confirmation_id=one.confirmation_id,
    )


def _state(approval: "Approval", now: datetime) -> ApprovalState:
    from ...domain.policy_approval import is_in_force

    if approval.revoked:
        return "revoked"
    if is_in_force(approval, now):
        return "in_force"
    return "used_up" if approval.uses_left is not None and approval.uses_left <= 0 else "expired"


def _print(one: RememberedApproval) -> None:
    from ...projections.visible_text import visible, visible_line
    from .layout import plural

    word = {"in_force": " until", "expired": ""}.get(one.state)
    until = "" if one.expires_at is None or word is None else f"{word} {one.expires_at:%Y-%m-%d %H:%M} UTC"
    left = "" if one.uses_left is None else f", {plural(one.uses_left, 'use')} left"
    output.line(f"{one.id}  {one.state.replace('_', ' ')}{until}{left}")
    output.line(f"  {visible_line(one.sentence)}")
    output.line(f"  for the {_SCOPES[one.scope]} {visible(one.scope_id)}, by {visible(one.remembered_by)}")


_SCOPES = {"task": "task", "session": "session", "workspace": "folder"}


@app.command(name="revoke")
def revoke_approval(
    approval_id: Annotated[Id, Parameter(help="The approval's id, as `cowork policy approvals list` prints it.")],
    /,
    *,
    reason: Annotated[str, Parameter(help="Why, for the record.")] = "",
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Take an approval back: from here on the same is asked again, whichever process is running the task.

    cowork policy approvals revoke approval-06bq2wr0t0x5k9qz --reason "enough"
    """
    import anyio

    with opened(options) as engine:
        anyio.run(lambda: engine.policies.revoke_approval(approval_id, by=person(), reason=reason))
        (revoked,) = [one for one in _approvals(engine) if one.id == approval_id]
    if options.json:
        output.document(revoked)
    else:
        output.line(f"approval {approval_id} is revoked")
