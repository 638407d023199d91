"""What a header says about its pixels (PS3.3 C.7.6.3), checked before any memory is taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from etl.pixels import attributes

LARGE = 1 << 26  # 64 MiB, more than any film: a claim above this must be backed by a stream of some size
MAX_RATIO = 1000  # of decoded to compressed bytes, for large claims; films reach 2..100

ELEMENTS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


class DecodeError(Exception):
    """The pixels cannot be had. The text is our own sentence; `stage` as in etl.study.Failure."""

    def __init__(self, error: str, stage: str = "decode") -> None:
        super().__init__(error)
        self.stage = stage


def name(keyword: str) -> str:
    """`Rows` -> `Rows (0028,0010)`, for our sentences."""
    tag = tag_for_keyword(keyword) or 0
    return f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The Image Pixel Module with absent values settled; `problems` are our codes for what contradicts
    itself.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    planar: bool  # colour by plane: (samples, rows, columns)
    photometric: str
    element: str  # PixelData, FloatPixelData or DoubleFloatPixelData
    problems: tuple[str, ...] = ()

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of a stored value in this machine's byte order."""
        if self.element != "PixelData":
            return np.dtype(np.float32 if self.element == "FloatPixelData" else np.float64)
        size = 2 if self.bits_allocated == 12 else max(1, self.bits_allocated // 8)
        return np.dtype(f"{'i' if self.signed else 'u'}{size}")

    @property
    def subsampled(self) -> bool:
        """Native YBR_FULL_422: two pixels share their chroma, four bytes for two pixels."""
        return self.photometric == "YBR_FULL_422" and self.samples == 3

    @property
    def frame_bits(self) -> int:
        """Bits of one uncompressed frame as it is stored."""
        samples = 2 if self.subsampled else self.samples
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def native_bytes(self) -> int:
        """Bytes of all uncompressed frames; single-bit frames leave no gap between them (PS3.5 8.1.1)."""
        return (self.frame_bits * self.frames + 7) // 8

    @property
    def product(self) -> str:
        """How the length is made up, for our sentences."""
        return (
            f"{self.rows} rows x {self.columns} columns x {self.samples} samples x {self.bits_allocated} bits"
            f" x {self.frames} frames"
        )

    def require_length(self, found: int) -> None:
        """Raises DecodeError when `found` bytes cannot hold the uncompressed frames."""
        if found < self.native_bytes:
            raise DecodeError(f"{name(self.element)} holds {found:,} bytes, {self.product} needs {self.native_bytes:,}")

    def require_plausible(self, found: int) -> None:
        """Raises DecodeError when a compressed frame of `found` bytes cannot be as large as claimed."""
        decoded = self.frame_bits // 8
        if decoded > LARGE and decoded > found * MAX_RATIO:
            raise DecodeError(
                f"{name(self.element)} holds {found:,} bytes for a frame of {decoded:,}, expected no more than {MAX_RATIO} to 1"
            )


def read_claims(ds: Dataset) -> Claims:
    """The Image Pixel Module of a data set.

    Raises DecodeError: without pixels or with claims that make no sense ("decode"), with a number that cannot
    be read or without the header of an image ("read").
    """
    element = next((keyword for keyword in ELEMENTS if attributes.is_present(ds, keyword)), None)
    if element is None:
        stage = "decode" if attributes.is_present(ds, "Rows") else "read"
        raise DecodeError(f"{name('PixelData')} is absent, or the file ends before it", stage)
    is_float = element != "PixelData"
    rows, columns = _integer(ds, "Rows", None), _integer(ds, "Columns", None)
    frames = _integer(ds, "NumberOfFrames", 1) or 1
    samples = _integer(ds, "SamplesPerPixel", 1)
    allocated = _integer(ds, "BitsAllocated", None)
    stored = _integer(ds, "BitsStored", allocated)
    high = _integer(ds, "HighBit", stored - 1)
    problems = []
    if is_float:
        allocated = stored = 32 if element == "FloatPixelData" else 64
        high = stored - 1
    if not 0 < stored <= allocated:
        stored, high = allocated, allocated - 1
        problems.append("bits_stored_exceeds_allocated")
    if not stored - 1 <= high < allocated:
        high = stored - 1
        problems.append("high_bit_out_of_range")
    elif high != stored - 1:
        problems.append("high_bit")
    _require(
        rows > 0 and columns > 0 and frames > 0,
        f"{rows} rows, {columns} columns, {frames} frames: expected 1 or more",
    )
    _require(samples in (1, 3), f"{name('SamplesPerPixel')} is {samples}, expected 1 or 3")
    _require(
        is_float or allocated in (1, 8, 12, 16, 32),
        f"{name('BitsAllocated')} is {allocated}, expected 1, 8, 12, 16 or 32",
    )
    photometric = attributes.text(ds, "PhotometricInterpretation").upper()
    if not photometric:
        photometric = "MONOCHROME2" if samples == 1 else "RGB"
        problems.append("photometric_interpretation_missing")
    return Claims(
        rows=rows,
        columns=columns,
        frames=frames,
        samples=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=_integer(ds, "PixelRepresentation", 0) == 1 and allocated > 1,
        planar=samples == 3 and _integer(ds, "PlanarConfiguration", 0) == 1,
        photometric=photometric,
        element=element,
        problems=tuple(problems),
    )


def _integer(ds: Dataset, keyword: str, default: int | None) -> int:
    """One whole number, or `default` where the element is absent or empty."""
    found = attributes.value(ds, keyword)
    if default is not None and (not attributes.is_present(ds, keyword) or found is None or found == ""):
        unreadable = found is None and attributes.raw_length(ds, keyword) > 0
        if not unreadable:
            return default
    values = attributes.numbers(ds, keyword)
    if len(values) != 1 or values[0] != int(values[0]):
        raise DecodeError(f"{name(keyword)} holds {len(values)} readable numbers, expected one whole number", "read")
    return int(values[0])


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise DecodeError(sentence)
