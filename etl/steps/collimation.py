"""Where a film was exposed: scan borders, frames and collimator blades are found by their long straight
edges.

Every later judgement (is air bright? where is the limb?) is made inside this field only. An edge counts when
it runs straight across the whole picture, turned by any angle, with one sense of grey, and when nothing but
flat grey lies beyond it: a limb's outline bends, and a limb's outside is not cut off by one line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.blades import REACH, Chord, chords, crosses, is_skin, is_straight
from etl.steps.captions import without_captions
from etl.steps.quantiles import median, span
from etl.steps.straight_edges import Gradient, straight_edges
from etl.steps.thumbnail import remembered

_ROUNDS = 3
_LEAST_FIELD = 0.12  # share of the picture: what is left is never less
_LEAST_CALM = 0.06  # share of what is left that must be free of edges: there is air in a field
_FLAT = 0.04  # share of pixels with a gradient beyond an edge at which it is no longer a frame


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the long edges say about a thumbnail of (rows, columns).

    `inside`: bool, the exposed part; True everywhere where no frame was found. `beyond`: one bool mask for
    each flat piece that an edge cut off. `passed_over`: whether an edge was taken for a limb's own outline.
    """

    inside: NDArray[np.bool_]
    beyond: tuple[NDArray[np.bool_], ...]
    passed_over: bool = False


def exposure(small: NDArray[np.float32]) -> Exposure:
    """Find the field of a thumbnail (float32 (rows, columns), 0..255).

    Frames may be nested, tilted, noisy and of any grey. At least an eighth of the picture is left. Edges that
    look like a limb's own straight outline are no edges of the field.
    """
    return _exposures(small)[0]


def narrow_exposure(small: NDArray[np.float32]) -> Exposure:
    """The same where every straight edge counts: blades whose soft slope looks like skin, and straight skin
    too."""
    return _exposures(small)[1]


@remembered
def _exposures(small: NDArray[np.float32]) -> tuple[Exposure, Exposure]:
    """The wide and the narrow one, which begin with the same lines."""
    whole = Exposure(np.ones(small.shape, dtype=bool), ())
    if min(small.shape) < 24:
        return whole, whole
    rows, columns = without_captions(small)
    if (rows, columns) != (slice(0, small.shape[0]), slice(0, small.shape[1])):
        # A caption is no limb whatever its grey, and no later judgement sees it.
        wide, narrow = _exposures(np.ascontiguousarray(small[rows, columns]))
        return _set_into(wide, small.shape, (rows, columns)), _set_into(narrow, small.shape, (rows, columns))
    smooth = cv2.GaussianBlur(small, (0, 0), 1.0)
    gx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
    gy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
    gradient = Gradient(gx, gy, cv2.magnitude(gx, gy))

    def lines(inside: NDArray[np.bool_], limit: float) -> _Lines | None:
        noticeable, spread = _noticeable(small, gradient.magnitude, inside)
        if spread > limit:
            return None
        strong = gradient.magnitude > noticeable
        return _Lines(noticeable, spread, strong, chords(smooth, straight_edges(gradient, strong & inside)))

    first = lines(whole.inside, math.inf)

    def cut(trust_outlines: bool) -> Exposure:
        film, spread = whole, math.inf
        for number in range(_ROUNDS):
            # Once the frames that are gone did not outshine what is left, no more are sought.
            found = lines(film.inside, 0.6 * spread) if number else first
            if found is None:
                break
            film, spread = _cut(smooth, film, found, trust_outlines), found.spread
        return film

    wide = cut(trust_outlines=True)
    return wide, cut(trust_outlines=False) if wide.passed_over else wide


def _set_into(film: Exposure, shape: tuple[int, ...], window: tuple[slice, slice]) -> Exposure:
    def placed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        whole = np.zeros(shape, dtype=bool)
        whole[window] = mask
        return whole

    return Exposure(placed(film.inside), tuple(placed(piece) for piece in film.beyond), film.passed_over)


class _Lines(NamedTuple):
    """What may bound the field: pixels with a gradient of at least `noticeable` (bool mask `strong`), and the
    lines on which many of them lie; `spread` is the range of greys."""

    noticeable: float
    spread: float
    strong: NDArray[np.bool_]
    chords: list[Chord]


def _cut(smooth: NDArray[np.float32], film: Exposure, lines: _Lines, trust_outlines: bool) -> Exposure:
    """The film without the flat pieces that the lines cut off."""
    rows, columns = smooth.shape
    calm = cv2.dilate(lines.strong.view(np.uint8), np.ones((9, 9), np.uint8)) == 0
    untried = list(lines.chords)
    y, x = np.arange(rows, dtype=np.float32)[:, None], np.arange(columns, dtype=np.float32)
    inside, beyond = film.inside, list(film.beyond)
    busy = lines.strong
    passed_over = film.passed_over
    found = True
    while found:  # a frame within a frame is seen once the outer one is gone
        found = False
        for chord in list(untried):
            steps = crosses(chord, inside, lines.noticeable)
            if steps is None:
                continue
            edge = chord.edge
            distance = (x * edge.cos - edge.offset) + y * edge.sin
            far = np.abs(distance)
            away = far >= 2 * REACH
            outside = _outside(distance, inside, busy & away)
            if outside is None:
                continue
            untried.remove(chord)
            if not is_straight(smooth, edge, steps):
                continue
            if trust_outlines and not steps.is_blade and is_skin(smooth, edge, steps):
                passed_over = True
                continue
            # A soft blade's own slope is no part of the film either.
            left = inside & ~outside & (far > REACH - 1)
            # A limb's own straight outline is left: with it all air would go.
            area = np.count_nonzero(left)
            least, least_calm = (_LEAST_FIELD / 4, 0.0) if steps.is_blade else (_LEAST_FIELD, _LEAST_CALM)
            if area >= least * left.size and np.count_nonzero(calm & left) >= least_calm * area:
                beyond.append(inside & ~left)
                inside = left
                busy = busy & away
                found = True
    return Exposure(inside, tuple(beyond), passed_over)


def _noticeable(small: NDArray[np.float32], magnitude: NDArray[np.float32], inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Gradient (grey levels a pixel) above the film's noise and above 1.5 % of its range; and that range."""
    low, high = span(small[::2, ::2][inside[::2, ::2]], 0.01, 0.99)
    noise = median(magnitude[::3, ::3][inside[::3, ::3]])
    return max(2.5 * noise, 0.015 * (high - low), 0.4), high - low


def _outside(distance: NDArray[np.float32], inside: NDArray[np.bool_], busy: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """The flat side of an edge, None when both sides show something."""
    sides = [inside & (distance > 0), inside & (distance < 0)]
    areas = [np.count_nonzero(side) for side in sides]
    if min(areas) == 0:
        return None
    texture = [np.count_nonzero(busy & side) / area for side, area in zip(sides, areas, strict=True)]
    flatter = int(texture[1] < texture[0])
    if texture[flatter] > _FLAT or texture[1 - flatter] < 2 * texture[flatter]:
        return None
    return sides[flatter]
