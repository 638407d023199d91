"""Headers of compressed streams: what a stream says of itself, read without decoding it.

JPEG: SOFn (ITU-T T.81 B.2.2); JPEG-LS: SOF55 (T.87 C.2.2); JPEG 2000 and HTJ2K: SIZ (T.800 A.5.1);
JPEG XL: SizeHeader (ISO/IEC 18181-1).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from etl.pixels.claims import DecodeError

Kind = Literal["jpeg", "jpeg_ls", "jpeg_2000", "htj2k", "jpeg_xl"]
Colour = Literal["", "rgb", "ybr"]

_END = b"\xff\xd9"  # EOI of JPEG and JPEG-LS, EOC of JPEG 2000; none of the three has it inside its data
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
_NO_FRAME = {0xC4, 0xC8, 0xCC}  # DHT, JPG, DAC lie among the SOF markers
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHeader:
    """A compressed frame's own claims. `precision` bits per sample; `complete`: its end marker is there."""

    kind: Kind
    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False
    lossless: bool = True
    predictor: int = 0  # of lossless JPEG, 1..7
    complete: bool = True
    colour: Colour = ""  # of three samples, where the stream itself tells


def read_header(stream: bytes) -> StreamHeader | None:
    """The header of a JPEG, JPEG-LS, JPEG 2000, HTJ2K or JPEG XL stream; None when it is none of them.

    Raises DecodeError for a stream that begins as one of them but has no readable header.
    """
    try:
        if stream[:2] == b"\xff\xd8":
            return _jpeg(stream)
        if stream[:4] == b"\xff\x4f\xff\x51":
            return _jpeg_2000(stream, 0)
        if stream[4:8] == b"jP  ":
            return _jpeg_2000(stream, _box(stream, b"jp2c"))
        if stream[:2] == b"\xff\x0a":
            return _jpeg_xl(stream, 2)
        if stream[4:8] == b"JXL ":
            at = _box(stream, b"jxlc", b"jxlp")
            return _jpeg_xl(stream, at + (2 if stream[at - 4 : at] == b"jxlc" else 6))
    except (struct.error, IndexError):
        raise DecodeError(f"the compressed stream of {len(stream):,} bytes ends inside its header") from None
    return None


def is_orderly(stream: bytes) -> bool:
    """Whether a JPEG stream's header has nothing between its segments and a JFIF version that is known (1.x).

    libjpeg only warns of either, but GDCM takes a warning there for a bug and aborts the process.
    """
    try:
        for marker, body, _ in _segments(stream):
            if marker == 0xE0 and stream[body : body + 5] == b"JFIF\0" and stream[body + 5] != 1:
                return False
    except (DecodeError, struct.error, IndexError):
        return False
    return True


def _segments(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, first byte and length of each segment's contents, up to the first scan (T.81 B.1.1)."""
    at = 2
    while True:
        if stream[at] != 0xFF:
            raise DecodeError(f"the JPEG stream has no marker at byte {at:,} of its header")
        marker = stream[at + 1]
        if marker == 0xFF:  # a fill byte (T.81 B.1.1.2)
            at += 1
        elif marker in _NO_LENGTH:
            at += 2
        else:
            if marker == 0xD9:
                raise DecodeError("the JPEG stream ends before its first scan")
            (length,) = struct.unpack_from(">H", stream, at + 2)
            yield marker, at + 4, length - 2
            if marker == 0xDA:
                return
            at += 2 + length


def _jpeg(stream: bytes) -> StreamHeader:
    colour: Colour = ""
    for marker, body, length in _segments(stream):
        if marker == 0xEE and stream[body : body + 5] == b"Adobe" and length >= 12:
            colour = "ybr" if stream[body + 11] else "rgb"
        elif marker == 0xE0 and stream[body : body + 4] == b"JFIF":
            colour = colour or "ybr"
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME):
            precision, rows, columns, samples = struct.unpack_from(">BHHB", stream, body)
            if stream[body + 6 : body + 6 + 3 * samples : 3] == b"RGB":
                colour = "rgb"
            return StreamHeader(
                kind="jpeg_ls" if marker == 0xF7 else "jpeg",
                rows=rows,
                columns=columns,
                samples=samples,
                precision=precision,
                lossless=marker == 0xF7 or marker in _LOSSLESS,
                predictor=_predictor(stream) if marker in _LOSSLESS else 0,
                complete=stream.rfind(_END, body) >= 0,
                colour=colour if samples == 3 else "",
            )
    raise DecodeError("the JPEG stream has no frame header (SOF) before its scan")


def _predictor(stream: bytes) -> int:
    """The selection value of a lossless scan (T.81 table H.1), which follows its list of components."""
    scan = next((body for marker, body, _ in _segments(stream) if marker == 0xDA), None)
    return 0 if scan is None else stream[scan + 1 + 2 * stream[scan]]


def _jpeg_2000(stream: bytes, at: int) -> StreamHeader:
    if stream[at : at + 4] != b"\xff\x4f\xff\x51":
        raise DecodeError("the JPEG 2000 stream does not begin with SOC and SIZ")
    profile, x1, y1, x0, y0 = struct.unpack_from(">HIIII", stream, at + 6)
    (samples,) = struct.unpack_from(">H", stream, at + 40)
    depths = {stream[at + 42 + 3 * index] for index in range(samples)}
    if x1 <= x0 or y1 <= y0 or len(depths) != 1:
        raise DecodeError(f"the JPEG 2000 stream claims {samples} components of {len(depths)} depths, or no area")
    depth = depths.pop()
    return StreamHeader(
        kind="htj2k" if profile & 0x4000 else "jpeg_2000",
        rows=y1 - y0,
        columns=x1 - x0,
        samples=samples,
        precision=(depth & 0x7F) + 1,
        signed=bool(depth & 0x80),
        complete=stream.rfind(_END, at) >= 0,
    )


def _box(stream: bytes, *kinds: bytes) -> int:
    """Where the contents of the first box of one of these kinds begin (T.800 I.4)."""
    at = 0
    while True:
        length, kind = struct.unpack_from(">I4s", stream, at)
        if kind in kinds:
            return at + (16 if length == 1 else 8)
        if length == 1:
            (length,) = struct.unpack_from(">Q", stream, at + 8)
        if length < 8:
            raise DecodeError(f"a box of the compressed stream claims {length} bytes, expected 8 or more")
        at += length


def _jpeg_xl(stream: bytes, at: int) -> StreamHeader:
    """Size only: samples and bits are known after decoding; 0 here."""
    window = stream[at : at + 16]
    if len(window) < 4:
        raise IndexError
    bits = _Bits(int.from_bytes(window, "little"))
    small = bits.take(1)
    rows = _jxl_side(bits, bool(small))
    ratio = bits.take(3)
    if ratio:
        up, down = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
        columns = rows * up // down
    else:
        columns = _jxl_side(bits, bool(small))
    return StreamHeader(kind="jpeg_xl", rows=rows, columns=columns, samples=0, precision=0, lossless=False)


class _Bits:
    """Bits of a little-endian number, lowest first."""

    def __init__(self, number: int) -> None:
        self._number = number

    def take(self, count: int) -> int:
        taken = self._number & ((1 << count) - 1)
        self._number >>= count
        return taken


def _jxl_side(bits: _Bits, small: bool) -> int:
    if small:
        return 8 * (bits.take(5) + 1)
    return bits.take((9, 13, 18, 30)[bits.take(2)]) + 1
