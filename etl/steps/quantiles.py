"""Quantiles of a thumbnail's greys, as `numpy.percentile` has them, several times faster."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def quantile(values: NDArray[np.floating[Any]], share: float) -> float:
    """The value below which `share` (0..1) of `values` (any shape, not empty) lie, between two of them by
    linear interpolation.

    `numpy.partition` is vectorised only when asked for a single place, so the upper neighbour is looked for
    among what lies above.
    """
    flat = values.ravel()
    place = share * (flat.size - 1)
    below = int(place)
    parted = np.partition(flat, below)
    low = float(parted[below])
    if below == place:
        return low
    return low + (place - below) * (float(parted[below + 1 :].min()) - low)


def median(values: NDArray[np.floating[Any]]) -> float:
    """`quantile` at one half."""
    return quantile(values, 0.5)
