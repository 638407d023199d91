"""Is air bright? Three observations, each of which changes its sign when the film is turned.

Two are made inside the exposed field: the rim of it is air, and fine ridges are cortex. The third is that air is flat. Since
nothing but differences enter, a film and its negative get opposite scores.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.collimation import exposure, narrow_exposure
from etl.steps.quantiles import quantile, span
from etl.steps.thumbnail import remembered

_RIM = 0.2  # of the field's half width: limbs cross it here and there, air lies along most of it
_RIDGE = 3  # pixels: cortex and trabeculae, on a thumbnail
# A logistic fit over drawn films and some 430 public ones of limbs, each changed in several ways (tests/films); softened.
_WEIGHTS = {"rim": 10.0, "ridges": 6.0, "flatness": 2.0}


@remembered
def bright_air(small: NDArray[np.float32]) -> float:
    """How surely air is bright on a thumbnail (float32 (rows, columns), 0..255): -1 dark for sure, 1 bright
    for sure.

    A picture without contrast, or of a few pixels, gives 0.
    """
    if min(small.shape) < 24:
        return 0.0
    wide, narrow = exposure(small).inside, narrow_exposure(small).inside
    logit = _in_field(small, narrow)
    if not np.array_equal(wide, narrow):
        # A slope that is either skin or a soft blade: hear both.
        logit = (logit + _in_field(small, wide)) / 2
    everywhere = np.ones(small.shape, dtype=bool)
    grey = _stretched(small, everywhere)
    if grey is not None:
        logit += _WEIGHTS["flatness"] * _flatness(grey, everywhere)
    return float(np.tanh(logit / 2))


def _in_field(small: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """The evidence of the exposed field: its rim and its ridges."""
    # The margin of the field may still hold the soft slope of a blade.
    core = _eroded(inside, 5)
    if not core.any():
        core = inside
    grey = _stretched(small, core)
    if grey is None:
        return 0.0
    return _WEIGHTS["rim"] * _rim(grey, inside, core) + _WEIGHTS["ridges"] * _ridges(grey, inside)


def _stretched(small: NDArray[np.float32], core: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """Greys as -0.5..0.5 of the field's range, a little smoothed; None without contrast."""
    low, high = span(small[core], 0.01, 0.99)
    if high - low < 1:
        return None
    grey = np.clip((small - np.float32(low)) * np.float32(1 / (high - low)), 0, 1) - np.float32(0.5)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.0), np.float32)


def _rim(grey: NDArray[np.float32], inside: NDArray[np.bool_], core: NDArray[np.bool_]) -> float:
    """The grey along the field's border: air, but for where the limb leaves the film."""
    framed = cv2.copyMakeBorder(inside.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    return _mean(grey, core & (depth < _RIM * float(depth.max())))


def _flatness(grey: NDArray[np.float32], core: NDArray[np.bool_]) -> float:
    """Grey of the flattest pixels over that of the busiest: air is flat, bone is not."""
    detail = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 4.0))
    detail = cv2.GaussianBlur(detail, (0, 0), 3.0)
    values = detail[core]
    flat, busy = quantile(values, 0.3), quantile(values, 0.7)
    return _mean(grey, core & (detail <= flat)) - _mean(grey, core & (detail >= busy))


def _ridges(grey: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Dark fine ridges over bright ones, -1..1: cortex is a bright line in a correct film."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_RIDGE, _RIDGE))
    bright = grey - cv2.morphologyEx(grey, cv2.MORPH_OPEN, kernel)
    dark = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, kernel) - grey
    away = _eroded(inside, 7)
    up, down = _mean(bright, away), _mean(dark, away)
    return (down - up) / (down + up + 1e-6)


def _eroded(inside: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    kernel = np.ones((side, side), np.uint8)
    eroded = cv2.erode(inside.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(eroded, dtype=np.bool_)


def _mean(values: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """0 where there is nothing."""
    return float(cv2.mean(values, mask=where.view(np.uint8))[0])
