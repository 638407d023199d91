"""How much of a limb is metal: plates, screws, wires and nails, which give a label away.

Metal is denser than cortex, as even as paint, and its edge is one step all round. Where the film's window ends below it, it
is clipped, an island without a shore: hardly a pixel around it is nearly white, while overexposed bone fades. Where the
window does not end below it, it stands out of its bed of bone and flesh by more than bone ridges do. Letters and frames do
all that too, but lie in air: what does not lie within the limb is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.limb_mask import find_limb
from etl.steps.limbs import shows_limb
from etl.steps.parts import find_parts
from etl.steps.quantiles import quantile
from etl.steps.thumbnail import thumbnail
from etl.study import Frame, Pixels

Window = tuple[slice, slice]

SIDE = 512  # pixels of the longer side that is looked at: a wire is three of them thick
_HAT = 31  # pixels: more than a plate's breadth
_LEVELS = (0.25, 0.35, 0.45, 0.6, 0.75)  # of the highest top-hat in the limb, at which candidates are cut out
_LEAST, _MOST = 8, 12  # pixels of a candidate; candidates of a level
_LARGEST = 0.12  # of the limb: a nail with all its plates is less
_EVEN = 0.2  # deviation inside, of the step to the surroundings
_WHITE, _NEARLY = 0.98, 0.9  # of the range
_SHORES = ((0.15, 1.05), (0.5, 1.5))  # an island higher than .. of the limb's greys may have a shore of .. pixels
_ISLAND_WITHIN, _STANDS_WITHIN = 0.8, 0.97  # share of the surroundings that lies in the limb
_STANDS_LARGEST = 0.03  # of the limb: an even bright shaft is larger
_STANDS = 1.65  # of the limb's own ridges
_BED = 0.65  # how far the surroundings rise from air to the limb's median: a letter's do not
_SHARP = 0.22  # slope of the edge, of the step, a pixel


class _Scene(NamedTuple):
    """A film's thumbnail as candidates are judged on it; all (rows, columns)."""

    grey: NDArray[np.float32]
    hat: NDArray[np.float32]
    limb: NDArray[np.uint8]
    core: NDArray[np.uint8]  # the limb without its rim
    reach: int  # pixels, by which the rim is broad
    air: float
    middle: float
    spread: float
    ridge: float  # top-hat of ordinary bone
    highest: float


def metal_of_limb(frame: Frame) -> float | None:
    """`metal_fraction` of a film after the steps; None where its tag names no limb: fillings and pacemakers tell nothing."""
    return metal_fraction(frame.pixels) if shows_limb(frame.body_part) else None


def metal_fraction(pixels: Pixels) -> float | None:
    """Share of the limb's pixels that are metal, 0..1; None for a picture without anything to judge.

    `pixels` uint8 or uint16 (rows, columns), 0 = air, as the steps leave them. Where no limb is found, the exposed field is
    judged. Metal outside the skin (the ends of wires, an external fixator) does not count, nor does most of an implant larger
    than `_HAT` thumbnail pixels across.
    """
    scene = _scene(pixels)
    if scene is None:
        return None
    metal = np.zeros(scene.limb.shape, np.bool_)
    for window, mask in _components(scene, scene.grey > _WHITE):
        if _is_island(scene, window, mask):
            metal[window] |= mask > 0
    for level in _LEVELS:
        for window, mask in _components(scene, scene.hat > max(level * scene.highest, 0.02)):
            if _stands_out(scene, window, mask):
                metal[window] |= mask > 0
    return round(float(np.count_nonzero(metal) / np.count_nonzero(scene.limb)), 6)


def _scene(pixels: Pixels) -> _Scene | None:
    grey = cv2.GaussianBlur(_shrunk(pixels), (0, 0), 0.7)
    rows, columns = grey.shape
    limb = _limb(pixels, (rows, columns))
    x, y, width, height = cv2.boundingRect(limb)
    box = (slice(max(0, y - 8), y + height + 8), slice(max(0, x - 8), x + width + 8))
    grey, limb = grey[box], limb[box]
    reach = max(1, round(3 * max(rows, columns) / SIDE))
    some = (slice(None, None, 3), slice(None, None, 3))  # enough for quantiles
    core, deep = _inner(limb, reach), _inner(limb, 3 * reach)
    if np.count_nonzero(core[some]) < 20:
        return None
    if np.count_nonzero(deep[some]) < 20:
        deep = core
    hat = grey - cv2.morphologyEx(grey, cv2.MORPH_OPEN, np.ones((_HAT, _HAT), np.uint8))
    inside, outside = grey[some][core[some] > 0], grey[some][limb[some] == 0]
    low, middle, high = (quantile(inside, q) for q in (0.05, 0.5, 0.9))
    air = quantile(outside, 0.3) if outside.size else low
    ridge, highest = quantile(hat[some][deep[some] > 0], 0.85), quantile(hat[deep > 0], 0.998)
    return _Scene(grey, hat, limb, core, reach, air, middle, max(high - low, 0.03), ridge, highest)


def _shrunk(pixels: Pixels) -> NDArray[np.float32]:
    """Float32 0..1, at most SIDE pixels on the longer side; a smaller picture is not enlarged."""
    small = pixels
    while max(small.shape) >= 2 * SIDE and min(small.shape) >= 2:
        half = (small.shape[1] // 2, small.shape[0] // 2)
        small = cv2.resize(small[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA)
    scale = SIDE / max(small.shape)
    if scale < 1:
        size = (max(1, round(small.shape[1] * scale)), max(1, round(small.shape[0] * scale)))
        small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def _limb(pixels: Pixels, shape: tuple[int, int]) -> NDArray[np.uint8]:
    small = thumbnail(pixels)
    parts = find_parts(small, 0.1)
    mask = np.logical_or.reduce([part.mask for part in parts]) if parts else find_limb(small).inside
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    return np.asarray(cv2.resize(closed, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST), np.uint8)


def _inner(mask: NDArray[np.uint8], rim: int) -> NDArray[np.uint8]:
    kernel = np.ones((2 * rim + 1, 2 * rim + 1), np.uint8)
    return np.asarray(cv2.erode(mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1), np.uint8)


def _components(scene: _Scene, bright: NDArray[np.bool_]) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    """The pieces of what is bright in the limb, of a plausible size: windows of the thumbnail, and masks in them."""
    largest = _LARGEST * np.count_nonzero(scene.limb)
    margin = 2 * scene.reach + 4
    _, labels, stats, _ = cv2.connectedComponentsWithStats((bright & (scene.core > 0)).astype(np.uint8), connectivity=8)
    for label in 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA])[:_MOST]:
        x, y, width, height, area = (int(value) for value in stats[label])
        if _LEAST <= area <= largest:
            window = (slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin))
            yield window, (labels[window] == label).astype(np.uint8)


def _around(scene: _Scene, mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The surroundings of a mask, a little off its blurred edge."""
    near = cv2.dilate(mask, np.ones((3, 3) if scene.reach < 2 else (5, 5), np.uint8))
    return np.asarray(cv2.dilate(near, np.ones((2 * scene.reach + 1,) * 2, np.uint8)) > near)


def _is_island(scene: _Scene, window: Window, mask: NDArray[np.uint8]) -> bool:
    """Whether a clipped piece ends in one step."""
    around, grey = _around(scene, mask), scene.grey[window]
    if not around.any() or float(scene.core[window][around].mean()) < _ISLAND_WITHIN:
        return False
    step = float(grey[mask > 0].mean() - grey[around].mean()) / scene.spread
    nearby = (grey > _NEARLY) & (cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0)
    outline = np.count_nonzero(cv2.dilate(mask, np.ones((3, 3), np.uint8)) > mask)
    shore = float(np.count_nonzero(nearby) - np.count_nonzero(mask)) / max(int(outline), 1)
    return any(step > height and shore < breadth for height, breadth in _SHORES)


def _stands_out(scene: _Scene, window: Window, mask: NDArray[np.uint8]) -> bool:
    """Whether a piece is even, sharp, and rises from tissue by more than bone does."""
    around, grey = _around(scene, mask), scene.grey[window]
    if not around.any() or float(scene.core[window][around].mean()) < _STANDS_WITHIN:
        return False
    inside, bed = grey[mask > 0], grey[around]
    step = float(inside.mean() - bed.mean())
    if inside.size > _STANDS_LARGEST * np.count_nonzero(scene.limb):
        return False  # a shaft
    if step < _STANDS * (scene.ridge + 0.01) or float(inside.std()) > _EVEN * step:
        return False
    in_tissue = quantile(bed, 0.25) - scene.air > _BED * max(scene.middle - scene.air, 0.03)
    return in_tissue and _edge_slope(grey, mask) > _SHARP * step


def _edge_slope(grey: NDArray[np.float32], mask: NDArray[np.uint8]) -> float:
    """Mean slope (greys a pixel) along the outline of a mask."""
    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.125)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.125)
    square = np.ones((3, 3), np.uint8)
    return float(cv2.magnitude(across, down)[cv2.dilate(mask, square) > cv2.erode(mask, square)].mean())
