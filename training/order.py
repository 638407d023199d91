"""What was typed after `train run`, as an Order: a recipe and a version, or those of the run that goes on."""

from __future__ import annotations

from pathlib import Path

from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.loading import load
from schemas.train_recipe import TrainRecipe
from schemas.training_run import TrainingRecord, TrainingRun
from training.run_folder import Order, default_folder


def order_of(
    recipe: str | None,
    data: str | None,
    out: Path | None,
    settings: list[str],
    resume: bool,
    continues: Path | None,
    device: str,
    cache: Path | None,
) -> Order:
    """Raises RadforgeError when they do not go together, or say too little."""
    if continues is not None:
        return _continued(recipe, data, out, settings, resume, TrainingRun.open(continues), device, cache)
    if recipe is None:
        if not resume or out is None:
            raise RadforgeError("no recipe named", "train run", expected="RECIPE, or --resume --out RUN, or --continue RUN")
        run = TrainingRun.open(out)
        version = DatasetVersion.open(data) if data else _version(run.record)
        return Order(load(TrainRecipe, str(out / "recipe.toml"), "train", settings), version, out, True, None, device, cache)
    chosen = load(TrainRecipe, recipe, "train", settings)
    if data is None:
        raise RadforgeError("no dataset named", "--data", expected="--data DATASET, a folder that `etl run --out` made")
    version = DatasetVersion.open(data)
    return Order(chosen, version, out or default_folder(chosen, version), resume, None, device, cache)


def _continued(
    recipe: str | None,
    data: str | None,
    out: Path | None,
    settings: list[str],
    resume: bool,
    source: TrainingRun,
    device: str,
    cache: Path | None,
) -> Order:
    if recipe is not None:
        raise RadforgeError(
            "the recipe is the continued run's", "--continue", f"also RECIPE {recipe}", "--set for what changes"
        )
    chosen = load(TrainRecipe, str(source.folder / "recipe.toml"), "train", settings)
    version = DatasetVersion.open(data) if data else _version(source.record)
    folder = out or source.folder.with_name(f"{source.folder.name}-to{chosen.epochs}")
    return Order(chosen, version, folder, resume, source, device, cache)


def _version(record: TrainingRecord) -> DatasetVersion:
    return DatasetVersion.open(f"{record.dataset}@{record.version}")
