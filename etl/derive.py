"""A dataset version as the source of another: the steps run on its pictures, and no DICOM is opened.

Ids, splits and labels are copied, `transform` is composed, rotations are summed and `inverted` is combined by exclusive or;
drops and failures are carried over, so that the new version still accounts for every file of the archive.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pyarrow as pa

from etl.corrected import own_lines, said_of_row
from etl.corrections import Corrections, Lines
from etl.picture_store import PictureStore
from etl.process import SHOWN_BY, Clock, apply_steps, leave, unexpected, write_leaves
from etl.scratch import Scratch
from etl.spill import Buckets
from etl.steps import anatomy
from etl.study import Affine, Drop, Failure, Frame, Row, StudyOutcome
from etl.suspect import part_shown
from etl.tables import BUCKETS, bucket_of, tables_in
from etl.work import Work
from schemas.dataset import DatasetVersion, read_picture
from schemas.errors import RadforgeError
from schemas.manifest import FIXED, Column, Table
from schemas.recipe import EtlRecipe

_STEP_COLUMNS = ("inverted", "inversion_score", "split_score", "rotation_deg", "rotation_confidence", "corrected")


@dataclass(frozen=True)
class PictureTask:
    """The pictures of one study: manifest rows, and the region drops that count with them."""

    study_id: str
    rows: tuple[Row, ...]
    region_drops: tuple[Row, ...]
    source: Path
    weight: float
    corrections: Lines = ()  # what people said of them

    @property
    def frames(self) -> int:
        """Pictures to process."""
        return len(self.rows)

    @property
    def digest(self) -> str:
        """What the work is: the pictures themselves."""
        work = [self.rows, self.region_drops, self.corrections]
        return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def sources(self) -> set[str]:
        """The files of the archive that the pictures came from, by source_id."""
        return {str(row["source_id"]) for row in self.rows}

    def parts(self) -> list[PictureTask]:
        """One task a film: its regions are numbered together."""
        keys = sorted({_film(row) for row in self.rows})
        return [
            PictureTask(
                self.study_id,
                tuple(row for row in self.rows if _film(row) == key),
                tuple(row for row in self.region_drops if _film(row) == key),
                self.source,
                self.weight / len(keys),
                tuple(line for line in self.corrections if _film(line) == key),
            )
            for key in keys
        ]


def check_recipe(recipe: EtlRecipe) -> None:
    """What a recipe cannot ask of a dataset version. Raises RadforgeError."""
    idle = sorted(recipe.model_fields_set & {"pixels", "metadata", "splits"})
    if idle:
        raise RadforgeError(
            f"[{idle[0]}] has no effect on a dataset version", "--recipe", expected="a recipe of steps; the rest is copied"
        )
    if recipe.anatomy.words or recipe.anatomy.ignore:
        raise RadforgeError(
            "[anatomy] words and ignore have no effect on a dataset version",
            "--recipe",
            expected="an archive: a version holds the parts that were read, and no text of a header",
        )


def plan_from(
    version: DatasetVersion, recipe: EtlRecipe, scratch: Scratch, corrections: Corrections | None = None
) -> Work[PictureTask]:
    """Group a version's rows by study. The header's rules apply to what the manifest knows of the header.

    Raises RadforgeError when the disk fails or a table of the version is damaged.
    """
    tables = tables_in(version.folder)
    by_study: dict[Table, Buckets] = {}
    try:
        fixed = {column.name for column in FIXED["manifest"]}
        extra = [Column(f.name, f.type, "Carried over.") for f in tables["manifest"].schema if f.name not in fixed]
        work: Work[PictureTask] = Work(scratch, extra)
        for name in ("manifest", "drops"):
            by_study[name] = Buckets(scratch.file(f"{name} by study"), tables[name].schema, BUCKETS)
            for rows in tables[name].groups():
                by_study[name].put(rows, bucket_of(rows["study_id"].fill_null("00").to_pylist()))
        for rows in tables["failures"].groups():
            work.add((), (), rows.to_pylist())
    except (OSError, IndexError, pa.ArrowInvalid):
        raise RadforgeError("a table of the version cannot be read", str(version.folder)) from None
    said = corrections.by_source() if corrections else {}
    for bucket in range(BUCKETS):
        records, drops = (by_study[name].take(bucket).to_pylist() for name in ("manifest", "drops"))
        work.add(*_studies(records, drops, recipe, version.folder, said), ())
    return work


def _studies(
    records: list[Row], drops: list[Row], recipe: EtlRecipe, source: Path, said: Mapping[str, Lines]
) -> tuple[list[PictureTask], list[Row]]:
    """The work of some studies, and the drops: theirs of before, carried over, and those of this recipe."""
    dropped: list[Row] = []
    by_study: dict[str, list[Row]] = defaultdict(list)
    sizes = Counter(study for study, _ in {(row["study_id"], row["instance_id"]) for row in records})
    for key, rows in _by_film(records).items():
        fate = _judge(rows[0], sizes, recipe)
        if fate is None:
            by_study[rows[0]["study_id"]] += rows
        else:
            ids = {name: rows[0][name] for name in ("source_id", "patient_id", "study_id", "series_id", "instance_id")}
            dropped.append(ids | {"frame_index": key[1], "region_index": None, "reason": fate.reason, "detail": fate.detail})
    kept = {_film(row) for rows in by_study.values() for row in rows}
    gone = {_film(row) for row in dropped}
    region_drops: dict[str, list[Row]] = defaultdict(list)
    for row in drops:
        if row["region_index"] is not None and _film(row) in kept:
            region_drops[row["study_id"]].append(row)
        elif _film(row) not in gone:
            dropped.append(row)
    tasks = [
        PictureTask(
            study,
            tuple(rows),
            tuple(region_drops[study]),
            source,
            float(sum(row["rows"] * row["columns"] * row["bits"] // 8 for row in rows)),
            tuple(line for source_id in sorted({row["source_id"] for row in rows}) for line in said.get(source_id, ())),
        )
        for study, rows in by_study.items()
    ]
    return tasks, dropped


def _judge(row: Row, sizes: Mapping[str, int], recipe: EtlRecipe) -> Drop | None:
    if recipe.select.modalities and row["modality"] not in recipe.select.modalities:
        return Drop("modality", row["modality"] or "another modality")
    if sizes[row["study_id"]] > recipe.study.max_instances:
        return Drop(
            "study_too_large",
            f"{sizes[row['study_id']]} images, at most {recipe.study.max_instances} allowed",
        )
    if "anatomy" in recipe.steps and recipe.anatomy.keep:
        part = row["body_part"]
        if not (recipe.anatomy.unknown == "keep" if part is None else anatomy.keeps(part, recipe.anatomy)):
            return Drop("anatomy", part or "unknown")
    return None


def process_pictures(task: PictureTask, recipe: EtlRecipe, store: PictureStore) -> StudyOutcome:
    """The steps on every picture of a study. Raises RadforgeError when the disk fails or a source picture is damaged."""
    cv2.setNumThreads(1)
    outcome = StudyOutcome(task.study_id)
    for part in task.parts():
        try:
            _regions(part, recipe, store, outcome)
        except RadforgeError:
            raise
        except MemoryError:
            leave(outcome, part.rows[0], part.rows[0]["frame_index"], None, Failure("memory", "needs more memory"))
        except Exception as error:  # noqa: BLE001 - the study boundary, as in process.py
            leave(outcome, part.rows[0], part.rows[0]["frame_index"], None, Failure("steps", unexpected(error)))
    return outcome


def failed_pictures(task: PictureTask, failure: Failure) -> StudyOutcome:
    """The rows of a study whose pictures could not be processed at all."""
    outcome = StudyOutcome(task.study_id)
    for part in task.parts():
        leave(outcome, part.rows[0], part.rows[0]["frame_index"], None, failure)
    return outcome


def _regions(part: PictureTask, recipe: EtlRecipe, store: PictureStore, outcome: StudyOutcome) -> None:
    clock = Clock(outcome.seconds)
    leaves: list[tuple[Row, Frame | Drop]] = []
    regions = sorted([*part.rows, *part.region_drops], key=lambda row: int(row["region_index"]))
    for row in regions:
        if "reason" in row:
            leaves.append((row, Drop(row["reason"], row["detail"])))
            continue
        frame = Frame(
            pixels=read_picture(part.source / row["image_path"]),
            transform=_affine(row["transform"]),
            body_part=part_shown(row["body_part"] or SHOWN_BY.get(str(row["modality"])), row.get("body_part_suspect")),
            done={name: row[name] for name in _STEP_COLUMNS if row.get(name) is not None},
        )
        clock.lap("read")
        said = said_of_row(row, own_lines(part.corrections, row["instance_id"]))
        leaves += [(row, leaf) for leaf in apply_steps([frame], recipe, clock, said)]
    first = part.rows[0]
    if first["preview_path"]:
        store.copy(first["preview_path"], (part.source / first["preview_path"]).read_bytes())
    # Spacing is told of the picture; write_leaves wants that of the stored film.
    columns = {**first, **_source_spacing(first)}
    write_leaves([leaf for _, leaf in leaves], columns, first["instance_id"], recipe.review, store, outcome)


def _source_spacing(row: Row) -> Row:
    a, b, _, d, e, _ = row["transform"]
    scale = abs(a * e - b * d) ** 0.5
    names = ("pixel_spacing_row_mm", "pixel_spacing_column_mm")
    return {name: row[name] * scale if row[name] else None for name in names}


def _affine(values: Sequence[float]) -> Affine:
    a, b, c, d, e, f = values
    return (a, b, c, d, e, f)


def _film(row: Mapping[str, Any]) -> tuple[str, int]:
    return (str(row["source_id"]), int(row["frame_index"]))


def _by_film(rows: Sequence[Row]) -> dict[tuple[str, int], list[Row]]:
    films: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        films[_film(row)].append(row)
    return films


def inherited(version: DatasetVersion) -> dict[str, Any]:
    """What a derived version takes over from its source: the key's fingerprint and the labels' digest."""
    card = version.card
    return {"key_fingerprint": card.get("key_fingerprint"), "labels": card.get("labels")}
