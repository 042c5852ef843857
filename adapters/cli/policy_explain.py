"""`cowork policy explain`: what is decided about an action, now or at a position of the log, and by which rules."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from . import output
from .argument_text import ALSO_EMPTY
from .opening import opened
from .options import PLAIN_OPTIONS, Id, Options

if TYPE_CHECKING:
    from ...domain.action import ActionKind
    from ...engine.application import AtPosition, Explanation, FolderRequest, Inquiry


@Parameter(name="*")
@dataclass(frozen=True)
class Asked:
    """What else is known of the action that is asked about, and what is taken as granted.

    Attributes:
        method: The method.
        exists: Whether something is there.
        folder: Granted folders.
        output_folder: Output folders.
    """

    method: Annotated[str, Parameter(help="The method of a request to the network.")] = "GET"
    exists: Annotated[
        bool | None,
        Parameter(help="Whether something is there; by default the file is looked at.", negative="--absent"),
    ] = None
    folder: Annotated[
        list[str] | None,
        Parameter(negative="", help="As if this folder was granted, with its verbs; may be given again."),
    ] = None
    output_folder: Annotated[
        list[str] | None, Parameter(name="--output", negative="", help="As if this was an output folder.")
    ] = None


NOTHING_ELSE = Asked()


def explain(
    action: Annotated[str | None, Parameter(help="An action, such as file.write.")] = None,
    what: Annotated[
        list[str] | None,
        Parameter(
            help="A path, for a move both; for the network a host or an address; for a connector its name and tool; "
            "after `--` the words of a command.",
            negative="",
            converter=ALSO_EMPTY,
        ),
    ] = None,
    /,
    *,
    at: Annotated[
        int | None, Parameter(help="At this position of the log, in the sessions that were open then.")
    ] = None,
    session: Annotated[Id | None, Parameter(help="Only in this session, as it is or was.")] = None,
    asked: Asked = NOTHING_ELSE,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Explain what is decided about an action: the rule that decides, those that lost, and what the others lacked.

    Without `--at` and `--session` it is about a session that would begin now; without `--folder`, with the folder that
    the path lies in. With `--at` and no action it says who could do what then.

        cowork policy explain file.write ~/inbox/report.md --folder ~/inbox
        cowork policy explain shell.exec -- git push --force
        cowork policy explain --at 1200
    """
    from ...domain.errors import DomainError
    from .policy_explain_view import explanation_lines, position_lines

    if at is not None and at < 1:
        raise DomainError("invalid", f"`{at}` is no position of the log", "positions begin with 1")
    if at is not None or session is not None:
        inquiry = None if action is None else _inquiry(action, what or [], asked)
        with opened(options) as engine:
            then = engine.inquiries.at(at or 0, inquiry, session=session or "")
        _show(then, position_lines(then), options)
        return
    if action is None:
        raise DomainError("invalid", "an action is needed, or `--at`", "cowork policy explain file.read PATH")
    inquiry = _here(_inquiry(action, what or [], asked), asked)
    with opened(options, absent_is_empty=True) as engine:
        explained = engine.inquiries.anew(inquiry, engine.scope_of(_folders(inquiry, asked)))
    _show(explained, explanation_lines(explained), options)


def _show(answer: "AtPosition | Explanation", lines: Iterator[str], options: Options) -> None:
    if options.json:
        output.document(answer)
        return
    for line in lines:
        output.line(line)


# What is asked


def _inquiry(action: str, what: Sequence[str], asked: Asked) -> "Inquiry":
    """Return the inquiry as it was typed. Raises `DomainError` invalid."""
    from ...domain.errors import DomainError
    from ...engine.application import Inquiry
    from ...projections.visible_text import visible
    from .folders import without_links

    kind = _kind(action)
    plain = Inquiry(kind=kind, method=asked.method, exists=asked.exists)
    first, second, *rest = (*what, "", "")
    if kind in ("shell.exec", "code.run"):
        folder = asked.folder[0].partition("=")[0] if asked.folder else os.curdir
        return msgspec.structs.replace(plain, path=without_links(folder), command=tuple(what))
    if "" in what:
        raise DomainError("invalid", f"an argument of {kind} is empty", "only a command has empty words")
    if kind.startswith("connector."):
        found = msgspec.structs.replace(plain, connector=first, tool=second)
    elif kind in ("file.move", "file.rename"):
        if not second:
            raise DomainError("invalid", f"{kind} needs two paths", "say where from, and where to")
        found = msgspec.structs.replace(plain, path=first, to=second)
    else:
        found = msgspec.structs.replace(plain, **{"url" if kind == "network.request" else "path": first})
        rest = [second]
    if any(rest):
        raise DomainError("invalid", f"`{visible(rest[0])}` is too much for {kind}", "put a path with spaces in quotes")
    return found


def _kind(action: str) -> "ActionKind":
    from ...domain.errors import DomainError
    from ...domain.policy_document import KINDS
    from ...projections.visible_text import visible

    for kind in KINDS:
        if kind == action:
            return kind
    raise DomainError("invalid", f"there is no action `{visible(action)}`", f"the actions are {', '.join(KINDS)}")


def _here(inquiry: "Inquiry", asked: Asked) -> "Inquiry":
    """Return an inquiry about a file with whole paths and, where nothing was said of it, with the file's own facts."""
    from .folders import without_links

    if not inquiry.kind.startswith("file.") or not inquiry.path:
        return inquiry
    path, to = (without_links(text) if text else "" for text in (inquiry.path, inquiry.to))
    placed = msgspec.structs.replace(inquiry, path=path, to=to)
    if asked.exists is not None:
        return placed
    try:
        source = os.lstat(path)
    except FileNotFoundError:
        source = None
    except OSError:
        # What can't be looked at stays unknown, and so never helps.
        return placed
    is_move = inquiry.kind in ("file.move", "file.rename")
    return msgspec.structs.replace(
        placed,
        exists=os.path.lexists(to) if is_move else source is not None,
        size=None if source is None else source.st_size,
        links=None if source is None else source.st_nlink,
    )


def _folders(inquiry: "Inquiry", asked: Asked) -> "tuple[FolderRequest, ...]":
    """Return the folders that are taken as granted; where none is named, the one that the path lies in."""
    from ...domain.errors import DomainError
    from ...projections.visible_text import visible
    from .folders import folder_requests

    wished = asked
    if not asked.folder and not asked.output_folder and inquiry.path:
        folder = os.path.dirname(inquiry.path) if inquiry.kind.startswith("file.") else inquiry.path
        output.note(f"as if `{visible(folder)}` was granted: say otherwise with --folder")
        wished = replace(asked, folder=[folder])
    for path in wished.output_folder or []:
        # Asking makes no folders, as running does.
        if not os.path.isdir(path):
            raise DomainError("not_found", f"there is no folder `{visible(path)}`", "name one that is there")
    return folder_requests(wished.folder or [], wished.output_folder or [])[0]
