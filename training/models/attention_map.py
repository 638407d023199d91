"""Where a network of tokens looks: its attention, layer by layer, as a map over the picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.models.multi_view import MultiView
from training.models.timm_model import TimmFeatures


def attention_map(model: MultiView, images: Tensor) -> Tensor | None:
    """How much each place of the images contributes to what the network says, by attention rollout.

    images: float32 (N, 1, H, W), normalised. Returns float32 (N, H, W), not negative, with borders the network was given
    taken off again; None for networks without attention among all patches of a picture (convolutions, windows). It says
    where the network looked, for both answers alike: unlike Grad-CAM it does not know the logit.
    """
    features = model.features
    if not isinstance(features, TimmFeatures):
        return None
    training = features.training
    features.eval()
    try:
        with torch.no_grad(), _recorded(features.net) as attentions:
            features(images)
    finally:
        features.train(training)
    grid = getattr(getattr(features.net, "patch_embed", None), "grid_size", None)
    prefix = int(getattr(features.net, "num_prefix_tokens", 0))
    if grid is None or not attentions:
        return None
    tokens = prefix + grid[0] * grid[1]
    if any(attention.ndim != 4 or attention.shape[-2:] != (tokens, tokens) for attention in attentions):
        return None
    flow = rollout(attentions)
    # What the classifier reads: the class token, or the average of all patches.
    read = flow[:, 0] if getattr(features.net, "global_pool", "token") == "token" and prefix else flow[:, prefix:].mean(dim=1)
    map_ = read[:, prefix:].reshape(-1, 1, *grid)
    large = functional.interpolate(map_, size=features.padded, mode="bilinear", align_corners=False)[:, 0]
    left, top = features.corner(images)
    return large[:, top : top + images.shape[2], left : left + images.shape[3]]


def rollout(attentions: Sequence[Tensor]) -> Tensor:
    """From which input token each output token comes: (N, T, T), rows sum to 1.

    attentions: from the first layer to the last, (N, heads, T, T), rows sum to 1. Abnar & Zuidema 2020, Quantifying
    attention flow in transformers, section 3: a layer passes half by its heads' average and half by its skip connection.
    """
    tokens = attentions[0].shape[-1]
    skip = torch.eye(tokens, device=attentions[0].device)
    flow = skip.expand(attentions[0].shape[0], -1, -1)
    for attention in attentions:
        flow = (attention.float().mean(dim=1) + skip) / 2 @ flow
    return flow


@contextmanager
def _recorded(net: nn.Module) -> Iterator[list[Tensor]]:
    """Collects the attention of every layer of a forward. The fused kernel never writes it down, so it is switched off."""
    found: list[Tensor] = []
    layers: list[Any] = [layer for layer in net.modules() if hasattr(layer, "fused_attn") and hasattr(layer, "attn_drop")]
    fused = [layer.fused_attn for layer in layers]
    with ExitStack() as stack:
        for layer in layers:
            layer.fused_attn = False
            stack.callback(layer.attn_drop.register_forward_hook(lambda _, __, output: found.append(output)).remove)
        try:
            yield found
        finally:
            for layer, before in zip(layers, fused, strict=True):
                layer.fused_attn = before
