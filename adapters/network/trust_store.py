"""Which certificates are believed: those that this machine believes, wherever its environment variables point.

The system's own store comes first, because it has the authorities that an organisation added; certifi's list is for
machines without one. `SSL_CERT_FILE`, `SSL_CERT_DIR`, `REQUESTS_CA_BUNDLE` and `SSLKEYLOGFILE` are never read: whoever
can set them for a command could otherwise read what the engine sends. So nothing here calls
`ssl.create_default_context` or `SSLContext.load_default_certs`, which look at them.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import certifi

Trust: TypeAlias = Callable[[], ssl.SSLContext]

# The places that distributions use, in the order in which Go's crypto/x509 looks at them.
_STORES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def trust_system() -> ssl.SSLContext:
    """Return a context that demands a valid certificate for the host's name. Reads a file: some 10 ms."""
    return trust_file(next((store for store in _STORES if Path(store).is_file()), certifi.where()))


def trust_file(path: str) -> ssl.SSLContext:
    """Return a context that believes the authorities of one file and no others."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=path)
    return context
