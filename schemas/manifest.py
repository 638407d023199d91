"""The three tables of a dataset version: manifest, drops, failures. One place declares every column.

Columns are add-only: none is ever renamed or reused. `docs/dataset.md` is generated from here (`etl schema manifest`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

SCHEMA_VERSION = 2
"""Raised when columns are added; `Column.since` says which came when."""

METAL = 0.001
"""`metal_fraction` from which a limb counts as one with metal: a wire is more, a speck is less."""

Table = Literal["manifest", "drops", "failures"]
TABLES: tuple[Table, ...] = ("manifest", "drops", "failures")


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, what it means, whether it may be null, and the schema version it came with."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = True
    since: int = 1


def _required(name: str, kind: pa.DataType, meaning: str) -> Column:
    return Column(name, kind, meaning, nullable=False)


_SOURCE = (
    _required("source_id", pa.string(), "Keyed hash of the file's path in the archive: the pseudonym of the file."),
    _required("frame_index", pa.int32(), "Frame of the file, from 0 (DICOM counts from 1)."),
)
_REGION = Column("region_index", pa.int32(), "Region of the frame, from 0; null when the whole film is meant.")
_IDS = (
    Column("patient_id", pa.string(), "Pseudonym of the patient: keyed hash of PatientID and its issuer."),
    Column("study_id", pa.string(), "Pseudonym of the study: keyed hash of StudyInstanceUID."),
    Column("series_id", pa.string(), "Pseudonym of the series: keyed hash of SeriesInstanceUID."),
    Column("instance_id", pa.string(), "Pseudonym of the instance: keyed hash of SOPInstanceUID."),
)

MANIFEST: tuple[Column, ...] = (
    *_SOURCE,
    _required("region_index", pa.int32(), "Region cut from the frame, from 0 (left to right, top to bottom)."),
    _required("region_count", pa.int32(), "Regions of the frame: its pictures plus its region drops."),
    _required("image_id", pa.string(), "Pseudonym of the picture; the name of its file."),
    _required("image_path", pa.string(), "The picture, relative to the version."),
    Column(
        "preview_path",
        pa.string(),
        "The decoded film before any step, at most 256 pixels, relative to the version.",
    ),
    _required("sha256", pa.string(), "SHA-256 of the picture's file."),
    Column("preview_sha256", pa.string(), "SHA-256 of the preview's file."),
    *_IDS,
    Column(
        "patient_id_missing",
        pa.bool_(),
        "The source had no PatientID: patient_id stands for this study alone.",
    ),
    _required("rows", pa.int32(), "Height of the picture in pixels."),
    _required("columns", pa.int32(), "Width of the picture in pixels."),
    _required("bits", pa.int32(), "Bits per pixel of the PNG: 8 or 16."),
    Column("modality", pa.string(), "(0008,0060) Modality."),
    Column("body_part", pa.string(), "The coded part that was recognised in the header's free text."),
    Column("body_part_code", pa.string(), "SNOMED CT code of that part (DICOM CID 4031)."),
    Column("body_part_score", pa.float64(), "How alike the header's word and the vocabulary's are, 0..100."),
    Column("body_part_source", pa.string(), "Keyword of the header field the part was recognised in."),
    Column(
        "body_part_suspect",
        pa.bool_(),
        "Whether the film shows a chest though its tag names a limb; null for other tags.",
        since=2,
    ),
    Column("body_part_ambiguous", pa.list_(pa.string()), "Other parts that the header names with equal right."),
    Column("laterality", pa.string(), "L, R, B (both) or U (unpaired)."),
    Column("view_position", pa.string(), "(0018,5101) View Position, a Defined Term."),
    Column("manufacturer", pa.string(), "Maker of the device, from a vocabulary; else `other`."),
    Column("model", pa.string(), "Model of the device, from a shipped list or the recipe's; else null."),
    Column("pixel_spacing_row_mm", pa.float64(), "Distance between rows of the picture in mm."),
    Column("pixel_spacing_column_mm", pa.float64(), "Distance between columns of the picture in mm."),
    Column("source_rows", pa.int32(), "(0028,0010) Rows of the stored film."),
    Column("source_columns", pa.int32(), "(0028,0011) Columns of the stored film."),
    Column("photometric_interpretation", pa.string(), "(0028,0004), as the header says."),
    Column("transfer_syntax", pa.string(), "UID of the encoding of the stored film."),
    Column("decoder", pa.string(), "What decoded the film; a fallback is named with its reason."),
    Column("voi_source", pa.string(), "Where the greys' range came from: lut, window, percentile, and why."),
    Column("window_center", pa.float64(), "Center of the window that was applied."),
    Column("window_width", pa.float64(), "Width of the window that was applied."),
    Column("inverted", pa.bool_(), "The grey sense was turned after the header's own word was followed."),
    Column(
        "inversion_score",
        pa.float64(),
        "Was air bright: -1 surely not .. 1 surely; how sure (the number behind Greys in the report): (1 + abs(score)) / 2.",
    ),
    Column("split_score", pa.float64(), "How sure the splitting step is of the number of limbs on its film, 0..1.", since=2),
    Column("rotation_deg", pa.float64(), "Counter-clockwise turn applied to the picture, in degrees."),
    Column(
        "rotation_confidence",
        pa.float64(),
        "How sure the rotation step is that the picture is upright, 0..1.",
    ),
    Column(
        "review",
        pa.bool_(),
        "Whether a decision is less sure than the recipe's [review] below: somebody should look.",
        since=2,
    ),
    Column("review_reasons", pa.list_(pa.string()), "Which decisions: inversion, split, rotation, body_part.", since=2),
    Column(
        "corrected",
        pa.list_(pa.string()),
        "What people said of it: inversion, rotation, split (set otherwise than the steps did), confirmed.",
        since=2,
    ),
    _required(
        "transform",
        pa.list_(pa.float64(), 6),
        "Row-major 2x3 affine from stored pixel (x, y) to this picture.",
    ),
    Column("mean", pa.float64(), "Mean grey of the picture's exposed pixels, 0..1."),
    Column("std", pa.float64(), "Standard deviation of them, 0..1."),
    Column(
        "metal_fraction",
        pa.float64(),
        "Share of the limb that is metal (plates, wires), 0..1; null where none is sought. 0 proves nothing.",
        since=2,
    ),
    Column(
        "header_problems",
        pa.list_(pa.string()),
        "Header fields that could not be read or contradict (never values).",
    ),
    Column("burned_in_annotation", pa.string(), "(0028,0301): YES, NO or null."),
    Column("age_years", pa.int32(), "Age in whole years at the study, 89 and above as 89."),
    Column("sex", pa.string(), "F, M or O."),
    Column("acquired_order", pa.int32(), "Rank of the study within the patient by date, from 0."),
    Column("split", pa.string(), "train, val or test; a patient is in one only."),
)

DROPS: tuple[Column, ...] = (
    *_SOURCE,
    _REGION,
    *_IDS,
    _required("reason", pa.string(), "Why it was left out (closed list, add-only)."),
    _required("detail", pa.string(), "More, in radforge's own words."),
)

FAILURES: tuple[Column, ...] = (
    *_SOURCE,
    _REGION,
    *_IDS,
    _required("stage", pa.string(), "read, decode, steps, write, crash, memory or timeout."),
    _required("error", pa.string(), "What was found and what was expected, in radforge's own words."),
)

FIXED: Mapping[Table, tuple[Column, ...]] = {"manifest": MANIFEST, "drops": DROPS, "failures": FAILURES}

DROP_REASONS: Mapping[str, str] = {
    "not_dicom": "not a DICOM file, or an empty one",
    "dicomdir": "a DICOMDIR: an index of other files, with names in it",
    "not_an_image": "a DICOM object without a picture: report, presentation state, plan",
    "not_greyscale": "a colour picture whose channels differ",
    "modality": "a modality that the recipe does not select",
    "study_too_large": "the study has more images than [study] max_instances",
    "anatomy": "another body part than [anatomy] keep, or none recognised",
    "duplicate": "the same SOPInstanceUID with the same pixels as an earlier file",
    "conflicting_duplicate": "the same SOPInstanceUID as an earlier file, with other pixels",
    "region_too_small": "a picture or region too small to be of use",
    "rejected": "somebody looked at the picture and left it out (`etl run --corrections`)",
}

FAILURE_STAGES: Mapping[str, str] = {
    "read": "the file or its header could not be read",
    "decode": "the pixels could not be decoded, or contradict the header",
    "steps": "a step could not deal with the picture",
    "write": "the picture could not be written",
    "crash": "the worker died twice on this film",
    "memory": "the film needs more memory than a worker has",
    "timeout": "the film takes longer than [limits] seconds_per_film",
}


def label_columns(labels: Mapping[str, pa.DataType]) -> tuple[Column, ...]:
    """Columns `label_<name>` for the label file's columns."""
    return tuple(Column(f"label_{name}", kind, "From the label file.") for name, kind in sorted(labels.items()))


def metadata_column(keyword: str) -> str:
    """`ExposureTime` -> `dicom_exposure_time`; `KVP` -> `dicom_kvp`."""
    words: list[str] = []
    for index, letter in enumerate(keyword):
        new_word = (
            letter.isupper()
            and index > 0
            and (not keyword[index - 1].isupper() or (index + 1 < len(keyword) and keyword[index + 1].islower()))
        )
        words.append("_" + letter.lower() if new_word else letter.lower())
    return "dicom_" + "".join(words)


def schema(table: Table, extra: Sequence[Column] = ()) -> pa.Schema:
    """Arrow schema of a table; `extra` are the manifest's label and metadata columns."""
    columns = FIXED[table] + (tuple(extra) if table == "manifest" else ())
    return pa.schema(
        [pa.field(c.name, c.type, nullable=c.nullable) for c in columns],
        metadata={"radforge_schema_version": str(SCHEMA_VERSION)},
    )
