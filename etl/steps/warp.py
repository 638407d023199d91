"""Turning a frame by any angle: canvas grown, new border air, multiples of 90 degrees exact."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.study import Affine, Frame, compose

_SUBPIXEL = 8  # bits of a fraction of a pixel in the corners that are drawn
_INSET = 0.25  # pixels: the outline that is drawn with its area takes in nothing that is more border than film


def turned(frame: Frame, degrees: float) -> Frame:
    """The frame turned counter-clockwise as seen on the screen; nothing is cut off.

    Multiples of 90 degrees move pixels without touching their values; other angles interpolate linearly, and
    the corners that the canvas gains are 0 and `padding`. `transform` is composed; `done` is left alone.
    """
    quarters, rest = divmod(degrees, 90.0)
    if rest == 0:
        return _quarter_turns(frame, int(quarters) % 4)
    rows, columns = frame.pixels.shape
    radians = math.radians(degrees)
    cos, sin = math.cos(radians), math.sin(radians)
    wide = math.ceil(columns * abs(cos) + rows * abs(sin) - 1e-6)
    tall = math.ceil(columns * abs(sin) + rows * abs(cos) - 1e-6)
    x0, y0 = (columns - 1) / 2, (rows - 1) / 2
    x1, y1 = (wide - 1) / 2, (tall - 1) / 2
    # y grows downwards: counter-clockwise on the screen takes (x, y) to (x cos + y sin, -x sin + y cos).
    turn: Affine = (cos, sin, x1 - cos * x0 - sin * y0, -sin, cos, y1 + sin * x0 - cos * y0)
    matrix = np.array(turn, dtype=np.float64).reshape(2, 3)
    pixels = cv2.warpAffine(frame.pixels, matrix, (wide, tall), flags=cv2.INTER_LINEAR, borderValue=0)
    return replace(
        frame,
        pixels=np.asarray(pixels),
        padding=_turned_padding(frame, matrix, (wide, tall)),
        transform=compose(turn, frame.transform),
    )


def _turned_padding(frame: Frame, matrix: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Where the canvas of `size` (columns, rows) shows nothing of the frame, or its padding."""
    if frame.padding is not None:
        known = frame.padding.view(np.uint8)
        return np.asarray(cv2.warpAffine(known, matrix, size, flags=cv2.INTER_NEAREST, borderValue=1).view(np.bool_))
    rows, columns = frame.pixels.shape
    x, y = columns - 1 - _INSET, rows - 1 - _INSET
    corners = np.array([(_INSET, _INSET, 1), (x, _INSET, 1), (x, y, 1), (_INSET, y, 1)]) @ matrix.T
    outside = np.ones(size[::-1], np.uint8)
    cv2.fillConvexPoly(outside, np.rint(corners * 2**_SUBPIXEL).astype(np.int32), 0, shift=_SUBPIXEL)
    return outside.view(np.bool_)


def _quarter_turns(frame: Frame, quarters: int) -> Frame:
    if quarters == 0:
        return frame
    rows, columns = frame.pixels.shape
    turns: dict[int, Affine] = {
        1: (0.0, 1.0, 0.0, -1.0, 0.0, columns - 1.0),
        2: (-1.0, 0.0, columns - 1.0, 0.0, -1.0, rows - 1.0),
        3: (0.0, -1.0, rows - 1.0, 1.0, 0.0, 0.0),
    }
    padding = frame.padding
    return replace(
        frame,
        pixels=np.ascontiguousarray(np.rot90(frame.pixels, quarters)),
        padding=None if padding is None else np.ascontiguousarray(np.rot90(padding, quarters)),
        transform=compose(turns[quarters], frame.transform),
    )
