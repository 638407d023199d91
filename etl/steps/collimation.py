"""Where a film was exposed: scan borders, frames and collimator blades are found by their long straight
edges.

Every later judgement (is air bright? where is the limb?) is made inside this field only. An edge counts when
it runs straight across the whole picture, turned by any angle, with one sense of grey, and when nothing but
flat grey lies beyond it: a limb's outline bends, and a limb's outside is not cut off by one line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.captions import without_captions
from etl.steps.quantiles import median, quantile, span
from etl.steps.straight_edges import Edge, Gradient, straight_edges
from etl.steps.thumbnail import remembered

_REACH = 3.0  # pixels to either side of an edge at which greys are compared: soft blades are that wide
_FAR = 9.0  # pixels from an edge to where a limb has grown thicker
_SKIN_FLAT, _SKIN_RISE = 0.12, 0.3  # of the step at the edge
_STRIDE = 1.5  # pixels between the points of a chord
_AGREE = 0.6  # share of a chord along which the step must be seen
_CONSENT = 0.82  # share of it among the points of the chord that show anything at all
_CERTAIN = 0.9  # share of the visible part of a chord along which a blade's step is seen
_ONE_GREY = 0.35  # range of greys along a blade over that along the field beside it
_ACROSS = np.arange(-5, 6, dtype=np.float32)  # pixels across an edge within which its place is sought
_BENT = 0.6  # pixels that three quarters of an edge may lie off its line; outlines of limbs are at about 1
_LEAST_CHORD = 0.12  # of the shorter side: fields may be small
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
        return _Lines(noticeable, spread, strong, _chords(smooth, straight_edges(gradient, strong & inside)))

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


@dataclass(frozen=True, slots=True, eq=False)
class _Chord:
    """An edge's line across the picture: its points (x, y), the `places` (flat index) of the nearest pixels,
    the greys to its `low` and `high` side, and by how much they rise across the line."""

    edge: Edge
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    places: NDArray[np.int64]
    rise: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]


def _chords(smooth: NDArray[np.float32], edges: list[Edge]) -> list[_Chord]:
    """The chords of all edges, sampled at once."""
    if not edges:
        return []
    rows, columns = smooth.shape
    reach = math.hypot(rows, columns)
    middle_x, middle_y = (columns - 1) / 2, (rows - 1) / 2
    cos, sin, offset = np.array(edges).T[..., None]
    shift = offset - (middle_x * cos + middle_y * sin)
    along = np.arange(-reach / 2, reach / 2, _STRIDE)
    x = (middle_x + shift * cos - along * sin).astype(np.float32)
    y = (middle_y + shift * sin + along * cos).astype(np.float32)
    high = _sample(smooth, x + _REACH * cos, y + _REACH * sin)
    low = _sample(smooth, x - _REACH * cos, y - _REACH * sin)
    within = (x >= 0) & (x <= columns - 1) & (y >= 0) & (y <= rows - 1)
    places = np.rint(y).astype(np.int64) * columns + np.rint(x).astype(np.int64)
    return [
        _Chord(edge, x[i, on], y[i, on], places[i, on], high[i, on] - low[i, on], low[i, on], high[i, on])
        for i, (edge, on) in enumerate(zip(edges, within, strict=True))
    ]


class _Lines(NamedTuple):
    """What may bound the field: pixels with a gradient of at least `noticeable` (bool mask `strong`), and the
    lines on which many of them lie; `spread` is the range of greys."""

    noticeable: float
    spread: float
    strong: NDArray[np.bool_]
    chords: list[_Chord]


def _cut(smooth: NDArray[np.float32], film: Exposure, lines: _Lines, trust_outlines: bool) -> Exposure:
    """The film without the flat pieces that the lines cut off."""
    rows, columns = smooth.shape
    calm = cv2.dilate(lines.strong.view(np.uint8), np.ones((9, 9), np.uint8)) == 0
    chords = list(lines.chords)
    y, x = np.arange(rows, dtype=np.float32)[:, None], np.arange(columns, dtype=np.float32)
    inside, beyond = film.inside, list(film.beyond)
    busy = lines.strong
    passed_over = film.passed_over
    found = True
    while found:  # a frame within a frame is seen once the outer one is gone
        found = False
        for chord in list(chords):
            steps = _crosses(chord, inside, lines.noticeable)
            if steps is None:
                continue
            edge = chord.edge
            distance = (x * edge.cos - edge.offset) + y * edge.sin
            far = np.abs(distance)
            away = far >= 2 * _REACH
            outside = _outside(distance, inside, busy & away)
            if outside is None:
                continue
            chords.remove(chord)
            if not _is_straight(smooth, edge, steps):
                continue
            if trust_outlines and not steps.is_blade and _is_skin(smooth, edge, steps):
                passed_over = True
                continue
            # A soft blade's own slope is no part of the film either.
            left = inside & ~outside & (far > _REACH - 1)
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


class _Steps(NamedTuple):
    """The points (x, y) of a chord at which grey rises across an edge, and by how much. `is_blade`: it cuts through bone,
    flesh and air alike."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    rise: NDArray[np.float32]
    is_blade: bool


def _crosses(chord: _Chord, inside: NDArray[np.bool_], noticeable: float) -> _Steps | None:
    """The step along an edge's chord through the field; None unless it is seen along most of it, one way."""
    on_field = inside.ravel()[chord.places]
    length = np.count_nonzero(on_field)
    if length * _STRIDE < _LEAST_CHORD * min(inside.shape):
        return None
    agree = on_field & (chord.rise > 1.5 * noticeable)
    agreeing = np.count_nonzero(agree)
    if agreeing * _STRIDE < _LEAST_CHORD * min(inside.shape):
        return None
    against = int(np.count_nonzero(on_field & (chord.rise < -1.5 * noticeable)))
    blade = _is_blade(chord, on_field, agree, against, noticeable)
    # Points without a step count against the edge, but less than points with the opposite one.
    if not blade and (agreeing < _AGREE * length or agreeing < _CONSENT * (agreeing + against)):
        return None
    return _Steps(chord.x[agree], chord.y[agree], chord.rise[agree], blade)


def _is_blade(chord: _Chord, on_field: NDArray[np.bool_], agree: NDArray[np.bool_], against: float, noticeable: float) -> bool:
    """Whether one grey lies along the whole of one side and the other side shows many: so a blade cuts through a limb.

    Where that one grey lies on both sides the chord has left the field, and nothing can be seen there.
    """
    if against > (1 - _CERTAIN) * np.count_nonzero(on_field):
        return False
    greys = np.sort(np.stack((chord.low[agree], chord.high[agree])), axis=1)
    dark, light = greys[:, round(0.1 * (greys.shape[1] - 1))].tolist(), greys[:, round(0.9 * (greys.shape[1] - 1))].tolist()
    for outer, inner in ((0, 1), (1, 0)):
        spread, shown = light[outer] - dark[outer], light[inner] - dark[inner]
        if spread > _ONE_GREY * shown or shown < 6 * noticeable:
            continue
        grey, near = (dark[outer] + light[outer]) / 2, max(spread, 2 * noticeable)
        gone = on_field & ~agree & (np.abs(chord.low - grey) < near) & (np.abs(chord.high - grey) < near)
        seen = np.count_nonzero(on_field & ~gone)
        if np.count_nonzero(agree) >= _CERTAIN * seen and against <= (1 - _CERTAIN) * seen:
            return True
    return False


def _is_straight(smooth: NDArray[np.float32], edge: Edge, steps: _Steps) -> bool:
    """Whether the step lies on one line to a fraction of a pixel. Skin bends, also where it looks straight."""
    profile = _sample(smooth, steps.x[:, None] + _ACROSS * edge.cos, steps.y[:, None] + _ACROSS * edge.sin)
    weight = np.square(np.maximum(np.diff(profile, axis=1), 0))
    place = (weight @ (_ACROSS[:-1] + 0.5)) / np.maximum(weight.sum(axis=1), 1e-6)
    along = steps.y * edge.cos - steps.x * edge.sin
    line = np.stack((along, np.ones_like(along)), axis=1)
    away = place - line @ np.linalg.lstsq(line, place, rcond=None)[0]
    near = np.abs(away) <= 2 * median(np.abs(away)) + 0.1
    away = place - line @ np.linalg.lstsq(line[near], place[near], rcond=None)[0]
    return quantile(np.abs(away), 0.7) <= _BENT


def _is_skin(smooth: NDArray[np.float32], edge: Edge, steps: _Steps) -> bool:
    """Whether grey goes on rising on one side and lies flat on the other: so a rounded limb ends in air.

    A blade, sharp or soft, ends alike on both sides.
    """
    rises = []
    for side in (1.0, -1.0):
        near, far = side * _REACH, side * _FAR
        rise = _sample(smooth, steps.x + far * edge.cos, steps.y + far * edge.sin) - _sample(
            smooth, steps.x + near * edge.cos, steps.y + near * edge.sin
        )
        rises.append(side * median(rise / np.maximum(steps.rise, 1e-3)))
    return min(rises) < _SKIN_FLAT and max(rises) > _SKIN_RISE


def _sample(picture: NDArray[np.float32], x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float32]:
    """Greys at points of any two-dimensional arrangement, or of one dimension."""
    columns, rows = np.atleast_2d(x).astype(np.float32), np.atleast_2d(y).astype(np.float32)
    sampled = cv2.remap(picture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, dtype=np.float32).reshape(x.shape)


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
