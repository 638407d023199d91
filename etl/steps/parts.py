"""Which components of a limb mask are limbs of their own: letters, markers, fragments and fingers are not."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.limb_mask import Limb, find_limb
from etl.steps.quantiles import median, quantile, span
from etl.steps.thumbnail import remembered

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 with exclusive ends

_LEAST_LENGTH = 0.5  # of the longest part: markers and cut-off fingers are shorter
_LEAST_FILM = 0.004  # of the film's area: no limb is that small, and a film without one has no parts
_LEAST_GREYS = 0.15  # range of a part's greys over the film's: bone stands out from flesh
_LEAST_FILLED = 0.2  # of its convex hull, for the spread fingers of a hand
_WHITE, _WHITE_SHARE = 0.97, 0.6  # of the film's brightest grey, and of a component's pixels
_BAR, _BAR_FILLED = 5.0, 0.75  # how much longer than broad, and how much of its rectangle filled, no limb is
_SKIN = 0.012  # of the film's range, a pixel of the thumbnail: how steep a skin line is at least


@dataclass(frozen=True, slots=True)
class Region:
    """One limb on a thumbnail: its `mask` (bool, rows x columns) and bounding `box`."""

    mask: NDArray[np.bool_]
    box: Box


def find_parts(small: NDArray[np.float32], min_of_largest: float) -> list[Region]:
    """The limbs of a thumbnail (float32 (rows, columns), 0..255), in no order; [] when there is none."""
    return [part.region for part in _limbs(_components(small), min_of_largest)]


def how_sure(small: NDArray[np.float32], min_of_largest: float) -> float:
    """How sure (0.5..1) the number of limbs is: nothing is nearly a limb, none is hardly one, each joined film has its own."""
    found = _components(small)
    limbs = _limbs(found, min_of_largest)
    if not limbs:
        return 0.5
    largest = max(part.area for part in limbs)
    nearly = max((part.area for part in found if part not in limbs and part.is_body), default=0) / largest
    hardly = min(part.area for part in limbs) / largest
    joined = find_limb(small).films
    doubts = (
        nearly / min_of_largest,
        min_of_largest / hardly if len(limbs) > 1 else 0.0,
        float(joined > 1 and joined != len(limbs)),
    )
    return 1 - 0.5 * min(1.0, max(doubts))


def _limbs(found: list[_Component], min_of_largest: float) -> list[_Component]:
    # Beside a limb with greys in it what is white all over is none.
    if any(part.is_body and not part.is_white for part in found):
        found = [part for part in found if not part.is_white]
    if not found:
        return []
    largest = max(part.area for part in found)
    longest = max(part.length for part in found if part.area >= 0.5 * largest)
    return [
        part
        for part in found
        if part.area >= min_of_largest * largest and part.length >= _LEAST_LENGTH * longest and part.is_body
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Component:
    region: Region
    area: int  # pixels
    length: float  # of the smallest rectangle around it
    is_body: bool
    is_white: bool  # nearly all of it is the film's white, as of a blade, or of a limb whose greys were lost


@remembered
def _components(small: NDArray[np.float32]) -> list[_Component]:
    """Components are taken at a level between air and skin, so that two limbs whose halos meet count as
    touching, and only those count that hold flesh or bone."""
    limb = find_limb(small)
    close = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    joined = cv2.morphologyEx(limb.reach.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    joined = cv2.morphologyEx(joined | limb.mask.astype(np.uint8), cv2.MORPH_CLOSE, close)
    # Fragments grow together, but not across a row or a column of nothing but air.
    joined[~np.asarray(limb.reach.any(axis=1))] = 0
    joined[:, ~np.asarray(limb.reach.any(axis=0))] = 0
    _, labels = cv2.connectedComponents(joined, connectivity=8, ltype=cv2.CV_32S)
    areas = np.bincount(labels[limb.mask])
    areas[:1] = 0  # flesh that belongs to no component
    white = _WHITE * quantile(limb.grey, 0.995)
    found = []
    for label in np.flatnonzero(areas >= _LEAST_FILM * joined.size):
        mask = (labels == label) & limb.mask
        region = Region(mask, bounding_box(mask))
        is_white = bool(np.count_nonzero(limb.grey[mask] >= white) > _WHITE_SHARE * areas[label])
        found.append(_Component(region, int(areas[label]), _length(mask), _is_body(mask, limb), is_white))
    return found


def bounding_box(mask: NDArray[np.bool_]) -> Box:
    """x0, y0, x1, y1 (exclusive ends) of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _is_bar(mask: NDArray[np.bool_]) -> bool:
    """Whether a component is a long rectangle: what is left of a frame, or a ruler."""
    (_, (width, height), _) = cv2.minAreaRect(_outline_points(mask))
    short, long = min(width, height) + 1, max(width, height) + 1
    return bool(long > _BAR * short and np.count_nonzero(mask) > _BAR_FILLED * short * long)


def _length(mask: NDArray[np.bool_]) -> float:
    (_, (width, height), _) = cv2.minAreaRect(_outline_points(mask))
    return float(max(width, height))


def _is_body(mask: NDArray[np.bool_], limb: Limb) -> bool:
    """Whether a component looks like flesh with bone in it: many greys, with a skin, no bar, and no net of thin
    strips."""
    low, high = span(limb.grey[mask], 0.05, 0.95)
    whole = median(limb.contrast[mask])
    if high - low < _LEAST_GREYS * whole:
        return False
    if np.count_nonzero(mask) < _LEAST_FILLED * _hull_area(mask) or _is_bar(mask):
        return False
    return _has_skin(mask, limb, whole)


def _has_skin(mask: NDArray[np.bool_], limb: Limb, whole: float) -> bool:
    """Whether grey falls off quickly along most of the outline; the haze of unevenly lit air fades slowly."""
    area = mask.astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    outline = (cv2.dilate(area, kernel) != cv2.erode(area, kernel)) & _off_border(limb.inside)
    if np.count_nonzero(outline) < 10:
        return False
    gx = cv2.Sobel(limb.grey, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    gy = cv2.Sobel(limb.grey, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    return median(cv2.magnitude(gx, gy)[outline]) > _SKIN * whole


def _off_border(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    kernel = np.ones((7, 7), np.uint8)
    eroded = cv2.erode(inside.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(eroded, dtype=np.bool_)


def _hull_area(mask: NDArray[np.bool_]) -> float:
    return float(cv2.contourArea(cv2.convexHull(_outline_points(mask)))) + 1


def _outline_points(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return np.concatenate(outlines)
