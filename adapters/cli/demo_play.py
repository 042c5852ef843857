"""The course of `cowork demo`. What it prints comes from the read model and from the disk, nothing is made up."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ...projections.visible_text import visible
from . import output
from .demo_agent import SURVEY_PLAN, survey_of, tidy_plan
from .demo_check import Before, complaints_about, complaints_about_undo
from .demo_commands import answer_by_command, type_command
from .demo_subagents import Helpers
from .exit_status import ExitStatus
from .granting import Granting, run_request
from .layout import plural
from .opening import opened
from .options import DEFAULT_VIEWING, Options
from .run import carried
from .task_rows import summary_in, task_in
from .terminal import can_ask

if TYPE_CHECKING:
    from ...engine.application import Application


class Stage:
    """Where the demo plays."""

    def __init__(self, root: Path, *, unsafe_as_root: bool = False) -> None:
        self.root = root
        self.inbox = root / "inbox"
        self.outside = root / "outside" / "diary.txt"
        self.plans = root / "plans"
        self.options = Options(store=root / "store", unsafe_as_root=unsafe_as_root)


def play(stage: Stage) -> ExitStatus:
    """Play the demo and return 0 where everything went as described, 3 where questions were left open, 1 otherwise."""
    _say("1. A messy folder", f"{visible(str(stage.inbox))} holds:")
    for name in sorted(os.listdir(stage.inbox)):
        output.line(f"  {visible(name)}")
    before = Before.of(stage.inbox, stage.outside)
    survey_id = _survey(stage)
    tidy_id = _tidy(stage, survey_id)
    with opened(stage.options) as engine:
        task = engine.task(tidy_id)
    if not task.is_final:
        output.line()
        output.line(f"The task is {task.status.replace('_', ' ')}. Look around, and go on whenever you like:")
        output.line(f"  cowork resume {tidy_id} --store {visible(str(stage.root / 'store'))}")
        return ExitStatus.WAITING
    return _look_back(stage, tidy_id, before)


def _say(title: str, *sentences: str) -> None:
    output.line()
    output.line(f"== {title}")
    for sentence in sentences:
        output.line(sentence)
    output.flush()


def _survey(stage: Stage) -> str:
    plan = stage.plans / "survey.toml"
    plan.write_text(SURVEY_PLAN, encoding="utf-8")
    _say(
        "2. The agent looks",
        f"It asks to list, search and read, in {visible(str(plan))}.",
        "Reading inside a granted folder needs nobody's answer under the baseline rules.",
        "",
    )
    return _run(stage, plan)


def _tidy(stage: Stage, survey_id: str) -> str:
    with opened(stage.options) as engine:
        survey = survey_of(engine, survey_id)
    twice = survey.duplicates()
    plan = stage.plans / "tidy.toml"
    plan.write_text(tidy_plan(survey, str(stage.outside)), encoding="utf-8")
    _say(
        "3. The agent makes a plan",
        f"It read {plural(len(survey.digests), 'file')}; by their digests {len(twice)} of them are there twice:",
        *(f"  {visible(path)} is {visible(kept)}" for path, kept in sorted(twice.items())),
        f"What it wants to do is in {visible(str(plan))}.",
        "It wants to run a program of its own, which adds the invoices up and draws a chart.",
        "It also wants to read a file with secrets and one outside the folder, and to send the invoices away,",
        "as an agent may that was misled.",
        "Two pieces of the work it hands to helpers, which get less than it has itself.",
    )
    _say("4. The plan runs, and you are asked", "")
    task_id = _run(stage, plan)
    if not can_ask(stage.options):
        output.line()
        output.line("Nobody is at a terminal, so the demo answers with the commands that you would use:")
        output.line(f"  $ export COWORK_STORE={visible(str(stage.options.store))}")
        answer_by_command(stage.options, task_id)
    return task_id


def _run(stage: Stage, plan: Path) -> str:
    """Run a plan in this process, as `cowork run` does, and return the task's id."""
    granting = Granting(folder=[str(stage.inbox)], output_folder=[str(stage.inbox / "reports")])
    request, _ = run_request(plan, granting)
    with opened(stage.options, create=True) as engine:
        known = {row["task_id"] for row in engine.rows("tasks")}
        carried(engine, stage.options, DEFAULT_VIEWING, "ask", request=request)
        tasks = {str(row["task_id"]) for row in engine.rows("tasks") if not row["parent_task_id"]}
        (task_id,) = tasks - known
    return task_id


# Afterwards


def _look_back(stage: Stage, task_id: str, before: Before) -> ExitStatus:
    from .audit import audit_rows_in, print_audit_rows, print_report
    from .replay import NOTICE, print_frames, print_state
    from .task_view import print_summary

    with opened(stage.options) as engine:
        task = task_in(engine, task_id)
        summary = summary_in(engine, task)
        _say("5. What it did", f"`cowork task summary {task_id}`", "")
        print_summary(task, summary)
        _explain_end(engine, task_id)
        helpers = Helpers.of(engine, task_id)
        _say("6. What its two helpers were given, and what came of it", "")
        helpers.show()
        _say("7. Why each thing was allowed or refused", f"`cowork audit log --task {task_id}`", "")
        print_audit_rows(audit_rows_in(engine, task_id))
        _say("8. The same task again, from what was recorded", f"`cowork replay {task_id}`", "")
        last = print_frames(engine, task_id)
        if last is not None:
            print_state(last)
        output.line(NOTICE)
        _say("9. Checked against the log and on the disk", "`cowork audit check`", "")
        report = engine.audit()
        print_report(report)
    complaints = complaints_about(stage.inbox, stage.outside, before, summary)
    complaints += [f"invariant {one.invariant}: {visible(one.sentence)}" for one in report.violations]
    complaints += helpers.complaints()
    if _has_complaints(complaints):
        return ExitStatus.FAILED
    output.line("  what it says was moved, deleted and made is so; nothing else was touched")
    return _take_back(stage, task_id, before)


def _has_complaints(complaints: list[str]) -> bool:
    for complaint in complaints:
        output.line(f"  NOT as it says: {complaint}")
    return bool(complaints)


def _take_back(stage: Stage, task_id: str, before: Before) -> ExitStatus:
    """Undo the whole task, and look whether every byte is back."""
    from .undo import undo

    _say("10. You changed your mind: all of it is taken back", f"`cowork undo {task_id}`", "")
    if can_ask(stage.options):
        undo(task_id, options=stage.options)
    else:
        type_command(stage.options, ["undo", task_id])
    with opened(stage.options) as engine:
        undos = [str(row["task_id"]) for row in engine.rows("tasks") if row["undoes"] == task_id]
    if undos and not can_ask(stage.options):
        answer_by_command(stage.options, undos[-1])
    with opened(stage.options) as engine:
        open_undos = [engine.task(name) for name in undos if not engine.task(name).is_final]
        summaries = [summary_in(engine, task_in(engine, name)) for name in (task_id, *undos)]
        report = engine.audit()
    output.line()
    if open_undos:
        output.line("Some of it is not taken back yet. Go on whenever you like:")
        output.line(f"  cowork resume {open_undos[0].task_id} --store {visible(str(stage.options.store))}")
        return ExitStatus.WAITING
    complaints = complaints_about_undo(stage.inbox, before, summaries)
    complaints += [f"invariant {one.invariant}: {visible(one.sentence)}" for one in report.violations]
    if _has_complaints(complaints):
        return ExitStatus.FAILED
    output.line("  every file is back where it was, with every byte that it had")
    output.line()
    output.line(f"Everything is in {visible(str(stage.root))}: look around, and delete it when you like.")
    return ExitStatus.DONE


def _explain_end(engine: "Application", task_id: str) -> None:
    """Say why the task ended as it did, from what was recorded about what did not get through."""
    from .audit import audit_rows_in

    ends = ("denied", "rejected", "expired", "failed")
    refused = [row for row in audit_rows_in(engine, task_id) if row.action_id and row.outcome in ends]
    task = engine.task(task_id)
    output.line()
    output.line(f"The task is {task.status.replace('_', ' ')}. {plural(len(refused), 'thing')} did not get through:")
    for row in refused:
        by = f" ({visible(row.rule_id)})" if row.outcome == "denied" else ""
        output.line(f"  {visible(row.target)}: {visible(row.outcome_reason or row.reason)}{by}")
    output.line("That is as it should be: a task that was refused something never counts as completed.")
