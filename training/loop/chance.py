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
    noise: float = 0.0  # twice the standard error of the AUC of a coin on these validation studies

    @property
    def chance_loss(self) -> float:
        """Loss of a constant answer at the share of positives: ln 2 for an exact half."""
        p = min(max(self.positives, 1e-6), 1 - 1e-6)
        return -(p * math.log(p) + (1 - p) * math.log(1 - p))

    def left(self, wait_for_auc: float) -> bool:
        """Whether the best validation AUC so far exceeds the recipe's mark and a coin's luck, and the logits differ."""
        flat = self.spread < LEAST_SPREAD and abs(self.loss - self.chance_loss) < NEAR
        return self.best_auc > max(wait_for_auc, 0.5 + self.noise) and not flat


def told(epoch: Epoch, epochs: int, name: str) -> str:
    """The sentence for the log, the record and the report."""
    return (
        f"has not left chance: after {epochs} epochs ({name}) the training loss is {epoch.loss:.3f} "
        f"(a coin: {epoch.chance_loss:.3f}), the logits spread by {epoch.spread:.2g}, the best validation AUC is "
        f"{epoch.best_auc:.3f}"
    )


def auc_noise(positives: int, negatives: int) -> float:
    """Twice the standard error of the AUC of a coin (Hanley & McNeil 1982, eq. 1 at 0.5): a few studies often exceed 0.6."""
    return 2 * math.sqrt((positives + negatives + 1) / (12 * max(positives * negatives, 1)))
