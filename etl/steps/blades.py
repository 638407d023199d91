"""What a long straight edge is: a blade of the collimator or the end of a frame, or the outline of a limb.

An edge is followed along its whole chord across the picture. A blade's step is seen along most of it with one sense of grey,
lies on one line to a fraction of a pixel, ends alike on both sides, and cuts through bone, flesh and air; skin does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.quantiles import median, quantile
from etl.steps.straight_edges import Edge

REACH = 3.0  # pixels to either side of an edge at which greys are compared: soft blades are that wide
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


@dataclass(frozen=True, slots=True, eq=False)
class Chord:
    """An edge's line across the picture: its points (x, y), the `places` (flat index) of the nearest pixels,
    the greys to its `low` and `high` side, and by how much they rise across the line."""

    edge: Edge
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    places: NDArray[np.int64]
    rise: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]


def chords(smooth: NDArray[np.float32], edges: list[Edge]) -> list[Chord]:
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
    high = _sample(smooth, x + REACH * cos, y + REACH * sin)
    low = _sample(smooth, x - REACH * cos, y - REACH * sin)
    within = (x >= 0) & (x <= columns - 1) & (y >= 0) & (y <= rows - 1)
    places = np.rint(y).astype(np.int64) * columns + np.rint(x).astype(np.int64)
    return [
        Chord(edge, x[i, on], y[i, on], places[i, on], high[i, on] - low[i, on], low[i, on], high[i, on])
        for i, (edge, on) in enumerate(zip(edges, within, strict=True))
    ]


class Steps(NamedTuple):
    """The points (x, y) of a chord at which grey rises across an edge, and by how much. `is_blade`: it cuts through bone,
    flesh and air alike."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    rise: NDArray[np.float32]
    is_blade: bool


def crosses(chord: Chord, inside: NDArray[np.bool_], noticeable: float) -> Steps | None:
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
    return Steps(chord.x[agree], chord.y[agree], chord.rise[agree], blade)


def _is_blade(chord: Chord, on_field: NDArray[np.bool_], agree: NDArray[np.bool_], against: float, noticeable: float) -> bool:
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


def is_straight(smooth: NDArray[np.float32], edge: Edge, steps: Steps) -> bool:
    """Whether the step lies on one line to a fraction of a pixel. Skin bends, also where it looks straight."""
    profile = _sample(smooth, steps.x[:, None] + _ACROSS * edge.cos, steps.y[:, None] + _ACROSS * edge.sin)
    weight = np.square(np.maximum(np.diff(profile, axis=1), 0))
    place = (weight * (_ACROSS[:-1] + 0.5)).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-6)
    along = steps.y * edge.cos - steps.x * edge.sin
    away = place - _line(along, place, along)
    near = np.abs(away) <= 2 * median(np.abs(away)) + 0.1
    away = place - _line(along[near], place[near], along)
    return quantile(np.abs(away), 0.7) <= _BENT


def _line(x: NDArray[np.float32], y: NDArray[np.float32], at: NDArray[np.float32]) -> NDArray[np.float32]:
    """The least-squares line through points (x, y), at other places; by hand, since a solver would start threads."""
    middle = x.mean()
    spread = float(np.square(x - middle).sum())
    slope = float(((x - middle) * y).sum()) / spread if spread > 0 else 0.0
    return np.asarray(y.mean() + np.float32(slope) * (at - middle), np.float32)


def is_skin(smooth: NDArray[np.float32], edge: Edge, steps: Steps) -> bool:
    """Whether grey goes on rising on one side and lies flat on the other: so a rounded limb ends in air.

    A blade, sharp or soft, ends alike on both sides.
    """
    rises = []
    for side in (1.0, -1.0):
        near, far = side * REACH, side * _FAR
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
