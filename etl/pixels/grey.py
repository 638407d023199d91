"""Stored values to greys: modality, padding aside, VOI, sense, range (PS3.3 C.11), in float64, rounded once.

Pixels of 8 and 16 bits go through one table of all their values; others (32 bits, floats) are computed one
by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.pixels.presentation import Presentation, Window
from schemas.recipe import Pixels as PixelSettings

Values = NDArray[Any]
Reals = NDArray[np.float64]
Mask = NDArray[np.bool_]
Voi = Callable[[Reals], Reals]  # the modality's units -> 0..1

SAMPLE = 1 << 19  # pixels that a histogram is taken from, a regular grid of them
EXTREME = 0.1  # percent of the pixels at each end that do not count as the film's range
NARROW = 10.0  # a window so many times wider than the film's range leaves it one grey


@dataclass(frozen=True, slots=True, kw_only=True)
class Grey:
    """A picture: `pixels` uint8 or uint16 (rows, columns), 0 = air by the header's word; `padding` is
    painted so.
    """

    pixels: Values
    padding: Mask | None
    voi_source: str
    window_center: float | None = None
    window_width: float | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """The VOI that is applied, in the words of the manifest."""

    voi: Voi
    source: str
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Distribution:
    """Values in the modality's units, ascending, and how many pixels have each: a sample without padding."""

    values: Reals
    counts: NDArray[np.int64]
    _sums: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_sums", np.cumsum(self.counts))

    def percentile(self, percent: float) -> float:
        """The lowest value that `percent` of the pixels do not exceed."""
        rank = percent / 100 * int(self._sums[-1])
        return float(self.values[min(int(np.searchsorted(self._sums, rank)), self.values.size - 1)])


def render(stored: Values, header: Presentation, settings: PixelSettings) -> Grey:
    """The picture of `stored` (rows, columns) of any integer or float type, as `header` wants it shown."""
    padding, problems = _padding_mask(stored, header)
    distribution = _distribution(stored, padding, header)
    choice = choose_voi(header, distribution, settings)
    white = 2**settings.bits - 1

    def draw(values: Values) -> Values:
        shown = np.rint(choice.voi(header.modality.apply(values.astype(np.float64))) * white)
        if header.negative:
            shown = white - shown
        if padding is not None:
            shown[_is_padding(values, header)] = 0
        drawn: Values = shown.astype(np.uint8 if settings.bits == 8 else np.uint16)
        return drawn

    return Grey(
        pixels=_through_table(stored, draw) if stored.dtype.itemsize <= 2 else draw(stored),
        padding=padding,
        voi_source=choice.source,
        window_center=choice.window.center if choice.window else None,
        window_width=choice.window.width if choice.window else None,
        problems=problems,
    )


def window_function(window: Window) -> Voi:
    """The function of a window, to 0..1 (C.11.2.1.2.1 LINEAR, C.11.2.1.3.1 SIGMOID, C.11.2.1.3.2
    LINEAR_EXACT).

    A LINEAR window of width 1 is a threshold.
    """
    center, width = window.center, window.width
    if window.function == "SIGMOID":
        return lambda x: 1 / (1 + np.exp(np.clip(-4 * (x - center) / width, -500, 500)))
    if window.function == "LINEAR_EXACT":
        return lambda x: np.clip((x - center) / width + 0.5, 0, 1)
    if width == 1:
        return lambda x: (x > center - 0.5).astype(np.float64)
    return lambda x: np.clip((x - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def choose_voi(header: Presentation, distribution: Distribution, settings: PixelSettings) -> Choice:
    """VOI LUT, else the first window, else percentiles; what shows nothing is passed over, and `source`
    says so.
    """
    low, high = distribution.percentile(EXTREME), distribution.percentile(100 - EXTREME)
    if low == high:
        low, high = float(distribution.values[0]), float(distribution.values[-1])
    refused: list[str] = []
    if header.voi_lut is not None:
        table = header.voi_lut
        scale = (1 << table.bits) - 1
        flat = _flatness(lambda x: table.apply(x) / scale, low, high)
        if not flat:
            return Choice(lambda x: table.apply(x) / scale, "lut")
        refused.append(f"lut_{flat}")
    if header.window is not None:
        window = header.window
        if window.width <= 0 or (window.function == "LINEAR" and window.width < 1):
            flat = "width"
        else:
            flat = _flatness(window_function(window), low, high)
        if not flat:
            suffix = "" if window.function == "LINEAR" else f"_{window.function.lower()}"
            return Choice(window_function(window), ":".join([f"window{suffix}", *refused]), window)
        refused.append(f"window_{flat}")
    low = distribution.percentile(settings.low_percentile)
    high = distribution.percentile(settings.high_percentile)
    if low == high:  # less than a percent of the pixels differ: a mask, or nothing at all
        low, high = float(distribution.values[0]), float(distribution.values[-1])
    span = high - low or 1.0
    return Choice(lambda x: np.clip((x - low) / span, 0, 1), ":".join(["percentile", *refused]))


def _flatness(voi: Voi, low: float, high: float) -> str:
    """Why a VOI would show a film that lies between low and high as one grey, "" when it does not."""
    if low == high:
        return ""
    shown = voi(np.linspace(low, high, 257))
    if np.ptp(shown) * NARROW >= 1:
        return ""
    return "outside_data" if shown.max() == 0 or shown.min() == 1 else "too_wide"


def _is_padding(values: Values, header: Presentation) -> Mask:
    if header.padding is None:
        return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    low, high = header.padding
    inside: Mask = values == low if low == high else (values >= low) & (values <= high)
    return inside


def _padding_mask(stored: Values, header: Presentation) -> tuple[Mask | None, tuple[str, ...]]:
    """Where the padding lies; None where there is none, or where nothing else is left."""
    if header.padding is None and stored.dtype.kind != "f":
        return None, ()
    mask = _is_padding(stored, header)
    if not mask.any():
        return None, ()
    return (None, ("padding_everywhere",)) if mask.all() else (mask, ())


def _distribution(stored: Values, padding: Mask | None, header: Presentation) -> Distribution:
    step = max(1, int(np.sqrt(stored.size / SAMPLE)))
    sample = stored[::step, ::step]
    if padding is not None:
        kept = sample[~padding[::step, ::step]]
        sample = kept if kept.size else stored[~padding]  # what little there is fell between the grid's points
    if stored.dtype.itemsize <= 2:
        counts = np.bincount(_bits(sample).ravel(), minlength=1)
        cells = np.flatnonzero(counts)
        counts = counts[cells]
        values = cells.astype(_unsigned(stored.dtype)).view(stored.dtype)
    else:
        values, counts = np.unique(sample, return_counts=True)
    reals = header.modality.apply(values.astype(np.float64))
    finite = np.isfinite(reals)
    reals, counts = (reals[finite], counts[finite]) if finite.any() else (np.zeros(1), np.ones(1, np.int64))
    order = np.argsort(reals, kind="stable")
    return Distribution(reals[order], counts[order])


def _through_table(stored: Values, draw: Callable[[Values], Values]) -> Values:
    """Every pixel by one look into a table of 256 or 65,536 entries."""
    unsigned = _unsigned(stored.dtype)
    cells = np.arange(1 << (8 * unsigned.itemsize)).astype(unsigned)
    table = draw(cells.view(stored.dtype))
    return cv2.LUT(_bits(stored), table)  # type: ignore[no-any-return]


def _unsigned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"u{dtype.itemsize}")


def _bits(stored: Values) -> Values:
    """The same cells as unsigned numbers: the index of a table."""
    return stored.view(_unsigned(stored.dtype))
