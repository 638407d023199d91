"""One archive, several runs: `--shard 2/8` is the second of eight parts, which `etl merge` makes one version of."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.errors import RadforgeError

KEYS = ("patient_id", "issuer_of_patient_id", "study_instance_uid", "sop_instance_uid", "found_name", "member")


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises RadforgeError."""
        match = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text.strip())
        shard = cls(int(match[1]), int(match[2])) if match else None
        if shard is None or not 1 <= shard.number <= shard.count:
            raise RadforgeError("not understood", f"--shard {text}", expected="I/N, e.g. 1/8 to 8/8")
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def has(self, table: pa.Table) -> NDArray[np.bool_]:
        """For each row (rows,) of KEYS whether it is this shard's, by its patient; without one by its study, image or name.

        By a hash of what the header says, so that an archive that grows leaves what was there where it was.
        """
        columns = [table[name].to_pylist() for name in KEYS]
        rows = zip(*columns, strict=True)
        return np.array([self._own(dict(zip(KEYS, row, strict=True))) for row in rows], np.bool_)

    def _own(self, row: Mapping[str, Any]) -> bool:
        key = (
            f"patient {row['patient_id']} {row['issuer_of_patient_id']}"
            if row["patient_id"]
            else f"study {row['study_instance_uid']}"
            if row["study_instance_uid"]
            else f"image {row['sop_instance_uid']}"
            if row["sop_instance_uid"]
            else f"file {row['found_name']} {row['member']!r}"
        )
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1
