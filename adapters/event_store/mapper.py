"""Events to stored rows and back: a closed registry of topics, and JSON that other tools can read.

A row's body is a JSON array: stream, version, actor, cause, command id, time (RFC 3339), and the event's data as an
object in camelCase. Stream and version repeat the row's key columns, so that a row that was moved is refused. Nothing
is ever imported because a row names it: a topic that is not in the registry is an error.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeAlias, TypeVar

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Cipher, Compressor, Mapper, StoredEvent, Transcoder

from ...domain.errors import DomainError
from ...domain.event import Event, Origin, Recorded
from ...domain.topics import EVENT_OF_TOPIC

DataT = TypeVar("DataT")
Data: TypeAlias = dict[str, Any]
StoredRow: TypeAlias = tuple[int, str, int, str, bytes]
"""Position, stream, version, topic, body."""

Upcaster: TypeAlias = tuple[str, Callable[[Data], Data]]

UPCASTERS: Final[Mapping[str, Upcaster]] = {}
"""Old topics: what they are called now, and how their data (as plain values) becomes that of the newer one."""


class Row(msgspec.Struct, Generic[DataT], frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """The body of a stored row. The first two fields bear the library's names for stream and version."""

    originator_id: str
    originator_version: int
    actor: str
    cause: str
    command_id: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    data: DataT


class EventMapper(Mapper[str]):
    """Encodes and decodes events. The library's own methods (`to_…`) work on whole rows; the store uses the others."""

    def __init__(
        self,
        transcoder: Transcoder | None = None,
        compressor: Compressor | None = None,
        cipher: Cipher | None = None,
        *,
        types: Mapping[str, type[Event]] = EVENT_OF_TOPIC,
        upcasters: Mapping[str, Upcaster] = UPCASTERS,
    ) -> None:
        if transcoder is not None or compressor is not None or cipher is not None:
            raise TypeError("the body of a row is plain JSON: no transcoder, compressor or cipher")
        self._types = types
        self._upcasters = upcasters
        self._encode = msgspec.json.Encoder().encode
        row: Any = Row
        self._decoders: dict[str, Callable[[bytes], Row[Event]]] = {
            topic: msgspec.json.Decoder(row[event]).decode for topic, event in types.items()
        }
        self._decode_plain = msgspec.json.Decoder(Row[Data]).decode

    def encode(self, stream: str, version: int, origin: Origin, event: Event) -> tuple[str, bytes]:
        """Return the event's topic and body, after reading the body back: what is stored can be read.

        Raises `DomainError` invalid for a value that does not survive (a file name that is not UTF-8, a time without
        its zone), `TypeError` for an event that is not in the registry.
        """
        topic = event.TOPIC
        if self._types.get(topic) is not type(event):
            raise TypeError(f"{type(event).__name__} is not in the registry of events")
        row = Row(stream, version, origin.actor, origin.cause, origin.command_id, origin.at, event)
        try:
            body = self._encode(row)
            kept = self._decoders[topic](body) == row
        except (ValueError, TypeError, OverflowError) as error:
            raise DomainError("invalid", f"an event `{topic}` of `{stream}` can't be written: {error}") from error
        if not kept:
            raise DomainError("invalid", f"an event `{topic}` of `{stream}` would not be read back as it is")
        return topic, body

    def decode(self, position: int, stream: str, version: int, topic: str, body: bytes) -> Recorded[Event]:
        """Return the event of a row. Raises `DomainError` damaged with the position and what is wrong."""
        decoder = self._decoders.get(topic)
        try:
            row = self._lift(topic, body) if decoder is None else decoder(body)
        except (ValueError, LookupError, TypeError) as error:
            raise DomainError(
                "damaged",
                f"event {position} (`{topic}`, version {version} of `{stream}`) can't be read: {error}",
                "restore the store from a backup",
            ) from error
        if row.originator_id != stream or row.originator_version != version:
            raise DomainError(
                "damaged",
                f"event {position} is filed as version {version} of `{stream}`, but it was written as version"
                f" {row.originator_version} of `{row.originator_id}`",
                "restore the store from a backup",
            )
        origin = Origin(actor=row.actor, cause=row.cause, command_id=row.command_id, at=row.at)
        return Recorded(position=position, stream=stream, version=version, origin=origin, event=row.data)

    def decode_rows(self, rows: Sequence[StoredRow]) -> list[Recorded[Event]]:
        """Return the events of many rows. Raises as `decode` does.

        The same in one loop, which is a fifth faster; whatever is out of the ordinary goes through `decode`.
        """
        decoders, found = self._decoders, list[Recorded[Event]]()
        for position, stream, version, topic, body in rows:
            try:
                row = decoders[topic](body)
            except (ValueError, LookupError, TypeError):
                found.append(self.decode(position, stream, version, topic, body))
                continue
            if row.originator_id != stream or row.originator_version != version:
                found.append(self.decode(position, stream, version, topic, body))
                continue
            origin = Origin(actor=row.actor, cause=row.cause, command_id=row.command_id, at=row.at)
            found.append(Recorded(position=position, stream=stream, version=version, origin=origin, event=row.data))
        return found

    def _lift(self, topic: str, body: bytes) -> Row[Event]:
        """Bring a row of an older topic up to the registry's, one version at a time."""
        name = topic
        if name not in self._upcasters:
            raise DomainError(
                "damaged",
                f"the store holds an event `{topic}`, unknown to this version: it was written by a newer version",
                "upgrade cowork",
            )
        row = self._decode_plain(body)
        data = row.data
        while name in self._upcasters:
            name, upcast = self._upcasters[name]
            data = upcast(data)
        event = msgspec.convert(data, self._types[name])
        return Row(row.originator_id, row.originator_version, row.actor, row.cause, row.command_id, row.at, event)

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Return the library's form of a row. Raises as `encode` does."""
        if not isinstance(domain_event, Row):
            raise TypeError(f"expected a Row, not {type(domain_event).__name__}")
        row: Row[Event] = domain_event
        origin = Origin(actor=row.actor, cause=row.cause, command_id=row.command_id, at=row.at)
        topic, body = self.encode(row.originator_id, row.originator_version, origin, row.data)
        return StoredEvent(row.originator_id, row.originator_version, topic, body)

    def to_domain_event(self, stored_event: StoredEvent) -> Row[Event]:
        """Return the row that the library holds. Raises as `decode` does."""
        found = self.decode(
            0, str(stored_event.originator_id), stored_event.originator_version, stored_event.topic, stored_event.state
        )
        by = found.origin
        return Row(found.stream, found.version, by.actor, by.cause, by.command_id, by.at, found.event)
