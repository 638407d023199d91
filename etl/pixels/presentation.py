"""What a header says about a frame's greys: modality, VOI, padding, sense (PS3.3 C.11, C.7.6.3, C.7.5.1.1.2).

Reading only; etl.grey draws. Multi-frame objects say it once for all frames or for each (PS3.3 C.7.6.16).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from etl.pixels import attributes
from etl.pixels.lookup import LookupTable, read_table

Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]


@dataclass(frozen=True, slots=True)
class Rescale:
    """Output = slope x stored + intercept (C.11.1.1.2)."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values in the modality's units."""
        return values * self.slope + self.intercept


@dataclass(frozen=True, slots=True)
class Window:
    """Window Center and Width in the modality's units, and the VOI LUT Function: how they are meant."""

    center: float
    width: float
    function: Function = "LINEAR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """From stored values to greys by the header.

    `padding`: the first and last stored value that are no picture.
    """

    modality: Rescale | LookupTable = Rescale()
    voi_lut: LookupTable | None = None
    window: Window | None = None
    padding: tuple[float, float] | None = None
    negative: bool = False  # the lowest value is shown white
    problems: tuple[str, ...] = ()


def functional_group(ds: Dataset, frame: int, keyword: str) -> Dataset:
    """A functional group macro's item for a frame: its own, else the shared one, else the data set itself."""
    per_frame = attributes.items(ds, "PerFrameFunctionalGroupsSequence")
    shared = attributes.items(ds, "SharedFunctionalGroupsSequence")
    for group in (*per_frame[frame : frame + 1], *shared[:1]):
        for item in attributes.items(group, keyword)[:1]:
            return item
    return ds


def read_presentation(ds: Dataset, frame: int, *, signed: bool, bits_allocated: int, photometric: str) -> Presentation:
    """The grey pipeline of frame `frame` (from 0). `signed`: the stored values are, by stream or header."""
    problems: list[str] = []
    modality = _modality(ds, frame, signed, problems)
    group = functional_group(ds, frame, "FrameVOILUTSequence")
    shape = attributes.text(ds, "PresentationLUTShape").upper()
    if (shape == "INVERSE" and photometric == "MONOCHROME2") or (shape == "IDENTITY" and photometric == "MONOCHROME1"):
        problems.append("presentation_lut_shape_conflict")
    if attributes.text(ds, "PresentationIntentType").upper() == "FOR PROCESSING":
        problems.append("for_processing")
    return Presentation(
        modality=modality,
        voi_lut=_voi_lut(group, ds, _may_be_negative(modality, signed, bits_allocated), problems),
        window=_window(group, problems),
        padding=_padding(ds, signed, bits_allocated, problems),
        # INVERSE beside MONOCHROME1 tells of the same turn, not of a second one
        negative=photometric == "MONOCHROME1",
        problems=tuple(problems),
    )


def _modality(ds: Dataset, frame: int, signed: bool, problems: list[str]) -> Rescale | LookupTable:
    for item in attributes.items(ds, "ModalityLUTSequence")[:1]:
        table, wrong = read_table(item, "LUTDescriptor", "LUTData", signed=signed)
        problems += [f"modality_{code}" for code in wrong if code != "lut_bits"]  # its output is not scaled by bits
        if table is not None:
            return table
    group = functional_group(ds, frame, "PixelValueTransformationSequence")
    slope = attributes.first_number(group, "RescaleSlope")
    intercept = attributes.first_number(group, "RescaleIntercept")
    if slope == 0:
        problems.append("rescale_slope_zero")
        return Rescale()
    return Rescale(1.0 if slope is None else slope, intercept or 0.0)


def _may_be_negative(modality: Rescale | LookupTable, signed: bool, bits: int) -> bool:
    """Whether the VOI LUT's input can be below zero, which decides its descriptor's sign (C.11.2.1.1)."""
    if isinstance(modality, LookupTable):
        return False
    lowest, highest = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return min(lowest * modality.slope, highest * modality.slope) + modality.intercept < 0


def _voi_lut(group: Dataset, ds: Dataset, signed: bool, problems: list[str]) -> LookupTable | None:
    for item in (attributes.items(group, "VOILUTSequence") or attributes.items(ds, "VOILUTSequence"))[:1]:
        table, wrong = read_table(item, "LUTDescriptor", "LUTData", signed=signed)
        problems += [f"voi_{code}" for code in wrong]
        if table is not None and table.entries.min() < table.entries.max():
            return table
    return None


def _window(group: Dataset, problems: list[str]) -> Window | None:
    """The first window of several is the default (C.11.2.1.2)."""
    center = attributes.first_number(group, "WindowCenter")
    width = attributes.first_number(group, "WindowWidth")
    if center is None or width is None:
        if attributes.is_present(group, "WindowCenter") and attributes.text(group, "WindowCenter"):
            problems.append("window_unreadable")
        return None
    function = attributes.text(group, "VOILUTFunction").upper() or "LINEAR"
    if function == "LINEAR_EXACT":
        return Window(center, width, "LINEAR_EXACT")
    if function == "SIGMOID":
        return Window(center, width, "SIGMOID")
    if function != "LINEAR":
        problems.append("voi_lut_function_unknown")
    return Window(center, width)


def _padding(ds: Dataset, signed: bool, bits: int, problems: list[str]) -> tuple[float, float] | None:
    """Stored values from Pixel Padding Value to Range Limit, in either order.

    Some write the value with the wrong sign (63536 for -2000): it is taken for the bits it has.
    """
    values = attributes.numbers(ds, "PixelPaddingValue")
    if len(values) != 1:
        if values:
            problems.append("pixel_padding_value")
        return None
    limits = attributes.numbers(ds, "PixelPaddingRangeLimit")
    ends = [_as_stored(value, signed, bits) for value in (values[0], *limits[:1])]
    return min(ends), max(ends)


def _as_stored(value: float, signed: bool, bits: int) -> float:
    if signed and (1 << (bits - 1)) <= value < (1 << bits):
        return value - (1 << bits)
    if not signed and -(1 << (bits - 1)) <= value < 0:
        return value + (1 << bits)
    return value
