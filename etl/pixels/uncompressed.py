"""Stored values of uncompressed Pixel Data (PS3.5 8.1 and Annex D): cells of bits to whole numbers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from etl.pixels.claims import Claims

Stored = NDArray[Any]


def native_frame(data: bytes, claims: Claims, index: int, *, big_endian: bool, words: bool) -> Stored:
    """Frame `index` of uncompressed pixels: (rows, columns) or (rows, columns, 3), in claims.dtype.

    `data` is as long as `claims` says (claims.require_length). `big_endian`: of the transfer syntax;
    `words`: the element's VR is OW, so that in big endian each pair of 8-bit values is swapped (PS3.5
    8.1.2). Where no bit is unused the result is a read-only view of `data`.
    """
    allocated = claims.bits_allocated
    if big_endian and words and allocated <= 8:
        data = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes() + data[len(data) // 2 * 2 :]
    if allocated in (1, 12):
        return _packed_bits(data, claims, index)
    size = claims.frame_bits // 8
    order: Literal[">", "<"] = ">" if big_endian else "<"
    cells = np.frombuffer(data, claims.dtype.newbyteorder(order), size // claims.dtype.itemsize, index * size)
    cells = cells.astype(claims.dtype, copy=False)
    if claims.subsampled:
        return _spread_chroma(cells).reshape(claims.rows, claims.columns, 3)
    return settle(shape(cells, claims), claims)


def shape(cells: Stored, claims: Claims) -> Stored:
    """(rows, columns) or (rows, columns, 3) from values in stored order."""
    if claims.samples == 1:
        return cells.reshape(claims.rows, claims.columns)
    if claims.planar:
        return np.ascontiguousarray(cells.reshape(3, claims.rows, claims.columns).transpose(1, 2, 0))
    return cells.reshape(claims.rows, claims.columns, 3)


def settle(cells: Stored, claims: Claims) -> Stored:
    """Values of BitsStored bits out of their cells (PS3.5 8.1.1): what lies above HighBit or below is no
    picture.

    Old overlays (60xx) and rubbish live there. The sign is that of the highest stored bit, not of the cell.
    """
    unused = claims.bits_allocated - claims.bits_stored
    if unused == 0 or cells.dtype.kind == "f":
        return cells
    below = claims.high_bit + 1 - claims.bits_stored
    if claims.signed:
        above = unused - below
        shifted: Stored = (cells << above) >> (above + below)
        return shifted
    mask = cells.dtype.type((1 << claims.bits_stored) - 1)
    masked: Stored = (cells >> below) & mask if below else cells & mask
    return masked


def _packed_bits(data: bytes, claims: Claims, index: int) -> Stored:
    """Cells of 1 or 12 bits, the first in the lowest bits, frames without a gap between them."""
    first = index * claims.frame_bits
    last = first + claims.frame_bits
    octets = np.frombuffer(data, np.uint8, (last + 7) // 8 - first // 8, first // 8)
    bits = np.unpackbits(octets, bitorder="little")[first % 8 : first % 8 + claims.frame_bits]
    if claims.bits_allocated == 1:
        return shape(bits, claims)
    cells = np.zeros(bits.size // 12, np.uint16)
    for place, plane in enumerate(bits.reshape(-1, 12).T):
        cells |= plane.astype(np.uint16) << place
    return settle(shape(cells.astype(claims.dtype), claims), claims)


def _spread_chroma(cells: Stored) -> Stored:
    """Y1 Y2 Cb Cr for each two pixels (YBR_FULL_422, PS3.3 C.7.6.3.1.2) to Y Cb Cr for each."""
    pairs = cells.reshape(-1, 4)
    return np.stack([pairs[:, [0, 2, 3]], pairs[:, [1, 2, 3]]], axis=1)
