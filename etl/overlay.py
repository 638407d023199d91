"""A model's heat over a decoded film: red speaks for the label, blue against it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.study import Pixels
from schemas.errors import RadforgeError

NONE = 128
"""The grey of a pixel that says nothing: `train explain` writes heat as 128 + 127 times -1 (against) to 1 (for)."""
RED, BLUE = (40, 40, 235), (245, 130, 30)
"""As OpenCV orders colours: blue, green, red."""
COVER = 0.75
"""How much of the film the strongest heat covers."""


def read_heat(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The heat of an 8-bit grey PNG as float32 (rows, columns) of -1..1.

    Raises RadforgeError when it is no such picture, or not one of a film of `shape` (rows, columns).
    """
    expected = "the .heat.png that `train explain` wrote for this very film"
    try:
        data = np.fromfile(path, np.uint8)
    except OSError:
        raise RadforgeError("cannot be read", f"--overlay {path}", expected=expected) from None
    heat = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if heat is None or heat.ndim != 2 or heat.dtype != np.uint8:
        raise RadforgeError("is not an 8-bit grey picture", f"--overlay {path}", expected=expected)
    if heat.shape != shape:
        raise RadforgeError(
            "the heat is not of this film: their sizes differ",
            f"--overlay {path}",
            f"{heat.shape[0]} rows x {heat.shape[1]} columns",
            f"{shape[0]} x {shape[1]}, as the stored film; {expected}",
        )
    return np.asarray(np.clip((heat.astype(np.float32) - NONE) / (255 - NONE), -1, 1), np.float32)


def over(film: Pixels, heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8 (rows, columns, 3), blue green red: the film's grey, COVER of it red where heat is 1, and blue where it is -1."""
    grey = film if film.dtype == np.uint8 else (film >> 8).astype(np.uint8)
    cover = COVER * np.abs(heat)[..., None]
    colour = np.where(heat[..., None] > 0, np.array(RED, np.float32), np.array(BLUE, np.float32))
    return np.asarray(np.rint(grey[..., None] * (1 - cover) + colour * cover), np.uint8)
