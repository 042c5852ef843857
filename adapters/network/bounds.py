"""The bounds of network work, as values that tests make small."""

import msgspec

from ...engine import limits


class ReachLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of finding and dialling an address, in seconds and numbers."""

    resolve_s: float = limits.RESOLVE_S_MAX
    addresses: int = limits.ADDRESSES_MAX
    dials: int = limits.DIALS_MAX
    dial_s: float = limits.DIAL_S_MAX


class RequestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one request and its answer, in bytes, seconds and numbers."""

    url_length: int = limits.URL_LENGTH_MAX
    body_bytes: int = limits.REQUEST_BYTES_MAX
    head_bytes: int = limits.REQUEST_HEAD_BYTES_MAX
    headers: int = limits.REQUEST_HEADERS_MAX
    answer_bytes: int = limits.RESPONSE_BYTES_MAX
    answer_head_bytes: int = limits.RESPONSE_HEAD_BYTES_MAX
    answer_headers: int = limits.RESPONSE_HEADERS_MAX
    idle_s: float = limits.REQUEST_IDLE_S_MAX
    total_s: float = limits.REQUEST_S_MAX


class ProxyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the way out of one command, in bytes, seconds and numbers."""

    connections: int = limits.PROXY_CONNECTIONS_MAX
    at_once: int = limits.PROXY_CONNECTIONS_AT_ONCE_MAX
    refusals: int = limits.PROXY_REFUSALS_MAX
    url_length: int = limits.URL_LENGTH_MAX
    head_bytes: int = limits.PROXY_HEAD_BYTES_MAX
    headers: int = limits.PROXY_HEADERS_MAX
    answer_head_bytes: int = limits.RESPONSE_HEAD_BYTES_MAX
    head_s: float = limits.PROXY_HEAD_S_MAX
    idle_s: float = limits.PROXY_IDLE_S_MAX
    total_s: float = limits.PROXY_CONNECTION_S_MAX
