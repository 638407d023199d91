"""Which end of a limb is the far one (fingers, toes): observations that change their sign when the limb is turned round."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.limb_mask import Limb
from etl.steps.quantiles import span

_TALL = 96  # pixels of the upright picture that is looked at
_BIN = 16  # rows of it that are judged at once: about a joint
_FINE = 2.4  # pixels: bones are brighter than what lies so far around them
# A logistic fit over drawn wrists and hands and some 400 public films of hands, wrists and feet, each changed in several ways
# (tests/films); softened, so that what is claimed with 0.9 is wrong in well under one of a hundred.
_WEIGHTS = {"tip": 2.2, "fingers": 4.0, "runs": 1.2, "thin": 3.1, "joints": 8.5}


def far_end_below(limb: Limb, mask: NDArray[np.bool_], turn_deg: float) -> float:
    """How surely the far end of `mask` (bool (rows, columns), a part of `limb`) lies below once it is turned by `turn_deg`:
    -1 above for sure .. 1 below for sure. Raises ValueError when the mask is empty."""
    seen = evidence(limb, mask, turn_deg)
    return math.tanh(sum(_WEIGHTS[name] * value for name, value in seen.items()) / 2)


def evidence(limb: Limb, mask: NDArray[np.bool_], turn_deg: float) -> dict[str, float]:
    """What tells that end, above 0 for below.

    `tip`: it is narrow, the near end is cut off at full width · `fingers`: rows fall into pieces · `runs`: many bright bones
    side by side · `thin`: little flesh · `joints`: edges across the limb, as carpals and joints have and shafts have not.
    """
    picture = _Upright.of(limb, mask, turn_deg)
    body, grey = picture.body, picture.grey
    half, third, tip = _TALL // 2, _TALL // 3, _TALL // 16
    area, pieces = body.sum(axis=1), _starts(body)
    runs = _starts(body & (grey > cv2.GaussianBlur(grey, (0, 0), _FINE)))
    low, high = span(grey[body], 0.05, 0.95)
    flesh = [float(cv2.mean(grey[rows], mask=body[rows].view(np.uint8))[0]) for rows in (slice(third), slice(-third, None))]
    return {
        "tip": float(area[:tip].mean() - area[-tip:].mean()) / float(area.max()),
        "fingers": _contrast(pieces[:half], pieces[half:]),
        "runs": _contrast(runs[:third], runs[-third:]),
        "thin": (flesh[0] - flesh[1]) / max(high - low, 1e-3),
        "joints": _joints(grey, body),
    }


class _Upright(NamedTuple):
    """A limb turned upright and scaled to one height: `grey` float32 and `body` bool (rows, columns)."""

    grey: NDArray[np.float32]
    body: NDArray[np.bool_]

    @classmethod
    def of(cls, limb: Limb, mask: NDArray[np.bool_], turn_deg: float) -> _Upright:
        ys, xs = np.nonzero(mask)
        if len(xs) == 0:
            raise ValueError("no limb to judge")
        cos, sin = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
        across, down = xs * cos + ys * sin, ys * cos - xs * sin
        left, top = float(across.min()), float(down.min())
        scale = _TALL / (float(down.max()) - top + 1)
        size = (max(12, round((float(across.max()) - left + 1) * scale)) + 4, _TALL)
        matrix = scale * np.array([[cos, sin, -left], [-sin, cos, -top]])
        matrix[:, 2] += (2.0, 0.0)

        def upright(picture: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.asarray(cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR), np.float32)

        body = upright(mask.astype(np.float32)) > 0.5
        if not body.any():
            raise ValueError("no limb to judge")
        return cls(upright(limb.grey), body)


def _starts(rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many runs each row has."""
    return np.asarray((rows[:, 1:] & ~rows[:, :-1]).sum(axis=1) + rows[:, 0])


def _joints(grey: NDArray[np.float32], body: NDArray[np.bool_]) -> float:
    """By how much the share of gradients along the limb is larger in the lower half, joint by joint: bins weigh alike."""
    along, sideways = np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1)), np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0))
    inner = cv2.erode(body.astype(np.uint8), np.ones((5, 5), np.uint8))
    shares = []
    for start in range(0, _TALL, _BIN):
        rows = slice(start, start + _BIN)
        one = cv2.mean(along[rows], mask=inner[rows])[0]
        both = one + cv2.mean(sideways[rows], mask=inner[rows])[0]
        shares.append(one / both if both > 0 else 0.5)
    half = len(shares) // 2
    return float(np.mean(shares[half:]) - np.mean(shares[:half]))


def _contrast(above: NDArray[np.int64], below: NDArray[np.int64]) -> float:
    """-1..1: how much more there is below than above."""
    a, b = float(above.mean()) if above.size else 0.0, float(below.mean()) if below.size else 0.0
    return (b - a) / (a + b + 1e-6)
