"""Doors to the decoders of compressed frames: imagecodecs (libjpeg-turbo, CharLS, OpenJPEG, libjxl) and GDCM.

Each function takes one frame's stream and returns the values as the stream holds them: no colour conversion
where the library allows that, no sign that the stream does not know. All raise DecodeError, in our words.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gdcm
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from etl.pixels.claims import Claims, DecodeError
from etl.pixels.codestream import StreamHeader, is_orderly
from etl.pixels.uncompressed import settle

Values = NDArray[Any]

# gdcm tries its 8, 12 and 16-bit JPEG libraries in turn and each grumbles; only this word means damage.
_DAMAGE = b"Corrupt"


class Complaints:
    """What C code wrote to file descriptor 2 meanwhile; never shown, it may quote the file."""

    text = b""

    @property
    def damage(self) -> bool:
        """Whether a decoder said that its input is damaged."""
        return _DAMAGE in self.text


@contextmanager
def complaints() -> Iterator[Complaints]:
    """Collects what is written to file descriptor 2 inside the block: decoders in C complain there."""
    heard = Complaints()
    with tempfile.TemporaryFile() as sink:
        kept = os.dup(2)
        os.dup2(sink.fileno(), 2)
        try:
            yield heard
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            sink.seek(0)
            heard.text = sink.read(1 << 16)


def decode_jpeg(stream: bytes, header: StreamHeader | None, _: Claims) -> Values:
    """JPEG of 8, 12 or 16 bits, lossless too, through libjpeg-turbo, which does not fail on a stream
    that is cut.
    """
    model = "YCBCR" if header is not None and header.samples == 3 else None  # the same twice: no conversion
    try:
        return imagecodecs.jpeg8_decode(stream, colorspace=model, outcolorspace=model)
    except (ValueError, RuntimeError):
        raise DecodeError("libjpeg-turbo could not decode the JPEG stream") from None


def decode_jpeg_ls(stream: bytes, _: StreamHeader | None, __: Claims) -> Values:
    """JPEG-LS through CharLS, which refuses streams that are cut."""
    try:
        return imagecodecs.jpegls_decode(stream)
    except (ValueError, RuntimeError):
        raise DecodeError("CharLS could not decode the JPEG-LS stream") from None


def decode_jpeg_2000(stream: bytes, _: StreamHeader | None, __: Claims) -> Values:
    """JPEG 2000 and HTJ2K through OpenJPEG, which refuses streams that are cut (OpenJPH does not)."""
    try:
        return imagecodecs.jpeg2k_decode(stream, numthreads=1)
    except (ValueError, RuntimeError):
        raise DecodeError("OpenJPEG could not decode the JPEG 2000 stream") from None


def decode_jpeg_xl(stream: bytes, _: StreamHeader | None, __: Claims) -> Values:
    """JPEG XL through libjxl, which refuses streams that are cut."""
    try:
        return imagecodecs.jpegxl_decode(stream, numthreads=1)
    except (ValueError, RuntimeError):
        raise DecodeError("libjxl could not decode the JPEG XL stream") from None


def decode_rle(stream: bytes, _: StreamHeader | None, claims: Claims) -> Values:
    """RLE Lossless (PS3.5 Annex G): a PackBits segment for each byte of a sample, the highest byte first."""
    if claims.bits_allocated % 8:
        raise DecodeError(f"RLE Lossless holds whole bytes, BitsAllocated (0028,0100) is {claims.bits_allocated}")
    expected = claims.samples * claims.bits_allocated // 8
    if len(stream) < 64:
        raise DecodeError(f"an RLE frame of {len(stream)} bytes has no room for its header of 64")
    count, *offsets = struct.unpack_from("<16I", stream)
    ends = [*offsets[1:expected], len(stream)]
    if count != expected or offsets[0] != 64 or any(a >= b for a, b in zip(offsets[:expected], ends, strict=True)):
        raise DecodeError(f"the RLE header names {count} segments, expected {expected} in rising order")
    size = claims.rows * claims.columns
    planes = [_unpack(stream[a:b], size) for a, b in zip(offsets, ends, strict=False)]
    width = claims.bits_allocated // 8
    cells = np.empty((claims.samples, size, width), np.uint8)
    for place, plane in enumerate(planes):
        cells[place // width, :, width - 1 - place % width] = plane
    values = cells.reshape(-1).view(claims.dtype.newbyteorder("<")).astype(claims.dtype, copy=False)
    values = values.reshape(claims.samples, claims.rows, claims.columns).transpose(1, 2, 0)
    return settle(np.ascontiguousarray(values[:, :, 0] if claims.samples == 1 else values), claims)


def _unpack(segment: bytes, size: int) -> Values:
    try:
        plane = imagecodecs.packbits_decode(segment, out=size + 2)
    except (ValueError, RuntimeError):
        raise DecodeError("an RLE segment is damaged, or holds more than its frame") from None
    if len(plane) < size:
        raise DecodeError(f"an RLE segment unpacks to {len(plane):,} bytes, expected {size:,}")
    return np.frombuffer(plane, np.uint8, size)


def inflate(stream: bytes, size: int) -> bytes:
    """A deflated frame (PS3.5 A.4.12), bounded by the size that the header claims."""
    try:
        found = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream, size + 2)
    except zlib.error:
        raise DecodeError("the deflated frame is damaged") from None
    if len(found) < size:
        raise DecodeError(f"the deflated frame inflates to {len(found):,} bytes, expected {size:,}")
    return found


def decode_gdcm(stream: bytes, header: StreamHeader | None, claims: Claims) -> Values:
    """One JPEG frame through GDCM, by its image class: the slow and strict reference.

    One sample a pixel only. Raises DecodeError when GDCM refuses, or says on file descriptor 2 that the
    stream is damaged.
    """
    if header is None or header.samples != 1:
        raise DecodeError("GDCM is asked for grey streams only")
    if not is_orderly(stream):
        raise DecodeError("the JPEG stream's header is in disorder")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(stream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    allocated = 8 if header.precision <= 8 else 16
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((header.columns, header.rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    syntax = gdcm.TransferSyntax.JPEGLosslessProcess14_1 if header.lossless else gdcm.TransferSyntax.JPEGExtendedProcess2_4
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    image.SetPixelFormat(gdcm.PixelFormat(1, allocated, header.precision, header.precision - 1, 0))
    with complaints() as heard:
        text = image.GetBuffer()  # gdcm's str holds bytes, one for each character or surrogate
    if text is None:
        raise DecodeError("GDCM could not decode the JPEG stream")
    if heard.damage:
        raise DecodeError("GDCM finds the JPEG stream damaged")
    values = np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8 if allocated == 8 else np.dtype("<u2"))
    if values.size != header.rows * header.columns:
        raise DecodeError(f"GDCM returns {values.size:,} pixels, expected {header.rows * header.columns:,}")
    return values.reshape(header.rows, header.columns)
