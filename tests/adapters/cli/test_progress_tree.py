"""What is shown of a task with subagents: each line says whose it is, and stands beneath those above it."""

from collections.abc import Iterator

from cowork.adapters.cli.branch import Line
from cowork.adapters.cli.event_words import what_happened
from cowork.adapters.cli.live_view import running_rows, running_shown
from cowork.adapters.cli.progress import Progress
from cowork.adapters.cli.view import plain_line
from cowork.domain import ownership, subagent, task
from cowork.domain.action import FileDelete, FileRead, Location
from cowork.domain.budget import Budget, Overrun, Usage
from cowork.domain.effect import Result
from cowork.domain.ids import subagent_id
from cowork.domain.plan import Plan, Step
from cowork.projections.place_names import NO_NAMES, names_in_rows
from tests.projections.story import TASK, Story

READ = FileRead(at=Location("grant-1", "a.txt"))
DELETE = FileDelete(at=Location("grant-1", "b.txt"))


def _step(name: str) -> Step:
    return Step(step_id=name, title=name, request=READ)


def _shown(story: Story, progress: Progress) -> list[Line]:
    return [line for recorded in story.events for line in progress.on(recorded)]


def _told() -> tuple[Story, str, str]:
    """A task whose subagent has a subagent: all three are in the middle of something."""
    story = Story()
    story.begin(_step("mine"), _step("sort"))
    (name,) = story.propose_step("mine", READ)
    story.start(name, READ)
    sorter = story.spawn("sort", "Sorter\x1b", _step("mine"), _step("help"))
    helper = story.spawn("help", "Helper", _step("mine"), parent=sorter)
    (name,) = story.propose_step("mine", DELETE, task_id=helper)
    story.start(name, DELETE)
    return story, sorter, helper


def _running(progress: Progress) -> list[str]:
    return [row for branch in progress.first() for row in running_rows(branch, progress)]


def test_a_subagent_that_is_at_one_thing_has_one_row_and_so_have_those_beneath_it() -> None:
    story, _, _ = _told()
    progress = Progress()
    list(_shown(story, progress))
    assert _running(progress) == [
        "read a.txt",
        "Sorter\\x1b › Helper › delete b.txt",
    ]


def test_what_a_subagent_does_stands_indented_beneath_the_row_of_the_action_that_started_it() -> None:
    story, sorter, _ = _told()
    (second,) = story.propose_step("mine", READ, task_id=sorter)
    story.start(second, READ)
    progress = Progress()
    list(_shown(story, progress))
    assert _running(progress) == [
        "read a.txt",
        'start an agent "Sorter\\x1b"',
        "  Helper › delete b.txt",
        "  read a.txt",
    ]


def test_a_line_of_a_subagent_says_whose_it_is_and_is_indented() -> None:
    story, _, helper = _told()
    story.tell(task.RecordSuccess(action_id=f"{helper}.1", effects=(), result=Result(summary="gone")), task_id=helper)
    done = [line for line in _shown(story, Progress()) if line.word == "done"]
    assert [(line.text, line.depth) for line in done] == [("Helper › delete b.txt", 2)]
    assert plain_line(done[0]).startswith("done           Helper › delete b.txt  -  gone")


def test_steps_of_the_same_name_in_two_tasks_are_two_steps() -> None:
    story, sorter, helper = _told()
    progress = Progress()
    list(_shown(story, progress))
    assert {name: list(branch.steps) for name, branch in progress.branches.items()} == {
        TASK: ["mine", "sort"],
        sorter: ["help"],
        helper: ["mine"],
    }
    assert set(progress.branches) == {TASK, sorter, helper}


def test_a_task_that_is_carried_on_later_shows_what_was_under_way_in_all_of_it() -> None:
    story, sorter, helper = _told()
    progress = Progress()
    names = names_in_rows(story.model().rows("grants", {"session_id": "session-1"}))
    for name in (TASK, sorter, helper):
        progress.know(story.state_of(name), names)
    assert _running(progress)[-1] == "Sorter\\x1b › Helper › delete b.txt"
    assert progress.is_busy


def test_a_stop_of_all_is_said_once() -> None:
    story, sorter, helper = _told()
    for name in (TASK, sorter, helper):
        story.tell(task.InterruptTask("enough"), task_id=name)
    lines = [line for line in _shown(story, Progress()) if line.word == "paused"]
    assert [line.text for line in lines] == ["stopped at once: enough"]


def test_a_question_of_a_subagent_names_it() -> None:
    story, sorter, _ = _told()
    story.propose_step("mine", DELETE, verdict="allow_with_confirm", asked="confirmation-1", task_id=sorter)
    progress = Progress()
    lines = _shown(story, progress)
    assert [line.text for line in lines if line.word == "asked"] == ["Sorter\\x1b › Delete a.csv"]
    story.reject("confirmation-1")
    assert [line.text for line in progress.on(story.events[-1])] == ["rejected: Sorter\\x1b › Delete a.csv"]
    assert progress.questions == {}


def test_what_changes_the_course_is_said() -> None:
    story = Story()
    story.begin(_step("one"), budget=Budget(actions=1))
    story.tell(task.SendMessage(text="mind\x1b the gap", strategy="steer", said_by="ann"))
    story.tell(task.SteerTask(plan=Plan(title="p", steps=(_step("two"),)), said_by="ann"))
    story.tell(task.ExhaustBudget(TASK, Overrun(measure="actions", bound=1, needed=2)))
    story.tell(task.RaiseBudget(Usage(actions=4)))
    progress = Progress()
    assert [(line.text, line.note) for line in _shown(story, progress)] == [
        ("ann, from here on: mind\\x1b the gap", ""),
        ("another plan: added two; dropped one, by ann", ""),
        (
            f"the budget of {TASK} allows 1 action; going on takes 2 actions in all",
            f"to go on: cowork task budget {TASK} --add-actions 1",
        ),
        ("more room: 4 actions more; now 5 actions", ""),
    ]


def test_an_attempt_that_nobody_knows_of_has_not_ended() -> None:
    story = Story()
    story.begin(_step("one"))
    (name,) = story.propose_step("one", DELETE)
    story.start(name, DELETE)
    story.tell(task.RecordUnknown(action_id=name, observed="half"))
    story.tell(task.SettleUnknown(action_id=name, happened=True, said_by="person:ann"))
    progress = Progress()
    lines = _shown(story, progress)
    assert [(line.word, line.text) for line in lines] == [("unknown", "delete b.txt"), ("done", "delete b.txt")]
    assert lines[1].note.startswith("says person:ann")
    assert (progress.done, progress.refused) == (1, 0)


def test_a_subagent_that_was_denied_something_is_no_failure() -> None:
    story = Story()
    story.begin(_step("sort"))
    story.spawn("sort", "Sorter", _step("its"))
    failed = task.RecordFailure(action_id=f"{TASK}.1", reason_code="blocked", reason="it was denied: its")
    story.tell(failed)
    (line,) = _shown(story, Progress())
    assert (line.word, line.text, line.note) == ("denied", 'start an agent "Sorter"', "it was denied: its")


def _words(story: Story) -> Iterator[tuple[str, str]]:
    for recorded in story.events:
        yield recorded.event.TOPIC.rpartition(".")[0], what_happened(recorded.event, NO_NAMES)


def test_a_replay_has_words_for_every_event_of_a_tree() -> None:
    story, sorter, _ = _told()
    (name,) = story.propose_step("mine", DELETE, task_id=sorter)
    story.start(name, DELETE)
    story.execute(subagent, subagent_id(sorter), subagent.Report("done\x1b"))
    story.execute(ownership, f"ownership-{TASK}", ownership.ClaimTask(TASK, "process-7", "1.0"))
    story.tell(task.RecordProgress(90_500))
    story.tell(task.ReportUsage(tokens=7, reported_by="planner"))
    story.tell(task.InterruptTask("stop"))
    told = dict(_words(story))
    assert told["subagent.spawned"].startswith(f'"Helper", task {sorter}-s1: folders f (read, create')
    assert told["subagent.reported"] == "done\\x1b"
    assert told["ownership.claimed"] == "carried on by process-7, cowork 1.0"
    assert told["task.progressed"] == "0 of 2 steps and 0 of 2 actions ended; 1 min 30 s more at work"
    assert told["task.usage_reported"] == "7 tokens, says planner"
    assert told["task.interrupted"] == "stop"
    assert told["task.paths_claimed"] == f"{name}  grant-1:b.txt"


def test_a_terminal_shows_a_few_of_very_many_rows() -> None:
    story = Story()
    story.begin(*(_step(f"s{number}") for number in range(64)))
    for number in range(64):
        child = story.spawn(f"s{number}", f"Agent {number}", _step("its"))
        (name,) = story.propose_step("its", READ, task_id=child)
        story.start(name, READ)
    progress = Progress()
    list(_shown(story, progress))
    assert len(_running(progress)) == 64
    shown = running_shown(progress)
    assert (len(shown), shown[-1]) == (13, "and 52 more")
