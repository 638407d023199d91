"""A picture of any size as an input of one size, and where its pixels come to lie."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Fit = Literal["pad", "pad_largest", "stretch"]


def fit(picture: NDArray[Any], size: tuple[int, int], how: Fit, largest: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 or uint16 (rows, columns) to uint8 of `size`; `size` and `largest` are (columns, rows).

    `pad`: black borders to the aspect of `size`, then resize; `pad_largest`: black borders to `largest` before that;
    `stretch`: resize as it is. A side is shrunk by area means and grown linearly.
    """
    rows, columns = picture.shape
    left, top, wide, high = _canvas(rows, columns, size, how, largest)
    if (wide, high) != (columns, rows):
        picture = cv2.copyMakeBorder(picture, top, high - rows - top, left, wide - columns - left, cv2.BORDER_CONSTANT, value=0)
    # Sides that shrink go first: linear interpolation would skip pixels there.
    shrunk = (min(wide, size[0]), min(high, size[1]))
    if shrunk != (wide, high):
        picture = cv2.resize(picture, shrunk, interpolation=cv2.INTER_AREA)
    if shrunk != size:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    if picture.dtype == np.uint16:  # white is 65535 = 255 * 257
        picture = (picture.astype(np.uint32) + 128) // 257
    return picture.astype(np.uint8, copy=False)


def fit_transform(rows: int, columns: int, size: tuple[int, int], how: Fit, largest: tuple[int, int]) -> NDArray[np.float64]:
    """float64 (6,): row-major 2x3 affine from (x, y) of the dataset's picture to the input; pixel centres, from 0."""
    left, top, wide, high = _canvas(rows, columns, size, how, largest)
    x, y = size[0] / wide, size[1] / high
    # The edge of a pixel lies half a pixel before its centre, and it is edges that scale.
    return np.array([x, 0.0, x * (left + 0.5) - 0.5, 0.0, y, y * (top + 0.5) - 0.5])


def _canvas(rows: int, columns: int, size: tuple[int, int], how: Fit, largest: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where the picture begins on its black canvas, and the canvas' columns and rows."""
    wide, high = columns, rows
    if how == "pad_largest":
        wide, high = max(wide, largest[0]), max(high, largest[1])
    if how != "stretch":
        wide, high = max(wide, round(high * size[0] / size[1])), max(high, round(wide * size[1] / size[0]))
    return (wide - columns) // 2, (high - rows) // 2, wide, high
