"""What a summary tells, and that each of its lines rests on events."""

from collections.abc import Iterator

import msgspec
import pytest

from cowork.domain import task
from cowork.domain.action import Content, FileCreate, FileDelete, FileMove, FileRead, FileWrite, Location, ShellExec
from cowork.domain.effect import Effect, Result
from cowork.domain.plan import Step
from cowork.domain.reason import ReasonCode
from cowork.projections.output_files import output_kind, standing_outputs
from cowork.projections.summary_shape import TaskSummary
from tests.projections.effects import effects_of
from tests.projections.story import TASK, Story

CONTENT = Content("sha256:new", 12)
CREATE = FileCreate(at=Location("grant-1", "out/sum.csv"), content=CONTENT)
MOVE = FileMove(at=Location("grant-1", "out/sum.csv"), to=Location("grant-1", "done/sum.csv"))
WRITE = FileWrite(at=Location("grant-2", "2024/note.md"), content=CONTENT)
DELETE = FileDelete(at=Location("grant-1", "old \u202e.txt"))
READ = FileRead(at=Location("grant-1", "a.txt"))


def _step(name: str, description: str = "", needs: tuple[str, ...] = ()) -> Step:
    return Step(step_id=name, title=f"Step {name}", description=description, needs=needs, request=READ)


def _done(story: Story, step: str, action: FileCreate | FileMove | FileWrite | FileRead) -> str:
    (name,) = story.propose_step(step, action)
    story.start(name, action)
    result = Result(summary="3 lines") if isinstance(action, FileRead) else None
    story.tell(task.RecordSuccess(action_id=name, effects=effects_of(action), result=result))
    return name


def _told() -> tuple[Story, TaskSummary]:
    """A task in which everything happens once."""
    story = Story()
    names = ["create", "move", "write", "read", "denied", "rejected", "skipped", "failed", "unknown", "pending"]
    story.begin(*(_step(name, "I know best" if name == "rejected" else "") for name in names), _step("left"))
    _done(story, "create", CREATE)
    _done(story, "move", MOVE)
    _done(story, "write", WRITE)
    _done(story, "read", READ)
    story.propose_step("denied", DELETE, verdict="deny", code="protected")
    (name,) = story.propose_step("rejected", DELETE, verdict="allow_with_confirm", asked="confirmation-1")
    story.reject("confirmation-1", "keep it")
    story.tell(task.DeclineAction(action_id=name, reason_code="rejected", reason="rejected by person:bob"))
    story.propose_step("skipped", DELETE, verdict="allow_with_confirm", unasked="skipped")
    (name,) = story.propose_step("failed", READ)
    story.start(name, READ)
    story.tell(task.RecordFailure(action_id=name, reason_code="io", reason="disk on fire"))
    (name,) = story.propose_step("unknown", DELETE)
    story.start(name, DELETE)
    story.tell(task.RecordUnknown(action_id=name, observed="half of it is gone"))
    story.propose_step("pending", DELETE, verdict="allow_with_confirm", asked="confirmation-2")
    story.tell(task.SkipStep("left", "`failed` did not succeed"))
    return story, story.summary()


def test_outputs_are_where_they_stand_at_the_end() -> None:
    story, summary = _told()
    created, moved, wrote = (story.position_of(task.ActionSucceeded, f"{TASK}.{number}") for number in (1, 2, 3))
    assert [(o.path, o.kind, o.positions) for o in summary.outputs] == [
        ("done/sum.csv", "spreadsheet", (created, moved)),
        ("photos:2024/note.md", "document", (wrote,)),
    ]


def test_changes_to_files_are_listed_with_both_digests() -> None:
    story, summary = _told()
    assert [(c.change, c.path, c.previous_path, c.digest_before, c.digest_after) for c in summary.file_changes] == [
        ("create", "out/sum.csv", None, None, "sha256:new"),
        ("move", "done/sum.csv", "out/sum.csv", "sha256:x", "sha256:x"),
        ("update", "photos:2024/note.md", None, "sha256:old", "sha256:new"),
    ]
    assert [c.positions for c in summary.file_changes] == [
        (story.position_of(task.ActionSucceeded, c.action_id),) for c in summary.file_changes
    ]


def test_the_log_says_of_every_action_what_became_of_it() -> None:
    _, summary = _told()
    hidden = "old \\u202e.txt"
    assert [(line.outcome, line.details) for line in summary.action_log] == [
        ("succeeded", "created out/sum.csv"),
        ("succeeded", "moved out/sum.csv to done/sum.csv"),
        ("succeeded", "wrote photos:2024/note.md"),
        ("succeeded", "read a.txt: 3 lines"),
        ("denied", f"not deleted {hidden}, denied: the rules say deny"),
        ("rejected", f"not deleted {hidden}, rejected: rejected by person:bob"),
        ("skipped", f"not deleted {hidden}, skipped: it needs a person: the rules say allow_with_confirm"),
        ("failed", "not read a.txt, failed: disk on fire"),
        ("unknown", f"perhaps deleted {hidden}: half of it is gone"),
        ("waiting", f"to delete {hidden}: waiting"),
    ]
    assert [line.action_id for line in summary.action_log] == [f"{TASK}.{number}" for number in range(1, 11)]
    assert summary.action_log[1].action == "file.move"


def test_what_was_left_open_says_what_to_do() -> None:
    _, summary = _told()
    to_do = [(followup.step_id, followup.text.partition("To do: ")[2]) for followup in summary.followups]
    assert to_do == [
        ("denied", "do it yourself if it is meant: other programs run or obey this file"),
        ("rejected", "nothing, unless you change your mind: then run the task again"),
        ("skipped", 'run the plan again with on_ask = "wait" to be asked'),
        ("failed", "see to what the operating system refused, then run the task again"),
        ("unknown", "look at what is there now: it may or may not have been done"),
        ("left", "see to what it needs, then run the task again"),
        ("pending", "cowork confirmation show confirmation-2"),
    ]
    assert "(rule deny-rule)" in summary.followups[0].text


def test_skipped_steps_and_actions_are_told_with_their_reasons() -> None:
    _, summary = _told()
    assert [(s.step_id, s.title, s.action_id) for s in summary.skipped] == [
        ("skipped", "Step skipped", f"{TASK}.7"),
        ("left", "Step left", None),
    ]


@pytest.mark.parametrize(
    ("code", "advice", "outcome", "status"),
    [
        ("no_grant", "grant the folder to the session, then run the task again", "denied", "blocked"),
        ("not_found", "check the path, then run the task again", "failed", "failed"),
        (None, "see to what it needs, then run the task again", "skipped", "completed_with_skips"),
    ],
)
def test_a_step_whose_request_cannot_be_met_is_told_as_the_task_counts_it(
    code: ReasonCode | None, advice: str, outcome: str, status: str
) -> None:
    story = Story()
    story.begin(_step("one"))
    story.tell(task.SkipStep("one", "no such \x1b folder", code))
    story.tell(task.FinishTask())
    (followup,) = story.summary().followups
    assert followup.text.endswith(f"no such \\x1b folder. To do: {advice}")
    assert len(story.summary().skipped) == (0 if code else 1)
    assert [group.outcome for group in story.timeline() if group.group == "step:one"] == [outcome]
    assert [row.outcome for row in story.audit() if row.kind == "task.step_skipped"] == [outcome]
    assert story.task().status == status


def test_questions_are_told_with_their_answers() -> None:
    _, summary = _told()
    assert [(q.confirmation_id, q.headline, q.answer, q.note, q.by) for q in summary.questions] == [
        ("confirmation-1", "Delete a.csv", "rejected", "keep it", "person:bob"),
        ("confirmation-2", "Delete a.csv", "pending", None, None),
    ]


def test_claims_are_the_agents_own_words_and_called_so() -> None:
    story = Story()
    story.begin(_step("rejected", "I know best"), _step("helps"))
    assert [(c.by, c.about, c.text) for c in story.summary().claims] == [("agent", "rejected", "I know best")]


def _positions(value: object) -> Iterator[list[int]]:
    match value:
        case {"positions": list(positions)}:
            yield positions
        case dict():
            for item in value.values():
                yield from _positions(item)
        case list():
            for item in value:
                yield from _positions(item)
        case _:
            return


def test_every_line_rests_on_events_of_the_log() -> None:
    story, summary = _told()
    known = {recorded.position for recorded in story.events}
    encoded = msgspec.json.decode(msgspec.json.encode(summary))
    lines = ["outputs", "fileChanges", "actionLog", "followups", "skipped", "questions", "claims"]
    assert all(encoded[kind] for kind in lines)
    assert all(line["positions"] and set(line["positions"]) <= known for kind in lines for line in encoded[kind])
    assert len(list(_positions(encoded))) == sum(len(encoded[kind]) for kind in lines)


def test_the_summary_has_the_names_that_programs_expect() -> None:
    _, summary = _told()
    encoded = msgspec.json.decode(msgspec.json.encode(summary))
    assert {"taskId", "outputs", "fileChanges", "actionLog", "followups"} <= set(encoded)
    assert {"path", "kind"} <= set(encoded["outputs"][0])
    assert {"path", "change", "previousPath", "digestBefore", "digestAfter"} <= set(encoded["fileChanges"][0])
    assert {"timestamp", "action", "details", "actionId"} <= set(encoded["actionLog"][0])


def test_an_action_with_many_effects_tells_each_of_them() -> None:
    story = Story()
    story.begin(_step("run"))
    run = ShellExec(argv=("make",), cwd=Location("grant-1", "."), writes="staged")
    (name,) = story.propose_step("run", run)
    story.start(name, run)
    effects = tuple(
        Effect(change="create", at=Location("grant-1", f"out/{n}.txt"), after=f"sha256:{n}") for n in range(12)
    )
    story.tell(task.RecordSuccess(action_id=name, effects=effects))
    assert [c.path for c in story.summary().file_changes] == [f"out/{n}.txt" for n in range(12)]
    assert len(story.summary().outputs) == 12


def test_an_unknown_outcome_that_is_cleared_up_is_no_longer_left_open() -> None:
    story = Story()
    story.begin(_step("delete"))
    (name,) = story.propose_step("delete", DELETE)
    story.start(name, DELETE)
    story.tell(task.RecordUnknown(action_id=name, observed="half"))
    assert len(story.summary().followups) == 1
    story.ask_again(name, "delete", "confirmation-1", "half")
    story.approve("confirmation-1", finding="try_again")
    story.start(name, DELETE, "confirmation-1")
    story.tell(task.RecordSuccess(action_id=name, effects=effects_of(DELETE)))
    summary = story.summary()
    assert summary.followups == ()
    assert [line.outcome for line in summary.action_log] == ["succeeded"]
    assert len(summary.action_log[0].positions) == 7


def _effect(change: str, path: str, previous: str = "") -> Effect:
    before = Location("g", previous) if previous else None
    return Effect(change=change, at=Location("g", path), previous=before)  # type: ignore[arg-type]


def test_outputs_follow_the_folders_that_they_are_in() -> None:
    effects = [
        _effect("create", "a/b/one.txt"),
        _effect("create", "a/two.txt"),
        _effect("create", "ab/three.txt"),
        _effect("move", "moved/a", "a"),
        _effect("update", "moved/a/two.txt"),
        _effect("rename", "elsewhere.txt", "never-made.txt"),
        _effect("delete", "moved/a/b"),
        _effect("create", "moved/a/b"),
    ]
    standing = standing_outputs(enumerate(effects, start=1))
    assert [(output.at.path, output.positions) for output in standing] == [
        ("moved/a/two.txt", (2, 4, 5)),
        ("ab/three.txt", (3,)),
        ("moved/a/b", (8,)),
    ]


def test_outputs_of_another_grant_stay_where_they_are() -> None:
    elsewhere = Effect(change="delete", at=Location("other", "a.txt"))
    assert len(standing_outputs([(1, _effect("create", "a.txt")), (2, elsewhere)])) == 1


def test_the_kind_of_an_output_is_told_by_its_ending() -> None:
    names = ["a.PDF", "b.tar.xlsx", "c.jpeg", "d", ".csv", "x.docx/y"]
    assert [output_kind(name) for name in names] == [
        "document",
        "spreadsheet",
        "image",
        "other",
        "spreadsheet",
        "other",
    ]
