"""The types that cross rooms: Source, Instance, Frame, and the two ways a film can leave: Drop and Failure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]  # uint8 or uint16 (rows, columns), 0 = air
Affine = tuple[float, float, float, float, float, float]  # row-major 2x3: (x, y) stored -> (x, y) of this picture

IDENTITY: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def compose(after: Affine, before: Affine) -> Affine:
    """The affine that applies `before`, then `after` (both row-major 2x3, pixel centres, zero-based)."""
    a, b, c, d, e, f = after
    g, h, i, j, k, m = before
    return (
        a * g + b * j,
        a * h + b * k,
        a * i + b * m + c,
        d * g + e * j,
        d * h + e * k,
        d * i + e * m + f,
    )


@dataclass(frozen=True, slots=True)
class Drop:
    """Left out on purpose. `detail` is from our own words and numbers, never a text of the source."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Could not be read. `stage`: read, decode, steps, write, crash, memory or timeout; `error`: our own sentence."""

    stage: str
    error: str


class Source(NamedTuple):
    """Where the bytes of one file lie.

    `name` is the path as the crosswalk shows it, relative to the ARCHIVE argument ("a/b.dcm", "x.zip!/member");
    `path` the file on disk (the container of a member); `member` its name inside a zip or tar, "" for a plain file.
    All three may hold a patient's name: they never leave DATASET.private.
    """

    name: str
    path: str
    member: str
    size: int  # bytes, of the member or file
    mtime_ns: int  # of the file on disk


class Instance(NamedTuple):
    """One file: header facts, no pixels (DICOM PS3.3 A.1). Text is decoded and stripped, "" where absent.

    `fate` is decided already when the header alone settles it (not DICOM, no image, unreadable), else None.
    Everything here is private: identifiers are turned into pseudonyms before anything is written to a dataset.
    """

    source: Source
    fate: Drop | Failure | None = None
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    modality: str = ""
    transfer_syntax: str = ""  # UID; of the file meta, or the one that was guessed
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    accession_number: str = ""
    study_date: str = ""  # DA, YYYYMMDD
    study_time: str = ""
    patient_sex: str = ""
    patient_age: str = ""  # AS, e.g. 034Y
    patient_birth_date: str = ""
    body_part_examined: str = ""
    study_description: str = ""
    series_description: str = ""
    protocol_name: str = ""
    anatomic_region: str = ""  # "scheme:code value:meaning" of AnatomicRegionSequence's first item
    laterality: str = ""  # ImageLaterality, else Laterality
    view_position: str = ""
    manufacturer: str = ""
    model: str = ""
    burned_in_annotation: str = ""
    photometric_interpretation: str = ""
    samples_per_pixel: int = 0
    rows: int = 0
    columns: int = 0
    bits_allocated: int = 0
    bits_stored: int = 0
    frames: int = 1
    metadata: Mapping[str, str] = {}  # [metadata] keep: keyword -> text of its first value
    header_problems: tuple[str, ...] = ()  # "Keyword:VR" of fields that could not be read; never a value


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Pixels of one frame or region on their way through the steps.

    `pixels` uint8 or uint16 (rows, columns), 0 = air once polarity is right. `padding` bool (rows, columns): pixels
    that no X-ray made (PixelPaddingValue, canvas grown by a rotation), painted as air and kept out of statistics;
    None where there are none. `transform` maps the stored image to this picture. `body_part` is the coded part that
    was recognised ("wrist"), None when unknown. `done` holds the manifest columns that the steps have written.
    """

    pixels: Pixels
    transform: Affine = IDENTITY
    padding: NDArray[np.bool_] | None = None
    body_part: str | None = None
    done: Mapping[str, Any] = field(default_factory=dict)

    @property
    def white(self) -> int:
        """The largest value of the range: 255 or 65535. Inversion turns about it, never about the picture's maximum."""
        return int(np.iinfo(self.pixels.dtype).max)


Row = dict[str, Any]


@dataclass
class StudyOutcome:
    """The rows of one study: every frame of every file is one failure, one drop, or as many rows as it has regions.

    `seconds` are the stages' times, for .runs only.
    """

    study_id: str
    records: list[Row] = field(default_factory=list)
    drops: list[Row] = field(default_factory=list)
    failures: list[Row] = field(default_factory=list)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def frames(self) -> int:
        """Frames these rows speak of."""
        rows = (*self.records, *self.drops, *self.failures)
        return len({(row["source_id"], row["frame_index"]) for row in rows})
