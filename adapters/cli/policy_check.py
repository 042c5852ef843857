"""`cowork policy check`: whether policy files can be loaded, and every mistake in those that can't."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from cyclopts import Parameter

from . import output
from .exit_status import ExitStatus

if TYPE_CHECKING:
    from ...domain.policy_document import Layer

JsonOption: TypeAlias = Annotated[
    bool, Parameter(name="--json", negative="", help="Print JSON, with the field names of the reference.")
]


class PolicyMistake(msgspec.Struct, frozen=True, rename="camel"):
    """One mistake of a policy file: its line (0 for the file as a whole), its code, a sentence, and what to do."""

    line: int
    code: str
    message: str
    hint: str


class PolicyFileCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A policy file and what is wrong with it.

    `sha256` is the digest under which the document is kept (RFC 8785), `origin` the one that the origin's code gives
    it; both, the version and the numbers are left out where it can't be loaded.
    """

    file: str
    version: str = ""
    rules: int = 0
    limits: int = 0
    examples: int = 0
    sha256: str = ""
    origin: str = ""
    mistakes: tuple[PolicyMistake, ...] = ()


def check(
    files: Annotated[list[Path], Parameter(help="A policy file; may be given again.", negative="")],
    /,
    *,
    json: JsonOption = False,
) -> ExitStatus:
    """Check that policy files can be loaded, and print every mistake with its line.

    Ends with 0 where all can, with 2 where one can't. Nothing is changed; `cowork policy lint` looks for rules that
    never decide.

        cowork policy check team.toml
        cowork policy check *.toml --json
    """
    checked = [_checked(path) for path in files]
    if json:
        output.document(checked)
    else:
        for one in checked:
            _print(one)
    return ExitStatus.USAGE if any(one.mistakes for one in checked) else ExitStatus.DONE


def _checked(path: Path) -> PolicyFileCheck:
    from ...domain.errors import DomainError
    from ..bootstrap import document_in_file, faults_in_file

    name = str(path)
    try:
        faults = faults_in_file(path)
        if not faults:
            return _fine(name, document_in_file(path, "file"))
    except DomainError as error:
        return PolicyFileCheck(file=name, mistakes=(PolicyMistake(0, error.code, error.message, error.hint),))
    mistakes = tuple(PolicyMistake(one.line, one.code, one.message, one.hint) for one in faults)
    return PolicyFileCheck(file=name, mistakes=mistakes)


def _fine(name: str, layer: "Layer") -> PolicyFileCheck:
    from ...domain.canonical_json import origin_digest

    document = layer.document
    return PolicyFileCheck(
        file=name,
        version=document.version,
        rules=len(document.rules),
        limits=len(document.limits),
        examples=sum(len(rule.match) + len(rule.not_match) for rule in document.rules),
        sha256=layer.digest,
        origin=origin_digest(msgspec.json.decode(layer.source)),
    )


def _print(one: PolicyFileCheck) -> None:
    from ...projections.visible_text import visible, visible_line
    from .layout import plural

    file = visible(one.file)
    for mistake in one.mistakes:
        place = f"{file}:{mistake.line}" if mistake.line else file
        output.line(f"{place}: {visible_line(mistake.message)}")
        if mistake.hint:
            output.line(f"  {visible_line(mistake.hint)}")
    if one.mistakes:
        return
    parts = [plural(one.rules, "rule")]
    parts += [plural(one.limits, "limit")] if one.limits else []
    parts += [plural(one.examples, "example")] if one.examples else []
    output.line(f"{file}: ok: {', '.join(parts)}, version {one.version}")
    output.line(f"  {one.sha256}")
    output.line(f"  origin {one.origin}")
