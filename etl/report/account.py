"""Where every frame of the archive went: the counts, and examples of each reason to leave one out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.manifest import DROP_REASONS, FAILURE_STAGES

EXAMPLES = 10
"""Rows shown of each reason."""
DETAILS = 8
"""Details told apart within a reason."""
FILM = ["source_id", "frame_index"]


@dataclass(frozen=True)
class Reason:
    """One reason, with how many rows have it, what they say, and some of them."""

    fate: str
    name: str
    meaning: str
    count: int
    details: tuple[tuple[str, int], ...]
    more_details: int
    examples: tuple[Mapping[str, Any], ...]

    @property
    def anchor(self) -> str:
        """The place on the page where its examples stand."""
        return f"{self.fate}-{self.name}"


@dataclass(frozen=True)
class Account:
    """Frames: `kept` + `dropped` + `failed` = `frames`, each counted once; `regions_dropped` were cut from kept ones."""

    frames: int
    kept: int
    pictures: int
    dropped: int
    failed: int
    regions_dropped: int
    drops: tuple[Reason, ...]
    failures: tuple[Reason, ...]


def account(pictures: pa.Table, drops: pa.Table, failures: pa.Table) -> Account:
    """Count and group the three tables of a version."""
    films = [_films(table) for table in (pictures, drops, failures)]
    whole = pa.concat_tables(films).group_by(FILM, use_threads=False).aggregate([]).num_rows
    kept, failed = films[0].num_rows, films[2].num_rows
    previews = _previews(pictures)
    return Account(
        frames=whole,
        kept=kept,
        pictures=len(pictures),
        dropped=whole - kept - failed,
        failed=failed,
        regions_dropped=len(drops) - int(pc.sum(pc.is_null(drops["region_index"])).as_py() or 0),
        drops=_reasons("drop", drops, "reason", "detail", DROP_REASONS, previews),
        failures=_reasons("failure", failures, "stage", "error", FAILURE_STAGES, previews),
    )


def _films(table: pa.Table) -> pa.Table:
    return table.select(FILM).group_by(FILM, use_threads=False).aggregate([])


def _reasons(
    fate: str, table: pa.Table, reason: str, detail: str, meanings: Mapping[str, str], previews: pa.Table
) -> tuple[Reason, ...]:
    found = []
    for item in sorted(pc.value_counts(table[reason]).to_pylist(), key=lambda item: (-item["counts"], item["values"])):
        own = table.filter(pc.equal(table[reason], item["values"]))
        told = sorted(pc.value_counts(own[detail]).to_pylist(), key=lambda each: (-each["counts"], each["values"]))
        rows = own.take(pa.array(_examples(own, detail, [each["values"] for each in told[:DETAILS]])))
        renamed = rows.rename_columns([{reason: "reason", detail: "detail"}.get(name, name) for name in rows.column_names])
        details = tuple((each["values"], each["counts"]) for each in told[:DETAILS])
        found.append(
            Reason(
                fate,
                item["values"],
                meanings.get(item["values"], ""),
                item["counts"],
                details,
                len(told) - len(details),
                tuple(_with_preview(row, previews) for row in renamed.to_pylist()),
            )
        )
    return tuple(found)


def _examples(own: pa.Table, detail: str, details: list[str]) -> NDArray[np.int64]:
    """At least one row of each frequent detail, then the first by source_id, which is a hash."""
    order = pc.sort_indices(own, [("source_id", "ascending"), ("frame_index", "ascending")]).to_numpy()
    sorted_details = own[detail].take(pa.array(order))
    first = [order[pc.index(sorted_details, value).as_py()] for value in details]
    return np.array(list(dict.fromkeys([*first, *order[:EXAMPLES].tolist()]))[: max(EXAMPLES, len(first))], np.int64)


def _previews(pictures: pa.Table) -> pa.Table:
    wanted = [*FILM, "instance_id", "preview_path"]
    return pictures.select(wanted).filter(pc.is_valid(pictures["preview_path"]))


def _with_preview(row: dict[str, Any], previews: pa.Table) -> dict[str, Any]:
    """The film of a region that was left out, or the one that a twin lost to: the version has no other picture of a drop."""
    twin = "duplicate" in row["reason"] and row["instance_id"] is not None
    if not twin and row["region_index"] is None:
        return {**row, "preview_path": None, "twin": False}
    column, value = ("instance_id", row["instance_id"]) if twin else ("source_id", row["source_id"])
    same = pc.and_(pc.equal(previews[column], value), pc.equal(previews["frame_index"], row["frame_index"]))
    found = previews.filter(same)["preview_path"].slice(0, 1).to_pylist()
    return {**row, "preview_path": found[0] if found else None, "twin": twin}
