"""card.json: what a version is. Nothing in it differs between two builds of the same version."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl.spill import give_back
from etl.tables import ROWS_AT_ONCE, StoredTable, Tables, by_source

# What can change a pixel or a row: the decoders, OpenCV, the text matcher, the PNG's compressor.
PACKAGES = (
    "radforge",
    "numpy",
    "opencv-python-headless",
    "pydicom",
    "python-gdcm",
    "imagecodecs",
    "zlib-ng",
    "ftfy",
    "rapidfuzz",
    "scikit-image",
    "pyarrow",
)

_COUNTED = (
    "split",
    "modality",
    "body_part",
    "laterality",
    "view_position",
    "manufacturer",
    "sex",
    "transfer_syntax",
    "inverted",
)

DEIDENTIFICATION: Mapping[str, Any] = {
    "statement": "De-identified as far as radforge can see; text burned into the pixels stays: the header's own word on it is "
    "repeated, the pixels are not searched.",
    "method": "allow-list of columns; ids are keyed hashes (HMAC-SHA256); no date, name, UID or free text of the source",
    # DICOM PS3.15 Annex E, CID 7050. Clean Pixel Data (113101) is not claimed.
    "codes": [
        {"code": "113100", "scheme": "DCM", "meaning": "Basic Application Confidentiality Profile"},
        {"code": "113103", "scheme": "DCM", "meaning": "Clean Graphics Option"},
        {"code": "113105", "scheme": "DCM", "meaning": "Clean Descriptors Option"},
        {"code": "113108", "scheme": "DCM", "meaning": "Retain Patient Characteristics Option"},
    ],
}


def software() -> dict[str, str]:
    """Versions of everything that shapes a version."""
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


IDENTITY = (
    "recipe", "key_fingerprint", "labels", "corrections", "parent", "schema_version", "software", "code", "machine", "shard",
    "merged",
)  # fmt: skip


def identity_in(card: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a card that the version's name is made from, beside the rows."""
    return {name: card.get(name) for name in IDENTITY}


def version_name(identity: Mapping[str, Any], tables: Tables) -> str:
    """First 12 hex digits of SHA-256 over what the version is: its identity and all rows in their order."""
    digest = hashlib.sha256(canonical(identity))
    for name, table in tables.items():
        digest.update(f"\n{name} {table.num_rows}\n".encode())
        names = sorted(table.schema.names)  # once, so that not every row has its keys sorted
        for group in table.groups(names):
            for start in range(0, len(group), ROWS_AT_ONCE):
                columns = (column.to_pylist() for column in group.slice(start, ROWS_AT_ONCE).columns)
                for row in zip(*columns, strict=True):
                    digest.update(_encode(dict(zip(names, row, strict=True))).encode())
    return digest.hexdigest()[:12]


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def build_card(identity: Mapping[str, Any], tables: Tables, files: Mapping[str, str], version: str) -> dict[str, Any]:
    """The card, from the identity, the rows and the SHA-256 of each Parquet part; `verify` builds it again and compares."""
    records, drops, failures = tables["manifest"], tables["drops"], tables["failures"]
    labels = [name for name in records.schema.names if name.startswith("label_")]
    sources, frames = _films(tables)
    grey = _grey_statistics(records)
    give_back()
    return {
        "version": version,
        **identity,
        "sources": {
            "kind": "dataset version" if identity.get("parent") else "versions" if identity.get("merged") else "archive",
            "files": sources,
        },
        "counts": {
            "files": sources,
            "frames": frames,
            "records": records.num_rows,
            "drops": drops.num_rows,
            "failures": failures.num_rows,
            "studies": pc.count_distinct(records.read(["study_id"])["study_id"]).as_py(),
            "patients": pc.count_distinct(records.read(["patient_id"])["patient_id"]).as_py(),
            "drops_by_reason": count(drops.read(["reason"])["reason"]),
            "failures_by_stage": count(failures.read(["stage"])["stage"]),
        },
        "statistics": {
            **grey,
            "patients_by_split": count(_distinct(records, "split", "patient_id")["split"]),
            "studies_by_label": {name: count(_distinct(records, "study_id", name)[name]) for name in labels},
            **{name: count(records.read([name])[name]) for name in _COUNTED},
        },
        "deidentification": DEIDENTIFICATION,
        "files_sha256": dict(files),
    }


def _films(tables: Tables) -> tuple[int, int]:
    """How many files the tables speak of, and how many frames."""
    sources = frames = 0
    for own in by_source(tables, dict.fromkeys(tables, ("source_id", "frame_index"))):
        films = pa.concat_tables(own.values()).group_by(["source_id", "frame_index"], use_threads=False).aggregate([])
        frames += films.num_rows
        sources += pc.count_distinct(films["source_id"]).as_py()
    return sources, frames


def _distinct(records: StoredTable, *columns: str) -> pa.Table:
    return records.read(columns).group_by(list(columns), use_threads=False).aggregate([])


_GREYS = ("rows", "columns", "mean", "std")


def _grey_statistics(records: StoredTable) -> dict[str, Any]:
    greys = records.read(["split", *_GREYS])
    own = {split: mean_std(greys.filter(pc.equal(greys["split"], split))) for split in count(greys["split"])}
    return {"mean_std": own, "mean_std_all": mean_std(greys)}


def mean_std(records: pa.Table) -> list[float] | None:
    """Grey mean and standard deviation (0..1) over all pixels of the pictures: each weighs by its area."""
    rows, columns, mean, std = (records[name].to_numpy() for name in _GREYS)
    area = rows.astype(np.int64) * columns
    total = int(area.sum())
    if not total:
        return None
    # fsum is exact, so the order of the rows cannot show.
    first, second = math.fsum(_floats(area * mean)), math.fsum(_floats(area * (std**2 + mean**2)))
    mean_ = first / total
    return [round(mean_, 6), round(math.sqrt(max(0.0, second / total - mean_**2)), 6)]


def _floats(values: NDArray[np.float64]) -> Iterator[float]:
    for start in range(0, len(values), 10_000):  # a list of all would take four times the array
        yield from values[start : start + 10_000].tolist()


def count(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value stands in a column, by value; null as "null"."""
    counts = (
        (str("null" if item["values"] is None else item["values"]), item["counts"])
        for item in pc.value_counts(column).to_pylist()
    )
    return dict(sorted(counts))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
