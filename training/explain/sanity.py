"""Does a map show what the network learned, or only what the picture looks like?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata

from schemas.train_recipe import TrainRecipe
from training.explain.heat import Map
from training.models.build import build
from training.models.multi_view import MultiView

ALIKE = 0.5
"""From this rank correlation on, a map hardly depends on what was learned."""


@dataclass(frozen=True)
class Sanity:
    """How alike the maps of the trained network and of one with random weights are."""

    rank_correlation: float
    """Mean over the pictures of its size, whatever its sign; 1: the same map or its negative, 0: nothing in common."""
    pictures: int

    @property
    def sentence(self) -> str:
        """What the number means."""
        told = f"Rank correlation with the maps of the same network with random weights: {self.rank_correlation:.2f} "
        told += f"(mean size over {self.pictures} pictures; 1 is the same map). "
        if self.rank_correlation < ALIKE:
            return told + "The maps depend on what the network learned."
        return told + "The maps hardly depend on what the network learned: they show the picture, not the reasons."


def randomised(recipe: TrainRecipe, outputs: int, device: torch.device | str) -> MultiView:
    """The recipe's network with fresh weights, in evaluation mode; the same each time, torch's generator left alone."""
    model = recipe.model if recipe.model.kind == "rx" else recipe.model.model_copy(update={"weights": ""})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed + 1)
        return build(model, recipe.data.size, outputs).to(device).eval()


def compare(trained: Sequence[Map], random: Sequence[Map]) -> Sanity:
    """Model parameter randomisation test (Adebayo et al. 2018, Sanity checks for saliency maps, section 4): Spearman's rank
    correlation, pixel by pixel, picture by picture.

    Of the maps with their signs: without them, all maps are alike in being empty where the picture is. The sign of the
    correlation says nothing, as it is chance which class a random network calls positive. A map without any difference in
    it (a view that does not count) correlates with nothing, and is left out.
    """
    found = [each for a, b in zip(trained, random, strict=True) if (each := _spearman(a, b)) is not None]
    return Sanity(float(np.mean(found)) if found else 0.0, len(found))


def _spearman(a: Map, b: Map) -> float | None:
    ranks = [rankdata(each.ravel()) for each in (a, b)]
    if min(each.std() for each in ranks) == 0:
        return None
    return abs(float(np.corrcoef(*ranks)[0, 1]))
