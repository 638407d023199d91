"""Colour files that show a grey film: to luma when the channels are (nearly) equal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from etl.pixels.codestream import Colour
from etl.pixels.lookup import read_table

TOLERANCE = 0.03  # of the range: what lossy compression does to equal channels
MIN_EQUAL = 0.999  # of the pixels: a coloured word on a grey film is a word, a coloured scale is not

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as YBR_FULL (PS3.3 C.7.6.3.1.2)

Values = NDArray[Any]


def equal_share(pixels: Values, colour: Colour, white: int) -> float:
    """Share (0..1) of the pixels of (rows, columns, 3) with nearly equal channels; `white`: the largest
    value.
    """
    tolerance = round(white * TOLERANCE)
    if colour == "ybr":  # no colour is at mid-range of both differences
        middle = (white + 1) // 2
        spread = np.maximum(_distance(pixels[..., 1], middle), _distance(pixels[..., 2], middle))
        return float(np.mean(spread <= tolerance))
    return float(np.mean(pixels.max(axis=2) - pixels.min(axis=2) <= tolerance))


def luma(pixels: Values, colour: Colour) -> Values:
    """(rows, columns) of the same type: Y of YBR, the weighted mean of RGB."""
    if colour == "ybr":
        return np.ascontiguousarray(pixels[..., 0])
    weighted: Values = np.rint(pixels @ LUMA).astype(pixels.dtype)
    return weighted


def apply_palette(stored: Values, ds: Dataset) -> tuple[Values, int] | None:
    """A PALETTE COLOR frame as (rows, columns, 3) uint16 and its largest possible value; None without
    tables.
    """
    channels = []
    bits = 8
    for name in ("Red", "Green", "Blue"):
        table, _ = read_table(
            ds,
            f"{name}PaletteColorLookupTableDescriptor",
            f"{name}PaletteColorLookupTableData",
            signed=stored.dtype.kind == "i",
        )
        if table is None:
            return None
        bits = max(bits, table.bits)
        index = np.clip(stored.astype(np.int64) - table.first, 0, table.entries.size - 1)
        channels.append(table.entries[index])
    return np.dstack(channels), (1 << (16 if bits > 8 else 8)) - 1


def to_range(grey: Values, white: int, bits: int) -> Values:
    """Display values of 0..white to uint8 or uint16 of `bits`: they are greys already, no window applies."""
    scaled = np.rint(grey.astype(np.float64) * ((2**bits - 1) / white))
    display: Values = scaled.astype(np.uint8 if bits == 8 else np.uint16)
    return display


def _distance(values: Values, middle: int) -> Values:
    distance: Values = np.abs(values.astype(np.int64) - middle)
    return distance
