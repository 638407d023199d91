"""What is known about every file: labels.csv and truth.csv beside the archive."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from etl.phantom.body import wrap_deg
from etl.phantom.film import Exposed
from etl.phantom.plan import FilmPlan, StudyPlan

TRUTH_COLUMNS = (
    "source_path", "study_instance_uid", "sop_instance_uid", "frame_index", "fate", "reason", "body_part",
    "inverted",
    "parts", "part_boxes", "part_tilts_deg", "tilt_deg", "upside_down", "fracture", "fracture_x",
    "fracture_y",
)  # fmt: skip
TRAINING_COLUMNS = (*TRUTH_COLUMNS, "mimic")
MORE_COLUMNS = ("mimic", "metal_fraction", "mistagged")  # each only where it was asked for
"""Whether a harmless line is on the film; the share of the limb that is metal; whether the header names another part."""


@dataclass(frozen=True)
class Row:
    """One file and frame. `pixels` tells films of one SOPInstanceUID apart; it is not written."""

    source_path: str
    study_instance_uid: str = ""
    sop_instance_uid: str = ""
    fate: str = "record"
    reason: str = ""
    body_part: str = ""
    inverted: bool | None = None
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    tilts_deg: tuple[float, ...] = ()
    upside_down: bool | None = None
    fracture: bool | None = None
    fracture_xy: tuple[float, float] | None = None
    mimic: bool | None = None
    metal_fraction: float | None = None
    mistagged: bool | None = None
    pixels: str = ""


def film_row(path: str, study: StudyPlan, film: FilmPlan, exposed: Exposed | None) -> Row:
    """The truth of a film under the shipped recipe `wrist`; an axial slice has no parts to speak of."""
    fate, reason = _fate(study)
    row = Row(
        path, study.study_instance_uid, film.sop_instance_uid, fate, reason, study.body_part,
        film.exposure.wrong_polarity, upside_down=film.upside_down, fracture=film.fracture, mimic=film.mimic,
        mistagged=study.mistagged, pixels=film.sop_instance_uid,
    )  # fmt: skip
    if exposed is None:
        return row
    tilts = tuple(part.tilt_deg for part in exposed.parts)
    boxes = tuple(part.box for part in exposed.parts)
    metal = exposed.metal_fraction or 0.0
    return replace(row, boxes=boxes, tilts_deg=tilts, fracture_xy=exposed.fracture_xy, metal_fraction=metal)


def _fate(study: StudyPlan) -> tuple[str, str]:
    if study.axial:
        return "drop", "study_too_large"
    if (study.body_part != "wrist" and not study.mistagged) or not study.part_text.named:
        return "drop", "anatomy"
    return "record", ""


def settled(rows: Iterable[Row]) -> list[Row]:
    """Rows by path, with every repetition of a SOPInstanceUID but the first by path judged."""
    first: dict[str, Row] = {}
    judged = []
    for row in sorted(rows, key=lambda row: row.source_path):
        known = first.setdefault(row.sop_instance_uid, row) if row.fate == "record" else row
        if known is row:
            judged.append(row)
            continue
        reason = "duplicate" if known.pixels == row.pixels else "conflicting_duplicate"
        judged.append(replace(row, fate="drop", reason=reason))
    return judged


def write_truth(path: Path, rows: Sequence[Row], columns: Sequence[str] = TRUTH_COLUMNS) -> None:
    """truth.csv, UTF-8, one row per file and frame in the order given; `columns` of TRUTH_COLUMNS and
    MORE_COLUMNS."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(dict(zip((*TRUTH_COLUMNS, *MORE_COLUMNS), _cells(row), strict=True)) for row in rows)


def write_labels(path: Path, studies: Sequence[StudyPlan]) -> int:
    """labels.csv: one row per labelled study, with a `split` column when splits were asked for. Returns the
    rows.
    """
    labelled = [study for study in studies if study.label is not None]
    split = any(study.split for study in labelled)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["StudyInstanceUID", "fracture", *(["split"] if split else [])])
        for study in labelled:
            writer.writerow([study.study_instance_uid, study.label, *([study.split] if split else [])])
    return len(labelled)


def _cells(row: Row) -> list[object]:
    single = f"{_half_turn(row.tilts_deg[0]):.2f}" if len(row.tilts_deg) == 1 else ""
    x, y = ("", "") if row.fracture_xy is None else (f"{row.fracture_xy[0]:.1f}", f"{row.fracture_xy[1]:.1f}")
    return [
        row.source_path, row.study_instance_uid, row.sop_instance_uid, 0, row.fate, row.reason, row.body_part,
        _flag(row.inverted), len(row.boxes), json.dumps([list(box) for box in row.boxes]),
        json.dumps([round(tilt, 2) for tilt in row.tilts_deg]), single, _flag(row.upside_down),
        _flag(row.fracture), x, y, _flag(row.mimic),
        "" if row.metal_fraction is None else f"{row.metal_fraction:.5f}", _flag(row.mistagged),
    ]  # fmt: skip


def _half_turn(tilt_deg: float) -> float:
    """The axis' turn in (-90, 90]: the same line, whichever end is up."""
    return wrap_deg(2 * tilt_deg) / 2


def _flag(value: bool | None) -> str:
    return "" if value is None else str(value).lower()
