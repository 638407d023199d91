"""Grey histograms by class, from a sample of the pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl.report.charts import Chart, lines
from etl.report.thumbs import side_by_side
from schemas.dataset import read_picture
from schemas.errors import RadforgeError

SAMPLED = 240
"""Pictures read in all; a hundred thousand need not be."""
BINS = 64


def sample(pictures: pa.Table, mask: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Rows of up to `count` pictures of a class. image_id is a hash, so the smallest are a fair draw, the same each time."""
    rows = np.flatnonzero(mask)
    ids = pictures["image_id"].take(pa.array(rows))
    return np.asarray(rows[pc.array_sort_indices(ids.combine_chunks()).to_numpy()[:count]], np.int64)


def chart(
    folder: Path, pictures: pa.Table, classes: list[tuple[str, NDArray[np.bool_]]], read: Callable[[int], None]
) -> Chart | None:
    """The mean share of pixels at each grey, every picture weighing alike; None when not one could be read.

    `read` is told of each picture that was looked at. Grey 0 is left out: it is air and what turning added.
    """
    each = max(1, SAMPLED // max(len(classes), 1))
    curves, read_in_all, black = [], 0, 0.0
    for name, mask in classes:
        rows = sample(pictures, mask, each)
        paths = pictures["image_path"].take(pa.array(rows)).to_pylist()
        found = []
        for histogram in side_by_side(partial(_histogram, folder), paths):
            read(1)
            if histogram is not None:
                found.append(histogram)
        if found:
            curve = np.mean(found, axis=0)
            curves.append((f"{name} (n = {len(found)})", 100 * curve[1:]))
            black += float(curve[0]) * len(found)
            read_in_all += len(found)
    if not curves:
        return None
    at = (np.arange(BINS) + 0.5) / BINS
    sampled = f"{read_in_all:,} of {len(pictures):,} pictures"
    note = f"Black (grey 0: air, and what turning added) is left out; it is {100 * black / read_in_all:.0f} % of all pixels."
    return lines("Greys of the pictures", sampled, "grey, 0 black to 1 white", "% of pixels", at, curves, note)


def _histogram(folder: Path, name: str) -> NDArray[np.float64] | None:
    """float64 (1 + BINS,): the share of black, then the shares of the other greys."""
    try:
        picture = read_picture(folder / name)
    except RadforgeError:
        return None
    levels = 1 << (8 * picture.dtype.itemsize)
    counts = np.bincount(picture.ravel(), minlength=levels).astype(np.float64) / picture.size
    black, counts[0] = counts[0], 0.0
    return np.concatenate([[black], counts.reshape(BINS, -1).sum(axis=1)])
