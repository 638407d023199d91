"""Bands of writing beside a film: a label that an archive's software or a scanner put along one side."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.quantiles import median

_BROADEST = 0.3  # of the film's side
_ACROSS = 0.7  # share of a line at which the grey jumps, where no letter meets it
_PAPER = 0.4  # share of a band that has one grey: what letters leave of it
_SAME = 6.0  # grey levels, of one paper
_TOUCHING = 0.12  # share of a band's edge that its letters may touch


def without_captions(small: NDArray[np.float32]) -> tuple[slice, slice]:
    """The rows and columns of a thumbnail (float32 (rows, columns), 0..255) that no caption takes."""
    top, bottom = _band(small), _band(small[::-1])
    left, right = _band(small.T), _band(small.T[::-1])
    rows, columns = small.shape
    return slice(top, rows - bottom), slice(left, columns - right)


def _band(small: NDArray[np.float32]) -> int:
    """Rows of the caption at the top; 0 where there is none."""
    rows, columns = small.shape
    last = int(_BROADEST * rows)
    if last < 4 or columns < 24:
        return 0
    jump = np.abs(small[2 : last + 2] - small[:last])  # over two rows: a thumbnail's line may fall between them
    paper = median(small[: max(2, last // 8)])
    for row in np.argsort(-(jump > 12).mean(axis=1), kind="stable")[:6]:
        height = int(row) + 1
        if height >= 6 and (jump[row] > 12).mean() >= _ACROSS and _is_caption(small[:height], paper):
            return height + 1
    return 0


def _is_caption(band: NDArray[np.float32], paper: float) -> bool:
    """Paper of one grey with ink that keeps clear of the band's edges; a band without ink is a frame, and no affair of ours."""
    inner = band[:-1]
    ink = np.abs(inner - paper) > _SAME
    if not 0.01 < ink.mean() < 1 - _PAPER:
        return False
    if max(ink[0].mean(), ink[-1].mean()) > _TOUCHING or min(ink[:, 0].mean(), ink[:, -1].mean()) > _TOUCHING:
        return False
    found, _, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8))
    lines = stats[1:found, cv2.CC_STAT_HEIGHT]
    return bool(lines.max() < 0.75 * len(inner)) if len(lines) else False
