"""Where a compressed frame and its data set differ: what is believed, and the code that records it.

On size, samples and bits the stream is usually right (it was written by the encoder that saw the pixels);
on the sign and the colour model it often says nothing, and the data set is heard.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from etl.pixels.claims import Claims, DecodeError
from etl.pixels.codestream import Colour, StreamHeader

Values = NDArray[Any]

PRECISION = {"jpeg": (2, 16), "jpeg_ls": (2, 16), "jpeg_2000": (1, 32), "htj2k": (1, 32)}  # JPEG XL tells none


def require_plausible(stream: bytes, header: StreamHeader, claims: Claims) -> None:
    """Raises DecodeError where the stream claims nothing, or more than its length can hold.

    What the decoder will allocate follows the stream's header, so that is held against the length, too.
    """
    if not header.rows or not header.columns:
        raise DecodeError(f"the compressed stream claims {header.rows} rows and {header.columns} columns")
    if header.samples not in (0, 1, 3):
        raise DecodeError(f"the compressed stream holds {header.samples} components, expected 1 or 3")
    low, high = PRECISION.get(header.kind, (0, 0))
    if not low <= header.precision <= high:  # GDCM would abort the process
        raise DecodeError(f"the compressed stream claims {header.precision} bits per sample")
    allocated = 32 if header.precision > 16 else 16 if header.precision > 8 else 8
    replace(
        claims,
        rows=header.rows,
        columns=header.columns,
        samples=header.samples or claims.samples,
        bits_allocated=allocated if header.precision else claims.bits_allocated,
        photometric="",
    ).require_plausible(len(stream))


def disagreements(header: StreamHeader, claims: Claims) -> list[str]:
    """Our codes for what the two headers do not agree on."""
    problems = []
    if (header.rows, header.columns) != (claims.rows, claims.columns):
        problems.append("rows_columns_codestream")
    if header.samples and header.samples != claims.samples:
        problems.append("samples_codestream")
    if header.precision and header.precision != claims.bits_stored:
        problems.append("bits_stored_codestream")
    return problems


def as_announced(values: Values, header: StreamHeader) -> Values:
    """The decoder's array when it has the shape that its own stream announced."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    samples = header.samples or (values.shape[2] if values.ndim == 3 else 1)
    expected = (header.rows, header.columns) if samples == 1 else (header.rows, header.columns, samples)
    if values.shape != expected or samples not in (1, 3):
        raise DecodeError(f"the decoder returned {values.size:,} values, the stream's header announced another shape")
    return values


def with_sign(values: Values, header: StreamHeader, claims: Claims) -> tuple[Values, tuple[str, ...]]:
    """Values with their sign: the stream's where it knows one (JPEG 2000), else PixelRepresentation's.

    Where an unsigned stream stands under a signed header, the bits are the stream's and their meaning the
    header's, as in the reference decoders; which is right only the picture can tell, so it is recorded.
    """
    if values.dtype.kind == claims.dtype.kind or values.ndim == 3:
        larger = claims.dtype if claims.dtype.itemsize > values.dtype.itemsize else values.dtype
        return values.astype(larger, copy=False), ()
    if values.dtype.kind == "i":
        return values, ("pixel_representation_codestream",)
    size = max(values.dtype.itemsize, claims.dtype.itemsize)
    unused = 8 * size - claims.bits_stored
    whole = values.astype(f"u{size}", copy=False).view(f"i{size}")
    problem = ("pixel_representation_codestream",) if header.kind in ("jpeg_2000", "htj2k") else ()
    return (whole << unused) >> unused, problem


def colour_model(claims: Claims, header: StreamHeader | None) -> Colour:
    """Model of three samples as decoded: OpenJPEG and libjxl undo their own transform, JPEG is left alone."""
    if header is None and claims.samples == 1:
        return ""
    if header is not None and header.colour:
        return header.colour
    undone = header is not None and header.kind == "jpeg_xl"
    return "ybr" if claims.photometric.startswith(("YBR_FULL", "YBR_PARTIAL")) and not undone else "rgb"
