"""Pseudonyms: keyed hashes (HMAC-SHA256, RFC 2104) that only the holder of the key can link to a patient.

The same person gets the same id in every version made with the same key, and another id under another key. An unkeyed
hash of a PatientID would be undone by guessing numbers, so there is none.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from etl.study import Instance
from schemas.errors import RadforgeError

KEY_BYTES = 32
MAX_KEY_BYTES = 65_536
ID_DIGITS = 16  # 64 bits: a collision among a million ids has a chance of about 3e-8


@dataclass(frozen=True)
class Key:
    """The secret. `fingerprint` tells keys apart without giving one away."""

    secret: bytes

    def __repr__(self) -> str:
        return f"Key(fingerprint={self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        """12 hex digits that tell keys apart and give nothing away."""
        return hmac.new(self.secret, b"fingerprint", hashlib.sha256).hexdigest()[:12]

    def pseudonym(self, kind: str, *parts: str) -> str:
        """16 hex digits. `kind` keeps a study's and a series' ids apart even where the UIDs are equal."""
        return _pseudonym(self.secret, kind, *parts)

    def repeated(self, kind: str, *parts: str) -> str:
        """As `pseudonym`, and remembered: a study's ids are asked for by each of its films."""
        return _remembered(self.secret, kind, *parts)

    def share(self, *parts: str) -> float:
        """A number in [0, 1) that depends on the key and the parts only."""
        return float(int(self.repeated("share", *parts), 16) / 16**ID_DIGITS)


def _pseudonym(secret: bytes, kind: str, *parts: str) -> str:
    # Lengths before the parts: ("a", "bc") and ("ab", "c") must not meet.
    text = "\0".join([kind, *[f"{len(part)}:{part}" for part in parts]])
    keyed = _keyed(secret).copy()
    keyed.update(text.encode("utf-8", "surrogateescape"))
    return keyed.hexdigest()[:ID_DIGITS]


_remembered = lru_cache(maxsize=4096)(_pseudonym)


@lru_cache(maxsize=4)
def _keyed(secret: bytes) -> hmac.HMAC:
    return hmac.new(secret, digestmod=hashlib.sha256)


class Pseudonyms(NamedTuple):
    """The ids of one instance as a dataset may show them."""

    source_id: str
    patient_id: str
    study_id: str
    series_id: str
    instance_id: str
    patient_id_missing: bool


def pseudonyms(key: Key, instance: Instance) -> Pseudonyms:
    """Ids of an instance.

    A blank PatientID does not merge people: each study then stands for a patient of its own. The same PatientID under two
    IssuerOfPatientID (0010,0021) is two people. A blank StudyInstanceUID is a study of its own per file.
    """
    name = instance.source.name
    source_id = source_pseudonym(key, name)
    study = ("uid", instance.study_instance_uid) if instance.study_instance_uid else ("file", name)
    patient = ("id", instance.issuer_of_patient_id, instance.patient_id) if instance.patient_id else ("study", *study)
    series = ("uid", instance.series_instance_uid) if instance.series_instance_uid else ("study", *study)
    sop = ("uid", instance.sop_instance_uid) if instance.sop_instance_uid else ("file", name)
    return Pseudonyms(
        source_id=source_id,
        patient_id=key.repeated("patient", *patient),
        study_id=key.repeated("study", *study),
        series_id=key.repeated("series", *series),
        instance_id=key.pseudonym("instance", *sop),
        patient_id_missing=not instance.patient_id,
    )


def source_pseudonym(key: Key, name: str) -> str:
    """The id by which log lines, errors and rows name a file: a keyed hash of its path in the archive."""
    return key.pseudonym("source", name)


def read_key(path: Path) -> Key:
    """Read a key file of at least 16 bytes. Raises RadforgeError."""
    try:
        with path.open("rb") as file:
            secret = file.read(MAX_KEY_BYTES).strip()
    except FileNotFoundError:
        raise RadforgeError("no such key file", f"--key {path}") from None
    except OSError as error:
        raise RadforgeError("the key cannot be read", f"--key {path}", found=error.strerror or "") from None
    if len(secret) < 16:
        raise RadforgeError("the key is too short", f"--key {path}", f"{len(secret)} bytes", "16 bytes or more")
    return Key(secret)


def make_key(path: Path) -> Key:
    """Make a new random key, mode 0600. Never overwrites: raises FileExistsError."""
    secret = secrets.token_hex(KEY_BYTES).encode()
    # Complete before it has its name: a crash must not leave half a key that later runs would trust.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    finally:
        draft.unlink()
    return Key(secret)
