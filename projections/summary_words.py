"""The sentences of a summary: what was done, what was not and why, and what a person can do about it."""

from typing import Final

from ..domain.ids import child_task_id, root_task_id, task_chain
from ..domain.reason import ReasonCode
from .outcome import Outcome
from .place_names import PlaceNames
from .row import Row, number_of, text_of
from .subject import shown_subject
from .visible_text import visible

_DONE: Final = {
    "file.list": "listed",
    "file.search": "searched",
    "file.read": "read",
    "file.write": "wrote",
    "file.create": "created",
    "file.rename": "renamed",
    "file.move": "moved",
    "file.delete": "deleted",
    "file.restore": "put back",
    "shell.exec": "ran",
    "code.run": "ran",
    "network.request": "sent",
    "connector.read": "read through",
    "connector.action": "called",
    "subagent.spawn": "started a subagent",
}
_TO_DO: Final = {
    "file.list": "list",
    "file.search": "search",
    "file.read": "read",
    "file.write": "write",
    "file.create": "create",
    "file.rename": "rename",
    "file.move": "move",
    "file.delete": "delete",
    "file.restore": "put back",
    "shell.exec": "run",
    "code.run": "run",
    "network.request": "send",
    "connector.read": "read through",
    "connector.action": "call",
    "subagent.spawn": "start a subagent",
}
_ADVICE_BY_CODE: Final = {
    "no_grant": "grant the folder to the session, then run the task again",
    "escape": "name a place inside a granted folder",
    "symlink": "name the file itself in place of the link",
    "xdev": "grant the other file system's folder by itself",
    "special": "leave it: it is neither a file nor a folder",
    "hardlink": "look at the file's other names first",
    "protected": "do it yourself if it is meant: other programs run or obey this file",
    "sensitive": "do it yourself if it is meant: it may hold secrets",
    "name": "choose another name",
    "limit": "ask for less at a time",
    "conflict": "look at what is there now, then run the task again",
    "not_found": "check the path, then run the task again",
    "policy": "change the rule if it should be allowed, then run the task again",
    "net_denied": "grant the host if it should be reached (`--host`), then run the task again",
    "net_addr": "leave it: the address is not one of the open network",
    "exit": "run the task again after a look at what it printed",
    "no_approval": "run the task again and answer the question",
    "unavailable": "leave it: nothing here can carry it out",
    "interrupted": "run the task again if it is still wanted",
    "budget": "give the task more room, then resume it",
    "unknown": "nothing, unless it is still wanted: then run the task again",
    "io": "see to what the operating system refused, then run the task again",
}
_ENDS_OF_SUBAGENTS: Final = ("subagent", "blocked", "withdrawn")
"""How the action ends that started a subagent; with any other code there is none, and no summary of it."""

_ADVICE_BY_OUTCOME: Final[dict[Outcome, str]] = {
    "rejected": "nothing, unless you change your mind: then run the task again",
    "expired": "run the task again and answer in time",
    "skipped": 'run the plan again with on_ask = "wait" to be asked',
    "withdrawn": "run the task again if it is still wanted",
    "unknown": "look at what is there now: it may or may not have been done",
}


def action_words(row: Row, outcome: Outcome, names: PlaceNames) -> str:
    """Return what became of an action, for people: `moved a.csv to b.csv`, `not deleted, rejected: …`."""
    kind, subject = text_of(row, "kind"), shown_subject(row, names)
    if kind == "subagent.spawn" and number_of(row, "started_position"):
        return _subagent_words(row, outcome, subject)
    done = f"{_DONE[kind]} {subject}"
    why = visible(text_of(row, "outcome_reason"))
    match outcome:
        case "succeeded":
            result, said_by = visible(text_of(row, "result")), visible(text_of(row, "said_by"))
            said = f"{done}, says {said_by}" if said_by else done
            return f"{said}: {result}" if result else said
        case "waiting":
            return f"to {_TO_DO[kind]} {subject}: waiting"
        case "started":
            return f"to {_TO_DO[kind]} {subject}: begun, without an outcome yet"
        case "unknown":
            return f"perhaps {done}: {why}"
        case "failed" if text_of(row, "outcome_code") == "exit":
            # It did run: what did not happen is what it was to change.
            return f"{done}, without success: {why}"
        case "denied" | "failed" | "rejected" | "expired" | "skipped" | "withdrawn":
            return f"not {done}, {outcome}: {why}"


def _subagent_words(row: Row, outcome: Outcome, subject: str) -> str:
    """Return what became of a subagent that was started: it has a task of its own, which says more."""
    why = visible(text_of(row, "outcome_reason"))
    match outcome:
        case "succeeded":
            report = visible(text_of(row, "result"))
            return f"subagent {subject} did its task{f': {report}' if report else ''}"
        case "failed":
            return f"subagent {subject} did not succeed: {why}"
        case "denied":
            return f"subagent {subject} was denied what it needed: {why}"
        case "withdrawn":
            return f"subagent {subject} was stopped: {why}"
        case "unknown":
            return f"subagent {subject}, nobody knows what became of it: {why}"
        case _:
            return f"subagent {subject} is at work"


def stop_words(task: Row) -> str:
    """Return why a row of `summary_tasks` does not go on, and what to do about it."""
    why = visible(text_of(task, "reason"))
    to_resume = f"cowork resume {root_task_id(text_of(task, 'task_id'))}"
    to_do = text_of(task, "to_do")
    if to_do:
        return f"nothing more is started: {why}. To do: {to_do}, then {to_resume}"
    return f"paused: {why}. To do: {to_resume}"


def followup_words(row: Row, outcome: Outcome, names: PlaceNames) -> str:
    """Return what a person can do about an action that did not succeed."""
    rule = text_of(row, "rule_id")
    is_by_rule = outcome == "denied" and rule and not number_of(row, "started_position")
    by_rule = f" (rule {visible(rule)})" if is_by_rule else ""
    return f"{action_words(row, outcome, names)}{by_rule}. To do: {advice_words(row, outcome)}"


def advice_words(row: Row, outcome: Outcome) -> str:
    """Return what a person can do about an action that ended in this way, or whose outcome is unknown."""
    code, action_id = text_of(row, "outcome_code"), text_of(row, "action_id")
    is_spawn = text_of(row, "kind") == "subagent.spawn" and number_of(row, "started_position")
    if is_spawn and (not code or code in _ENDS_OF_SUBAGENTS):
        return f"cowork task summary {child_task_id(action_id)} says what it did and left undone"
    if outcome == "unknown" and not number_of(row, "ended_position") and text_of(row, "confirmation_id"):
        asked = text_of(row, "confirmation_id")
        return f"say whether it happened, or that it is to be tried again: cowork confirmation show {asked}"
    if code in ("no_grant", "net_denied") and len(task_chain(text_of(row, "task_id"))) > 1:
        return "give it to the subagent in its scope (its parent needs it, too), then run the task again"
    advice = _ADVICE_BY_OUTCOME.get(outcome) or _ADVICE_BY_CODE.get(code, "run the task again")
    return f"{advice} (cowork task output {action_id})" if code == "exit" else advice


def refused_connection_words(host: str, port: int, reason: str, code: ReasonCode) -> str:
    """Return that a command did not reach a host, why, and what a person can do about it."""
    place = visible(f"{host}:{port}" if host else "what it asked for")
    return f"not reached, {place}: {visible(reason)}. To do: {_ADVICE_BY_CODE.get(code, 'run the task again')}"


def step_words(row: Row) -> str:
    """Return why a step of `summary_steps` was not begun, and what a person can do about it."""
    step_id, why = visible(text_of(row, "step_id")), visible(text_of(row, "skipped_because"))
    code = text_of(row, "skipped_code")
    if not code:
        return f"step {step_id} was left out: {why}. To do: see to what it needs, then run the task again"
    return f"step {step_id} could not begin: {why}. To do: {_ADVICE_BY_CODE.get(code, 'run the task again')}"
