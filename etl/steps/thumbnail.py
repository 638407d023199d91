"""The small copy that every step looks at: a decision needs hundreds of pixels, not millions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import ref

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.study import Pixels

_LONG = 1.6  # times its shorter side: longer films are several films more often than one
_KEPT = 4  # answers: of a film as it came, turned about, cut, and turned round
P = TypeVar("P", bound=np.generic)
T = TypeVar("T")
SIDE = 256  # pixels of the longer side of a square film; bones are still told apart, noise is averaged away


def remembered(look: Callable[[NDArray[P]], T]) -> Callable[[NDArray[P]], T]:
    """Keep the last few answers of a pure function of a picture: three steps look at the same one in turn.

    A picture is known by being the same object, so nobody may write to one that was looked at, nor to arrays
    in an answer. It is not kept alive.
    """
    answers: dict[int, tuple[ref[NDArray[P]], T]] = {}

    @wraps(look)
    def cached(picture: NDArray[P]) -> T:
        known = answers.get(id(picture))
        if known and known[0]() is picture:
            return known[1]
        answer = look(picture)
        answers.pop(id(picture), None)
        answers[id(picture)] = ref(picture), answer
        if len(answers) > _KEPT:
            answers.pop(next(iter(answers)), None)
        return answer

    return cached


@remembered
def thumbnail(pixels: Pixels) -> NDArray[np.float32]:
    """Shrink (rows, columns) uint8 or uint16 by area so that the longer side is at most `SIDE`; float32,
    0..255, read-only.

    A film much longer than broad, as of three joined ones, gets up to twice that, lest its limbs get lost. A
    smaller picture is not enlarged. Greys are scaled by the range of the type, so an 8-bit and a 16-bit
    picture of one film give the same thumbnail up to rounding.
    """
    rows, columns = pixels.shape
    side = round(SIDE * min(2.0, max(1.0, max(rows, columns) / min(rows, columns) / _LONG)))
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
    greys = np.asarray(small, dtype=np.float32) * np.float32(255.0 / white)
    greys.flags.writeable = False
    return greys
