"""Has the run left chance? A network that gives every film the same logit trains for ever and says nothing.

Every run sits at the loss of a coin for a random number of steps before it learns; a rate that falls meanwhile leaves it there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PATIENCE_EPOCHS = 2
LEAST_SPREAD = 0.01
NEAR = 0.005


@dataclass(frozen=True)
class Epoch:
    """What an epoch showed: training loss in nats, standard deviation of the training logits, share of positives seen."""

    loss: float
    spread: float
    positives: float
    best_auc: float

    @property
    def chance_loss(self) -> float:
        """Loss of a constant answer at the share of positives: ln 2 for an exact half."""
        p = min(max(self.positives, 1e-6), 1 - 1e-6)
        return -(p * math.log(p) + (1 - p) * math.log(1 - p))

    def left(self, wait_for_auc: float) -> bool:
        """Whether the best validation AUC so far exceeds the recipe's mark, and the logits differ between films."""
        flat = self.spread < LEAST_SPREAD and abs(self.loss - self.chance_loss) < NEAR
        return self.best_auc > wait_for_auc and not flat


def told(epoch: Epoch, epochs: int, name: str) -> str:
    """The sentence for the log, the record and the report."""
    return (
        f"has not left chance: after {epochs} epochs ({name}) the training loss is {epoch.loss:.3f} "
        f"(a coin: {epoch.chance_loss:.3f}), the logits spread by {epoch.spread:.2g}, the best validation AUC is "
        f"{epoch.best_auc:.3f}; the learning rate is held until it does"
    )
