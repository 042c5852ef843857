"""Files of cases: JSON or TOML with the tables `policies` and `scopes`, and the list `cases`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from ...domain.errors import DomainError
from ...domain.json_text import Found, TextError, json_places, parse_json
from ...domain.policy_case import Case, CaseFile
from .toml_text import parse_toml, toml_places

CASE_FILE_BYTES_MAX: Final = 16 * 1024 * 1024
_KEYS: Final = ("version", "policies", "scopes", "cases")


def is_case_file(value: object) -> bool:
    """Whether a value is a file of cases and no document."""
    return isinstance(value, dict) and "cases" in value


def read_case_file(path: Path) -> CaseFile | None:
    """Return the cases in a file, each with its line; None where the file has none, and is a document perhaps.

    Raises `DomainError` not_found, invalid (with the line) or limit.
    """
    text = _text(path)
    parse, places = _reader(path, text)
    try:
        value = parse(text)
    except TextError as fault:
        raise DomainError("invalid", f"`{path}`, line {fault.line}: {fault.message}", fault.hint) from fault
    if not is_case_file(value):
        return None
    unknown = next((key for key in value if key not in _KEYS), None)
    if unknown is not None:
        raise _refusal(path, f"the key `{unknown}` is none of a file of cases", f"the keys are {', '.join(_KEYS)}")
    policies, scopes, cases = (value.get("policies", {}), value.get("scopes", {}), value["cases"])
    for name, table in (("policies", policies), ("scopes", scopes)):
        if not isinstance(table, dict):
            raise _refusal(path, f"`{name}` is not a table", "write names, and what they stand for")
    if not isinstance(cases, list):
        raise _refusal(path, "`cases` is not a list", "write the cases one after the other")
    found = {found.place: found.offset for found in places(text) if len(found.place) == 2 and found.place[0] == "cases"}
    lines = [text.count("\n", 0, found[("cases", number)]) + 1 for number in range(len(cases))]
    files = {name: str(path.parent / file) for name, file in policies.items() if isinstance(file, str)}
    return CaseFile(
        path=str(path),
        policies={name: document for name, document in policies.items() if name not in files},
        scopes=scopes,
        cases=tuple(Case(line, case) for line, case in zip(lines, cases, strict=True)),
        files=files,
    )


def _reader(path: Path, text: str) -> tuple[Callable[[str], Any], Callable[[str], Iterator[Found]]]:
    is_json = path.suffix.lower() == ".json" or (path.suffix.lower() != ".toml" and text.lstrip().startswith("{"))
    return (parse_json, json_places) if is_json else (parse_toml, toml_places)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(CASE_FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise DomainError("not_found", f"there is no file `{path}`", "name a file that is there") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DomainError("invalid", f"the file `{path}` can't be read: {reason}", "name a file of cases") from error
    if len(data) > CASE_FILE_BYTES_MAX:
        raise DomainError("limit", f"the file `{path}` is larger than {CASE_FILE_BYTES_MAX} bytes", "split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DomainError("invalid", f"`{path}`, line {line}: not UTF-8 text", "save it as UTF-8") from error


def _refusal(path: Path, message: str, hint: str) -> DomainError:
    return DomainError("invalid", f"the file of cases `{path}`: {message}", hint)
