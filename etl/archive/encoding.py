"""How the elements of a file are written (DICOM PS3.5 section 7.1), judged from the elements, not from a
claim.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from pydicom.datadict import DicomDictionary
from pydicom.filereader import ENCODED_VR
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

UNDEFINED = 0xFFFFFFFF  # length of a sequence or of encapsulated pixels that ends with a delimiter
STEPS = 4  # so many tags in ascending order, known, with known VRs and possible lengths, are no chance


class Encoding(NamedTuple):
    """Explicit or implicit VR, little or big endian."""

    implicit: bool
    little: bool

    @property
    def uid(self) -> str:
        """The native transfer syntax that this is."""
        if self.implicit:
            return str(ImplicitVRLittleEndian)
        return str(ExplicitVRLittleEndian if self.little else ExplicitVRBigEndian)


EXPLICIT_LITTLE = Encoding(implicit=False, little=True)
IMPLICIT_LITTLE = Encoding(implicit=True, little=True)
EXPLICIT_BIG = Encoding(implicit=False, little=False)


def first_element(data: bytes, size: int) -> int | None:
    """Where the first element of a file lies, given its first bytes and its size, or None where it is no
    DICOM.

    After the preamble and `DICM` (PS3.10 section 7.1), or at 0. The letters may stand at 128 by chance in a
    file without preamble, so what follows them must look like elements when something else looks better.
    """
    prefixed = data[128:132] == b"DICM"
    if prefixed and _best(data, 132, size)[0]:
        return 132
    steps, ended, _ = _best(data, 0, size)
    if steps >= STEPS - 1 or (steps and ended):
        return 0
    return 132 if prefixed else None


def encoding_at(data: bytes, start: int, size: int, claimed: str = "") -> Encoding:
    """The encoding that the elements from `start` on show.

    Where several would do, or none, it is that of the claimed transfer syntax. All encapsulated ones are
    explicit little endian (PS3.5 A.4).
    """
    word = {ExplicitVRBigEndian: EXPLICIT_BIG, ImplicitVRLittleEndian: IMPLICIT_LITTLE}.get(claimed, EXPLICIT_LITTLE)
    steps, _, seen = _best(data, start, size)
    return seen if steps > _steps(data, start, size, word)[0] else word


def _best(data: bytes, start: int, size: int) -> tuple[int, bool, Encoding]:
    tried = [(*_steps(data, start, size, e), e) for e in (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG)]
    return max(tried, key=lambda one: one[0])


def _steps(data: bytes, start: int, size: int, encoding: Encoding) -> tuple[int, bool]:
    """How many elements make sense one after the other (at most STEPS), and whether that met the end of
    `data`.
    """
    order = "<" if encoding.little else ">"
    position, last, steps = start, -1, 0
    while steps < STEPS and position + 12 <= len(data):
        group, element = struct.unpack_from(order + "HH", data, position)
        tag = group << 16 | element
        if tag <= last or group > 0x7FE0 or not (element == 0 or group % 2 or tag in DicomDictionary):
            return steps, False
        length, value = _length(data, position, encoding)
        if length == UNDEFINED:
            return steps + 1, False  # a sequence, whose items are not stepped through
        if length < 0 or value + length > size:
            return steps, False
        last, position, steps = tag, value + length, steps + 1
    return steps, position >= len(data)


def _length(data: bytes, position: int, encoding: Encoding) -> tuple[int, int]:
    """Length of the element's value (-1 for an unknown VR) and where the value begins (PS3.5 section
    7.1.2).
    """
    order = "<" if encoding.little else ">"
    if encoding.implicit:
        return struct.unpack_from(order + "I", data, position + 4)[0], position + 8
    vr = data[position + 4 : position + 6]
    if vr not in ENCODED_VR:
        return -1, position
    if vr.decode("ascii") in EXPLICIT_VR_LENGTH_32:
        return struct.unpack_from(order + "I", data, position + 8)[0], position + 12
    return struct.unpack_from(order + "H", data, position + 6)[0], position + 8
