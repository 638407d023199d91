"""The optimisers that the thesis tried, and the learning rate of each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn, optim

from schemas.train_recipe import Optim, Schedule


def optimiser(model: nn.Module, settings: Optim, lr: float) -> optim.Optimizer:
    """Over all parameters; biases and norm layers (one dimension) are never decayed."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if settings.name == "sgd":
        return optim.SGD(groups, lr=lr, momentum=settings.momentum)
    if settings.name == "adamw":
        return optim.AdamW(groups, lr=lr)
    return optim.Adam(groups, lr=lr, amsgrad=settings.name == "amsgrad")


@dataclass(frozen=True)
class LearningRate:
    """The rate of a step of a phase: a pure function, so a resumed run has the same."""

    highest: float
    warmup_steps: int
    schedule: Schedule

    def at(self, step: int, steps: int, released: int | None) -> float:
        """Of step `step` of `steps`. `released`: the step from which on the rate may fall; None: not yet."""
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        return self.highest * warm * self._fall(step, steps, released)

    def _fall(self, step: int, steps: int, released: int | None) -> float:
        if released is None or self.schedule.name == "constant":
            return 1.0
        done = (step - released) / max(steps - released, 1)
        if self.schedule.name == "step":
            return 1.0 if done < 2 / 3 else 0.1
        return 0.5 * (1 + math.cos(math.pi * min(max(done, 0.0), 1.0)))
