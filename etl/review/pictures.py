"""The pictures of a version in the order in which somebody should look: those the steps are least sure of come first."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from etl.doubts import confidences
from etl.tables import tables_in
from schemas.corrections import Place
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError

COLUMNS = (
    "source_id", "frame_index", "region_index", "region_count", "image_id", "image_path", "preview_path", "rows",
    "columns", "source_rows", "source_columns", "body_part", "body_part_suspect", "laterality", "view_position",
    "inverted", "inversion_score", "split_score", "rotation_deg", "rotation_confidence", "review", "review_reasons",
    "corrected", "transform", "split",
)  # fmt: skip
STEPS = ("inversion", "split", "rotation", "body_part")
UNKNOWN = "unknown"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """Which pictures somebody wants to look at. `step`: those it has an opinion of, by how sure that is."""

    body_part: str = ""
    review: bool = False
    step: str = ""
    split: str = ""
    sample: int = 0

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Wanted:
        """From a page's address. Raises RadforgeError."""
        sample, step = query.get("sample") or "0", query.get("step", "")
        if not (sample.isascii() and sample.isdigit()) or len(sample) > 9 or (step and step not in STEPS):
            raise RadforgeError("not understood", "the filter", expected=f"sample=NUMBER, step={'|'.join(STEPS)}")
        return cls(query.get("body_part", ""), query.get("review") == "1", step, query.get("split", ""), int(sample))

    def has(self, row: Row) -> bool:
        """Whether a picture is wanted, the sample apart."""
        return (
            (not self.body_part or (row["body_part"] or UNKNOWN) == self.body_part)
            and (not self.review or bool(row["review"]))
            and (not self.step or self.step in confidences(row))
            and (not self.split or row["split"] == self.split)
        )


def read_rows(version: DatasetVersion) -> list[Row]:
    """The manifest of a version; what an older radforge did not write is null. Raises RadforgeError when it is damaged."""
    try:
        there = [name for name in tables_in(version.folder)["manifest"].schema.names if name in COLUMNS]
    except (OSError, IndexError, pa.ArrowInvalid):
        raise RadforgeError("a table of the version cannot be read", str(version.folder)) from None
    return [dict.fromkeys(COLUMNS) | row for row in version.table("manifest", there).to_pylist()]


def in_order(rows: Sequence[Row], wanted: Wanted) -> list[Row]:
    """Films marked for review first, then the least sure; the pictures of one film stand together.

    A sample is drawn by film, and is the same whenever it is asked for.
    """
    films: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        if wanted.has(row):
            films[row["source_id"], row["frame_index"]].append(row)
    chosen = sorted(films, key=lambda film: hashlib.sha256(f"{film}".encode()).digest()) if wanted.sample else list(films)
    if wanted.sample:
        chosen = chosen[: wanted.sample]
    chosen.sort(key=lambda film: (*min(_doubt(row, wanted.step) for row in films[film]), film))
    return [row for film in chosen for row in sorted(films[film], key=lambda row: int(row["region_index"]))]


def _doubt(row: Row, step: str) -> tuple[bool, float]:
    sure = confidences(row)
    return not row["review"], sure[step] if step else min(sure.values(), default=1.0)


def place_of(row: Row) -> Place:
    """The picture as a correction names it."""
    return Place(row["source_id"], row["frame_index"], row["region_index"], row["region_count"])


def outline(row: Row) -> list[list[float]] | None:
    """Where the picture lies on its film: its four corners in shares (x, y) of the film's sides; None where it is all of it."""
    rows, columns = row["source_rows"], row["source_columns"]
    matrix = np.array(row["transform"], np.float64).reshape(2, 3)
    if not rows or not columns or row["region_count"] == 1 or abs(np.linalg.det(matrix[:, :2])) < 1e-12:
        return None
    right, low = row["columns"] - 0.5, row["rows"] - 0.5
    corners = np.array([(-0.5, -0.5), (right, -0.5), (right, low), (-0.5, low)])
    stored = np.linalg.solve(matrix[:, :2], (corners - matrix[:, 2]).T).T
    return [[round(float((x + 0.5) / columns), 4), round(float((y + 0.5) / rows), 4)] for x, y in stored]
