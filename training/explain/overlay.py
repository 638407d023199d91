"""Heat over a picture: red speaks for the label, blue against it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.explain.heat import Map

FOR = np.array([40, 40, 235], np.float32)
"""Red, as OpenCV orders colours: blue, green, red."""
AGAINST = np.array([245, 130, 30], np.float32)
"""Blue."""
COVER = 0.75
"""How much of the picture the strongest heat covers."""
LONGEST = 512
"""Pixels of an overlay's longer side."""
_STRIP = 46
_INK = (215, 215, 215)


def overlay(picture: NDArray[Any], heat: Map, longest: int = LONGEST) -> NDArray[np.uint8]:
    """uint8 (rows, columns, 3), blue green red: the picture with its heat, `longest` pixels on its longer side.

    picture: uint8 or uint16 (rows, columns), 0 = air; heat: -1..1 in the picture's pixels.
    """
    grey = np.asarray(picture // 257 if picture.dtype == np.uint16 else picture, np.uint8)
    scale = longest / max(grey.shape)
    size = (max(round(grey.shape[1] * scale), 1), max(round(grey.shape[0] * scale), 1))
    shown = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    return blend(np.asarray(shown, np.uint8), cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR))


def with_legend(over: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """An overlay with a strip below it: which colour says what, and one line of text."""
    return np.vstack([over, _legend(over.shape[1], text)])


def blend(grey: NDArray[np.uint8], heat: Map) -> NDArray[np.uint8]:
    """uint8 (rows, columns, 3), blue green red: grey where heat is 0, COVER of red at 1 and of blue at -1."""
    cover = (COVER * np.clip(np.abs(heat), 0, 1))[..., None]
    colour = np.where(heat[..., None] > 0, FOR, AGAINST)
    return np.asarray(np.rint(grey[..., None] * (1 - cover) + colour * cover), np.uint8)


def _legend(columns: int, text: str) -> NDArray[np.uint8]:
    strip = np.full((_STRIP, columns, 3), 24, np.uint8)
    wide = min(columns - 150, 160)
    if wide > 20:
        ramp = np.tile(np.linspace(-1, 1, wide, dtype=np.float32), (10, 1))
        strip[8:18, 66 : 66 + wide] = blend(np.full(ramp.shape, 90, np.uint8), ramp)
        _write(strip, "against", (6, 17))
        _write(strip, "for", (72 + wide, 17))
    _write(strip, text, (6, 38))
    return strip


def _write(strip: NDArray[np.uint8], text: str, at: tuple[int, int]) -> None:
    cv2.putText(strip, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
