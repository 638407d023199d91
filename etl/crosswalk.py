"""The private way back: pseudonym -> file, UIDs and patient. Outside the dataset only, mode 0600."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from etl.picture_store import disk_error
from etl.private import Private
from etl.scratch import Scratch, private_file
from etl.spill import Buckets, rechunked
from etl.tables import BUCKETS, ROWS_PER_GROUP, StoredTable, Tables, bucket_of, by_source
from schemas.dataset import DatasetVersion, newest_version
from schemas.errors import RadforgeError
from schemas.manifest import Table

SCHEMA = pa.schema(
    [
        pa.field("source_id", pa.string()),
        pa.field("source_path", pa.string()),
        pa.field("frame_index", pa.int32()),
        *(
            pa.field(name, pa.string())
            for name in (
                "study_instance_uid",
                "series_instance_uid",
                "sop_instance_uid",
                "patient_id_original",
                "patient_id",
                "study_id",
                "series_id",
                "instance_id",
                "fate",
                "reason",
            )
        ),
    ]
)

_FILES = pa.schema([field for field in SCHEMA if field.name not in {"frame_index", "fate", "reason"}])
_FATES: Mapping[Table, tuple[str, ...]] = {
    "manifest": ("source_id", "frame_index"),
    "drops": ("source_id", "frame_index", "reason"),
    "failures": ("source_id", "frame_index", "stage"),
}


class CrosswalkFile:
    """The files of a plan with what is known of them, on disk until their fates are known too."""

    def __init__(self, scratch: Scratch) -> None:
        self._buckets = Buckets(scratch.file("crosswalk"), _FILES, BUCKETS)

    def add(self, files: Sequence[Mapping[str, Any]]) -> None:
        """Add files. Raises RadforgeError when the disk fails."""
        rows = pa.Table.from_pylist(files, schema=_FILES)
        self._buckets.put(rows, bucket_of([file["source_id"] for file in files]))

    def with_fates(self, tables: Tables) -> Iterator[pa.Table]:
        """One row per file and frame, with its fate (record, drop, failure) and the reason or stage; by source_id."""
        for bucket, own in enumerate(by_source(tables, _FATES)):
            fates = _fates(own)
            rows = [
                {**file, "frame_index": frame, "fate": fate, "reason": why}
                for file in sorted(self._buckets.take(bucket).to_pylist(), key=itemgetter("source_id"))
                for frame, (fate, why) in sorted(fates.get(file["source_id"], {}).items())
            ]
            yield pa.Table.from_pylist(rows, schema=SCHEMA)


def _fates(tables: Mapping[Table, pa.Table]) -> dict[str, dict[int, tuple[str, str]]]:
    fates: dict[str, dict[int, tuple[str, str]]] = {}
    # Last wins: a film with a picture is a record, also when one of its regions was dropped.
    for name, fate in (("failures", "failure"), ("drops", "drop"), ("manifest", "record")):
        columns = [column.to_pylist() for column in tables[name].columns]  # type: ignore[index]
        for source_id, frame, *why in zip(*columns, strict=True):
            fates.setdefault(source_id, {})[frame] = (fate, why[0] if why else "")
    return fates


def save_private(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write tables as one, CSV or Parquet by its extension, mode 0600, atomically. Raises RadforgeError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    kind = pq.ParquetWriter if path.suffix == ".parquet" else pyarrow.csv.CSVWriter
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(private_file(draft), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            with kind(file, schema) as writer:
                for table in rechunked(tables, ROWS_PER_GROUP):
                    writer.write_table(table)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise disk_error(error, f"{path.parent}") from None


def write_crosswalk(path: Path, kept: Path) -> None:
    """Give the user a copy of a kept crosswalk. Raises RadforgeError when it was not kept."""
    if not kept.exists():
        raise RadforgeError("the crosswalk of this version is no longer kept", str(kept))
    save_private(path, StoredTable((kept,)).groups(), SCHEMA)


def where(private: Private, source_id: str) -> list[dict[str, Any]]:
    """The rows of a source in the newest crosswalk that has it. Raises RadforgeError when none has."""
    kept = sorted(private.crosswalks.glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in kept:
        rows: list[dict[str, Any]] = pq.read_table(path, filters=[("source_id", "=", source_id)]).to_pylist()
        if rows:
            return rows
    raise RadforgeError(
        "no such source",
        source_id,
        expected=f"a source_id of a version built here; {len(kept)} crosswalks in {private.crosswalks} were searched",
    )


def source_of(dataset: Path, name: str) -> str:
    """The source_id behind an image_id of the newest version; any other name is given back as it is."""
    newest = newest_version(dataset)
    if newest is None:
        return name
    rows = DatasetVersion.open(dataset / newest).table("manifest", ["image_id", "source_id"])
    found = rows.filter(pc.equal(rows["image_id"], name))["source_id"].to_pylist()
    return str(found[0]) if found else name
