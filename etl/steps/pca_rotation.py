"""Turn a limb upright: forearm below, fingers above (thesis 4.2.2.4, equation 4.2)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.captions import without_captions
from etl.steps.limb_mask import find_limb
from etl.steps.limbs import far_end_up, shows_limb
from etl.steps.parts import find_parts
from etl.steps.posture import posture
from etl.steps.thumbnail import thumbnail
from etl.steps.warp import turned
from etl.study import Drop, Frame
from schemas.steps import PcaRotation

_SURE = 0.25  # of an axis, as `axis` adds directions: below, its ends are in doubt as well
_TRIES = 3  # a turn is looked at once more and mended, at most this often


class Turn(NamedTuple):
    """What a picture needs: counter-clockwise degrees (0 for nothing), and how sure (0..1) its way up is."""

    degrees: float
    confidence: float


def apply(frame: Frame, settings: PcaRotation) -> list[Frame] | Drop:
    """The frame upright. Writes `rotation_deg` (counter-clockwise, added to an earlier run's) and
    `rotation_confidence` (0..1: how sure it is that the result is upright and not upside down; 0 without
    an axis).

    A film recognised as no limb passes with a turn of 0 and no confidence. New corners are 0 and `padding`.
    """
    before = float(frame.done.get("rotation_deg") or 0.0)
    if not shows_limb(frame.body_part):
        return [replace(frame, done={"rotation_confidence": None, **frame.done, "rotation_deg": before})]
    if settings.method == "thesis":
        return [_thesis(frame, settings, before)]
    result, total, confidence = _upright(frame, settings)
    if total == 0:
        done = {**frame.done, "rotation_deg": before, "rotation_confidence": confidence}
        return [replace(frame, done=done)]
    degrees = _wrapped(before + total)
    return [replace(result, done={**frame.done, "rotation_deg": degrees, "rotation_confidence": confidence})]


def _upright(frame: Frame, settings: PcaRotation) -> tuple[Frame, float, float]:
    """Turn, look again, mend: the result is one that the step itself would leave alone, else the nearest to that."""
    seen = _without_captions(frame)
    need = needed(seen, settings)
    if need.degrees == 0:
        return frame, 0.0, need.confidence
    total, nearest = 0.0, (math.inf, seen, 0.0, 0.0)
    for _ in range(_TRIES):
        total = _wrapped(total + need.degrees)
        level = 90.0 * round(total / 90.0)
        if abs(total - level) <= settings.dead_band_deg:
            total = _wrapped(level)
        result = turned(seen, total)
        need = needed(result, settings)
        if abs(need.degrees) < nearest[0]:
            nearest = abs(need.degrees), result, total, need.confidence
        if need.degrees == 0:
            break
    _, result, total, confidence = nearest
    return (result if seen is frame else turned(frame, total)), total, confidence


def _without_captions(frame: Frame) -> Frame:
    """The frame with its captions painted as air: once turned, they are no level bands any more and look like a limb."""
    small = thumbnail(frame.pixels)
    rows, columns = without_captions(small)
    if (rows, columns) == (slice(0, small.shape[0]), slice(0, small.shape[1])):
        return frame
    scale = frame.pixels.shape[0] / small.shape[0], frame.pixels.shape[1] / small.shape[1]
    kept = tuple(slice(math.ceil(s.start * by), math.floor(s.stop * by)) for s, by in zip((rows, columns), scale, strict=True))
    pixels = np.zeros_like(frame.pixels)
    pixels[kept] = frame.pixels[kept]
    return replace(frame, pixels=pixels)


def needed(frame: Frame, settings: PcaRotation) -> Turn:
    """The turn that a picture still needs, by the largest limb on it."""
    small = thumbnail(frame.pixels)
    parts = find_parts(small, 0.5)
    if not parts:
        return Turn(0.0, 0.0)
    mask = max(parts, key=lambda part: int(np.count_nonzero(part.mask))).mask
    side = max(3, round(settings.kernel * max(mask.shape)) | 1)
    seen = posture(find_limb(small), _cleaned(mask, side))
    if seen.elongation < settings.min_elongation:
        return Turn(0.0, 0.0)
    degrees = seen.turn_deg if abs(seen.turn_deg) > settings.dead_band_deg else 0.0
    if not far_end_up(frame.body_part):
        return Turn(degrees, 0.5)
    # Who is not sure of the axis is not sure of its ends either.
    squared = seen.elongation**2
    sure = min(1.0, (squared - 1) / (squared + 1) / _SURE)
    below = (1 + sure * seen.upside_down) / 2
    if below > settings.min_up_down_confidence:
        return Turn(_wrapped(degrees + 180.0), below)
    return Turn(degrees, 1 - below)


def _cleaned(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    clean = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    clean = cv2.morphologyEx(clean, cv2.MORPH_OPEN, kernel).astype(bool)
    return clean if clean.any() else mask


def _thesis(frame: Frame, settings: PcaRotation, before: float) -> Frame:
    """Otsu of the whole film, close, open, PCA of the pixels, and the unsigned arccos of the first
    component's x.

    The axis at that angle from level is turned to upright as if it always leant the same way; a picture on
    which the step has run already is left, since the rule has no fixed point of its own.
    """
    if frame.done.get("rotation_deg") is not None:
        return frame
    grey = thumbnail(frame.pixels).astype(np.uint8)
    _, binary = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    mask = _cleaned(binary.astype(bool), max(3, round(settings.kernel * max(grey.shape)) | 1))
    ys, xs = np.nonzero(mask)
    if len(xs) < 2:
        return replace(frame, done={**frame.done, "rotation_deg": before, "rotation_confidence": 0.0})
    values, vectors = np.linalg.eigh(np.cov(np.stack((xs, ys)).astype(np.float64)))
    first = vectors[:, int(np.argmax(values))]
    degrees = 90.0 - math.degrees(math.acos(min(1.0, abs(float(first[0])))))
    result = turned(frame, degrees) if degrees > settings.dead_band_deg else frame
    total = _wrapped(before + (degrees if result is not frame else 0.0))
    return replace(result, done={**frame.done, "rotation_deg": total, "rotation_confidence": 0.0})


def _wrapped(degrees: float) -> float:
    """The same angle in (-180, 180]."""
    return 180.0 - (180.0 - degrees) % 360.0
