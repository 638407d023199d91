"""How a limb lies: its long axis by second moments, and which of its ends is the far one (fingers, toes)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.limb_mask import Limb
from etl.steps.quantiles import quantile

_DISC = 0.85  # of the limb's half length: inside a disc the border's slant cut no longer draws the axis off
_SOFT = 0.1  # of the half length: over which the disc fades
_WEIGHTS = {"breadth": 4.2, "cut": 2.4, "runs": 3.8}  # a logistic fit over drawn wrists and real hands


@dataclass(frozen=True, slots=True)
class Posture:
    """`turn_deg`: the counter-clockwise turn, -90..90, that sets the axis upright; `elongation`: axis ratio,
    1 and up; `upside_down`: -1..1, above 0 when, so turned, the far end would be below."""

    turn_deg: float
    elongation: float
    upside_down: float


def posture(limb: Limb, mask: NDArray[np.bool_]) -> Posture:
    """Judge one limb: `mask` bool (rows, columns), a part of `limb`. Raises ValueError when the mask is
    empty."""
    angle, elongation = _axis(np.where(mask, limb.grey, 0).astype(np.float32))
    # The axis runs `angle` clockwise from level on the screen (y down), and upright is 90 degrees of that.
    turn = math.degrees(angle) % 180.0 - 90.0
    evidence = _far_end_below(limb, mask, turn)
    logit = sum(_WEIGHTS[name] * value for name, value in evidence.items())
    return Posture(turn, elongation, float(np.tanh(logit / 2)))


def _axis(weight: NDArray[np.float32]) -> tuple[float, float]:
    """Angle of the long axis from the x axis towards +y (radians), and the ratio of the axes."""
    angle, ratio, x0, y0 = _principal(weight)
    rows, columns = weight.shape
    x, y = np.arange(columns, dtype=np.float32) - np.float32(x0), np.arange(rows, dtype=np.float32)[:, None] - np.float32(y0)
    radius = np.sqrt(x * x + y * y)
    lit = weight > 0
    for _ in range(2):
        along = (x * math.cos(angle) + y * math.sin(angle))[lit]
        half = quantile(np.abs(along), 0.98)
        disc = np.clip((_DISC * half - radius) / max(_SOFT * half, 1.0) + 0.5, 0, 1)
        angle = _principal(weight * disc)[0]
    return angle, ratio


def _principal(weight: NDArray[np.float32]) -> tuple[float, float, float, float]:
    m = cv2.moments(weight)
    if m["m00"] <= 0:
        raise ValueError("no limb to judge")
    angle = 0.5 * math.atan2(2 * m["mu11"], m["mu20"] - m["mu02"])
    mean, half = (m["mu20"] + m["mu02"]) / 2, math.hypot(m["mu11"], (m["mu20"] - m["mu02"]) / 2)
    ratio = math.sqrt((mean + half) / max(mean - half, 1e-6 * mean + 1e-9))
    return angle, ratio, m["m10"] / m["m00"], m["m01"] / m["m00"]


def _far_end_below(limb: Limb, mask: NDArray[np.bool_], turn_deg: float) -> dict[str, float]:
    """Observations of the limb turned upright, each of which changes its sign when it is turned round once
    more.

    `breadth`: the outline of hand and fingers is broader than the forearm's; `cut`: the forearm ends where
    the film ends; `runs`: a row crosses many fingers and metacarpals, but two bones of the forearm.
    """
    rows, columns = mask.shape
    size = int(math.hypot(rows, columns)) + 4
    ys, xs = np.nonzero(mask)
    centre = (float(xs.mean()), float(ys.mean()))
    matrix = cv2.getRotationMatrix2D(centre, turn_deg, 1.0)
    matrix[:, 2] += (size / 2 - centre[0], size / 2 - centre[1])

    def upright(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR))

    body = upright(mask.astype(np.float32)) > 0.5
    margin = cv2.erode(limb.inside.astype(np.uint8), np.ones((7, 7), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    border = upright((mask & (margin == 0)).astype(np.float32)) > 0.5
    bright = body & (upright(limb.grey - cv2.GaussianBlur(limb.grey, (0, 0), 0.025 * max(rows, columns))) > 0)

    lit = np.flatnonzero(body.any(axis=1))
    first, last = int(lit[0]), int(lit[-1]) + 1
    middle, third = (first + last) // 2, max(1, (last - first) // 3)
    outline = np.where(body.any(axis=1), size - body[:, ::-1].argmax(axis=1) - body.argmax(axis=1), 0)
    runs = (bright[:, 1:] & ~bright[:, :-1]).sum(axis=1)
    cut = border.sum(axis=1)
    return {
        "breadth": _contrast(outline[first:middle], outline[middle:last]),
        "cut": -_contrast(cut[first : first + third], cut[last - third : last]),
        "runs": _contrast(runs[first : first + third], runs[last - third : last]),
    }


def _contrast(above: NDArray[np.int64], below: NDArray[np.int64]) -> float:
    """-1..1: how much more there is below than above."""
    a, b = float(above.mean()) if above.size else 0.0, float(below.mean()) if below.size else 0.0
    return (b - a) / (a + b + 1e-6)
