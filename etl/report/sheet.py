"""The contact sheet: which pictures are shown, in which order, and what is said of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl.decisions import Decision, decisions
from etl.doubts import confidences
from etl.report.facets import Facet

SHOWN = 600
"""Pictures of the page; more than this only where there are more kinds."""
EACH = 3
"""Of every kind: this many of the least sure, and as many drawn by their hash."""
_AT_ONCE = 10_000
_SURE = ("inversion_score", "split_score", "rotation_confidence", "body_part_suspect")
_UNLIKELY_TO_BE_SEEN = 0.02  # a scale of 1 within this is no scaling


@dataclass(frozen=True)
class Card:
    """One picture. `told`: what was decided about it. `outline`: its corners in the stored film, as an SVG polygon; `up`: an
    arrow there to what is now its top, as an SVG path; both empty where there is nothing to show.
    """

    row: Mapping[str, Any]
    tokens: str
    told: tuple[Decision, ...]
    size: str
    sure: Mapping[str, float]
    review: tuple[str, ...]
    outline: str
    up: str


def sureness(pictures: pa.Table) -> dict[str, NDArray[np.float64]]:
    """How sure each decision is, float64 (pictures,) a decision; NaN where none was taken."""
    table = pictures.select([name for name in _SURE if name in pictures.column_names])
    sure: dict[str, NDArray[np.float64]] = {}
    start = 0
    for batch in table.to_batches(max_chunksize=_AT_ONCE):
        for index, row in enumerate(batch.to_pylist(), start):
            for name, value in confidences(row).items():
                sure.setdefault(name, np.full(len(pictures), np.nan))[index] = value
        start += len(batch)
    return sure


def least_sure_first(pictures: pa.Table, sure: Mapping[str, NDArray[np.float64]]) -> list[NDArray[np.int64]]:
    """All rows by the least sure decision of each, then all rows by each decision alone; those without one come last,
    equals by image_id.
    """
    known = [np.nan_to_num(values, nan=2.0) for values in sure.values()]
    least = np.min(known, axis=0) if known else np.zeros(len(pictures))
    rank = np.empty(len(pictures), np.int64)
    rank[_by_hash(pictures)] = np.arange(len(pictures))
    return [np.asarray(np.lexsort((rank, values)), np.int64) for values in (least, *known)]


def choose(
    orders: Sequence[NDArray[np.int64]], pictures: pa.Table, facets: Sequence[Facet], shown: int = SHOWN
) -> NDArray[np.int64]:
    """Rows for the page, in the first of `orders`: some of every kind, then the first of each order until there are `shown`."""
    first = orders[0]
    if len(first) <= shown:
        return first
    by_hash = _by_hash(pictures)
    taken = np.zeros(len(first), np.bool_)
    for facet in facets:
        for mask in facet.values.values():
            for each in (first, by_hash):
                taken[each[mask[each]][:EACH]] = True
    for left, order in zip(range(len(orders), 0, -1), orders, strict=True):
        room = max(0, shown - int(taken.sum())) // left
        taken[order[~taken[order]][:room]] = True
    return first[taken[first]]


def _by_hash(pictures: pa.Table) -> NDArray[np.int64]:
    """All rows by image_id, which is a hash: a fair draw, the same each time."""
    return np.asarray(pc.sort_indices(pictures["image_id"]).to_numpy(), np.int64)


def cards(
    pictures: pa.Table, rows: NDArray[np.int64], facets: Sequence[Facet], tokens: Mapping[tuple[str, str], int]
) -> Iterator[Card]:
    """A card for each of the chosen rows. `tokens`: the number of each facet's value, for the filter."""
    for index, row in zip(rows.tolist(), pictures.take(pa.array(rows)).to_pylist(), strict=True):
        mine = [tokens[facet.name, value] for facet in facets for value, mask in facet.values.items() if mask[index]]
        outline, up = _in_the_film(row)
        yield Card(
            row=row,
            tokens=" ".join(str(token) for token in [tokens["fate", "record"], *mine]),
            told=tuple(decisions(row)),
            size=_size(row),
            sure=confidences(row),
            review=tuple(row.get("review_reasons") or ()),
            outline=outline,
            up=up,
        )


def _size(row: Mapping[str, Any]) -> str:
    size = f"{row['columns']} × {row['rows']} px"
    if row.get("source_rows") and row.get("source_columns"):
        size = f"{row['source_columns']} × {row['source_rows']} → {size}"
    a, b, _, d, e, _ = row["transform"]
    scale = abs(a * e - b * d) ** 0.5
    return size + (f", scaled {scale:.2f}" if abs(scale - 1) > _UNLIKELY_TO_BE_SEEN else "")


def _in_the_film(row: Mapping[str, Any]) -> tuple[str, str]:
    """Where the picture lies in the stored film: its outline where it is a part of it, and where its top was."""
    rows, columns = row.get("source_rows"), row.get("source_columns")
    matrix = np.array(row["transform"], float).reshape(2, 3)
    if not rows or not columns or abs(np.linalg.det(matrix[:, :2])) < 1e-12:
        return "", ""
    right, low = row["columns"] - 0.5, row["rows"] - 0.5
    middle_x, middle_y = (right - 0.5) / 2, (low - 0.5) / 2
    there = np.array([[-0.5, -0.5], [right, -0.5], [right, low], [-0.5, low], [middle_x, middle_y], [middle_x, -0.5]])
    film = np.linalg.solve(matrix[:, :2], (there - matrix[:, 2]).T).T
    whole = row["region_count"] == 1 and _area(film[:4]) > 0.95 * rows * columns
    outline = "" if whole else " ".join(f"{x:.0f},{y:.0f}" for x, y in film[:4])
    if not row.get("rotation_deg"):
        return outline, ""
    return outline, _arrow(film[4], film[5], 0.35 * min(rows, columns))


def _arrow(start: NDArray[np.float64], towards: NDArray[np.float64], most: float) -> str:
    """From `start` the way of `towards`, at most `most` stored pixels long."""
    way = towards - start
    long = float(np.hypot(*way))
    tip = start + way * min(1.0, most / max(long, 1e-9))
    back = (start - tip) * 0.35
    sides = [tip + np.array([[c, -s], [s, c]]) @ back for c, s in ((0.87, 0.5), (0.87, -0.5))]
    a, b, c, d = (f"{x:.0f} {y:.0f}" for x, y in (start, tip, *sides))
    return f"M{a}L{b}M{c}L{b}L{d}"


def _area(corners: NDArray[np.float64]) -> float:
    x, y = corners.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
