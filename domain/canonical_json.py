"""JSON values as bytes that mean one value and nothing else (RFC 8785), and the digests of policy documents.

A document is stored under the SHA-256 of its canonical bytes. `origin_digest` is the digest that the origin's
TypeScript code gives the same document, for exchange with it: the same value written with sorted, unquoted keys.
"""

import hashlib
import json

import rfc8785

from .errors import DomainError


def canonical_json(value: object) -> bytes:
    """Return the canonical UTF-8 bytes (RFC 8785) of a JSON value (numbers, strings, lists, dictionaries, None).

    Raises `DomainError` invalid: NaN, infinity, an integer beyond 2^53, a value of another type.
    """
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # it checks what it is given
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise DomainError("invalid", f"the value can't be written as canonical JSON: {error}") from error


def sha256_of(data: bytes) -> str:
    """Return the 64 hexadecimal digits of the SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def origin_digest(value: object) -> str:
    """Return the origin's digest of a document: 64 hexadecimal digits. Raises `DomainError` as `canonical_json`."""
    canonical_json(value)
    return sha256_of(_origin_text(value).encode("utf-8", "surrogatepass"))


def _origin_text(value: object) -> str:
    match value:
        case dict():
            members = sorted(value.items(), key=lambda member: member[0].encode("utf-16-be", "surrogatepass"))
            return "{" + ",".join(f"{key}:{_origin_text(item)}" for key, item in members) + "}"
        case list():
            return "[" + ",".join(map(_origin_text, value)) + "]"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return canonical_json(value).decode()
