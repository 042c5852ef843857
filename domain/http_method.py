"""What a repetition of an HTTP request comes to, by its method, and the key by which a server can tell one.

Sources: RFC 9110, 9.2.1 (safe) and 9.2.2 (idempotent methods); draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
from typing import Final

from .action import NetworkRequest

IDEMPOTENCY_KEY: Final = "Idempotency-Key"

_SAFE: Final = frozenset(["GET", "HEAD", "OPTIONS"])
_IDEMPOTENT: Final = _SAFE | {"PUT", "DELETE"}
_KEY_DOMAIN: Final = b"cowork.idempotency-key.v1\n"


def is_safe(method: str) -> bool:
    """Whether a method changes nothing on the server: what breaks off then did no harm, and can be sent again."""
    return method in _SAFE


def is_idempotent(method: str) -> bool:
    """Whether a request sent twice is meant to leave the server as one does, where nobody else comes in between."""
    return method in _IDEMPOTENT


def wants_key(action: NetworkRequest) -> bool:
    """Whether an `Idempotency-Key` is sent besides the headers of the plan: where a repetition is another request."""
    named = any(name.lower() == IDEMPOTENCY_KEY.lower() for name, _ in action.headers)
    return not is_idempotent(action.method) and not named


def idempotency_key(action_id: str, digest: str) -> str:
    """Return the value of the header: the same for every attempt of one action, and for no other action.

    It tells the server nothing: neither the task nor the action can be read out of it. Some servers take UUIDs only, so
    it is one, of the version for private use (RFC 9562, 5.8).
    """
    found = hashlib.sha256(_KEY_DOMAIN + f"{action_id}\n{digest}".encode()).hexdigest()
    variant = "89ab"[int(found[16], 16) % 4]
    return f'"{found[:8]}-{found[8:12]}-8{found[13:16]}-{variant}{found[17:20]}-{found[20:32]}"'
