"""Stored samples of every event type, as this and earlier versions wrote them.

One file per topic, one row's body per line. `python -m tests.histories.samples` writes a file for every topic that has
none yet and never touches one that is there: what was released has to be readable for ever. A type that gained a field
gets a further file, `<topic>.<n>.json`, which `python -m tests.histories.samples TOPIC ...` writes.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import msgspec.inspect as shape

from cowork.adapters.event_store.mapper import EventMapper
from cowork.domain.event import Event, Origin
from cowork.domain.topics import EVENT_OF_TOPIC

FOLDER = Path(__file__).resolve().parent
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
BY = Origin(actor="person:ada", cause="Sample", command_id="command-01jd8m3q7v4k2n9x", at=AT)
STREAM = "stream-01jd8m3q7v4k2n9x"


class Sample(msgspec.Struct):
    """One file: a topic, and rows' bodies as plain values."""

    topic: str
    rows: list[list[Any]]


def stored_samples() -> dict[str, Sample]:
    """Return every file's sample under its name."""
    files = sorted(FOLDER.glob("*.json"))
    return {file.name: msgspec.json.decode(file.read_bytes(), type=Sample) for file in files}


def text(name: str) -> str:
    """Return a text that suits a field of that name."""
    if name.endswith("digest") or name in ("before", "after"):
        return f"sha256:{'0123456789abcdef' * 4}"
    if name.endswith(("_id", "_ids")):
        return f"{name.partition('_')[0]}-01jd8m3q7v4k2n9x"
    if name == "path":
        return "2026/Grüße an Zoë.csv"
    return f"{name.replace('_', ' ')} ✓"


def variants(kind: shape.Type, name: str, default: object = None, within: tuple[type, ...] = ()) -> list[Any]:
    """Return values that between them show every alternative of a type, none of them the field's default.

    An object that holds objects of its own kind is shown `within` one of them, and no deeper.
    """
    values: list[Any]
    match kind:
        case shape.StrType():
            values = [text(name)]
        case shape.IntType():
            values = [7]
        case shape.BoolType():
            values = [False, True]
        case shape.NoneType():
            values = []
        case shape.DateTimeType():
            values = [AT]
        case shape.LiteralType(values=literals):
            values = list(literals)
        case shape.UnionType(types=types):
            values = [value for member in types for value in variants(member, name, within=within)]
        case shape.VarTupleType(item_type=item):
            values = [tuple(variants(item, name, within=within))]
        case shape.TupleType(item_types=items):
            values = [tuple(variants(item, name, within=within)[0] for item in items)]
        case shape.StructType():
            values = list(structs(kind, within)) if within.count(kind.cls) < 2 else []
        case _:
            raise NotImplementedError(f"no sample values for {kind}: add them here")
    return [value for value in values if value != default]


def structs(kind: shape.StructType, within: tuple[type, ...] = ()) -> Iterator[Any]:
    """Yield as many objects as it takes to show every alternative of every field."""
    inner = (*within, kind.cls)
    shown = {field.name: variants(field.type, field.name, field.default, inner) for field in kind.fields}
    alternatives = {name: values for name, values in shown.items() if values}
    for turn in range(max((len(values) for values in alternatives.values()), default=1)):
        yield kind.cls(**{name: values[turn % len(values)] for name, values in alternatives.items()})


def sample_of(topic: str, event: type[Event]) -> Sample:
    """Return a sample of a type as it is written today."""
    mapper = EventMapper()
    kind = shape.type_info(event)
    assert isinstance(kind, shape.StructType)
    bodies = [mapper.encode(STREAM, version, BY, value)[1] for version, value in enumerate(structs(kind), 1)]
    return Sample(topic, [msgspec.json.decode(body) for body in bodies])


def write_sample(file: Path, sample: Sample) -> None:
    """Write a new file, one row per line."""
    rows = ",\n".join("  " + msgspec.json.encode(row).decode() for row in sample.rows)
    with file.open("x", encoding="utf-8") as out:
        out.write(f'{{"topic": "{sample.topic}", "rows": [\n{rows}\n]}}\n')


def next_file(topic: str) -> Path:
    """Return where a further sample of a topic goes."""
    number = 2
    while (file := FOLDER / f"{topic}.{number}.json").exists():
        number += 1
    return file


def main(grown: list[str]) -> None:
    """Write what is missing, and further samples of the topics that are named."""
    for topic, event in EVENT_OF_TOPIC.items():
        file = FOLDER / f"{topic}.json"
        if topic in grown and file.exists():
            file = next_file(topic)
        if not file.exists():
            write_sample(file, sample_of(topic, event))
            sys.stdout.write(f"{file.name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
