"""What is in force in a session: read from the log, kept only for as long as nothing of it has changed."""

from pathlib import Path

import pytest

from cowork.adapters.event_store.memory import MemoryEventStore
from cowork.domain.baseline import BASELINE
from cowork.domain.errors import DomainError
from cowork.domain.grant import NarrowGrant, RevokeGrant
from cowork.domain.policy import digest_of_layers
from cowork.domain.session import EndSession
from cowork.engine.command_handler import CommandHandler, order_grant, order_session
from cowork.engine.session_view import SessionViews
from tests.engine.rig import PERSON, Rig, read

pytestmark = pytest.mark.anyio


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, files={"a.txt": "a"})


async def opened(rig: Rig) -> tuple[SessionViews, CommandHandler, str, str]:
    """Return views, another process's handler, and the ids of a session and its grant."""
    task_id = await rig.start(read("a.txt"))
    session_id = rig.app.task(task_id).session_id
    (grant,) = rig.app.rows("grants")
    views = SessionViews(CommandHandler(MemoryEventStore(rig.rows), rig.clock, rig.ids))
    other = CommandHandler(MemoryEventStore(rig.rows), rig.clock, rig.ids)
    return views, other, session_id, str(grant["grant_id"])


async def test_a_view_is_the_same_object_until_something_changes(rig: Rig) -> None:
    views, other, session_id, grant_id = await opened(rig)
    first = views.view(session_id)
    assert views.view(session_id) is first
    await other.execute(order_grant(grant_id, RevokeGrant("")), actor=PERSON, cause="test")
    second = views.view(session_id)
    assert second is not first
    assert second.scope_digest != first.scope_digest
    assert [folder.revoked for folder in second.scope.folders] == [True]


async def test_a_view_has_the_policy_that_was_adopted_and_guards_on_all_that_it_read(rig: Rig) -> None:
    views, _, session_id, grant_id = await opened(rig)
    view = views.view(session_id)
    assert view.policy.digest == digest_of_layers((BASELINE,))
    assert [(guard.stream, guard.version) for guard in view.guards] == [
        (session_id, len(rig.store.read_stream(session_id))),
        ("approvals", 0),
        (grant_id, 1),
    ]


async def test_a_narrowed_grant_is_narrower_in_the_next_view(rig: Rig) -> None:
    views, other, session_id, grant_id = await opened(rig)
    narrow = NarrowGrant(verbs=("read",), output_roots=())
    await other.execute(order_grant(grant_id, narrow), actor=PERSON, cause="test")
    assert [folder.verbs for folder in views.view(session_id).scope.folders] == [("read",)]


async def test_there_is_no_view_of_a_session_that_has_ended_or_never_was(rig: Rig) -> None:
    views, other, session_id, _ = await opened(rig)
    views.view(session_id)
    await other.execute(order_session(session_id, EndSession("over")), actor=PERSON, cause="test")
    for name in (session_id, "session-that-never-was"):
        with pytest.raises(DomainError, match="is not open") as refused:
            views.view(name)
        assert refused.value.code == "conflict"
