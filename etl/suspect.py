"""Whether a film contradicts its tag: a chest that is called a wrist.

A chest fills the film: hardly any even air, its halves alike, and across it brightness goes up and down twice (wall, lung,
mediastinum, lung, wall) where a limb goes up and down once. Only that is looked for: a knee or a tightly framed hand fills
a film too, and a false alarm costs more than a torso that looks like no chest.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.collimation import exposure
from etl.steps.limbs import shows_limb
from etl.steps.quantiles import span
from etl.steps.thumbnail import thumbnail
from etl.study import Frame

_SIDE = 48  # pixels of the square that halves and waves are compared on
_AIR, _ALIKE, _WAVE = 0.2, 0.3, 0.67
_BROAD = 0.6  # of the field's height: a limb framed at its skin is narrower
_EVEN = 0.006  # slope, of the range, a pixel: less is air or noise
_EXTREME = 0.12  # of the range: how near to its end a grey of air lies
_SHIFTS = range(-4, 5)  # pixels of the square, by which the middle of a chest may be off
_PERIODS = (0.42, 0.5, 0.58)  # of the film's breadth, of the wave


def body_part_suspect(frame: Frame) -> bool | None:
    """Whether a film whose tag names a limb shows a chest; None where the tag names none.

    `frame` as decoded, before any step: either grey sense, in any frame or collimation.
    """
    if frame.body_part is None or not shows_limb(frame.body_part):
        return None
    small = thumbnail(frame.pixels)
    inside = exposure(small).inside
    x, y, width, height = cv2.boundingRect(inside.astype(np.uint8))
    if min(width, height) < _SIDE // 2 or width < _BROAD * height:
        return False
    box = (slice(y, y + height), slice(x, x + width))
    field = inside[box]
    low, high = span(small[box][field], 0.02, 0.98)
    grey = np.clip((small[box] - np.float32(low)) / np.float32(max(high - low, 1.0)), 0, 1)
    if _air(grey, field) > _AIR:
        return False
    square = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return _alike(square) > _ALIKE and _wave(square) > _WAVE


def part_shown(tagged: str | None, suspect: bool | None) -> str | None:
    """The body part that the steps should reckon with: a chest is neither cut nor turned, whatever its tag says."""
    return "chest" if suspect else tagged


def _air(grey: NDArray[np.float32], field: NDArray[np.bool_]) -> float:
    """Share of the field that is even and near the end of its range, the dark or the bright one."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.5)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.125)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.125)
    even = field & (cv2.magnitude(across, down) < _EVEN)
    dark, bright = np.count_nonzero(even & (grey < _EXTREME)), np.count_nonzero(even & (grey > 1 - _EXTREME))
    return float(max(int(dark), int(bright))) / max(int(np.count_nonzero(field)), 1)


def _alike(square: NDArray[np.float32]) -> float:
    """-1..1: how alike the halves are, mirrored at the best axis near the middle."""
    best = -1.0
    for shift in _SHIFTS:
        part = square[6:42, max(0, shift) : _SIDE + min(0, shift)]
        if part.std() > 1e-6:
            best = max(best, float(np.corrcoef(part.ravel(), part[:, ::-1].ravel())[0, 1]))
    return best


def _wave(square: NDArray[np.float32]) -> float:
    """0..1: how much the mean of the upper rows runs like two waves across the film, in either grey sense."""
    profile = square[6:34].mean(axis=0)
    profile = profile - profile.mean()
    places = (np.arange(_SIDE) + 0.5) / _SIDE - 0.5
    best = 0.0
    for shift in np.linspace(-0.08, 0.08, 5):
        for period in _PERIODS:
            wave = np.cos(2 * np.pi * (places - shift) / period)
            wave -= wave.mean()
            norm = float(np.sqrt((profile @ profile) * (wave @ wave)))
            best = max(best, abs(float(profile @ wave)) / max(norm, 1e-9))
    return best
