"""The long axis of a limb: where its mass lies, and which way its bones and outlines run.

Second moments alone lean with every edge that cuts the limb. Edges inside it keep their direction whatever the film shows
of it, so they weigh twice as much.
"""

from __future__ import annotations

import cmath
import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.limb_mask import Limb
from etl.steps.quantiles import quantile

_DISC = 0.85  # of the limb's half length: inside a disc the border's slant cut no longer draws the axis off
_SOFT = 0.1  # of the half length: over which the disc fades
_SMOOTH = 3.0  # pixels: bones have a direction, their trabeculae have none
_CAP = 0.8  # quantile of the gradient above which an edge counts no more: metal and letters shout
_GRAIN = 2.0  # weight of the edges' direction beside that of the mass
_RIM = 9  # pixels: edges this near to the end of the field are the blades'


class Axis(NamedTuple):
    """`angle` from the x axis towards +y (radians, modulo pi), and how long beside broad the limb is (1 for no axis)."""

    angle: float
    elongation: float


def axis(limb: Limb, mask: NDArray[np.bool_]) -> Axis:
    """The axis of `mask` (bool (rows, columns), a part of `limb`). Raises ValueError when the mask is empty.

    Directions are added as vectors of twice their angle, as long as they are sure (0..1): an ellipse with the axes a and b
    has (a^2 - b^2) / (a^2 + b^2).
    """
    both = (_mass(np.where(mask, limb.grey, 0).astype(np.float32)) + _GRAIN * _grain(limb, mask)) / (1 + _GRAIN)
    sure = min(abs(both), 0.999)
    return Axis(cmath.phase(both) / 2, math.sqrt((1 + sure) / (1 - sure)))


def _mass(weight: NDArray[np.float32]) -> complex:
    """Second moments, within a disc around the middle so that slanting cuts count little."""
    first, x0, y0 = _moments(weight)
    rows, columns = weight.shape
    x, y = np.arange(columns, dtype=np.float32) - np.float32(x0), np.arange(rows, dtype=np.float32)[:, None] - np.float32(y0)
    radius = np.sqrt(x * x + y * y)
    lit = weight > 0
    angle = cmath.phase(first) / 2
    for _ in range(2):
        along = (x * math.cos(angle) + y * math.sin(angle))[lit]
        half = quantile(np.abs(along), 0.98)
        disc = np.clip((_DISC * half - radius) / max(_SOFT * half, 1.0) + 0.5, 0, 1)
        angle = cmath.phase(_moments(weight * disc)[0]) / 2
    return cmath.rect(abs(first), 2 * angle)


def _moments(weight: NDArray[np.float32]) -> tuple[complex, float, float]:
    m = cv2.moments(weight)
    if m["m00"] <= 0:
        raise ValueError("no limb to judge")
    spread = m["mu20"] + m["mu02"]
    return complex(m["mu20"] - m["mu02"], 2 * m["mu11"]) / max(spread, 1e-9), m["m10"] / m["m00"], m["m01"] / m["m00"]


def _grain(limb: Limb, mask: NDArray[np.bool_]) -> complex:
    """The structure tensor's direction, across the gradient (Kass and Witkin 1987): 0 where there is none."""
    smooth = cv2.GaussianBlur(limb.grey, (0, 0), _SMOOTH)
    gx = cv2.Scharr(smooth, cv2.CV_32F, 1, 0)
    gy = cv2.Scharr(smooth, cv2.CV_32F, 0, 1)
    rim = np.ones((_RIM, _RIM), np.uint8)
    field = cv2.erode(limb.inside.astype(np.uint8), rim, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    where = (cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) & field).astype(bool)
    if not where.any():
        return 0j
    x, y = gx[where], gy[where]
    length = np.hypot(x, y)
    scale = np.minimum(1, quantile(length, _CAP) / np.maximum(length, 1e-6))
    squared = np.square((x + 1j * y) * scale)
    energy = float(np.abs(squared).sum())
    return -complex(squared.sum()) / energy if energy > 0 else 0j
