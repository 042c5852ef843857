"""What a task is granted: the options that `cowork run` and `cowork queue` share, and starting a task with them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from ...domain.errors import DomainError
from . import output
from .opening import store_folder, user_name
from .options import Options

if TYPE_CHECKING:
    from ...engine.application import Application, RunRequest
    from .workspace import Workspace


@Parameter(name="*")
@dataclass(frozen=True)
class Granting:
    """What a task may touch and reach, and under which rules."""

    folder: Annotated[
        list[str] | None,
        Parameter(negative="", help="A folder to grant, with the verbs that it is granted for; may be given again."),
    ] = None
    output_folder: Annotated[
        list[str] | None,
        Parameter(name="--output", negative="", help="Where new files may be made unasked; may be given again."),
    ] = None
    host: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="A host that requests and commands may reach, asked about or not as the rules say: a name, `*.` and a"
            " name, or an address, with a port where it is not that of the web; may be given again.",
        ),
    ] = None
    workspace: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=(0, 1),
            negative="",
            help="Make a folder for the session in this one, by default the setting, or `cowork` in your documents:"
            " `outputs:` for results, `uploads:` for files to be read only.",
        ),
    ] = None
    upload: Annotated[
        list[Path] | None,
        Parameter(negative="", help="A file to copy into the session's `uploads:`; may be given again."),
    ] = None
    policy: Annotated[
        Path | None,
        Parameter(help="A policy document in place of the baseline; on a machine that is managed it only narrows."),
    ] = None


NOTHING_GRANTED = Granting()


def requested(plan: Path, granting: Granting, options: Options) -> tuple["RunRequest", "Workspace | None"]:
    """Return what the command asks for, and the session's folder where one was made; say what had to be made.

    Raises `DomainError`; then no session's folder is left.
    """
    request, made = run_request(plan, granting)
    session_folder = _workspace(granting, request, options)
    if session_folder is not None:
        request = msgspec.structs.replace(request, folders=(*request.folders, *session_folder.requests()))
        made.append(session_folder.sentence())
    for sentence in made:
        output.note(sentence)
    if not request.folders:
        output.note("no folder is granted (--folder), so every action on a file will be denied")
    return request, session_folder


def run_request(plan: Path, granting: Granting) -> tuple["RunRequest", list[str]]:
    """Return what the command asks for, and sentences about folders that had to be made. Raises `DomainError`."""
    import anyio

    from ...engine.application import RunRequest
    from ..bootstrap import plan_from_file, root_document
    from .folders import folder_requests, refuse_policy_within

    planned = anyio.run(plan_from_file(plan).plan)
    granted, made = folder_requests(granting.folder or [], granting.output_folder or [])
    if granting.policy is not None:
        refuse_policy_within(granted, granting.policy)
    own = () if granting.policy is None else (root_document(granting.policy),)
    request = RunRequest(
        planned=planned,
        planner=plan_from_file(plan).name,
        folders=granted,
        hosts=tuple(granting.host or ()),
        own=own,
        user=user_name(),
        device=os.uname().nodename,
        platform=sys.platform,
    )
    return request, made


def print_notices(app: "Application", request: "RunRequest") -> None:
    """Say what the rules of this machine have to say about the folders."""
    # A folder that can't be granted is named when the task starts.
    folders = [granted.path for granted in request.folders if os.path.isdir(granted.path)]
    for notice in app.policies.standing(folders).notices:
        output.note(notice)


@contextmanager
def kept_if_granted(app: "Application", session_folder: "Workspace | None") -> Iterator[None]:
    """Start a task in the block: where none came of it, the session's folder is taken away again."""
    try:
        yield
    except DomainError:
        if session_folder is not None and not _was_granted(app, session_folder):
            session_folder.discard()
        raise


def _workspace(granting: Granting, request: "RunRequest", options: Options) -> "Workspace | None":
    """Make the session's folder, where one is asked for. Raises `DomainError`; then nothing was made."""
    wish, uploads = granting.workspace, granting.upload or []
    if wish is None:
        if uploads:
            raise DomainError("invalid", "files to upload need a workspace", "add `--workspace`")
        return None
    if len(wish) > 1:
        raise DomainError("invalid", "a session has one workspace", "give `--workspace` once")
    from datetime import datetime

    from ..bootstrap import default_config_dir, default_workspace_dir
    from .workspace import make_workspace, planned_uploads

    return make_workspace(
        wish[0] if wish else default_workspace_dir(),
        request.planned.plan.title,
        planned_uploads(uploads),
        today=datetime.now().astimezone(),
        closed=(store_folder(options), default_config_dir()),
        folders=request.folders,
    )


def _was_granted(app: "Application", workspace: "Workspace") -> bool:
    """Whether a task was started with the workspace: then it is that task's, whatever went wrong afterwards."""
    paths = {granted.path for granted in workspace.requests()}
    return any(row["root_path"] in paths for row in app.rows("grants"))
