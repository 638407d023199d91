"""What a model is asked for: how many numbers it gives, how wrong they are, what they mean.

A new task (scores of joints, masks) is a new target here and a recipe; the loop knows nothing of it but this.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Target(Protocol):
    """What the loop needs to know of a task."""

    outputs: int
    """Numbers a model gives per item."""

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Loss of each item: output (B, outputs), target (B,) or (B, ...) -> (B,)."""
        ...

    def probability(self, output: Tensor) -> Tensor:
        """What is ranked and reported: (B, outputs) -> (B,) in 0..1."""
        ...


class BinaryLabel:
    """Yes or no: one logit, binary cross-entropy (de Cid 2021, section on training; here in its logits form)."""

    outputs = 1

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of each item in nats: output (B, 1) logits, target (B,) 0 or 1."""
        return functional.binary_cross_entropy_with_logits(output[:, 0].float(), target, reduction="none")

    def probability(self, output: Tensor) -> Tensor:
        """Sigmoid of the logit: (B, 1) -> (B,)."""
        return torch.sigmoid(output[:, 0].float())
