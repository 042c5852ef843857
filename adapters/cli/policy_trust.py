"""`cowork policy trust`, `distrust` and `trusted`: the folders whose own policy file is read."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import msgspec
from cyclopts import Parameter

from . import output
from .opening import opened, person
from .options import PLAIN_OPTIONS, Options

if TYPE_CHECKING:
    from ...engine.application import Application

FolderState: TypeAlias = Literal["in_force", "replaced", "gone"]
FolderArgument: TypeAlias = Annotated[str, Parameter(help="The folder, as it is or will be granted.")]


class TrustedFolder(msgspec.Struct, frozen=True, rename="camel"):
    """A folder whose own policy file is read. `state` is `replaced` where another folder has its path now."""

    path: str
    state: FolderState


def trust(folder: FolderArgument, /, *, options: Options = PLAIN_OPTIONS) -> None:
    """Let a folder's own policy file, `.cowork/policy.toml` in it, speak: it can only narrow what is allowed.

    The trust is in this very folder: another one under the same path is not trusted. Read the file first.

        cowork policy trust ~/projects/report
    """
    import anyio

    from ...projections.visible_text import visible

    with opened(options, create=True) as engine:
        path = anyio.run(lambda: engine.policies.trust(folder, by=person()))
    if options.json:
        output.document(TrustedFolder(path, "in_force"))
    else:
        output.line(f"the policy file of {visible(path)} is read from now on; see `cowork policy show`")


def distrust(folder: FolderArgument, /, *, options: Options = PLAIN_OPTIONS) -> None:
    """Read a folder's own policy file no longer. Sessions that began under it keep it until they are resumed.

    cowork policy distrust ~/projects/report
    """
    import anyio

    from ...projections.visible_text import visible

    with opened(options) as engine:
        path = anyio.run(lambda: engine.policies.distrust(folder, by=person()))
        left = list(trusted_folders(engine))
    if options.json:
        output.document(left)
    else:
        output.line(f"the policy file of {visible(path)} is not read any more")


def trusted(*, options: Options = PLAIN_OPTIONS) -> None:
    """List the folders whose own policy file is read.

    cowork policy trusted
    """
    from ...projections.visible_text import visible
    from .layout import in_columns

    with opened(options, absent_is_empty=True) as engine:
        folders = list(trusted_folders(engine))
    if options.json:
        output.document(folders)
        return
    if not folders:
        output.line("no folder's own policy file is read")
        return
    words = {"in_force": "trusted", "replaced": "another folder has its path now: not trusted", "gone": "gone"}
    for line in in_columns([(visible(one.path), words[one.state]) for one in folders]):
        output.line(line)


def trusted_folders(engine: "Application") -> Iterator[TrustedFolder]:
    """Yield the trusted folders, each with whether it is still the one that was trusted."""
    from ...domain.path import name_of_text

    for path, identity in engine.policies.trusted().folders:
        try:
            found = os.stat(name_of_text(path), follow_symlinks=False)
        except OSError:
            yield TrustedFolder(path, "gone")
            continue
        same = (found.st_dev, found.st_ino) == (identity.device, identity.inode)
        yield TrustedFolder(path, "in_force" if same else "replaced")
