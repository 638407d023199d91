"""card.json: what a version is. Nothing in it differs between two builds of the same version."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.manifest import Table

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
    "statement": "De-identified as far as radforge can see; text burned into the pixels is flagged, not removed.",
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
    "recipe", "key_fingerprint", "labels", "parent", "schema_version", "software", "code", "machine"
)  # fmt: skip


def identity_in(card: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a card that the version's name is made from, beside the rows."""
    return {name: card.get(name) for name in IDENTITY}


def version_name(identity: Mapping[str, Any], tables: Mapping[Table, pa.Table]) -> str:
    """First 12 hex digits of SHA-256 over what the version is: its identity and all rows in their order."""
    digest = hashlib.sha256(canonical(identity))
    for name, table in tables.items():
        digest.update(f"\n{name} {table.num_rows}\n".encode())
        for batch in table.to_batches(max_chunksize=10_000):
            for row in batch.to_pylist():
                digest.update(canonical(row))
    return digest.hexdigest()[:12]


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def build_card(
    identity: Mapping[str, Any], tables: Mapping[Table, pa.Table], files: Mapping[str, str], version: str
) -> dict[str, Any]:
    """The card, from the identity, the rows and the SHA-256 of each Parquet part; `verify` builds it again and compares."""
    records, drops, failures = tables["manifest"], tables["drops"], tables["failures"]
    films = pa.concat_tables([table.select(["source_id", "frame_index"]) for table in tables.values()])
    labels = [name for name in records.column_names if name.startswith("label_")]
    return {
        "version": version,
        **identity,
        "sources": {
            "kind": "dataset version" if identity.get("parent") else "archive",
            "files": pc.count_distinct(films["source_id"]).as_py(),
        },
        "counts": {
            "files": pc.count_distinct(films["source_id"]).as_py(),
            "frames": films.group_by(["source_id", "frame_index"]).aggregate([]).num_rows,
            "records": records.num_rows,
            "drops": drops.num_rows,
            "failures": failures.num_rows,
            "studies": pc.count_distinct(records["study_id"]).as_py(),
            "patients": pc.count_distinct(records["patient_id"]).as_py(),
            "drops_by_reason": count(drops["reason"]),
            "failures_by_stage": count(failures["stage"]),
        },
        "statistics": {
            "mean_std": {
                split: mean_std(records.filter(pc.equal(records["split"], split))) for split in count(records["split"])
            },
            "mean_std_all": mean_std(records),
            "patients_by_split": count(records.group_by(["split", "patient_id"]).aggregate([])["split"]),
            "studies_by_label": {name: count(records.group_by(["study_id", name]).aggregate([])[name]) for name in labels},
            **{name: count(records[name]) for name in _COUNTED},
        },
        "deidentification": DEIDENTIFICATION,
        "files_sha256": dict(files),
    }


def mean_std(records: pa.Table) -> list[float] | None:
    """Grey mean and standard deviation (0..1) over all pixels of the pictures: each weighs by its area."""
    area, first, second = 0, [], []
    columns = (records[name].to_pylist() for name in ("rows", "columns", "mean", "std"))
    for rows, cols, mean, std in zip(*columns, strict=True):
        area += rows * cols
        first.append(rows * cols * mean)
        second.append(rows * cols * (std**2 + mean**2))
    if not area:
        return None
    # fsum is exact, so the order of the rows cannot show.
    mean = math.fsum(first) / area
    return [round(mean, 6), round(math.sqrt(max(0.0, math.fsum(second) / area - mean**2)), 6)]


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
