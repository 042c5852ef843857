"""Which layers a command of `cowork policy` is about: those of this machine, or a file in the place of one of them."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from cyclopts import Parameter

if TYPE_CHECKING:
    from ...domain.policy_analysis import Witness
    from ...domain.policy_document import Layer
    from ...domain.policy_request import Request

LayerName: TypeAlias = Literal["organisation", "root", "user", "workspace", "session", "task"]
FIRST: Final = ("organisation", "root")
"""The layers of which a session has one, as its first."""

SHIPPED: Final = "baseline"
"""How the shipped document is named where a file is expected."""

AsOption: TypeAlias = Annotated[
    LayerName,
    Parameter(
        name="--as",
        help="Which layer the file is. The first layer stands alone; the others narrow what the baseline allows.",
    ),
]
DocumentFile: TypeAlias = Annotated[Path, Parameter(help="A policy file; `baseline` is the shipped one.")]


def document(path: Path, name: LayerName) -> "Layer":
    """Return a file's document, or the shipped one, as the layer of that name. Raises `DomainError`."""
    from ...domain.baseline import BASELINE
    from ...domain.policy_document import Layer
    from ..bootstrap import document_in_file

    if str(path) == SHIPPED and not path.exists():
        return Layer(SHIPPED if name in FIRST else name, BASELINE.document, BASELINE.source)
    return document_in_file(path, name)


def stack_of(path: Path, name: LayerName) -> tuple["Layer", ...]:
    """Return the layers of a session with this file and nothing else of its own: the floor is always the last."""
    from ...domain.baseline import BASELINE, FLOOR

    layer = document(path, name)
    return (layer, FLOOR) if name in FIRST else (BASELINE, layer, FLOOR)


def stack_of_machine() -> tuple["Layer", ...]:
    """Return the layers of every session on this machine. Raises `DomainError` for a file that can't be loaded."""
    from ...domain.policy import with_floor
    from ..bootstrap import layers_of_machine

    return with_floor(layers_of_machine())


# Witnesses


def example_line(witness: "Witness", layers: "Iterable[Layer]") -> str:
    """Return a witness on one line: the request with the facts that the layers ask about, and what was granted."""
    from ...projections.policy_words import request_in_words, scope_in_words

    request = _told(witness.request, layers)
    return f"as in: {request_in_words(request)}; granted: {scope_in_words(witness.scope)}"


def _told(request: "Request", layers: "Iterable[Layer]") -> "Request":
    """Return the request without the facts that no rule of the layers asks about: they have plain values."""
    import msgspec

    rules = [rule for layer in layers for rule in layer.document.rules]
    conditions = [part for rule in rules for part in (rule.when, *rule.unless)]
    asked = {key for part in conditions for key, value in msgspec.structs.asdict(part).items() if value is not None}
    untold = {fact: None for condition, fact in _FACTS.items() if condition not in asked}
    return msgspec.structs.replace(request, **untold)


_FACTS: Final = {
    "file_size_greater_than": "file_size_bytes",
    "target_exists": "target_exists",
    "hard_link": "link_count",
    "tool_hint": "annotations",
    "time_window": "now",
}
"""The facts that a reader can do without, by the condition that asks about them."""
