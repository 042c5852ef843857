"""Policy record: a policy document as the log keeps it, once, in a stream that is named by the document's digest."""

from typing import ClassVar, TypeAlias

import msgspec

from .canonical_json import sha256_of
from .errors import DomainError
from .event import Event
from .policy_document import Layer, stored_layer


def stream_of_document(digest: str) -> str:
    """Return the stream of the document with that digest (`sha256:<hex>`)."""
    return f"policy-{digest.removeprefix('sha256:')}"


class DocumentStored(Event, frozen=True, kw_only=True):
    """A policy document is on record. `source` is its canonical JSON (RFC 8785), `digest` that text's SHA-256."""

    TOPIC: ClassVar[str] = "policy.document_stored.v1"
    digest: str
    source: str


class StoreDocument(msgspec.Struct, frozen=True):
    """Put a document on record, if it is not."""

    source: bytes


class NoDocument(msgspec.Struct, frozen=True):
    """Before the first event."""


class StoredDocument(msgspec.Struct, frozen=True):
    """A document on record."""

    digest: str
    source: bytes

    def as_layer(self, name: str) -> Layer:
        """Return it as a layer. Raises `DomainError` damaged where it is not what its digest names, or no document."""
        if f"sha256:{sha256_of(self.source)}" != self.digest:
            raise DomainError("damaged", f"the policy document `{self.digest}` is not the one that was stored")
        try:
            return stored_layer(name, self.source)
        except msgspec.MsgspecError as error:
            raise DomainError("damaged", f"the policy document `{self.digest}` can't be read: {error}") from error


PolicyRecordState: TypeAlias = NoDocument | StoredDocument
INITIAL: PolicyRecordState = NoDocument()


def decide(command: StoreDocument, state: PolicyRecordState) -> tuple[DocumentStored, ...]:
    """Return the events of the command: none for a document that is on record."""
    if isinstance(state, StoredDocument):
        return ()
    digest = f"sha256:{sha256_of(command.source)}"
    return (DocumentStored(digest=digest, source=command.source.decode()),)


def evolve(state: PolicyRecordState, event: DocumentStored) -> PolicyRecordState:
    """Return the state after an event."""
    del state
    return StoredDocument(event.digest, event.source.encode())
