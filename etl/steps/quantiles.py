"""Quantiles of a thumbnail's greys, as `numpy.percentile` has them, several times faster; of many values a regular sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ENOUGH = 12_000  # values: a quantile of a sample this large is right to a grey level
_MANY = 0.02  # share of equal values at which sorting is quicker than parting


def quantile(values: NDArray[np.floating[Any]], share: float) -> float:
    """The value below which `share` (0..1) of `values` (any shape, not empty) lie, between two of them by
    linear interpolation.

    `numpy.partition` is vectorised only when asked for a single place, so the upper neighbour is looked for
    among what lies above. It is slow to part many equal values, and those of black borders are many.
    """
    flat = _sample(values)
    place = share * (flat.size - 1)
    below = int(place)
    lowest = flat.min()
    equal = np.count_nonzero(flat == lowest)
    if equal > below + 1:
        return float(lowest)
    parted = np.sort(flat) if equal > _MANY * flat.size else np.partition(flat, below)
    low = float(parted[below])
    if below == place:
        return low
    return low + (place - below) * (float(parted[below + 1 :].min()) - low)


def median(values: NDArray[np.floating[Any]]) -> float:
    """`quantile` at one half."""
    return quantile(values, 0.5)


def span(values: NDArray[np.floating[Any]], low: float, high: float) -> tuple[float, float]:
    """Two quantiles of the same values, `low` and `high` (0..1)."""
    ordered = np.sort(_sample(values))
    places = np.array((low, high)) * (ordered.size - 1)
    below = places.astype(np.intp)
    above = np.minimum(below + 1, ordered.size - 1)
    lower, upper = ordered[below].astype(np.float64), ordered[above].astype(np.float64)
    first, second = (lower + (places - below) * (upper - lower)).tolist()
    return first, second


def _sample(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    flat = values.ravel()
    # An odd stride: an even one would look at every second column of a picture only.
    return flat[:: (flat.size // _ENOUGH) | 1] if flat.size > _ENOUGH else flat
