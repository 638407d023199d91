"""Is air bright? Five observations inside the exposed field, each of which changes its sign when the film is
turned.

The weights are from a logistic fit without a constant over drawn wrists and real hands under frames,
collimation, noise and rotations; since nothing but differences enter, a film and its negative get opposite
scores.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.collimation import exposure, narrow_exposure
from etl.steps.quantiles import median, quantile, span
from etl.steps.thumbnail import remembered

_RIM = 0.2  # of the field's half width: limbs cross it here and there, air lies along most of it
_MIDDLE = 0.4
_WEIGHTS = {"rim": 5.0, "rim_over_middle": 1.8, "flatness": 4.0, "ridges": 3.1, "peak": 2.7}


@remembered
def bright_air(small: NDArray[np.float32]) -> float:
    """How surely air is bright on a thumbnail (float32 (rows, columns), 0..255): -1 dark for sure, 1 bright
    for sure.

    A picture without contrast, or of a few pixels, gives 0.
    """
    if min(small.shape) < 24:
        return 0.0
    wide, narrow = exposure(small).inside, narrow_exposure(small).inside
    logit = _logit(small, narrow)
    if not np.array_equal(wide, narrow):
        # A slope that is either skin or a soft blade: hear both.
        logit = (logit + _logit(small, wide)) / 2
    return float(np.tanh(logit / 2))


def _logit(small: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    # The margin of the field may still hold the soft slope of a blade.
    core = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=1).astype(
        bool
    )
    if not core.any():
        core = inside
    low, high = span(small[core], 0.01, 0.99)
    if high - low < 1:
        return 0.0
    grey = np.clip((small - np.float32(low)) * np.float32(1 / (high - low)), 0, 1) - np.float32(0.5)
    grey = cv2.GaussianBlur(grey, (0, 0), 1.0)
    evidence = {
        **_rim(grey, inside, core),
        "flatness": _flatness(grey, core),
        "ridges": _ridges(grey, inside),
        "peak": _peak(grey[core]),
    }
    return sum(_WEIGHTS[name] * value for name, value in evidence.items())


def _rim(grey: NDArray[np.float32], inside: NDArray[np.bool_], core: NDArray[np.bool_]) -> dict[str, float]:
    """The grey along the field's border: air, but for where the limb leaves the film."""
    framed = cv2.copyMakeBorder(inside.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    deepest = float(depth.max())
    rim, middle = grey[core & (depth < _RIM * deepest)], grey[depth > _MIDDLE * deepest]
    if rim.size == 0 or middle.size == 0:
        return {"rim": 0.0, "rim_over_middle": 0.0}
    return {"rim": float(rim.mean()), "rim_over_middle": median(rim) - median(middle)}


def _flatness(grey: NDArray[np.float32], core: NDArray[np.bool_]) -> float:
    """Grey of the flattest pixels over that of the busiest: air is flat, bone is not."""
    detail = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 4.0))
    detail = cv2.GaussianBlur(detail, (0, 0), 3.0)
    values = detail[core]
    flat, busy = quantile(values, 0.3), quantile(values, 0.7)
    return _mean(grey, core & (detail <= flat)) - _mean(grey, core & (detail >= busy))


def _ridges(grey: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Dark ridges over bright ones, -1..1: cortex, fingers and letters are bright in a correct film."""
    size = 7
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    bright = grey - cv2.morphologyEx(grey, cv2.MORPH_OPEN, kernel)
    dark = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, kernel) - grey
    away = cv2.erode(
        inside.astype(np.uint8),
        np.ones((size, size), np.uint8),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=1,
    ).astype(bool)
    if not away.any():
        return 0.0
    up, down = _mean(bright, away), _mean(dark, away)
    return (down - up) / (down + up + 1e-6)


def _peak(values: NDArray[np.float32]) -> float:
    """Where the histogram's highest peak lies, times its share: air is one grey, bone and flesh are many."""
    counts = np.bincount(np.clip((values + np.float32(0.5)) * 40, 0, 39).astype(np.intp), minlength=40)
    top = int(counts.argmax())
    return float((top - 19.5) / 20 * counts[top] / counts.sum())


def _mean(values: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    return float(cv2.mean(values, mask=where.view(np.uint8))[0])
