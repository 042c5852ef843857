"""Sessions, grants and questions as programs outside see them."""

from datetime import timedelta

import msgspec
import pytest

from cowork.domain import confirmation, grant, session, task
from cowork.domain.action import FileDelete, Location
from cowork.domain.ids import subagent_id
from cowork.domain.plan import Step
from cowork.projections.active_grants import FolderGrant, Session, session_of
from cowork.projections.confirmation_inbox import Confirmation, chain_words, confirmation_of, titles_above
from cowork.projections.place_names import names_in_rows
from tests.projections.history import START
from tests.projections.story import QUESTION_DIGEST, TASK, Story

DELETE = FileDelete(at=Location("grant-1", "a.txt"))


def _session(story: Story, after: timedelta | None = None) -> Session:
    model = story.model()
    (row,) = model.rows("sessions")
    return session_of(row, model.rows("grants"), None if after is None else START + after)


def _grant(story: Story, after: timedelta | None = None) -> FolderGrant:
    return _session(story, after).grants[0]


def test_a_session_has_the_shape_that_programs_expect() -> None:
    told = msgspec.json.decode(msgspec.json.encode(_session(Story())))
    first = told["grants"][0]
    given_at = first.pop("givenAt")
    assert given_at.endswith("Z")
    assert first == {
        "id": "grant-1",
        "sessionId": "session-1",
        "name": "reports",
        "rootPath": "/home/ann/reports",
        "allowRead": True,
        "allowWrite": True,
        "allowCreate": True,
        "allowMove": True,
        "allowDelete": True,
        "outputRoots": ["out"],
        "identity": {"device": 1, "inode": 2},
        "status": "in_force",
        "givenBy": "person:ann",
        "expiresAt": "2026-07-01T09:00:00.000000Z",
        "revokedAt": None,
        "revokeReason": None,
    }
    assert (told["sessionId"], told["userId"], told["deviceId"], told["mode"]) == (
        "session-1",
        "ann",
        "laptop",
        "cowork",
    )
    assert (told["status"], told["endedAt"], told["isolationLevel"]) == ("open", None, "files-only")
    assert told["policyDigest"].startswith("sha256:")


def test_verbs_that_were_not_granted_are_not_allowed() -> None:
    photos = _session(Story()).grants[1]
    assert (photos.allow_read, photos.allow_move) == (True, True)
    assert (photos.allow_write, photos.allow_create, photos.allow_delete) == (False, False, False)


def test_a_narrowed_grant_covers_less() -> None:
    story = Story()
    narrow = grant.NarrowGrant(verbs=("read",), output_roots=(), expires_at=START + timedelta(days=1))
    story.execute(grant, "grant-1", narrow)
    told = _grant(story)
    assert (told.allow_read, told.allow_write, told.output_roots) == (True, False, ())
    assert told.expires_at == "2026-06-02T09:00:00.000000Z"
    assert told.status == "in_force"


def test_a_revoked_grant_says_when_and_why() -> None:
    story = Story()
    story.execute(grant, "grant-1", grant.RevokeGrant("enough"), "person:ann")
    told = _grant(story, timedelta(days=99))
    assert (told.status, told.revoke_reason) == ("revoked", "enough")
    assert told.revoked_at is not None
    assert story.model().rows("grants")[0]["revoked_by"] == "person:ann"


def test_a_grant_is_over_at_its_time_whether_or_not_that_was_recorded() -> None:
    story = Story()
    assert _grant(story, timedelta(days=30) - timedelta(microseconds=1)).status == "in_force"
    assert _grant(story, timedelta(days=30)).status == "expired"
    story.execute(grant, "grant-1", grant.ExpireGrant(START + timedelta(days=31)))
    assert _grant(story).status == "expired"


def test_the_grants_of_a_session_that_ended_are_not_in_force() -> None:
    story = Story()
    story.execute(grant, "grant-2", grant.RevokeGrant())
    story.execute(session, "session-1", session.EndSession("done"))
    assert [one.status for one in _session(story).grants] == ["session_ended", "revoked"]
    assert _session(story).status == "ended"
    assert _session(story).ended_at is not None


def test_a_place_is_named_as_a_plan_would_name_it() -> None:
    names = names_in_rows(Story().model().rows("grants"))
    assert names.of("grant-1", "2024/a.jpg") == "2024/a.jpg"
    assert names.of("grant-2", "2024/a.jpg") == "photos:2024/a.jpg"
    assert names.of("grant-1", "photos:2024/a.jpg") == "./photos:2024/a.jpg"
    assert names.of("grant-1", "other:a") == "other:a"
    assert names.of("grant-1", ".") == "."
    assert names.of("grant-9", "a") == "grant-9:a"


def _asked() -> Story:
    story = Story()
    story.begin(Step(step_id="one", title="One", request=DELETE))
    story.propose_step("one", DELETE, DELETE, verdict="allow_with_confirm", asked="confirmation-1")
    return story


def _question(story: Story, after: timedelta | None = None) -> Confirmation:
    (row,) = story.model().rows("confirmations")
    return confirmation_of(row, None if after is None else START + after)


def test_a_question_has_the_shape_that_programs_expect() -> None:
    story = _asked()
    told = msgspec.json.decode(msgspec.json.encode(_question(story)))
    requested_at = told.pop("requestedAt")
    assert requested_at.endswith("Z")
    assert told == {
        "confirmationId": "confirmation-1",
        "sessionId": "session-1",
        "taskId": TASK,
        "chain": [{"taskId": TASK, "subagentId": None, "title": ""}],
        "stepId": "one",
        "actionId": f"{TASK}.1",
        "actionIds": [f"{TASK}.1", f"{TASK}.2"],
        "purpose": "action",
        "digest": QUESTION_DIGEST,
        "card": {"headline": "Delete a.csv", "blocks": [{"role": "action", "lines": ["delete a.csv"]}]},
        "riskTags": ["delete"],
        "reason": "deleting needs a person",
        "ruleId": "delete-needs-a-person",
        "layer": "baseline",
        "expiresAt": "2026-06-02T09:00:00.000000Z",
        "status": "pending",
        "answeredBy": None,
        "answeredAt": None,
        "finding": "",
        "note": None,
        "positions": [story.position_of(confirmation.ConfirmationRequested)],
    }


@pytest.mark.parametrize(
    ("command", "status", "note"),
    [
        (confirmation.Expire(START + timedelta(days=2)), "expired", None),
        (confirmation.Withdraw("the world moved"), "withdrawn", "the world moved"),
    ],
)
def test_a_question_that_nobody_answered_says_what_became_of_it(command: object, status: str, note: str | None) -> None:
    story = _asked()
    story.execute(confirmation, "confirmation-1", command)
    told = _question(story)
    assert (told.status, told.note, told.answered_by) == (status, note, None)


def test_an_answer_says_by_whom_and_when() -> None:
    story = _asked()
    story.reject("confirmation-1", "keep it")
    told = _question(story, timedelta(days=9))
    assert (told.status, told.answered_by, told.note) == ("rejected", "person:bob", "keep it")
    assert told.answered_at is not None
    assert told.positions[-1] == story.position_of(confirmation.ConfirmationRejected)
    story = _asked()
    story.approve("confirmation-1")
    assert _question(story).status == "approved"


def test_a_question_is_over_at_its_time_whether_or_not_that_was_recorded() -> None:
    story = _asked()
    assert _question(story, timedelta(hours=24) - timedelta(microseconds=1)).status == "pending"
    assert _question(story, timedelta(hours=24)).status == "expired"


def test_a_question_of_a_subagent_says_who_stands_above_it() -> None:
    story = Story()
    story.begin(Step(step_id="one", title="One", request=DELETE))
    child = story.spawn("one", "Helper", Step(step_id="its", title="its", request=DELETE))
    deeper = story.spawn("its", "Deep er", Step(step_id="more", title="more", request=DELETE), parent=child)
    story.propose_step("more", DELETE, verdict="allow_with_confirm", asked="confirmation-1", task_id=deeper)
    model = story.model()
    (row,) = model.rows("confirmations")
    told = confirmation_of(row, titles=titles_above(model.rows, [row]))
    assert [(one.task_id, one.subagent_id, one.title) for one in told.chain] == [
        (TASK, None, "Tidy up"),
        (child, subagent_id(child), "Helper"),
        (deeper, subagent_id(deeper), "Deep er"),
    ]
    assert chain_words(told.chain) == '"Tidy up" › "Helper" › "Deep er"'
    assert chain_words(confirmation_of(row).chain) == f"{TASK} › {subagent_id(child)} › {subagent_id(deeper)}"


def test_a_persons_word_about_an_attempt_is_the_answer() -> None:
    story = Story()
    story.begin(Step(step_id="one", title="One", request=DELETE))
    (name,) = story.propose_step("one", DELETE)
    story.start(name, DELETE)
    story.tell(task.RecordUnknown(action_id=name, observed="half"))
    story.ask_again(name, "one", "confirmation-1", "half")
    story.approve("confirmation-1", finding="try_again")
    assert (_question(story).status, _question(story).finding) == ("approved", "try_again")
