"""A recipe as the list of phases that the loop walks through: single views first, then whole studies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.train_recipe import TrainRecipe


@dataclass(frozen=True)
class Phase:
    """Epochs of one kind."""

    name: Literal["first", "main"]
    views: Literal["one", "all"]
    epochs: int
    batch: int
    lr: float
    warmup_steps: int
    frozen_epochs: int

    def frozen(self, epoch: int) -> bool:
        """Whether the features stay as they are in this epoch (from 0)."""
        return self.frozen_epochs < 0 or epoch < self.frozen_epochs


def phases(recipe: TrainRecipe) -> list[Phase]:
    """One phase, or the single-view phase before it."""
    main = Phase(
        "main",
        recipe.views,
        recipe.epochs,
        recipe.loop.batch,
        recipe.optim.lr,
        recipe.schedule.warmup_steps,
        recipe.init.frozen_epochs,
    )
    if recipe.first is None:
        return [main]
    first = recipe.first
    return [Phase("first", "one", first.epochs, first.batch, first.lr, first.warmup_steps, 0), main]
