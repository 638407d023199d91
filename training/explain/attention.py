"""Where a network of tokens looked."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from schemas.errors import RadforgeError
from training.explain.heat import Heat
from training.models.attention_map import attention_map
from training.models.multi_view import MultiView

ABOUT = (
    "Attention rollout (Abnar & Zuidema 2020): where the network looked, for both answers alike; nothing is blue, and red is "
    "not evidence for the label"
)


def attention(network: MultiView, views: Tensor) -> Heat:
    """Attention of one study's views, float32 (V, 1, H, W), each times its view weight; never below 0, without totals.

    Raises RadforgeError for networks without attention among all patches (convolutions, windows).
    """
    maps = attention_map(network, views)
    if maps is None:
        raise RadforgeError(
            "this network has no attention map", "--method attention", expected="a ViT of timm; else --method gradcam"
        )
    mask = torch.ones(1, len(views), dtype=torch.bool, device=views.device)
    with torch.no_grad():
        weights = network.view_weights(views[None], mask)[0]
        logit = network(views[None], mask)[0, 0]
    return Heat(
        views=(maps.float() * weights[:, None, None]).cpu().numpy(),
        weights=weights.float().cpu().numpy(),
        totals=np.full(len(views), np.nan, np.float32),
        logits=np.full(len(views), logit.item(), np.float32),
    )
