"""Rows of several versions as those of one: what to do where they speak of the same file, the same image, the same patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.tables import Tables, by_source
from schemas.errors import RadforgeError
from schemas.manifest import FIXED, TABLES, Table

Row = Mapping[str, Any]
Rows = dict[Table, list[Row]]

_DETAIL = {
    "duplicate": "the same SOPInstanceUID and the same pixels as a film of another version",
    "conflicting_duplicate": "the same SOPInstanceUID as a film of another version, but other pixels",
}


@dataclass
class Links:
    """What more than one version speaks of. Small: versions are made of different films."""

    patients: set[str] = field(default_factory=set)
    films: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    """By instance_id: the first version that has it, and the SHA-256 of its pictures there."""


def links(versions: Sequence[Tables]) -> Links:
    """Raises RadforgeError when a patient stands in different splits."""
    return Links(_shared_patients(versions), _shared_films(versions))


def _shared_patients(versions: Sequence[Tables]) -> set[str]:
    pairs = [
        tables["manifest"].read(["patient_id", "split"]).group_by(["patient_id", "split"]).aggregate([]) for tables in versions
    ]
    shared = _in_several([own["patient_id"] for own in pairs])
    splits: dict[str, set[str]] = defaultdict(set)
    for own in pairs:
        for patient, split in zip(own["patient_id"].to_pylist(), own["split"].to_pylist(), strict=True):
            if patient in shared:
                splits[patient].add(split)
    torn = sum(len(own) > 1 for own in splits.values())
    if torn:
        raise RadforgeError(
            f"{torn} patients are in one split here and in another there",
            "DATASET@VERSION...",
            expected="label files whose `split` agrees, or none: the default split is by patient and always agrees",
        )
    return shared


def _shared_films(versions: Sequence[Tables]) -> dict[str, tuple[int, list[str]]]:
    shared = _in_several([pc.unique(tables["manifest"].read(["instance_id"])["instance_id"]) for tables in versions])
    wanted = pa.array(sorted(shared), pa.string())
    films: dict[str, tuple[int, list[str]]] = {}
    for place, tables in enumerate(versions if shared else ()):
        for group in tables["manifest"].groups(["instance_id", "frame_index", "region_index", "sha256"]):
            for row in group.filter(pc.is_in(group["instance_id"], wanted)).to_pylist():
                first, pictures = films.setdefault(row["instance_id"], (place, []))
                if first == place:
                    pictures.append(_picture(row))
    return films


def _in_several(columns: Sequence[Any]) -> set[str]:
    """Values that stand in more than one of these columns of distinct values."""
    values, counts = np.unique(
        np.concatenate([np.asarray(pc.unique(c).to_pylist(), object) for c in columns]), return_counts=True
    )
    return set(values[counts > 1])


def joined(versions: Sequence[Tables], known: Links) -> Iterator[Rows]:
    """All rows, a bucket of files at a time; those of a film that an earlier version has become one drop a frame.

    Raises RadforgeError when two versions have other rows for a file of the same name.
    """
    columns: Mapping[Table, Sequence[str]] = {name: versions[0][name].schema.names for name in TABLES}
    for buckets in zip(*(by_source(tables, columns) for tables in versions), strict=True):
        rows: Rows = {name: [] for name in TABLES}
        before: dict[str, Rows] = {}
        for place, bucket in enumerate(buckets):
            for source, own in _by_file(bucket, known).items():
                if source not in before:
                    before[source] = own
                    for name, kept in _without_twins(own, place, known).items():
                        rows[name] += kept
                elif before[source] != own:
                    raise RadforgeError(
                        "two versions have different rows for files of the same name",
                        "DATASET@VERSION...",
                        f"source_id {source}",
                        "shards of one archive (`etl run --shard 1/4`), or archives whose files have different names",
                    )
        yield rows


def _by_file(bucket: Mapping[Table, pa.Table], known: Links) -> dict[str, Rows]:
    files: dict[str, Rows] = {}
    for name, table in bucket.items():
        for row in table.to_pylist():
            if row["patient_id"] in known.patients and "acquired_order" in row:
                row["acquired_order"] = None  # its rank among studies that another version holds is not known
            files.setdefault(row["source_id"], {each: [] for each in TABLES})[name].append(row)
    return files


def _without_twins(rows: Rows, place: int, known: Links) -> Rows:
    twins = {row["instance_id"] for row in rows["manifest"] if known.films.get(row["instance_id"], (place,))[0] < place}
    if not twins:
        return rows
    own = sorted(_picture(row) for row in rows["manifest"] if row["instance_id"] in twins)
    same = own == sorted(picture for twin in twins for picture in known.films[twin][1])
    reason = "duplicate" if same else "conflicting_duplicate"
    kept: Rows = {name: [row for row in rows[name] if row["instance_id"] not in twins] for name in TABLES}
    for frame, row in {row["frame_index"]: row for row in rows["manifest"] if row["instance_id"] in twins}.items():
        drop = {column.name: row.get(column.name) for column in FIXED["drops"]}
        kept["drops"].append(drop | {"frame_index": frame, "region_index": None, "reason": reason, "detail": _DETAIL[reason]})
    # Frames of the twin without a picture keep their own drop or failure.
    pictured = {row["frame_index"] for row in rows["manifest"]}
    for name in ("drops", "failures"):
        kept[name] += [r for r in rows[name] if r["instance_id"] in twins and r["frame_index"] not in pictured]
    return kept


def _picture(row: Row) -> str:
    return f"{row['frame_index']} {row['region_index']} {row['sha256']}"
