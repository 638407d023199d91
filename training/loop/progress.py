"""Where a run stands: everything beside the weights that it needs to go on in mid-epoch as if nothing had happened."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass
class Sums:
    """Running sums over an epoch's training items, and where its seconds went."""

    loss: float = 0.0
    logit: float = 0.0
    logit_squared: float = 0.0
    positives: float = 0.0
    items: float = 0.0
    images: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0

    @property
    def spread(self) -> float:
        """Standard deviation of the logits."""
        if not self.items:
            return 0.0
        mean = self.logit / self.items
        return math.sqrt(max(self.logit_squared / self.items - mean**2, 0.0))


@dataclass
class Progress:
    """The only thing in the loop that changes, apart from weights and optimiser."""

    phase: int = 0  # index into the recipe's phases
    epoch: int = 0  # finished epochs of the phase
    step: int = 0  # finished steps of the epoch
    phase_step: int = 0  # finished steps of the phase
    total_steps: int = 0  # of the run
    total_epochs: int = 0
    waited: int = 0  # epochs of the phase that do not count, because it had not left chance
    released: int | None = None  # step of the phase from which the rate may fall
    best: dict[str, float] = field(default_factory=dict)  # epoch, loss and auc of the phase's best epoch
    best_auc: float = 0.0  # highest of the phase: `best` may be chosen by loss
    stale: int = 0  # epochs since then
    stuck: str = ""  # "has not left chance", as it was told
    elapsed_s: float = 0.0
    done: list[list[Any]] = field(default_factory=list)  # [stage, epoch] in the order they were done
    sums: Sums = field(default_factory=Sums)

    def next_phase(self) -> None:
        """Everything that belongs to a phase starts anew."""
        self.phase += 1
        self.epoch = self.step = self.phase_step = self.stale = self.waited = 0
        self.released, self.best, self.best_auc, self.sums = None, {}, 0.0, Sums()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Progress:
        """The inverse of `as_dict`."""
        known = {f.name for f in fields(cls)}
        rest = {k: v for k, v in values.items() if k in known and k != "sums"}
        return cls(**rest, sums=Sums(**values["sums"]))
