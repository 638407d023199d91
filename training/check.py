"""`train check`: does a recipe work on this version? One batch, and eight studies learned by heart, in under a minute."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cluster.progress import Reporter
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.train_recipe import Augment, TrainRecipe
from training.data.batches import train_batches
from training.data.cache import open_cache
from training.data.films import Films, read_films
from training.data.sampler import generator
from training.loop.optimiser import optimiser
from training.loop.phases import phases
from training.loop.ranks import join
from training.loop.step import Stepper
from training.models.build import build
from training.models.describe import describe
from training.targets import BinaryLabel

STUDIES = 8
SECONDS = 40.0
LEARNED = 0.1
LEAST_SIDE = 500


def check(
    recipe: TrainRecipe, version: DatasetVersion, say: Reporter, device: str = "auto", cache: Path | None = None
) -> dict[str, Any]:
    """What the recipe would do: shapes, size, first loss, and whether it can learn eight studies by heart.

    Raises RadforgeError when the model cannot be built, the loss is no number, or it cannot learn them.
    """
    torch.manual_seed(recipe.seed)
    network = build(recipe.model, recipe.data.size, 1)
    films = read_films(version, recipe.data)
    said: dict[str, Any] = {"recipe": recipe.name, "version": version.version, "label": films.label}
    facts = describe(recipe.model, recipe.data.size)
    said["model"] = asdict(facts) | {"training_bytes": facts.training_bytes(recipe.loop.batch)}
    if max(recipe.data.size) < LEAST_SIDE:
        say.warn(
            f"films become {recipe.data.size[0]} x {recipe.data.size[1]} pixels; radiologists call about {LEAST_SIDE} the least"
        )
    few = _few(films, recipe.seed)
    with join(device) as ranks:
        network.to(ranks.device)
        pictures = open_cache(films, recipe.data, cache, say)
        items = few if phases(recipe)[-1].views == "all" else [view[None] for study in few for view in study]
        still = recipe.model_copy(update={"augment": Augment(crop=1.0, flip=0.0)})
        batch = next(
            iter(train_batches(pictures, films, items, [np.arange(len(items))], recipe=still, epoch=0, workers=0, pin=False))
        )
        stepper = Stepper(
            network,
            optimiser(network, recipe.optim, recipe.optim.lr),
            BinaryLabel(),
            recipe.loop.model_copy(update={"accumulate": 1, "compile": False}),
            ranks,
            films.mean,
            films.std,
        )
        started = time.monotonic()
        losses: list[float] = []
        with say.stage("learning eight studies by heart", 200, "steps") as stage:
            while time.monotonic() - started < SECONDS and len(losses) < 200:
                loss = stepper.step(batch, recipe.optim.lr).loss / len(batch.item)
                losses.append(loss)
                stage.advance(1, f"loss {loss:.3f}")
                if not math.isfinite(loss):
                    raise RadforgeError(
                        "the loss is not a number",
                        f"step {len(losses)}",
                        str(loss),
                        f"a smaller optim.lr than {recipe.optim.lr:g}",
                    )
                if loss < LEARNED:
                    break
    said |= {
        "views": list(batch.views.shape),
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "steps": len(losses),
        "seconds": time.monotonic() - started,
        "learned_by_heart": losses[-1] < LEARNED,
    }
    return said


def _few(films: Films, seed: int) -> list[Any]:
    """Four studies of each class from train, or as many as there are."""
    studies = films.studies(films.of("train"))
    order = generator(seed).permutation(len(studies))
    chosen = []
    for positive in (True, False):
        side = [i for i in order if (films.target[studies[i][0]] > 0.5) == positive]
        chosen += [studies[i] for i in side[: STUDIES // 2]]
    return chosen
