"""The reference of commands, from the command line itself: what it is, its arguments, its examples."""

import importlib
import inspect
from collections.abc import Iterator
from typing import Any, get_args

from cyclopts import App


def commands() -> list[str]:
    """Return a section for each command, in the order of the help."""
    main = importlib.import_module("cowork.adapters.cli.main")
    lines: list[str] = []
    for words, app in _below(main.app, "cowork"):
        lines += ["", *_section(words, app)]
    return lines[1:]


def _below(app: App, words: str) -> Iterator[tuple[str, App]]:
    names = [name for name in app if not name.startswith("-")]
    for name in names:
        if app[name].show is not False:
            yield from _below(app[name], f"{words} {name}")
    if not names:
        yield words, app


def _section(words: str, app: App) -> list[str]:
    command = app.default_command
    assert command is not None, f"{words} does nothing"
    prose, examples = _split(inspect.getdoc(command) or "", words)
    rows = [_row(argument) for argument in app.assemble_argument_collection() if "*" not in argument.names]
    table = ["| argument or option | meaning |", "| --- | --- |", *rows, ""] if rows else []
    return [f"## `{words}`", "", *prose, "", *table, "```sh", *examples, "```"]


def _split(text: str, words: str) -> tuple[list[str], list[str]]:
    """Return a docstring's sentences, and its lines that are examples."""
    lines = [line.strip() for line in text.splitlines()]
    examples = [line for line in lines if line == words or line.startswith(f"{words} ")]
    prose = "\n".join(line for line in lines if line not in examples).strip()
    return prose.splitlines(), examples


def _row(argument: Any) -> str:
    takes = "" if argument.hint is bool or argument.index is not None else f" {_value(argument.hint)}"
    names = ", ".join(f"`{name}{takes}`" for name in argument.names)
    facts: list[str] = []
    if argument.required:
        facts.append("Required.")
    choices = argument.get_choices()
    if choices:
        facts.append(f"One of {', '.join(f'`{choice}`' for choice in choices)}.")
    default = argument.field_info.default
    if isinstance(default, str) and default:
        facts.append(f"Default: `{default}`.")
    if argument.parameter.env_var:
        facts.append(f"Environment: {', '.join(f'`{name}`' for name in argument.parameter.env_var)}.")
    return f"| {names} | {' '.join([argument.parameter.help, *facts])} |"


def _value(hint: Any) -> str:
    kinds = {kind.__name__ for kind in (hint, *get_args(hint), *(a for k in get_args(hint) for a in get_args(k)))
             if isinstance(kind, type)}  # fmt: skip
    if "Path" in kinds:
        return "PATH"
    return "N" if "int" in kinds else "TEXT"


def exit_statuses() -> list[str]:
    """Return a row for each exit status: what it says, and the statuses of tasks and the errors that give it."""
    status = importlib.import_module("cowork.adapters.cli.exit_status")
    said = dict(_meanings())
    lines = ["| status | meaning | a task that is | an error |", "| --- | --- | --- | --- |"]
    for one in status.ExitStatus:
        tasks = ", ".join(f"`{name}`" for name, given in status.OF_TASK.items() if given is one)
        errors = ", ".join(f"`{code}`" for code, given in status.OF_ERROR.items() if given is one)
        lines.append(f"| {one.value} | {said[str(one.value)]} | {tasks or '-'} | {errors or '-'} |")
    return lines


def exit_statuses_in_short() -> list[str]:
    """Return a row for each exit status with what it says."""
    return ["| status | meaning |", "| --- | --- |", *(f"| {status} | {meaning} |" for status, meaning in _meanings())]


def _meanings() -> list[tuple[str, str]]:
    """Return each status of the sentence in the help with its meaning."""
    explained: str = importlib.import_module("cowork.adapters.cli.exit_status").EXPLAINED
    _, _, listed = explained.rstrip(".").partition(": ")
    entries = [entry.partition(" ") for entry in listed.split("; ")]
    return [(status, meaning) for status, _, meaning in entries]
