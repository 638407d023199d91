"""Small drawn films for the tests of the steps: one wrist or two, with noise, as uint8 or uint16."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.phantom.wrist import draw_two_wrists, draw_wrist
from etl.study import Affine, Frame

Picture = NDArray[Any]


def wrist(seed: int = 0, *, rows: int = 600, columns: int = 450, bits: int = 8, **how: Any) -> Picture:
    """One wrist with dark air; `how` goes to `draw_wrist`."""
    return _noisy(draw_wrist(np.random.default_rng(seed), rows, columns, **how).pixels, seed, bits)


def two_wrists(seed: int = 0, *, bits: int = 8, **how: Any) -> tuple[Picture, list[tuple[int, int, int, int]]]:
    """Two wrists side by side and their boxes x0, y0, x1, y1."""
    film = draw_two_wrists(np.random.default_rng(seed), 500, 800, **how)
    return _noisy(film.pixels, seed, bits), [part.box for part in film.parts]


def hand(seed: int = 0, **how: Any) -> Picture:
    """A wrist drawn so small that all fingers lie on the film and only the forearm leaves it."""
    return wrist(seed, rows_mm=330.0, centre=(0.5, 0.6), **how)


def _noisy(drawn: NDArray[np.float32], seed: int, bits: int) -> Picture:
    noise = np.random.default_rng(seed + 1000).normal(0, 0.015, drawn.shape)
    white = 2**bits - 1
    grey = np.clip(0.05 + 0.9 * drawn + noise, 0, 1) * white
    return np.round(grey).astype(np.uint8 if bits == 8 else np.uint16)


def negative(pixels: Picture) -> Picture:
    return np.asarray(cv2.bitwise_not(pixels))


def framed(pixels: Picture, grey: int, width: int = 40) -> Picture:
    return np.asarray(cv2.copyMakeBorder(pixels, *4 * [width], cv2.BORDER_CONSTANT, value=grey))


def collimated(pixels: Picture, grey: int, degrees: float) -> Picture:
    """Blades of one grey around a tilted rectangle."""
    rows, columns = pixels.shape
    box = cv2.boxPoints(((columns / 2, rows / 2), (0.85 * columns, 0.88 * rows), degrees))
    inside = np.zeros(pixels.shape, np.uint8)
    cv2.fillConvexPoly(inside, np.round(box).astype(np.int32), 1)
    return np.where(inside == 1, pixels, grey).astype(pixels.dtype)


def point(transform: Affine, x: float, y: float) -> tuple[float, float]:
    """Where a point of the stored image lies in the picture."""
    a, b, c, d, e, f = transform
    return a * x + b * y + c, d * x + e * y + f


def brightest(pixels: Picture) -> tuple[float, float]:
    """Centre of gravity (x, y) of the brightest pixels: where a drawn spot is."""
    spot = (pixels > 0.6 * pixels.max()).astype(np.float32)
    m = cv2.moments(spot * pixels.astype(np.float32))
    return m["m10"] / m["m00"], m["m01"] / m["m00"]


def same(a: Frame, b: Frame) -> bool:
    """Whether two frames are equal in pixels, transform, padding and what was done."""
    paddings = (a.padding is None and b.padding is None) or (
        a.padding is not None and b.padding is not None and np.array_equal(a.padding, b.padding)
    )
    return np.array_equal(a.pixels, b.pixels) and a.transform == b.transform and paddings and a.done == b.done
