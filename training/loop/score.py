"""What a network says of pictures or studies, without learning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import nn

from schemas.train_recipe import Loop
from training.data.batches import eval_batches, normalise
from training.data.cache import Pictures
from training.data.films import Films
from training.loop.ranks import Ranks
from training.loop.step import autocast, half_precision, memory_told


def logits(
    network: nn.Module,
    pictures: Pictures | NDArray[np.uint8],
    films: Films,
    items: Sequence[NDArray[np.int64]],
    settings: Loop,
    ranks: Ranks,
    batch: int | None = None,
) -> NDArray[np.float32]:
    """(items,) float32, in the order of `items` (each the positions of its views); equal on every rank."""
    mine = range(ranks.rank, len(items), ranks.world)
    found = np.zeros(len(items), np.float32)
    was_training = network.training
    network.eval()
    dtype = half_precision(settings, ranks.device)
    cuda = ranks.device.type == "cuda"
    with torch.inference_mode(), memory_told(settings):
        own = [items[i] for i in mine]
        for part in eval_batches(pictures, films, own, batch=batch or settings.batch, workers=settings.workers, pin=cuda):
            here = part.to(ranks.device, non_blocking=True)
            with autocast(ranks.device, dtype):
                output = network(normalise(here.views, films.mean, films.std), here.mask)
            found[[mine[int(i)] for i in part.item]] = output[:, 0].float().cpu().numpy()
    network.train(was_training)
    if ranks.world > 1:
        found = np.sum(ranks.gather(found), axis=0, dtype=np.float32)  # every item is another rank's zero
    return found


def loss_and_auc(scores: NDArray[np.float32], target: NDArray[np.float32]) -> tuple[float, float]:
    """Mean cross-entropy in nats of logits (n,), and the area under the ROC curve."""
    x, y = scores.astype(np.float64), target.astype(np.float64)
    return float(np.mean(np.logaddexp(0.0, x) - y * x)), float(roc_auc_score(y, x))
