"""A policy document from a file, or from a value, as a layer; what is wrong with it is told in one sentence."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from ...domain.canonical_json import canonical_json
from ...domain.errors import DomainError
from ...domain.json_text import Found, Lines, Place, TextError, json_places, line_at, parse_loose_json, value_faults
from ...domain.policy_document import Layer, stored_layer
from ...domain.policy_fault import Fault
from .finding import find_errors, shown
from .reading import MEND, read_policy
from .toml_text import parse_toml, toml_places

_Reader: TypeAlias = tuple[Callable[[str], Any], Callable[[str], Iterator[Found]]]
_JSON: Final[_Reader] = (parse_loose_json, json_places)
_TOML: Final[_Reader] = (parse_toml, toml_places)
_BOM: Final = "\ufeff"


def load_layer(path: Path, name: str, *, owners: Collection[int] | None = None, folder: int | None = None) -> Layer:
    """Return the document in a file as a layer under that name, its source the canonical bytes of what was written.

    The file is JSON or TOML, by its suffix, or else by how it begins. `owners` and `folder` are those of
    `read_policy`. Raises `DomainError` not_found, invalid or limit, with the line and what to do.
    """
    text = _text(read_policy(path, owners=owners, folder=folder), path)
    parse, places = _reader(path, text)
    try:
        value = parse(text)
    except TextError as fault:
        raise _refusal(path, fault.line, fault.message, fault.hint) from fault
    faults = find_errors(value)
    if faults:
        first = _first(faults, value)
        line = line_at(places(text), text, first.place)
        raise _refusal(path, line, f"{sentence_of(first, value)}{_more(faults)}", first.hint)
    return _layer(name, value)


class FileFault(msgspec.Struct, frozen=True):
    """One mistake of a policy file: its line (from 1), its code, a sentence, and what to do."""

    line: int
    code: str
    message: str
    hint: str = ""


def faults_in(path: Path) -> list[FileFault]:
    """Return all mistakes of the document in a file, in its order; none for one that `load_layer` takes.

    Raises `DomainError` as `load_layer` where the file can't be read as text.
    """
    text = _text(read_policy(path), path)
    parse, places = _reader(path, text)
    try:
        value = parse(text)
    except TextError as fault:
        return [FileFault(fault.line, "syntax", fault.message, fault.hint)]
    lines = Lines(places(text), text)
    return [FileFault(lines.at(one.place), one.code, sentence_of(one, value), one.hint) for one in find_errors(value)]


def layer_of(value: object, name: str) -> Layer:
    """Return a document that is a value already as a layer. Raises `DomainError` invalid, naming the layer."""
    faults = find_errors(value)
    if faults:
        message = f"the policy of layer `{name}`: {sentence_of(faults[0], value)}{_more(faults)}"
        raise DomainError("invalid", message, faults[0].hint)
    return _layer(name, value)


def _layer(name: str, value: object) -> Layer:
    # Read back from the bytes under whose digest it is kept: so what decides is what is on record.
    return stored_layer(name, canonical_json(value))


def _text(data: bytes, path: Path) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        odd = data[error.start : error.start + 1].hex()
        raise _refusal(path, line, f"not UTF-8 text: byte `{odd}`", "save it as UTF-8") from error
    if text.startswith(_BOM):
        raise _refusal(path, 1, "it begins with a byte order mark, `U+FEFF`", "save it as UTF-8 without one")
    if not text.strip():
        raise _refusal(path, 1, "it is empty", "a policy has `version`, `defaults` and `rules`")
    return text


def _reader(path: Path, text: str) -> _Reader:
    match path.suffix.lower():
        case ".json":
            return _JSON
        case ".toml":
            return _TOML
        case _:
            return _JSON if text.lstrip().startswith("{") else _TOML


def _refusal(path: Path, line: int, message: str, hint: str) -> DomainError:
    advice = f"{hint}{'' if hint.endswith('?') else ';'} {MEND}" if hint else MEND
    return DomainError("invalid", f"the policy `{path}`, line {line}: {message}", advice)


def _first(faults: list[Fault], value: object) -> Fault:
    """Return the fault to tell: what could not be written as JSON comes before what it would say."""
    odd = next(value_faults(value), None)
    return next((fault for fault in faults if odd and fault.place == odd.place), faults[0])


def _more(faults: list[Fault]) -> str:
    match len(faults) - 1:
        case 0:
            return ""
        case 1:
            return " (and 1 more mistake)"
        case count:
            return f" (and {count} more mistakes)"


def sentence_of(fault: Fault, value: object) -> str:
    """Return a fault's sentence with the rule or limit that it is about."""
    holder = _holder(fault.place, value)
    return f"{holder}: {fault.message}" if holder else fault.message


def _holder(place: Place, value: object) -> str:
    match place, value:
        case ("rules" | "limits" as key, int(number), _, *_), {**parts}:
            members = parts.get(key)
            part = members[number] if isinstance(members, list) else None
            name = part.get("id") if isinstance(part, dict) else None
            word = key[:-1]
            return f"{word} `{shown(name)[1:-1]}`" if isinstance(name, str) and name else f"{word} number {number + 1}"
        case _:
            return ""
