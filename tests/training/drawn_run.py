"""Predictions and a run folder as `train run` leaves them, with scores that are drawn instead of trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.dataset import DatasetVersion
from schemas.loading import as_toml
from schemas.train_recipe import TrainRecipe
from schemas.training_run import PREDICTIONS, TrainingRecord, TrainingRun, write_bytes, write_json


def predictions(rows: Sequence[tuple[Any, ...]], level: str = "instance", split: str = "test") -> pa.Table:
    """PREDICTIONS from (study, patient, target, probability), one per picture."""
    seen: dict[str, int] = {}
    table = []
    for study, patient, target, probability in rows:
        seen[study] = seen.get(study, 0) + 1
        logit = float(np.log(probability) - np.log1p(-probability))
        image = f"{study}.{seen[study]}" if level == "instance" else None
        table.append((level, study, patient, image, 1, split, target, logit, probability))
    return pa.table([list(column) for column in zip(*table, strict=True)], schema=PREDICTIONS)


def drawn_predictions(
    studies: int = 60, skill: float = 2.0, seed: int = 0, split: str = "test", aggregator: bool = False, views: int = 3
) -> pa.Table:
    """Labelled studies of 1 to `views` pictures, logits `skill` apart; every fifth patient has two studies."""
    rng = np.random.default_rng(seed)
    pictures, whole = [], []
    for study in range(studies):
        target = study % 2
        name, patient = f"{split}{study:04d}", f"patient-{split}{study - (study % 5 == 4):04d}"
        scores = rng.normal(skill * (target - 0.5), 1, int(rng.integers(1, views + 1)))
        pictures += [(name, patient, target, float(1 / (1 + np.exp(-score)))) for score in scores]
        whole.append((name, patient, target, float(1 / (1 + np.exp(-scores.mean() * 1.5)))))
    tables = [predictions(pictures, split=split)]
    return pa.concat_tables([*tables, predictions(whole, "study", split)] if aggregator else tables)


def predictions_of(version: DatasetVersion, split: str, skill: float, seed: int, aggregator: bool) -> pa.Table:
    """Drawn scores for the pictures of a version."""
    rng = np.random.default_rng(seed)
    manifest = [row for row in version.table("manifest").to_pylist() if row["split"] == split]
    table, logits = [], {}
    for row in sorted(manifest, key=lambda each: (each["study_id"], each["image_id"])):
        target = float(row["label_fracture"])
        logit = float(rng.normal(skill * (target - 0.5), 1))
        logits.setdefault((row["study_id"], row["patient_id"], target), []).append(logit)
        table.append(("instance", row["study_id"], row["patient_id"], row["image_id"], 1, split, target, logit))
    if aggregator:
        for (study, patient, target), found in logits.items():
            table.append(("study", study, patient, None, len(found), split, target, 1.5 * float(np.mean(found))))
    full = [(*row, float(1 / (1 + np.exp(-row[-1])))) for row in table]
    return pa.table([list(column) for column in zip(*full, strict=True)], schema=PREDICTIONS)


def write_run(
    folder: Path, version: DatasetVersion, skill: float = 2.5, seed: int = 0, aggregator: bool = True, **record: Any
) -> TrainingRun:
    """A finished run on the version, without checkpoints and without decision."""
    recipe = TrainRecipe(name="mvcnn" if aggregator else "rx_lite", views="all" if aggregator else "one", seed=seed)
    write_bytes(folder / "recipe.toml", as_toml(recipe).encode())
    facts: dict[str, Any] = {
        "recipe": recipe.name,
        "dataset": str(version.dataset),
        "version": version.version,
        "label": "fracture",
        "classes": {split: {"negative": 9, "positive": 7, "pictures": 30} for split in ("train", "val", "test")},
        "unlabelled_studies": 3,
        "seed": seed,
        "git_commit": "0123abc",
        "packages": {"torch": "2.15.0", "numpy": "2.4.6"},
        "hardware": "2 cores",
        "started_at": "2026-01-01T12:00:00+00:00",
        "finished_at": "2026-01-01T12:03:20+00:00",
        "elapsed_s": 200.0,
        "best": {"epoch": 5.0, "auc": 0.93},
    }
    write_json(folder / "run.json", TrainingRecord(**(facts | record)).model_dump(mode="json"))
    for number, split in enumerate(("val", "test")):
        (folder / "predictions").mkdir(exist_ok=True)
        rows = predictions_of(version, split, skill, 10 * seed + number, aggregator)
        pq.write_table(rows, folder / "predictions" / f"{split}.parquet")
    pq.write_table(_metrics(), folder / "metrics.parquet")
    return TrainingRun.open(folder)


def _metrics() -> pa.Table:
    rows = [
        {
            "stage": stage,
            "epoch": epoch,
            "split": split,
            "loss": 0.7 / (epoch + (0 if stage == "first" else 2)) ** 0.3,
            "auc": None if split == "train" else 1 - 0.5 / (epoch + (0 if stage == "first" else 3)),
            "lr": 1e-3 / epoch,
            "images_per_s": 80.0 + epoch,
            "elapsed_s": 10.0,
        }
        for stage, epochs in (("first", 5), ("main", 4))
        for epoch in range(1, epochs + 1)
        for split in ("train", "val")
    ]
    return pa.Table.from_pylist(rows)
