"""A trained network, ready to be asked: built from the run's recipe, with the weights of its best epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from schemas.errors import RadforgeError
from schemas.train_recipe import Model, TrainRecipe
from schemas.training_run import TrainingRun
from training.data.films import Films
from training.loop import checkpoint
from training.models.build import build
from training.models.multi_view import MultiView
from training.targets import BinaryLabel, Target


@dataclass(frozen=True)
class Trained:
    """Network in evaluation mode, and what its inputs must look like."""

    network: MultiView
    single: MultiView
    """Scores single pictures: the network of the [first] stage where there was one, else `network` with one view."""
    recipe: TrainRecipe
    target: Target
    facts: dict[str, Any]

    def see(self, films: Films) -> Films:
        """The films as the network is used to them: greys and, for `pad_largest`, the canvas are those of training."""
        columns, rows = self.facts["statistics"]["largest"]
        return replace(films, mean=float(self.facts["mean"]), std=float(self.facts["std"]), largest=(int(columns), int(rows)))


def load(run: TrainingRun, device: torch.device | str = "cpu") -> Trained:
    """The best checkpoint of a run. Raises RadforgeError when it is missing, damaged or does not fit the run's recipe."""
    state = checkpoint.load(run.best, device)
    recipe = TrainRecipe.model_validate_json(state["recipe"])
    target = BinaryLabel()
    network = _network(recipe, target, state, run.best, device)
    single = network
    if recipe.first is not None:
        path = run.best.with_name("first.pt")
        single = _network(recipe, target, checkpoint.load(path, device), path, device)
    return Trained(network, single, recipe, target, state["facts"])


def _network(recipe: TrainRecipe, target: Target, state: dict[str, Any], path: Path, device: torch.device | str) -> MultiView:
    network = build(_without_files(recipe.model), recipe.data.size, target.outputs)
    try:
        network.load_state_dict(state["model"])
    except RuntimeError:
        raise RadforgeError(
            "the weights do not fit the model", str(path), expected="a checkpoint of this version of radforge"
        ) from None
    return network.to(device).eval()


def _without_files(settings: Model) -> Model:
    """Pre-trained weights were read when the run began; a trained network needs no such file any more."""
    return settings.model_copy(update={"weights": ""}) if settings.kind != "rx" else settings
