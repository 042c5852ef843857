"""An authority of the test's own and certificates by it, made with the `openssl` command."""

import ssl
import subprocess
from pathlib import Path


def make_authority(folder: Path, name: str = "authority") -> Path:
    """Make an authority; return its certificate."""
    certificate = folder / f"{name}.pem"
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-keyout", str(folder / f"{name}.key"), "-out", str(certificate), "-subj", f"/CN={name}",
             "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    return certificate


def serve_as(folder: Path, name: str, authority: str = "authority") -> ssl.SSLContext:
    """Return a server's side with a certificate for the name, by the authority."""
    key, request, certificate = (folder / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
    extensions = folder / f"{name}.ext"
    kind = "IP" if name.replace(".", "").isdigit() else "DNS"
    extensions.write_text(f"subjectAltName={kind}:{name}\n")
    _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key),
             "-out", str(request), "-subj", f"/CN={name}")  # fmt: skip
    _openssl("x509", "-req", "-in", str(request), "-CA", str(folder / f"{authority}.pem"), "-CAkey",
             str(folder / f"{authority}.key"), "-CAcreateserial", "-days", "2", "-out", str(certificate), "-extfile",
             str(extensions))  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
