"""`cowork demo`: a whole task, from what an agent asks for to what can be proved afterwards, in a folder of its own."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ...domain.errors import DomainError
from ...projections.visible_text import visible
from . import output
from .exit_status import ExitStatus
from .options import AsRootOption

if TYPE_CHECKING:
    from .demo_play import Stage


def demo(
    *,
    folder: Annotated[
        Path | None, Parameter(help="An empty or new folder for it; by default a temporary one, which is kept.")
    ] = None,
    unsafe_as_root: AsRootOption = False,
) -> ExitStatus:
    """Play a whole task with an agent: survey, plan, questions, refusals, summary, audit log and replay.

    It makes a folder with a messy inbox, some copies, a secret, and a file with a hostile name. An agent looks at it
    and writes a plan; you answer its questions. Without a terminal the demo answers with the commands that you would
    use. At the end it checks on the disk that everything is as it says, and ends with 1 where it is not.

        cowork demo
        cowork demo --folder /tmp/tidy-demo
    """
    from ..bootstrap import root_allowance
    from .demo_play import play

    root_allowance(by_option=unsafe_as_root)
    stage = _stage(folder, unsafe_as_root=unsafe_as_root)
    return play(stage)


def _stage(folder: Path | None, *, unsafe_as_root: bool) -> "Stage":
    """Make the folders of the demo and what lies in them."""
    from .demo_folder import OUTSIDE_TEXT, make_folder
    from .demo_play import Stage

    root = Path(tempfile.mkdtemp(prefix="cowork-demo-")) if folder is None else _empty(folder)
    root = Path(os.path.realpath(root))
    stage = Stage(root, unsafe_as_root=unsafe_as_root)
    try:
        for one in (stage.inbox, stage.outside.parent, stage.plans):
            one.mkdir()
        make_folder(stage.inbox)
        stage.outside.write_text(OUTSIDE_TEXT, encoding="utf-8")
    except OSError as error:
        raise DomainError("unavailable", f"the demo can't be set up: {error.strerror}") from error
    output.line(f"The demo is in {visible(str(root))} and stays there.")
    return stage


def _empty(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except FileExistsError:
        raise DomainError("invalid", f"`{visible(str(folder))}` is not a folder") from None
    except OSError as error:
        raise DomainError("unavailable", f"`{visible(str(folder))}` can't be used: {error.strerror}") from error
    if not is_empty:
        raise DomainError("invalid", f"`{visible(str(folder))}` is not empty", "name a new folder")
    return folder
