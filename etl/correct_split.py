"""A film of which somebody said that it shows several limbs, cut although the step saw one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from etl.steps import otsu_split
from etl.steps.limb_mask import find_limb
from etl.steps.thumbnail import thumbnail
from etl.study import Frame, compose
from schemas.steps import OtsuSplit

_SMALLER_PART = 0.04  # of the largest: what the step takes for a marker may be a finger's film
_EDGE = 0.2  # of the side: no limb is narrower
_VALLEY = 0.25  # how much less flesh than either side's fullest line the line of a cut holds, at the least


def cut(frame: Frame, settings: OtsuSplit) -> list[Frame]:
    """The film as two pictures or more, in reading order; [] when nothing in it says where to cut.

    First the step is asked for smaller parts, whatever the header says is shown; then the film is cut along the column or
    row that holds the least flesh between two that hold much.
    """
    less = settings.model_copy(update={"method": "robust", "min_of_largest": min(_SMALLER_PART, settings.min_of_largest)})
    pieces = otsu_split.apply(replace(frame, body_part=None), less)
    if not isinstance(pieces, list) or len(pieces) < 2:
        pieces = _halves(frame, settings.min_side)
    return [replace(piece, body_part=frame.body_part) for piece in pieces]


def _halves(frame: Frame, min_side: int) -> list[Frame]:
    rows, columns = frame.pixels.shape
    flesh = find_limb(thumbnail(frame.pixels)).mask
    depth, place, axis = max((*_valley(flesh.mean(axis=axis)), axis) for axis in (0, 1))
    side = columns if axis == 0 else rows
    at = round(place * side)
    if depth < _VALLEY or min(at, side - at, rows if axis == 0 else columns) < min_side:
        return []
    boxes = ((0, 0, at, rows), (at, 0, columns, rows)) if axis == 0 else ((0, 0, columns, at), (0, at, columns, rows))
    return [_window(frame, *box) for box in boxes]


def _valley(profile: NDArray[np.float64]) -> tuple[float, float]:
    """How deep (0..1) the deepest valley of a profile is, and where (0..1) it lies."""
    kernel = np.ones(5) / 5
    smooth = np.convolve(np.pad(profile, 2, mode="edge"), kernel, mode="valid")
    return max(_depths(smooth), default=(0.0, 0.5))


def _depths(profile: NDArray[np.float64]) -> Iterator[tuple[float, float]]:
    side = len(profile)
    for at in range(round(_EDGE * side), round((1 - _EDGE) * side)):
        lower = min(profile[:at].max(initial=0.0), profile[at + 1 :].max(initial=0.0))
        if lower > 0:
            yield float(1 - profile[at] / lower), at / side


def _window(frame: Frame, x0: int, y0: int, x1: int, y1: int) -> Frame:
    padding = None if frame.padding is None else frame.padding[y0:y1, x0:x1].copy()
    return replace(
        frame,
        pixels=frame.pixels[y0:y1, x0:x1].copy(),
        padding=padding if padding is not None and padding.any() else None,
        transform=compose((1.0, 0.0, -float(x0), 0.0, 1.0, -float(y0)), frame.transform),
    )
