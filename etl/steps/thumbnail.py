"""The small copy that every step looks at: a decision needs hundreds of pixels, not millions."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.study import Pixels

_LONG = 1.6  # times its shorter side: longer films are several films more often than one
T = TypeVar("T")
SIDE = 256  # pixels of the longer side of a square film; bones are still told apart, noise is averaged away


def thumbnail(pixels: Pixels, side: int = SIDE) -> NDArray[np.float32]:
    """Shrink (rows, columns) uint8 or uint16 by area so that the longer side is at most `side`; float32,
    0..255.

    A film much longer than broad, as of three joined ones, gets up to twice that, lest its limbs get lost. A
    smaller picture is not enlarged. Greys are scaled by the range of the type, so an 8-bit and a 16-bit
    picture of one film give the same thumbnail up to rounding.
    """
    rows, columns = pixels.shape
    side = round(side * min(2.0, max(1.0, max(rows, columns) / min(rows, columns) / _LONG)))
    small = pixels
    # Halving first: OpenCV averages blocks of four several times faster than fractions of pixels.
    while max(small.shape) >= 4 * side and min(small.shape) >= 2:
        half = (small.shape[1] // 2, small.shape[0] // 2)
        small = cv2.resize(small[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA)
    scale = side / max(rows, columns)
    if scale < 1:
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
    white = float(np.iinfo(pixels.dtype).max)
    return np.asarray(small, dtype=np.float32) * np.float32(255.0 / white)


def remembered(look: Callable[[NDArray[np.float32]], T]) -> Callable[[NDArray[np.float32]], T]:
    """Keep the last few answers of a pure function of a thumbnail: three steps look at the same picture in
    turn.

    Arrays in an answer are shared: nobody may write to them.
    """

    @lru_cache(maxsize=4)
    def answer(raw: bytes, shape: tuple[int, int]) -> T:
        return look(np.frombuffer(raw, dtype=np.float32).reshape(shape))

    @wraps(look)
    def cached(small: NDArray[np.float32]) -> T:
        rows, columns = small.shape
        return answer(np.ascontiguousarray(small).tobytes(), (rows, columns))

    return cached
