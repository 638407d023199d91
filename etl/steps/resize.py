"""Pad to the target's aspect with air, then resize (thesis 4.4: 341 columns x 512 rows)."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from etl.study import Drop, Frame, compose
from schemas.steps import Resize


def apply(frame: Frame, settings: Resize) -> list[Frame] | Drop:
    """One frame of exactly `settings.rows` x `settings.columns`, nothing cut off and nothing stretched.

    Air (0) is added on both sides of the direction that is too short; the added pixels are `padding`.
    Shrinking averages areas, growing interpolates linearly. A frame that has the size already is returned as
    it is.
    """
    rows, columns = frame.pixels.shape
    if (rows, columns) == (settings.rows, settings.columns):
        return [frame]
    wide = max(columns, round(rows * settings.columns / settings.rows))
    tall = max(rows, round(columns * settings.rows / settings.columns))
    left, top = (wide - columns) // 2, (tall - rows) // 2
    edges = (top, tall - rows - top, left, wide - columns - left)
    padded = cv2.copyMakeBorder(frame.pixels, *edges, borderType=cv2.BORDER_CONSTANT, value=0)
    x_scale, y_scale = settings.columns / wide, settings.rows / tall
    shrinks = min(x_scale, y_scale) < 1
    size = (settings.columns, settings.rows)
    pixels = cv2.resize(padded, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    padding = frame.padding
    if any(edges) or padding is not None:
        known = np.zeros((rows, columns), np.uint8) if padding is None else padding.astype(np.uint8)
        grown = cv2.copyMakeBorder(known, *edges, borderType=cv2.BORDER_CONSTANT, value=1)
        padding = cv2.resize(grown, size, interpolation=cv2.INTER_NEAREST_EXACT).astype(bool)
    # Pixel centres: the left edge of the picture is at -0.5 before and after, so half a pixel scales too.
    scaling = (
        x_scale, 0.0, (left + 0.5) * x_scale - 0.5,
        0.0, y_scale, (top + 0.5) * y_scale - 0.5,
    )  # fmt: skip
    return [replace(frame, pixels=np.asarray(pixels), padding=padding, transform=compose(scaling, frame.transform))]
