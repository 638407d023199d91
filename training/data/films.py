"""The pictures of a dataset version as training sees them: in order, with a target and a split each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.dataset import DatasetVersion
from schemas.errors import Problem, RadforgeError
from schemas.train_recipe import Data
from training.data.folds import fold_splits
from training.data.label import named_label, targets

_NEEDED = ("image_id", "image_path", "sha256", "study_id", "patient_id", "rows", "columns", "mean", "std", "split")


@dataclass(frozen=True)
class Films:
    """The pictures of a version in the order (study_id, image_id); `positions` in this package are indices into it."""

    version: DatasetVersion
    rows: pa.Table
    """All manifest columns, n rows."""
    target: NDArray[np.float32]
    """(n,): 0 or 1, the study's label on each of its pictures; NaN without a label."""
    study: NDArray[np.int64]
    """(n,): index into `study_ids`, ascending."""
    study_ids: tuple[str, ...]
    split: NDArray[np.str_]
    """(n,): train, val or test, after `[data] folds`."""
    label: str
    """Column without `label_`; empty when there is none."""
    unlabelled_studies: int
    mean: float
    """Mean grey of the training pictures, 0..1."""
    std: float
    """Their standard deviation, 0..1."""
    largest: tuple[int, int] = (0, 0)
    """Most columns and most rows of any picture of the version, for `fit = "pad_largest"`."""

    def of(self, split: str) -> NDArray[np.int64]:
        """Positions of a split's pictures, ascending."""
        return np.flatnonzero(self.split == split).astype(np.int64)

    def studies(self, positions: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The positions study by study, in order: one int64 array of views for each."""
        ordered = np.sort(positions)
        cuts = np.flatnonzero(np.diff(self.study[ordered])) + 1
        return np.split(ordered, cuts) if ordered.size else []


def read_films(version: DatasetVersion, data: Data, *, labelled: bool = True) -> Films:
    """The films that `data` asks for.

    `labelled`: studies without a label are left out and counted, and train and val must show both classes. Otherwise every
    picture stays; a label column is taken where it can be, and nothing is asked of classes and patients.
    Raises RadforgeError when there is no such label, no usable split, or a patient in two splits.
    """
    where = str(version.folder)
    rows = version.table("manifest")
    lacking = sorted(set(_NEEDED) - set(rows.column_names))
    if lacking:
        raise RadforgeError("the manifest lacks columns", where, ", ".join(lacking), "a version as `etl run` writes it")
    rows = rows.sort_by([("study_id", "ascending"), ("image_id", "ascending")])
    if rows.num_rows == 0:
        raise RadforgeError("the version holds no picture", where)
    largest = (int(pc.max(rows["columns"]).as_py()), int(pc.max(rows["rows"]).as_py()))
    label, target = _labelled(rows, data, where, labelled)
    if labelled:
        _check_patients(rows, where)
    total = pc.count_distinct(rows["study_id"]).as_py()
    known = ~np.isnan(target)
    unlabelled = total - pc.count_distinct(rows["study_id"].filter(pa.array(known))).as_py()
    if labelled:
        rows, target = rows.filter(pa.array(known)), target[known]
    study_ids, study = np.unique(rows["study_id"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    split = np.array([name or "" for name in rows["split"].to_pylist()], dtype=np.str_)
    if data.folds:
        split = fold_splits(_patients(rows), target, split, data.folds, data.fold)
    mean, std = _statistics(version, rows, split, data.folds)
    films = Films(
        version=version,
        rows=rows,
        target=target,
        study=study.astype(np.int64),
        study_ids=tuple(study_ids.tolist()),
        split=split,
        label=label,
        unlabelled_studies=int(unlabelled),
        mean=mean,
        std=std,
        largest=largest,
    )
    if labelled:
        _check_classes(films, data, where)
        if not std > 0:
            found = f"a mean grey of {mean:g} and a deviation of {std:g}"
            raise RadforgeError("the training pictures are all alike", where, found, "pictures that show something")
    return films


def pooled_mean_std(rows: pa.Table) -> tuple[float, float]:
    """Mean grey and standard deviation (0..1) over all pixels of manifest rows: each picture weighs by its area."""
    known = rows.filter(pc.and_(pc.is_valid(rows["mean"]), pc.is_valid(rows["std"])))
    if not known.num_rows:
        return 0.0, 0.0
    mean, std = (known[name].to_numpy() for name in ("mean", "std"))
    area = known["rows"].to_numpy().astype(np.float64) * known["columns"].to_numpy()
    centre = float(np.average(mean, weights=area))
    return centre, math.sqrt(max(0.0, float(np.average(std**2 + mean**2, weights=area)) - centre**2))


def _labelled(rows: pa.Table, data: Data, where: str, needed: bool) -> tuple[str, NDArray[np.float32]]:
    try:
        label = named_label(rows.column_names, data.label, where)
        return label, targets(rows["study_id"].to_pylist(), rows[f"label_{label}"].to_pylist(), label, data.positive, where)
    except RadforgeError:
        if needed:
            raise
        return "", np.full(rows.num_rows, np.nan, dtype=np.float32)


def _patients(rows: pa.Table) -> list[str]:
    # A row without a patient stands for its study alone.
    return [str(patient) for patient in pc.coalesce(rows["patient_id"], rows["study_id"]).to_pylist()]


def _statistics(version: DatasetVersion, rows: pa.Table, split: NDArray[np.str_], folds: int) -> tuple[float, float]:
    found: Any = version.card.get("statistics")
    for name in ("mean_std", "train"):
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, list) and len(found) == 2 and not folds:
        return float(found[0]), float(found[1])
    training = rows.filter(pa.array(split == "train"))
    return pooled_mean_std(training if training.num_rows else rows)


def _check_patients(rows: pa.Table, where: str) -> None:
    splits: dict[str, set[str]] = {}
    for patient, split in zip(_patients(rows), rows["split"].to_pylist(), strict=True):
        splits.setdefault(patient, set()).add(split)
    torn = sum(len(names) > 1 for names in splits.values())
    if torn:
        raise RadforgeError(
            "patients are in more than one split", where, f"{torn} of {len(splits)} patients", "each patient in one split only"
        )


def _check_classes(films: Films, data: Data, where: str) -> None:
    problems = []
    for split in ("train", "val"):
        values = [float(films.target[views[0]]) for views in films.studies(films.of(split))]
        positive = sum(value > 0.5 for value in values)
        if 0 < positive < len(values):
            continue
        folds = f" in fold {data.fold} of {data.folds}" if data.folds else ""
        what = "shows one class only" if values else "has no labelled study"
        problems.append(
            Problem(
                f"split `{split}`{folds} {what} of label_{films.label}",
                where,
                f"{positive} positive and {len(values) - positive} negative studies",
                "both classes in train and in val: more studies, other splits in `etl run`, or other `data.folds`",
            )
        )
    if problems:
        raise RadforgeError.of(problems)
