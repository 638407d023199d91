"""A training that ends in seconds: a drawn version whose sign is plain, tiny pictures, few epochs."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from cluster.progress import Reporter
from schemas.dataset import DatasetVersion
from schemas.loading import load
from schemas.train_recipe import TrainRecipe
from schemas.training_run import TrainingRun
from training.run import run
from training.run_folder import Order

QUIET = Reporter(Console(stderr=True, quiet=True), quiet=True)
SMALL = ("data.size=[24,32]", "epochs=2", "model.channels=[4,8]", "model.blocks=2", "loop.batch=8", "schedule.wait_for_auc=0")
STAGES = (*SMALL, "first.epochs=2", "first.batch=8", "first.warmup_steps=4", "schedule.warmup_steps=4")


def recipe(name: str = "mvcnn", *settings: str) -> TrainRecipe:
    """A shipped recipe made small."""
    return load(TrainRecipe, name, "train", [*(STAGES if name == "mvcnn" else SMALL), *settings])


def order(folder: Path, version: DatasetVersion, chosen: TrainRecipe, **more: object) -> Order:
    """`train run` with a cache beside the run."""
    return Order(chosen, version, folder, cache=folder.parent / "cache", **more)  # type: ignore[arg-type]


def trained(folder: Path, version: DatasetVersion, name: str = "mvcnn", *settings: str, **more: object) -> TrainingRun:
    """A finished run."""
    done = run(order(folder, version, recipe(name, *settings), **more), QUIET)
    assert done is not None
    return done
