"""How the maps of a study's views become one: masked pooling over views, with the share that each view had in it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EMPTY = -1e4
"""What stands in the maps of a view that does not exist: below every real activation, and within half precision."""


class ViewPool(nn.Module):
    """Pools over views. `forward(maps, mask)` returns the pooled maps (B, C, h, w) and the view weights (B, V), float32.

    maps: (B, V, C, h, w) floats, EMPTY where there is no view; mask: bool (B, V), at least one view in each study.
    Weights are not negative, sum to 1 over a study's views and are 0 where there is none. Neither output depends on
    the order of the views or on the number of empty ones.
    """

    def forward(self, maps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        raise NotImplementedError


class MaxPool(ViewPool):
    """The highest view at every cell (Su et al. 2015, Multi-view CNNs, section 4.2: view pooling).

    A view's weight is its share of the cells it wins; a tie is split. Cells in which all views agree, mostly the zeros
    a ReLU leaves, tell nothing about the views and are left out; where all do, the views weigh the same.
    """

    def forward(self, maps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See ViewPool."""
        pooled = maps.amax(dim=1)
        with torch.no_grad():
            wins = (maps == pooled.unsqueeze(1)).flatten(2).float()
            views = mask.sum(dim=1, keepdim=True)
            told = wins.sum(dim=1, keepdim=True) < views.unsqueeze(-1)
            share = (wins / wins.sum(dim=1, keepdim=True).clamp(min=1) * told).sum(dim=2)
            total = share.sum(dim=1, keepdim=True)
            weights = torch.where(total > 0, share / total.clamp(min=1e-6), mask / views)
        return pooled, weights


class MeanPool(ViewPool):
    """The average of the views that exist; all weigh the same."""

    def forward(self, maps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See ViewPool."""
        weights = mask.float() / mask.sum(dim=1, keepdim=True)
        return _weighted(maps, weights), weights


class LogSumExpPool(ViewPool):
    """log(mean over views of exp(maps)): between mean and max, and the same for one view as for two equal ones.

    Pinheiro & Collobert 2015, From image-level to pixel-level labeling, equation 6, with r = 1. A view's weight is its
    share of the sum, which is also its share of the gradient, averaged over the cells.
    """

    def forward(self, maps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See ViewPool."""
        maps = maps.float()
        views = mask.sum(dim=1)[:, None, None, None]
        with torch.no_grad():
            weights = maps.softmax(dim=1).flatten(2).mean(dim=2)
        return maps.logsumexp(dim=1) - views.log(), weights


class AttentionPool(ViewPool):
    """A weighted average, the weights learned: softmax over views of w . tanh(V a), with a = a view's average map.

    Ilse et al. 2018, Attention-based deep multiple instance learning, equation 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 4, 8)
        self.score = nn.Sequential(nn.Linear(channels, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, maps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See ViewPool."""
        # Zeros instead of EMPTY: in half precision the score of an EMPTY view would overflow, and its gradient be NaN.
        averages = maps.mean(dim=(-2, -1)).masked_fill(~mask.unsqueeze(-1), 0.0)
        scores = self.score(averages).squeeze(-1).float()
        weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=1)
        return _weighted(maps, weights), weights


def view_pool(name: str, channels: int) -> ViewPool:
    """The pooling that `[model] pool` names, for maps of so many channels."""
    if name == "attention":
        return AttentionPool(channels)
    return {"max": MaxPool, "mean": MeanPool, "lse": LogSumExpPool}[name]()


def _weighted(maps: Tensor, weights: Tensor) -> Tensor:
    return (maps * weights.to(maps.dtype)[..., None, None, None]).sum(dim=1)
