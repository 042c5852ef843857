"""`--folder` and `--output` of `cowork run`: which folders are granted, for what, and where results go."""

import os
from collections.abc import Sequence
from typing import Final, get_args

from ...domain.errors import DomainError
from ...domain.path import is_beneath, text_of_name
from ...domain.scope import VERBS, Verb
from ...engine.application import FolderRequest
from ...projections.visible_text import visible

OUTPUT_VERBS: Final[tuple[Verb, ...]] = ("read", "create", "write")
"""What a folder may be used for that was named only as an output."""

_HINT: Final = f"the verbs are {', '.join(VERBS)}"


def folder_requests(folders: Sequence[str], outputs: Sequence[str]) -> tuple[tuple[FolderRequest, ...], list[str]]:
    """Return what to grant, and sentences about folders that had to be made.

    An output within a granted folder becomes an output root of it and may not exist yet. Any other becomes a grant of
    its own; it is made where the folder that it lies in exists. Raises `DomainError` invalid or not_found.
    """
    wished = [_parsed(text) for text in folders]
    roots_of: dict[str, list[str]] = {path: [] for path, _ in wished}
    own: list[str] = []
    for path in dict.fromkeys(map(_absolute, outputs)):
        holder = next((folder for folder, _ in wished if is_beneath(_text(path), _text(folder))), None)
        if holder is None:
            own.append(path)
        else:
            roots_of[holder].append(_text(path))
    made = [path for path in own if _make(path)]
    requests = [FolderRequest(path=path, verbs=verbs, output_paths=tuple(roots_of[path])) for path, verbs in wished]
    requests += [FolderRequest(path=path, verbs=OUTPUT_VERBS, output_paths=(_text(path),)) for path in own]
    return tuple(requests), [f"made the folder {visible(_text(path))} for the output" for path in made]


def refuse_policy_within(requests: Sequence[FolderRequest], policy: os.PathLike[str]) -> None:
    """Raise `DomainError` invalid for a policy file in a folder to be granted: an agent could write its own rules."""
    path = _text(os.path.realpath(policy))
    for request in requests:
        if is_beneath(path, _text(os.path.realpath(request.path))):
            folder = visible(_text(request.path))
            raise DomainError(
                "invalid",
                f"the policy `{visible(path)}` lies in the granted folder `{folder}`",
                "keep it where no agent can write",
            )


def _parsed(text: str) -> tuple[str, tuple[Verb, ...]]:
    path, equals, verbs = text.rpartition("=")
    if not equals or os.path.isdir(text):
        return _absolute(text), VERBS
    if not path:
        raise DomainError("invalid", f"`{visible(text)}` names no folder", "write the folder before the `=`")
    return _absolute(path), _verbs(verbs, text)


def verbs_of(text: str | None) -> tuple[Verb, ...]:
    """Return the verbs that a text such as `read,create` names, all of them without one. Raises `DomainError`."""
    return VERBS if text is None else _verbs(text, text)


def _verbs(text: str, whole: str) -> tuple[Verb, ...]:
    named = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in named if word not in get_args(Verb)]
    if unknown:
        raise DomainError("invalid", f"`{visible(unknown[0])}` in `{visible(whole)}` is nothing to grant", _HINT)
    if not named:
        raise DomainError("invalid", f"`{visible(whole)}` grants nothing", _HINT)
    return tuple(verb for verb in VERBS if verb in named)


def _absolute(text: str) -> str:
    """Return the path without links, except that the folder itself may be one: it is refused later, by name."""
    if "\x00" in text:
        raise DomainError("invalid", f"the folder `{visible(text)}` has a NUL in its name")
    return without_links(text)


def without_links(path: str) -> str:
    """Return the absolute path without links on its way; the last name may be one, and stays."""
    whole = os.path.abspath(path)
    return os.path.join(os.path.realpath(os.path.dirname(whole)), os.path.basename(whole))


def _text(path: str) -> str:
    """Return the path as grants write it."""
    return text_of_name(os.fsencode(path))


def _make(path: str) -> bool:
    """Make an output folder that does not exist; return whether it was made."""
    if os.path.lexists(path):
        return False
    if not os.path.isdir(os.path.dirname(path)):
        raise DomainError(
            "not_found", f"the folder that `{visible(path)}` is to lie in does not exist", "make it, or name another"
        )
    try:
        os.mkdir(path)
    except OSError as error:
        raise DomainError("unavailable", f"the folder `{visible(path)}` can't be made: {error.strerror}") from error
    return True
