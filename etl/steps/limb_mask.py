"""The limb on a thumbnail: two thresholds, found apart on each side of a seam, and nothing bright beyond an
edge.

One Otsu threshold falls between flesh and bone. Three classes (air, flesh, bone) give two, of which the lower
one is the skin. A second, lower level halfway to air tells touching limbs from separate ones.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.captions import without_captions
from etl.steps.collimation import exposure, narrow_exposure
from etl.steps.polarity import bright_air
from etl.steps.quantiles import median, quantile, span
from etl.steps.seams import panels
from etl.steps.thumbnail import remembered

_BINS = 64
_LEAST_CONTRAST = 0.4  # of the whole picture's, for a joined film
_FIRST, _SECOND = np.array(np.triu_indices(_BINS - 1, 1)) + 1  # all pairs of levels that part three classes


class Limb(NamedTuple):
    """What is seen on a thumbnail: `mask` bool (rows, columns) of flesh and bone, `reach` the same with the
    faint surroundings of its edges, `bone` its brightest class, `inside` the exposed field; `grey`
    float32, the smoothed thumbnail with dark air. `contrast` float32: the range of greys of the joined film
    that a pixel belongs to; `films`: how many were joined."""

    mask: NDArray[np.bool_]
    reach: NDArray[np.bool_]
    bone: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    grey: NDArray[np.float32]
    contrast: NDArray[np.float32]
    films: int = 1


@remembered
def find_limb(small: NDArray[np.float32]) -> Limb:
    """Look at a thumbnail (float32 (rows, columns), 0..255) of either polarity; joined films are looked at
    one by one."""
    rows, columns = small.shape
    window = without_captions(small)
    if window != (slice(0, rows), slice(0, columns)):
        return _placed([(window, find_limb(np.ascontiguousarray(small[window])))], small.shape)
    whole = _find_in(small)
    films = panels(small, whole.mask)
    if len(films) == 1:
        return whole
    joined = _placed([(film, _find_in(small[film])) for film in films], small.shape)
    # A strip of air has a contrast too, of noise and scatter: a limb's is not so much smaller than its neighbour's.
    return joined._replace(contrast=np.maximum(joined.contrast, _LEAST_CONTRAST * whole.contrast))


def _placed(films: list[tuple[tuple[slice, slice], Limb]], shape: tuple[int, ...]) -> Limb:
    """What was seen in windows of a thumbnail, each at its place; nothing in between."""
    mask, reach, bone, inside = (np.zeros(shape, dtype=bool) for _ in range(4))
    grey, contrast = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for window, part in films:
        mask[window], reach[window], bone[window], inside[window] = part.mask, part.reach, part.bone, part.inside
        grey[window], contrast[window] = part.grey, part.contrast
    return Limb(mask, reach, bone, inside, grey, contrast, sum(part.films for _, part in films))


def _find_in(small: NDArray[np.float32]) -> Limb:
    film = exposure(small)
    if bright_air(small) > 0:
        small = 255 - small
    grey = cv2.GaussianBlur(small, (0, 0), 1.0)
    air, skin, cortex = grey_classes(grey[film.inside])
    allowed = film.inside.copy()
    for piece in film.beyond:
        # A dark piece beyond an edge is air or blade: it may stay. What is bright there is no limb.
        if median(grey[piece]) < air + 0.5 * (skin - air):
            allowed |= piece
    blades = narrow_exposure(small).beyond
    white = quantile(grey, 0.995) if blades else 0.0
    for piece in blades:
        # A soft blade is as white as anything and holds a corner of the film; a limb's middle does neither.
        corners = piece[0, 0] or piece[0, -1] or piece[-1, 0] or piece[-1, -1]
        if corners and median(grey[piece]) > 0.9 * white:
            allowed &= ~piece
    reach = air + 0.5 * (skin - air)
    low, high = span(grey[film.inside], 0.02, 0.98)
    contrast = np.full_like(grey, high - low)
    return Limb(allowed & (grey > skin), allowed & (grey > reach), allowed & (grey > cortex), film.inside, grey, contrast)


def grey_classes(values: NDArray[np.float32]) -> tuple[float, float, float]:
    """Air's own grey and the two thresholds air|flesh and flesh|bone of a film's values, by Otsu's criterion.

    Maximises the variance between three classes over all pairs of 64 levels (Otsu 1979, section IV).
    """
    low, high = span(values, 0.002, 0.99)
    if high - low < 1e-3:
        return low, high, high
    levels = np.clip((values - np.float32(low)) * np.float32(_BINS / (high - low)), 0, _BINS - 1).astype(np.intp)
    counts = np.bincount(levels, minlength=_BINS)
    edges = np.linspace(low, high, _BINS + 1)
    share = counts / counts.sum()
    centres = (edges[1:] + edges[:-1]) / 2
    weight = np.concatenate(([0.0], np.cumsum(share)))
    moment = np.concatenate(([0.0], np.cumsum(share * centres)))

    def between(start: NDArray[np.int64] | int, stop: NDArray[np.int64] | int) -> NDArray[np.float64]:
        mass = weight[stop] - weight[start]
        return np.asarray((moment[stop] - moment[start]) ** 2 / np.maximum(mass, 1e-12))

    best = int(np.argmax(between(0, _FIRST) + between(_FIRST, _SECOND) + between(_SECOND, _BINS)))
    skin, cortex = float(edges[_FIRST[best]]), float(edges[_SECOND[best]])
    air = float(centres[int(np.argmax(counts[: _FIRST[best]]))])
    return air, skin, cortex
