"""Opening the store for one command, and saying whose command it is."""

import getpass
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ...projections.visible_text import visible
from .options import Options

if TYPE_CHECKING:
    from ...engine.application import Application


def store_folder(options: Options) -> Path:
    """Return the folder that the command works on."""
    if options.store is not None:
        return options.store
    from ..bootstrap import default_store_dir

    return default_store_dir()


@contextmanager
def opened(options: Options, *, create: bool = False, absent_is_empty: bool = False) -> Iterator["Application"]:
    """Give the application on the command's store for the length of the block.

    Without `create` a store that does not exist is `DomainError` not_found; with `absent_is_empty` it is as an empty
    one, which is said, and nothing is made in its place.
    """
    from ..bootstrap import open_application
    from . import output

    folder = store_folder(options)
    with ExitStack() as stack:
        said = ""
        if absent_is_empty and not folder.exists():
            said = f"there is no store in `{visible(str(folder))}` yet"
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="cowork-empty-")))
            create = True
        app = open_application(folder, create=create, unsafe_as_root=options.unsafe_as_root)
        stack.callback(app.close)
        if said:
            output.note(said)
        yield app


@contextmanager
def on_record() -> Iterator[None]:
    """Show what has just been recorded: where that fails, the error says that it is on record nevertheless."""
    from ...domain.errors import DomainError

    try:
        yield
    except DomainError as error:
        if error.code != "unavailable":
            raise
        said = f"this is recorded, but the overview of it can't be brought up to date: {error.message}"
        raise DomainError("unavailable", said, error.hint) from error


def user_name() -> str:
    """Return the name of the account, or its number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def person() -> str:
    """Return the actor that answers and commands of this person are recorded under."""
    return f"person:{user_name()}"
