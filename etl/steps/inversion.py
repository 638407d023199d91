"""Turn films whose air is bright.

`evidence` judges inside the exposed field, away from frames and collimator blades (`collimation`,
`polarity`). `thesis` is the thesis' rule (4.2.2.2, equation 4.1): the mean of the four corners against a
threshold.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.limbs import shows_limb
from etl.steps.polarity import bright_air
from etl.steps.quantiles import median, span
from etl.steps.thumbnail import thumbnail
from etl.study import Drop, Frame, Pixels
from schemas.steps import Inversion


def apply(frame: Frame, settings: Inversion) -> list[Frame] | Drop:
    """The frame with dark air. Writes `inverted` (XOR with an earlier run's) and `inversion_score`.

    `inversion_score` is about the picture as it came in, -1..1: above 0 air was bright; its size is how sure
    that is. A turned frame is 255 (65535) minus itself; padding stays 0, which is air.
    """
    before = bool(frame.done.get("inverted", False))
    bright, turned = _thesis(frame, settings) if settings.method == "thesis" else _evidence(frame, settings)
    if turned is None:
        return [replace(frame, done={"inversion_score": bright, **frame.done, "inverted": before})]
    done = {**frame.done, "inversion_score": bright, "inverted": not before}
    return [replace(frame, pixels=turned, done=done)]


def _turned(frame: Frame) -> Pixels:
    pixels = np.asarray(cv2.bitwise_not(frame.pixels))
    if frame.padding is not None:
        pixels[frame.padding] = 0
    return pixels


def _evidence(frame: Frame, settings: Inversion) -> tuple[float, Pixels | None]:
    """The score, and the turned picture where that is the right one."""
    limit = settings.min_score if shows_limb(frame.body_part) else settings.min_score_elsewhere
    bright = score(frame.pixels, frame.body_part)
    if bright <= limit:
        return bright, None
    # Padding is painted as air, not turned; should that change the judgement, the film is left as it was.
    turned = _turned(frame)
    return bright, turned if score(turned, frame.body_part) <= limit else None


def score(pixels: Pixels, body_part: str | None) -> float:
    """How surely air is bright in (rows, columns) uint8 or uint16: -1 dark for sure .. 1 bright for sure."""
    small = thumbnail(pixels)
    return chest_bright_air(small) if body_part == "chest" else bright_air(small)


def _thesis(frame: Frame, settings: Inversion) -> tuple[float, Pixels | None]:
    """The literal rule, asked of the picture as it was before an earlier run turned it: so twice is as good
    as once."""
    mean = _corner_mean(frame.pixels, settings.corner) * 255 / frame.white
    before = bool(frame.done.get("inverted", False))
    excess = (255 - mean if before else mean) - settings.threshold
    room = 255 - settings.threshold if excess >= 0 else settings.threshold
    return excess / (room or 1.0), _turned(frame) if (excess >= 0) ^ before else None


def chest_bright_air(small: NDArray[np.float32]) -> float:
    """The same for a chest, where little or no air lies around the body: lungs against the mediastinum
    between them."""
    rows, columns = small.shape
    band = small[round(0.3 * rows) : max(round(0.6 * rows), 1)]
    if band.size == 0 or columns < 12:
        return 0.0
    profile = np.median(band, axis=0)
    middle = median(profile[round(0.44 * columns) : round(0.56 * columns)])
    lungs = [profile[round(a * columns) : round(b * columns)] for a, b in ((0.18, 0.38), (0.62, 0.82))]
    low, high = span(band, 0.02, 0.98)
    contrast = (median(np.concatenate(lungs)) - middle) / max(high - low, 1.0)
    return float(np.tanh(2.5 * contrast))


def _corner_mean(pixels: Pixels, corner: float) -> float:
    rows, columns = (max(1, round(side * corner)) for side in pixels.shape)
    patches = (
        pixels[:rows, :columns],
        pixels[:rows, -columns:],
        pixels[-rows:, :columns],
        pixels[-rows:, -columns:],
    )
    return float(np.mean([patch.mean() for patch in patches]))
