"""One study from bytes to pictures, in memory: decode once, apply the steps, encode once. Runs inside a worker.

A worker returns small rows only. Everything that can go wrong with a film ends as rows; the disk of the dataset is the one
thing that ends the run (RadforgeError), because nothing is lost by stopping there.
"""

from __future__ import annotations

import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from etl.archive.containers import read_bytes
from etl.archive.dicom_reading import Unreadable
from etl.corrected import Said, after_step, own_lines, said_of, settled
from etl.doubts import doubts
from etl.metal import metal_of_limb
from etl.picture_store import PictureStore, image_id_of
from etl.pixels.film import Film as Decoded
from etl.pixels.film import read_film
from etl.plan import Film, StudyTask
from etl.steps import STEPS
from etl.study import Drop, Failure, Frame, Row, StudyOutcome
from etl.suspect import body_part_suspect, part_shown
from schemas.errors import RadforgeError
from schemas.recipe import EtlRecipe, Review

# What a modality shows when the header does not say: no limb, so nothing is cut or turned by guess.
SHOWN_BY = {"MG": "breast", "PX": "jaw_region", "IO": "jaw_region", "XA": "abdomen", "RF": "abdomen"}


def process(task: StudyTask, recipe: EtlRecipe, store: PictureStore) -> StudyOutcome:
    """Every film of a study through decode and steps. Its pictures lie on the disk when `store` is closed.

    Raises RadforgeError when the disk of the dataset is full, read-only or failing.
    """
    cv2.setNumThreads(1)  # one thread a worker: two workers with two threads each lose 9 %
    outcome = StudyOutcome(task.study_id)
    twins: dict[str, list[str]] = {}
    for film in task.films:
        try:
            _film(film, recipe, store, outcome, twins)
        except MemoryError:
            _whole(outcome, film, Failure("memory", "the film needs more memory than the worker has"))
        except RadforgeError:
            raise
        except Exception as error:  # noqa: BLE001 - the study boundary: a row names our line, never the film
            _whole(outcome, film, Failure("steps", unexpected(error)))
    return outcome


def failed(task: StudyTask, failure: Failure) -> StudyOutcome:
    """The rows of a study that could not be processed at all (it killed its worker, or took too long)."""
    outcome = StudyOutcome(task.study_id)
    for film in task.films:
        _whole(outcome, film, failure)
    return outcome


def _film(film: Film, recipe: EtlRecipe, store: PictureStore, outcome: StudyOutcome, twins: dict[str, list[str]]) -> None:
    clock = Clock(outcome.seconds)
    try:
        data = read_bytes(film.source)
    except Unreadable as error:
        _whole(outcome, film, Failure(error.stage, error.error))
        return
    clock.lap("read")
    if film.twin_of:
        fate = _twin(film, data, recipe, twins)
        clock.lap("decode")
        if fate is not None:
            _whole(outcome, film, fate)
            return
    items = read_film(data, recipe.pixels, hash_stored=False)
    for frame_index, item in enumerate(items):
        clock.lap("decode")
        if isinstance(item, Drop | Failure):
            if frame_index == 0 and film.frames > 1 and next(items, None) is None:
                _whole(outcome, film, item)  # the file as a whole: every frame it claims is accounted for
                return
            leave(outcome, film.columns, frame_index, None, item)
        else:
            _frame(film, item, frame_index, recipe, store, outcome, clock)


def _twin(film: Film, data: bytes, recipe: EtlRecipe, twins: dict[str, list[str]]) -> Drop | Failure | None:
    """None for the first readable file of a SOPInstanceUID; a drop for each later one."""
    hashes = []
    for item in read_film(data, recipe.pixels):
        if not isinstance(item, Decoded):
            return None if not isinstance(item, Failure) else item
        hashes.append(item.stored_sha256)
    first = twins.setdefault(film.twin_of, hashes)
    if first is hashes:
        return None
    if first == hashes:
        return Drop("duplicate", "the same SOPInstanceUID and the same pixels as an earlier file")
    return Drop("conflicting_duplicate", "the same SOPInstanceUID as an earlier file, but other pixels")


def _frame(
    film: Film,
    decoded: Decoded,
    frame_index: int,
    recipe: EtlRecipe,
    store: PictureStore,
    outcome: StudyOutcome,
    clock: Clock,
) -> None:
    instance_id = str(film.columns["instance_id"])
    start = Frame(
        pixels=decoded.frame.pixels,
        transform=decoded.frame.transform,
        padding=decoded.frame.padding,
        body_part=film.body_part or SHOWN_BY.get(str(film.columns.get("modality"))),
    )
    suspect = body_part_suspect(start)
    start = replace(start, body_part=part_shown(start.body_part, suspect))
    said = said_of(own_lines(film.corrections, instance_id), frame_index)
    leaves = list(apply_steps([start], recipe, clock, said))
    columns = {**film.columns, **decoded.facts, "frame_index": frame_index, "body_part_suspect": suspect}
    columns["header_problems"] = sorted({*film.columns["header_problems"], *decoded.facts["header_problems"]})
    if film.columns.get("burned_in_annotation") is not None:
        columns["burned_in_annotation"] = film.columns["burned_in_annotation"]
    if any(isinstance(leaf, Frame) for leaf in leaves):
        columns |= store.preview(instance_id, frame_index, decoded.frame.pixels)
    write_leaves(leaves, columns, instance_id, recipe.review, store, outcome)
    clock.lap("encode")


def apply_steps(
    frames: Sequence[Frame], recipe: EtlRecipe, clock: Clock | None = None, said: Said | None = None
) -> Iterator[Frame | Drop]:
    """The recipe's steps in their order; a step may cut a frame into several. Leaves come in reading order.

    What people said of the film stands above what a step decides of it.
    """
    leaves: list[Frame | Drop] = list(frames)
    deciding = [name for name in recipe.steps if name not in {"anatomy", "resize"}]
    if said is not None and not deciding:
        leaves = settled(leaves, recipe, said)
    for name in recipe.steps:
        step = STEPS.get(name)
        if step is None:
            continue  # anatomy has spoken already, before anything was decoded
        after: list[Frame | Drop] = []
        for leaf in leaves:
            if isinstance(leaf, Drop):
                after.append(leaf)
                continue
            result = step(leaf, getattr(recipe, name))
            if said is not None and not isinstance(result, Drop):
                result = after_step(name, leaf, result, recipe, said)
            after += [result] if isinstance(result, Drop) else result
        leaves = after
        if said is not None and deciding and name == deciding[-1]:
            leaves = settled(leaves, recipe, said)  # before it is resized: a turned film has another shape
        if clock:
            clock.lap(name)
    yield from leaves


def write_leaves(
    leaves: Sequence[Frame | Drop],
    columns: Mapping[str, Any],
    instance_id: str,
    review: Review,
    store: PictureStore,
    outcome: StudyOutcome,
) -> None:
    """Number the regions of a frame, write their pictures, and add their rows."""
    frame_index = int(columns["frame_index"])
    for region, leaf in enumerate(leaves):
        if isinstance(leaf, Drop):
            leave(outcome, columns, frame_index, None if len(leaves) == 1 else region, leaf)
            continue
        written = store.picture(image_id_of(instance_id, frame_index, region), leaf.pixels)
        row = {**columns, **leaf.done, **written, **_measures(leaf)}
        row |= {
            "region_index": region,
            "region_count": len(leaves),
            "transform": [float(v) for v in leaf.transform],
        }
        row["corrected"] = leaf.done.get("corrected")
        # What somebody has seen as it is now needs no second look.
        row["review_reasons"] = reasons = [] if leaf.done.get("review") is False else doubts(row, review)
        row["review"] = bool(reasons)
        if len(leaves) > 1:
            row["laterality"] = None  # the header speaks of the film; which of its limbs is left it does not say
        outcome.records.append(row | _spacing(leaf, columns))


def _measures(frame: Frame) -> Row:
    rows, columns = frame.pixels.shape
    mask = None if frame.padding is None or frame.padding.all() else (~frame.padding).astype(np.uint8)
    mean, std = cv2.meanStdDev(frame.pixels, mask=mask)
    return {
        "rows": rows,
        "columns": columns,
        "bits": 8 * frame.pixels.dtype.itemsize,
        "mean": round(float(mean[0, 0]) / frame.white, 8),
        "std": round(float(std[0, 0]) / frame.white, 8),
        "metal_fraction": metal_of_limb(frame),
    }


def _spacing(frame: Frame, columns: Mapping[str, Any]) -> Row:
    """Pixel spacing of the picture: that of the source by the scale the steps applied."""
    a, b, _, d, e, _ = frame.transform
    scale = abs(a * e - b * d) ** 0.5
    names = ("pixel_spacing_row_mm", "pixel_spacing_column_mm")
    return {name: round(columns[name] / scale, 6) if columns.get(name) and scale else None for name in names}


def _whole(outcome: StudyOutcome, film: Film, fate: Drop | Failure) -> None:
    """One row a frame for a film that leaves as a whole; rows it had before the mishap are taken back."""
    source_id = film.columns["source_id"]
    outcome.records = [row for row in outcome.records if row["source_id"] != source_id]
    outcome.drops = [row for row in outcome.drops if row["source_id"] != source_id]
    outcome.failures = [row for row in outcome.failures if row["source_id"] != source_id]
    for frame_index in range(film.frames):
        leave(outcome, film.columns, frame_index, None, fate)


def leave(
    outcome: StudyOutcome,
    columns: Mapping[str, Any],
    frame_index: int,
    region: int | None,
    fate: Drop | Failure,
) -> None:
    """Add the row of a film or region that leaves; `columns` gives its ids."""
    row: Row = {k: columns[k] for k in ("source_id", "patient_id", "study_id", "series_id", "instance_id")}
    row |= {"frame_index": frame_index, "region_index": region}
    if isinstance(fate, Drop):
        outcome.drops.append(row | {"reason": fate.reason, "detail": fate.detail})
    else:
        outcome.failures.append(row | {"stage": fate.stage, "error": fate.error})


def unexpected(error: BaseException) -> str:
    """Kind and place of an error that is ours. Its text is left out: it may quote the file."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/etl/" in f.filename.replace("\\", "/")]
    place = f" at etl/{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"unexpected {type(error).__name__}{place}; please report it"


class Clock:
    """Seconds of CPU and waiting by stage, for .runs."""

    def __init__(self, seconds: defaultdict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Book the time since the last lap to a stage."""
        now = time.perf_counter()
        self._seconds[stage] += now - self._last
        self._last = now
