"""Lookup tables of a header: Modality LUT, VOI LUT, palette (PS3.3 C.11.1.1, C.11.2.1.1, C.7.6.3.1.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from etl.pixels import attributes


@dataclass(frozen=True, slots=True)
class LookupTable:
    """`entries` uint16, the first for input `first` and all below it, the last for all above; `bits` of
    an entry.
    """

    entries: NDArray[np.uint16]
    first: int
    bits: int

    @property
    def last(self) -> int:
        """The input that the last entry is for."""
        return self.first + self.entries.size - 1

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Entries for `values`, which are rounded to whole inputs."""
        index = np.clip(np.rint(values) - self.first, 0, self.entries.size - 1)
        found: NDArray[np.float64] = self.entries[index.astype(np.int64)].astype(np.float64)
        return found


def read_table(
    ds: Dataset, descriptor_keyword: str, data_keyword: str, *, signed: bool
) -> tuple[LookupTable | None, tuple[str, ...]]:
    """A table and our codes for what is wrong with it; None where it is unusable.

    `signed`: how the descriptor's second value is meant; its VR does not tell. The first value 0 means
    65,536. The data may be bytes or numbers, entries of 8 bits may lie two in a word, and the third value
    (bits) lies at times: then the data's own range counts.
    """
    descriptor = attributes.numbers(ds, descriptor_keyword)
    if len(descriptor) != 3:
        return None, ("lut_descriptor",)
    count, first, bits = (int(value) & 0xFFFF for value in descriptor)
    count = count or 65536
    if signed and first >= 1 << 15:
        first -= 1 << 16
    entries = _entries(attributes.value(ds, data_keyword), count, little_endian=_is_little_endian(ds))
    if entries is None:
        return None, ("lut_length",)
    own = int(entries.max()).bit_length()
    problems: tuple[str, ...] = ()
    if not 1 <= bits <= 16 or own > bits or own < bits - 1:
        bits, problems = max(1, own), ("lut_bits",)
    return LookupTable(entries, first, bits), problems


def _entries(data: Any, count: int, *, little_endian: bool) -> NDArray[np.uint16] | None:
    order = "<" if little_endian else ">"
    if isinstance(data, bytes):
        if len(data) >= 2 * count:
            return np.frombuffer(data, f"{order}u2", count).astype(np.uint16)
        words = np.frombuffer(data[: len(data) // 2 * 2], f"{order}u2").astype("<u2")
        octets = words.view(np.uint8) if not len(data) % 2 else np.frombuffer(data, np.uint8)
    else:
        try:
            numbers = np.asarray([int(value) & 0xFFFF for value in data], np.uint16)
        except (TypeError, ValueError):
            return None
        if numbers.size >= count:
            return numbers[:count]
        octets = numbers.astype("<u2").view(np.uint8)
    # PS3.3 C.11.2.1.1: 8-bit entries lie two in a word, the first in the low byte
    return octets[:count].astype(np.uint16) if octets.size >= count else None


def _is_little_endian(ds: Dataset) -> bool:
    return ds.original_encoding[1] is not False
