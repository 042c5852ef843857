"""What changed while a task was not running, in plain lines: one where nothing did."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...projections.place_names import PlaceNames
from ...projections.visible_text import visible
from .layout import plural

if TYPE_CHECKING:
    from ...engine.application import FileChange, QuestionNow, ResumeReport, RightsLost

_LABEL_WIDTH = 11
_FILE_WORDS = {
    "changed": "has changed",
    "missing": "is gone",
    "new": "stands there now, and did not",
    "unreadable": "can't be looked at",
}
_ANSWERED = ("approved", "rejected")


def report_lines(report: "ResumeReport", names: PlaceNames) -> Iterator[str]:
    """Yield the report for people; nothing is cut."""
    since = f"since {report.away_since:%Y-%m-%d %H:%M:%S} UTC"
    if report.is_quiet:
        yield f"nothing changed {since}{_left(report)}"
        return
    yield f"task {report.task_id} {since}:"
    for label, line in _lines(report, names):
        yield f"  {label:<{_LABEL_WIDTH}}{line}"
    if report.not_looked_at:
        yield f"  {plural(report.not_looked_at, 'more place')} of the task were not looked at"


def _left(report: "ResumeReport") -> str:
    """Return what is still as it was left: open questions, answers, and what was under way."""
    waiting = sum(one.standing == "waits" for one in report.questions)
    answered = sum(one.standing in _ANSWERED for one in report.questions)
    parts = [
        f"{plural(waiting, 'question')} for you" if waiting else "",
        f"{plural(answered, 'question')} answered" if answered else "",
        *(_attempts(report)),
    ]
    said = ", ".join(part for part in parts if part)
    return f": {said}" if said else ""


def _attempts(report: "ResumeReport") -> Iterator[str]:
    if report.under_way:
        yield f"{plural(len(report.under_way), 'action')} under way then, looked at first"


def _lines(report: "ResumeReport", names: PlaceNames) -> Iterator[tuple[str, str]]:
    if report.policy is not None:
        for layer in report.policy.layers:
            yield "policy", f"{visible(layer.layer)}: {_document(layer.then, layer.now)}"
        if not report.policy.layers:
            yield "policy", "its layers stand in another order"
    for grant in report.grants:
        yield "grant", f"{visible(grant.name)} {_grant_words(grant.change)}: {visible(grant.detail)}"
    for lost in report.rights:
        yield "lost", _lost(lost, report.task_id)
    for file in report.files:
        yield "file", _file(file, names)
    for version in report.versions:
        yield "version", f"{version.part} {_short(version.then)}, now {_short(version.now)}"
    for question in report.questions:
        yield "question", _question(question)
    for attempt in report.under_way:
        found = f": {visible(attempt.found)}" if attempt.found else ", and is looked at first"
        yield "under way", f"{attempt.kind}, {attempt.action_id}, attempt {attempt.attempt}{found}"


def _document(then: str, now: str) -> str:
    if not then:
        return f"there is a document now ({_short(now)})"
    if not now:
        return f"its document is gone (was {_short(then)})"
    return f"another document ({_short(then)}, now {_short(now)})"


def _short(text: str) -> str:
    return text.removeprefix("sha256:")[:8] if text.startswith("sha256:") else visible(text)


def _grant_words(change: str) -> str:
    return {"given": "was given", "replaced": "is another folder", "missing": "is not there"}.get(
        change, f"was {change}"
    )


def _lost(lost: "RightsLost", root_task: str) -> str:
    whose = "" if lost.task_id == root_task else f"{lost.task_id}: "
    name = visible(lost.name)
    if not (lost.verbs or lost.output_roots or lost.parts):
        return f"{whose}{name} can't be reached"
    parts = [", ".join(lost.verbs)] if lost.verbs else []
    if lost.verbs:
        parts.append(f"left: {', '.join(lost.left)}" if lost.left else "nothing is left")
    if lost.output_roots and lost.left:
        parts.append(f"new files need a person in {', '.join(map(visible, lost.output_roots))}")
    if lost.parts:
        parts.append(f"no longer in {', '.join(map(visible, lost.parts))}")
    return f"{whose}{name}: {'; '.join(parts)}"


def _file(file: "FileChange", names: PlaceNames) -> str:
    whose = f"action {file.action_id}" if file.action_id else f"step {visible(file.step_id)}"
    detail = f": {visible(file.detail)}" if file.detail else ""
    return f"{visible(names.at(file.place))} {_FILE_WORDS[file.change]}{detail} ({whose})"


def _question(question: "QuestionNow") -> str:
    named = f"{question.confirmation_id} {visible(question.headline)}"
    if question.standing == "waits":
        return f"{named}: waits for you until {question.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    after = ", and is asked again after a yes" if question.standing == "outdated" else ""
    return f"{named}: {question.standing}, {visible(question.reason)}{after}"
