"""Where films were joined after the scan: upright and level lines of contrast across the whole picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.steps.quantiles import median, span

_ACROSS = 0.7  # share of a line's pixels at which the grey must jump
_SHARP = 3.0  # a jump over the steps beside it: a seam has no slope, a limb's outline has
_LEAST_FILM = 0.15  # of the side: neither half of a cut is narrower
_SHARED = 0.25  # share of a seam on which flesh may lie on both sides
_GAP = 0.1  # of the side: what lies between two seams is a gap when it is flat and narrower than this


def panels(small: NDArray[np.float32], limb: NDArray[np.bool_]) -> list[tuple[slice, slice]]:
    """The joined films of a thumbnail (float32 (rows, columns)) as (rows, columns) slices; the whole when it
    is one.

    `limb` (bool, the same shape) is what the whole looks like as one film: a line along which flesh lies on
    both sides is the edge of a bone, not a seam. A flat gap between films belongs to no panel.
    """
    rows, columns = small.shape
    upright = _films(small, limb)
    level = _films(np.ascontiguousarray(small.T), limb.T)
    if len(upright) > 1 and len(level) > 1:
        # A grid of films would need both; far more often it is one film's frame.
        return [(slice(0, rows), slice(0, columns))]
    return [(slice(*y), slice(*x)) for y in level for x in upright]


def _films(small: NDArray[np.float32], limb: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of columns between seams; the whole where there is none."""
    side = small.shape[1]
    if min(small.shape) < 24:
        return [(0, side)]
    films, start = [], 0
    least = _LEAST_FILM * side
    seams = _seams(small)
    for index, seam in enumerate(seams):
        if seam - start < least:
            continue
        after = [other for other in seams[index + 1 :] if other - seam <= _GAP * side]
        gap_end = next((other for other in reversed(after) if _is_flat(small[:, seam:other])), seam)
        if side - gap_end < least:
            break
        if limb[:, max(0, seam - 3) : gap_end + 3].all(axis=1).mean() > _SHARED:
            continue
        films.append((start, seam))
        start = gap_end
    films.append((start, side))
    return films


def _is_flat(strip: NDArray[np.float32]) -> bool:
    inner = strip[:, 1:-1] if strip.shape[1] > 4 else strip
    low, high = span(np.median(inner, axis=1), 0.05, 0.95)
    return high - low < 12


def _seams(small: NDArray[np.float32]) -> list[int]:
    """Columns before which most of a line jumps: more than the noise, and much more than beside it."""
    # Along the line noise is averaged away, across it the jump stays sharp.
    smooth = cv2.blur(small, (1, 5))
    step = np.abs(smooth[:, 2:] - smooth[:, :-2])  # over two columns: a seam may fall within one of the thumbnail's
    noise = median(step)
    around = cv2.blur(step, (13, 1)) * 13 - cv2.blur(step, (5, 1)) * 5
    jump = step > np.maximum(_SHARP * around / 8, max(2.5 * noise, 2.0))
    share = cv2.reduce(jump.view(np.uint8), 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0] / len(jump)
    found: list[int] = []
    for index in np.flatnonzero(share >= _ACROSS):
        column = int(index) + 1
        if found and column - found[-1] <= 2:
            if share[index] > share[found[-1] - 1]:
                found[-1] = column
        else:
            found.append(column)
    return found
