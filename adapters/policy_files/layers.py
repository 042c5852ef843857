"""The policy documents of a machine: the organisation's, its owner's, the user's, and those of trusted folders.

Each is one file, `.toml` or `.json`. One that is not there is no layer; one that is there and can't be taken whole
stops everything, for a rule that was not read denies nothing.
"""

import os
import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from ...domain.errors import DomainError
from ...domain.folder_trust import INITIAL, TrustedFolders
from ...domain.policy_document import Layer
from ...domain.scope import FolderIdentity
from ...engine.policy_records import ORGANISATION, ROOT, USER, WORKSPACE
from ...engine.ports import StandingLayers
from .reading import MEND, check_owner

ORGANISATION_FOLDER: Final = Path("/etc/cowork")
"""Where an organisation puts `policy.toml` or `policy.json`; no setting moves it, since a user could set it."""

WORKSPACE_FOLDER: Final = ".cowork"
"""The folder within a granted folder in which its own `policy.toml` or `policy.json` lies."""

POLICY_NAME: Final = "policy"
ROOT_POLICY_NAME: Final = "root-policy"
ROOT_USER: Final = frozenset((0,))
_SUFFIXES: Final = (".toml", ".json")


class Notice(msgspec.Struct, frozen=True):
    """Something that a person should know about a policy file that is not used: a sentence, and what to do."""

    message: str
    hint: str = ""


class MachineLayers(msgspec.Struct, frozen=True):
    """The documents of this machine and of the folders at hand, and what is not used of them."""

    standing: StandingLayers
    notices: tuple[Notice, ...] = ()


def standing_layers(
    config: Path,
    folders: Sequence[Path] = (),
    trusted: TrustedFolders = INITIAL,
    *,
    organisation: Path = ORGANISATION_FOLDER,
    organisation_owners: Collection[int] = ROOT_USER,
) -> MachineLayers:
    """Return the documents that hold for work in the granted folders.

    `config` is the user's configuration folder, `folders` are absolute paths without links, `trusted` the folders
    whose own file may speak. Raises `DomainError` invalid or limit, naming the file: then nothing may run.
    """
    notices: list[Notice] = []
    mine = frozenset((0, os.getuid()))
    of_organisation = _layer_in(organisation, POLICY_NAME, ORGANISATION, organisation_owners)
    of_owner = None
    if of_organisation is None:
        of_owner = _layer_in(config, ROOT_POLICY_NAME, ROOT, mine)
    elif ignored := _path_in(config, ROOT_POLICY_NAME):
        notices.append(
            Notice(
                f"not used: `{ignored}`, since an organisation manages this machine",
                f"put what narrows it into `{config / POLICY_NAME}.toml`",
            )
        )
    of_user = _layer_in(config, POLICY_NAME, USER, mine)
    workspaces: list[Layer] = []
    for folder, name in _named(folders):
        layer = _workspace_layer(folder, name, trusted, notices)
        workspaces += [] if layer is None else [layer]
    if len(workspaces) == 1:
        workspaces = [msgspec.structs.replace(workspaces[0], name=WORKSPACE)]
    standing = StandingLayers(organisation=of_organisation, root=of_owner, user=of_user, workspaces=tuple(workspaces))
    return MachineLayers(standing, tuple(notices))


def _named(folders: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each folder once, with the name of its layer: where several speak, each is called after its folder."""
    taken: set[str] = set()
    for folder in dict.fromkeys(folders):
        plain = f"{WORKSPACE}-{folder.name.replace(':', '_')}"
        name, number = plain, 1
        while name in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name)
        yield folder, name


def _layer_in(folder: Path, stem: str, name: str, owners: Collection[int]) -> Layer | None:
    """Return the one document of that name in a folder, None where there is none."""
    with _opened(folder) as opened:
        if opened is None:
            return None
        if name == ORGANISATION or _found(opened, folder, stem):
            # Who may write an organisation's folder could have taken its policy away.
            check_owner(os.fstat(opened), folder, owners)
        return _load(opened, folder, stem, name, owners)


def _workspace_layer(folder: Path, name: str, trusted: TrustedFolders, notices: list[Notice]) -> Layer | None:
    with _opened(folder) as outer:
        if outer is None:
            return None
        found = os.fstat(outer)
        place = folder / WORKSPACE_FOLDER
        if trusted.trusts(str(folder), FolderIdentity(found.st_dev, found.st_ino)):
            with _opened(place, outer) as inner:
                return None if inner is None else _load(inner, place, POLICY_NAME, name, None)
        try:
            with _opened(place, outer) as inner:
                there = [] if inner is None else _found(inner, place, POLICY_NAME)
        except DomainError:
            # What nobody trusts stops nothing either, however odd it is.
            there = []
        if there:
            hint = f"cowork policy trust {shlex.quote(str(folder))}"
            notices.append(Notice(f"not used: `{there[0]}`, since the folder is not trusted", hint))
        return None


def _load(opened: int, folder: Path, stem: str, name: str, owners: Collection[int] | None) -> Layer | None:
    there = _found(opened, folder, stem)
    if not there:
        return None
    if len(there) > 1:
        both = " and ".join(f"`{path}`" for path in there)
        raise DomainError("invalid", f"there are two policies, {both}", f"keep one of them; {MEND}")
    # Pydantic is loaded only where there is something to check.
    from .document import load_layer

    return load_layer(there[0], name, owners=owners, folder=opened)


def _path_in(folder: Path, stem: str) -> Path | None:
    with _opened(folder) as opened:
        there = [] if opened is None else _found(opened, folder, stem)
    return there[0] if there else None


def _found(opened: int, folder: Path, stem: str) -> list[Path]:
    """Return the files of that name that are there, links to nowhere included: a policy was meant to be there."""
    there: list[Path] = []
    for suffix in _SUFFIXES:
        path = folder / f"{stem}{suffix}"
        try:
            os.stat(path.name, dir_fd=opened, follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _closed(path, error) from error
        there.append(path)
    return there


@contextmanager
def _opened(folder: Path, within: int | None = None) -> Iterator[int | None]:
    """Open a folder, by its name in another that is open, where it may not be a link; None where there is none."""
    how = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if within is None else os.O_NOFOLLOW)
    try:
        opened = os.open(folder if within is None else folder.name, how, dir_fd=within)
    except FileNotFoundError:
        yield None
        return
    except (OSError, ValueError) as error:
        raise _closed(folder, error) from error
    try:
        yield opened
    finally:
        os.close(opened)


def _closed(path: Path, error: OSError | ValueError) -> DomainError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    message = f"whether there is a policy at `{path}` can't be told: {reason}"
    return DomainError("invalid", message, f"make it readable, or take it away; {MEND}")
