"""Certificates of one run: who does not hold them can neither speak to the scheduler nor be one of its workers."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from distributed import Security

CERTIFICATE = "certificate.pem"
KEY = "key.pem"
DAYS = 90
CLOCKS_DIFFER_BY = timedelta(days=1)


def make(folder: Path) -> Security:
    """A new key and its certificate, which is its own authority, as two files of mode 0600; for all roles of Dask.

    Every node must see `folder`. Raises OSError.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "radforge")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER_BY)
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(folder / KEY, text)
    _write(folder / CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM))
    pair = {
        f"tls_{role}_{part}": str(folder / file)
        for role in ("client", "scheduler", "worker")
        for part, file in (("cert", CERTIFICATE), ("key", KEY))
    }
    return Security(tls_ca_file=str(folder / CERTIFICATE), require_encryption=True, **pair)


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
