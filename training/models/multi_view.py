"""The one shape of every network here: shared features for each view, pooled over the views, then a classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.models.pooling import EMPTY, ViewPool


class MultiView(nn.Module):
    """`forward(views, mask)` returns the logits (B, outputs) of B studies.

    views: float32 (B, V, 1, H, W), normalised; mask: bool (B, V), which views exist, at least one in each study.

        features     images (N, 1, H, W)          -> maps (N, C, h, w)
        pool         maps (B, V, C, h, w), mask   -> maps (B, C, h, w), view weights (B, V)
        classifier   maps (B, C, h, w)            -> logits (B, outputs)

    A network for single pictures is this one with V = 1, where every pooling changes nothing. Only views that exist go
    through the features: what stands in the empty ones reaches neither the logits nor the batch statistics.
    """

    def __init__(self, features: nn.Module, pool: ViewPool, classifier: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.pool = pool
        self.classifier = classifier
        self.frozen = False

    def forward(self, views: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, outputs). See the class."""
        pooled, _ = self.pool(self.maps(views, mask), mask)
        logits: Tensor = self.classifier(pooled)
        return logits

    def view_weights(self, views: Tensor, mask: Tensor) -> Tensor:
        """What each view had to say in the pooled maps: float32 (B, V), sums to 1 over a study's views."""
        with torch.no_grad():
            weights: Tensor = self.pool(self.maps(views, mask), mask)[1]
        return weights

    def maps(self, views: Tensor, mask: Tensor) -> Tensor:
        """The features of every view (B, V, C, h, w), EMPTY where there is no view."""
        studies, count = mask.shape
        if count == 1:
            # Selecting by a mask asks the GPU how many there are, and stops the queue; here the answer is known.
            maps: Tensor = self.features(views[:, 0])
            return maps.unsqueeze(1)
        found: Tensor = self.features(views[mask])
        maps = found.new_full((studies, count, *found.shape[1:]), EMPTY)
        maps[mask] = found
        return maps

    def train(self, mode: bool = True) -> MultiView:
        """As nn.Module's, but frozen features stay in evaluation: their batch statistics do not move either."""
        super().train(mode)
        if self.frozen:
            self.features.eval()
        return self


def freeze(model: MultiView, frozen: bool) -> None:
    """Stop (or resume) the training of `features`: their weights, and the running statistics of their norm layers."""
    model.frozen = frozen
    model.features.requires_grad_(not frozen)
    model.train(model.training)
