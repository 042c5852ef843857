"""`cowork policy show`: the layers of rules that are in force on this machine, and where each comes from."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from . import output
from .opening import opened, store_folder
from .options import PLAIN_OPTIONS, Options

if TYPE_CHECKING:
    from ...domain.folder_trust import TrustedFolders
    from ...domain.policy_document import Layer, PolicyDocument

_DIGEST_SHOWN = len("sha256:") + 12


class RuleSentence(msgspec.Struct, frozen=True):
    """A rule or limit in words."""

    id: str
    sentence: str


class LayerInForce(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A layer of rules: its name, the file it comes from (empty: shipped with cowork), and what is in it.

    `sentences` has its rules and limits in words, with `--rules`; else it is empty.
    """

    name: str
    path: str
    digest: str
    version: str
    fallback: str
    rules: int
    limits: int
    sentences: tuple[RuleSentence, ...]


def show(
    *,
    rules: Annotated[bool, Parameter(negative="", help="Print each rule as a sentence.")] = False,
    document: Annotated[
        str | None,
        Parameter(help="Print the document of this layer, such as `baseline`, to keep it or to change it."),
    ] = None,
    options: Options = PLAIN_OPTIONS,
) -> None:
    """Show the layers of rules that hold here, in their order; the strictest answer of all of them wins.

    Those of trusted folders hold only for work in the folder. `cowork run --policy FILE` puts another document in the
    baseline's place, for that task.

        cowork policy show
        cowork policy show --rules
        cowork policy show --document baseline > rules.toml
    """
    from ...projections.visible_text import visible_line
    from ..bootstrap import policy_source

    if document is not None:
        output.exactly(_document(document, options).encode())
        return
    trusted = _trusted(options)
    layers = [_shown(layer, path, with_rules=rules) for layer, path in _layers(trusted)]
    notices = policy_source().standing([path for path, _ in trusted.folders], trusted).notices
    for notice in notices:
        output.note(visible_line(notice))
    if options.json:
        output.document(layers)
    elif rules:
        _print_rules(layers)
    else:
        _print_layers(layers)


def _trusted(options: Options) -> "TrustedFolders":
    """Return the trusted folders that are still the ones that were trusted; none where there is no store yet."""
    from ...domain.folder_trust import TrustedFolders
    from .policy_trust import trusted_folders

    if not store_folder(options).exists():
        return TrustedFolders()
    with opened(options) as engine:
        there = {one.path for one in trusted_folders(engine) if one.state == "in_force"}
        return TrustedFolders(tuple(one for one in engine.policies.trusted().folders if one[0] in there))


def _layers(trusted: "TrustedFolders") -> Iterator[tuple["Layer", str]]:
    """Yield the layers with the paths of their files. Raises `DomainError` for a file that can't be loaded."""
    from ...domain.baseline import FLOOR
    from ...domain.path import name_of_text
    from ..bootstrap import layers_of_machine, policy_files_of_machine, policy_source

    paths = {name: str(path) for name, path in policy_files_of_machine()}
    for layer in layers_of_machine():
        yield layer, paths.get(layer.name, "")
    for folder, _ in trusted.folders:
        files = policy_files_of_machine([Path(os.fsdecode(name_of_text(folder)))])
        for layer in policy_source().standing([folder], trusted).workspaces:
            yield layer, next((str(path) for name, path in files if name == "workspace"), "")
    yield FLOOR, ""


def _document(name: str, options: Options) -> str:
    """Return a layer's document as text; the shipped baseline's also where it is not in force."""
    from ...domain.baseline import BASELINE
    from ...domain.errors import DomainError
    from ...projections.visible_text import visible
    from .policy_toml import toml_of

    found = {BASELINE.name: BASELINE}
    # The shipped one is there whatever files there are: it may be on its way into one that is empty so far.
    if name not in found:
        found |= {layer.name: layer for layer, _ in _layers(_trusted(options))}
    if name not in found:
        raise DomainError("not_found", f"no layer `{visible(name)}` is in force", f"there are {', '.join(found)}")
    if options.json:
        return msgspec.json.format(msgspec.json.encode(found[name].document), indent=2).decode()
    return toml_of(found[name].document)


def _shown(layer: "Layer", path: str, *, with_rules: bool) -> LayerInForce:
    document = layer.document
    return LayerInForce(
        name=layer.name,
        path=path,
        digest=layer.digest,
        version=document.version,
        fallback=document.defaults.fallback,
        rules=len(document.rules),
        limits=len(document.limits),
        sentences=tuple(_sentences(document)) if with_rules else (),
    )


def _sentences(document: "PolicyDocument") -> Iterator[RuleSentence]:
    from ...projections.policy_words import fallback_in_words, limit_in_words, rule_in_words

    for rule in document.rules:
        yield RuleSentence(rule.id, rule_in_words(rule))
    for limit in document.limits:
        yield RuleSentence(limit.id, limit_in_words(limit))
    yield RuleSentence("", fallback_in_words(document))


def _print_layers(layers: list[LayerInForce]) -> None:
    from ...projections.visible_text import visible
    from .layout import in_columns

    rows = [
        (
            one.name,
            str(one.rules),
            str(one.limits) if one.limits else "-",
            one.digest[:_DIGEST_SHOWN],
            visible(one.path) or "shipped with cowork",
        )
        for one in layers
    ]
    for line in in_columns(rows, ("layer", "rules", "limits", "digest", "file")):
        output.line(line)


def _print_rules(layers: list[LayerInForce]) -> None:
    from ...projections.visible_text import visible

    for number, one in enumerate(layers):
        if number:
            output.line()
        first = ", the first that matches decides" if one.version == "1.0" else ""
        output.line(f"{one.name}: {visible(one.path) or 'shipped with cowork'} (version {one.version}{first})")
        for sentence in one.sentences:
            output.line(f"  {visible(sentence.id)}: {sentence.sentence}" if sentence.id else f"  {sentence.sentence}")
