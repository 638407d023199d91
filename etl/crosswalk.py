"""The private way back: pseudonym -> file, UIDs and patient. Outside the dataset only, mode 0600."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from etl.picture_store import disk_error
from etl.private import Private
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


def crosswalk_table(files: Iterable[Mapping[str, Any]], tables: Mapping[Table, pa.Table]) -> pa.Table:
    """One row per file and frame, with its fate (record, drop, failure) and the reason or stage."""
    fates: dict[str, dict[int, tuple[str, str]]] = {}
    for table, fate, reason in (
        ("failures", "failure", "stage"),
        ("drops", "drop", "reason"),
        ("manifest", "record", ""),
    ):
        rows = tables[table]  # type: ignore[index]
        reasons = rows[reason].to_pylist() if reason else [""] * rows.num_rows
        # Last wins: a film with a picture is a record, also when one of its regions was dropped.
        for source_id, frame, why in zip(rows["source_id"].to_pylist(), rows["frame_index"].to_pylist(), reasons, strict=True):
            fates.setdefault(source_id, {})[frame] = (fate, why)
    rows_out = [
        {**file, "frame_index": frame, "fate": fate, "reason": why}
        for file in files
        for frame, (fate, why) in sorted(fates.get(file["source_id"], {}).items())
    ]
    return pa.Table.from_pylist(rows_out, schema=SCHEMA)


def save_private(path: Path, table: pa.Table) -> None:
    """Write a crosswalk, CSV or Parquet by its extension, mode 0600, atomically. Raises RadforgeError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            if path.suffix == ".parquet":
                pq.write_table(table, file)
            else:
                pyarrow.csv.write_csv(table, file)
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
    save_private(path, pq.read_table(kept))


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
