"""The long straight edges of a thumbnail: a Hough transform in which each pixel votes for its own direction only.

Duda and Hart 1972; the vote by gradient is O'Gorman and Clowes 1976.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

_ANGLE_BINS = 180  # of 2 degrees: the direction of the gradient, sense included
_CANDIDATES = 18
_LEAST = 0.12  # of the shorter side: an edge of a small field is no longer
_COS = np.cos(np.arange(_ANGLE_BINS) * (2 * np.pi / _ANGLE_BINS))
_SIN = np.sin(np.arange(_ANGLE_BINS) * (2 * np.pi / _ANGLE_BINS))
_VOTERS = 8000  # pixels that vote at most: enough for any edge, and noise stays cheap
_ALIGNED = 0.98  # cosine between a pixel's gradient and an edge that it belongs to
_NEAR_BINS = 7  # directions this far from an edge's hold all pixels aligned with it


class Edge(NamedTuple):
    """The line x cos + y sin = offset (thumbnail pixels); greys rise along (cos, sin)."""

    cos: float
    sin: float
    offset: float


class Gradient(NamedTuple):
    """Grey levels a pixel along x and y, and their length: float32 (rows, columns) each."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    magnitude: NDArray[np.float32]


def straight_edges(gradient: Gradient, strong: NDArray[np.bool_]) -> list[Edge]:
    """The likeliest long lines through pixels marked in `strong` (bool (rows, columns)), likeliest first; at
    most 16."""
    places = np.flatnonzero(strong)
    count = len(places)
    if count == 0:
        return []
    if count > _VOTERS:
        places = places[np.linspace(0, count - 1, _VOTERS).astype(np.int64)]
    ys, xs = np.divmod(places, strong.shape[1])
    angle = np.arctan2(gradient.y[ys, xs], gradient.x[ys, xs])
    reach = int(np.hypot(*strong.shape)) + 2
    wide = 2 * reach + 1
    own = np.round(angle * (_ANGLE_BINS / (2 * np.pi))).astype(np.int64) % _ANGLE_BINS
    theta = (own + np.array([[-1], [0], [1]])) % _ANGLE_BINS
    rho = np.rint(xs * _COS[theta] + ys * _SIN[theta]).astype(np.int64) + reach
    counts = np.bincount((theta * wide + rho).ravel(), minlength=_ANGLE_BINS * wide)
    votes = cv2.filter2D(counts.reshape(_ANGLE_BINS, wide).astype(np.float32), -1, np.ones((1, 3)))
    voters = _Voters.sorted(own, np.stack((xs, ys, np.cos(angle), np.sin(angle))).astype(np.float32))
    edges = []
    least = _LEAST * min(strong.shape) * min(1.0, _VOTERS / count)
    for _ in range(_CANDIDATES):
        _, peak, _, (rho_at, theta_at) = cv2.minMaxLoc(votes)
        if peak < least:
            break
        edges.append(_refine(voters.near(theta_at), float(_COS[theta_at]), float(_SIN[theta_at]), float(rho_at - reach)))
        for turn in range(-3, 4):
            votes[(theta_at + turn) % _ANGLE_BINS, max(0, rho_at - 5) : rho_at + 6] = 0
    return edges


class _Voters(NamedTuple):
    """Pixels in the order of their direction, the circle gone round twice: neighbours are one slice.

    Rows of `pixels`: x, y, unit gradient; direction d starts at `starts[d]`.
    """

    pixels: NDArray[np.float32]
    starts: NDArray[np.int64]

    @classmethod
    def sorted(cls, direction: NDArray[np.int64], pixels: NDArray[np.float32]) -> _Voters:
        once = pixels[:, np.argsort(direction.astype(np.uint8), kind="stable")]
        counts = np.bincount(direction, minlength=_ANGLE_BINS)
        return cls(np.hstack((once, once)), np.concatenate(([0], np.cumsum(np.tile(counts, 2)))))

    def near(self, direction: int) -> NDArray[np.float32]:
        first = (direction - _NEAR_BINS) % _ANGLE_BINS
        return self.pixels[:, self.starts[first] : self.starts[first + 2 * _NEAR_BINS + 1]]


def _refine(voters: NDArray[np.float32], cos: float, sin: float, offset: float) -> Edge:
    """A least-squares line through the pixels that voted for this one (rows of `voters`: x, y, unit
    gradient)."""
    for reach in (4.0, 2.5):
        normal = np.array((cos, sin), dtype=np.float32)
        places = np.flatnonzero((np.abs(normal @ voters[:2] - offset) < reach) & (normal @ voters[2:] > _ALIGNED))
        if len(places) < 8:
            break
        voters = voters.take(places, axis=1)
        x_mean, y_mean = (voters[:2].sum(axis=1) / len(places)).tolist()
        dx, dy = voters[0] - x_mean, voters[1] - y_mean
        axis = 0.5 * math.atan2(2 * float(dx @ dy), float(dx @ dx - dy @ dy))
        across = (-math.sin(axis), math.cos(axis))
        sense = 1.0 if across[0] * cos + across[1] * sin >= 0 else -1.0
        cos, sin = sense * across[0], sense * across[1]
        offset = x_mean * cos + y_mean * sin
    return Edge(cos, sin, offset)
