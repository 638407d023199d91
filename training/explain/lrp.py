"""Layer-wise relevance propagation: the logit, handed back layer by layer until it stands on the input's pixels."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from schemas.errors import RadforgeError
from training.explain.heat import Heat
from training.models.multi_view import MultiView
from training.models.pooling import LogSumExpPool, MaxPool, ViewPool
from training.models.rx import GlobalAverage, GlobalMax

ABOUT = (
    "Layer-wise relevance propagation (Bach et al. 2015): the logit handed back layer by layer; z+ rule in convolutions, "
    "epsilon rule in linear layers, flat rule in the first layer (Lapuschkin et al. 2019); computed with zennit"
)
_TINY = 1e-9


def lrp(network: MultiView, views: Tensor) -> Heat:
    """Relevance of the pixels of one study's views, float32 (V, 1, H, W).

    Rules: epsilon in linear layers, z+ in convolutions, flat in the first one (Bach et al. 2015, equations 58 and 60;
    Montavon et al. 2019, Layer-wise relevance propagation: an overview); a maximum hands all to its winner; an average, and
    the sum of a residual block, hand back in proportion; batch norms are merged into the convolution before them first.
    `totals` sum to the logit less what biases took: on a network without biases, to the logit.
    Raises RadforgeError without the package zennit, and for networks whose every layer is not known here.
    """
    _check(network)
    mask = torch.ones(1, len(views), dtype=torch.bool, device=views.device)
    with torch.no_grad():
        maps = network.features(views)
        pooled, weights = network.pool(maps[None], mask)
        logit = network.classifier(pooled)
    of_pooled = _handed_back(network.classifier, pooled, logit, first=False)
    of_maps = through_views(network.pool, maps, weights[0], of_pooled[0])
    of_pixels = _handed_back(network.features, views, of_maps, first=True)[:, 0].float().cpu().numpy()
    return Heat(
        views=of_pixels,
        weights=weights[0].float().cpu().numpy(),
        totals=of_pixels.sum(axis=(1, 2), dtype=np.float64).astype(np.float32),
        logits=np.full(len(views), logit.item(), np.float32),
    )


def through_views(pool: ViewPool, maps: Tensor, weights: Tensor, relevance: Tensor) -> Tensor:
    """Relevance of the pooled maps (C, h, w) as relevance of each view's maps (V, C, h, w), with the same sum.

    Maximum: to the view that won the cell, a tie in equal parts. Log-sum-exp: by each view's share of the sum of
    exponentials. Mean and attention: by its part in the weighted sum, the weights (V,) taken as they are.
    """
    if isinstance(pool, MaxPool):
        share = (maps == maps.amax(dim=0)).float()
        share = share / share.sum(dim=0)
    elif isinstance(pool, LogSumExpPool):
        share = maps.softmax(dim=0)
    else:
        parts = maps * weights[:, None, None, None]
        whole = parts.sum(dim=0)
        share = parts / torch.where(whole.abs() < _TINY, torch.ones_like(whole), whole)
    return share * relevance


def _check(network: MultiView) -> None:
    known = (*_KNOWN, nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.GroupNorm, nn.MaxPool2d, nn.ReLU, nn.AdaptiveAvgPool2d)
    both = [*network.features.modules(), *network.classifier.modules()]
    strange = next((module for module in both if not isinstance(module, known)), None)
    if strange is not None:
        raise RadforgeError(
            f"no rule for a layer of this network ({type(strange).__name__})",
            "--method lrp",
            expected="a run of `rx` or `resnet18`; else --method gradcam",
        )


def _handed_back(module: nn.Module, given: Tensor, relevance: Tensor, *, first: bool) -> Tensor:
    """Relevance of what a module gave as relevance of what it was given. Its weights are what they were, afterwards."""
    composite = _composite(first)
    given = given.detach().clone().requires_grad_()
    with torch.enable_grad(), composite.context(module) as modified:
        output = modified(given)
        (back,) = torch.autograd.grad(output, given, grad_outputs=relevance)
    return torch.as_tensor(back).detach()


def _composite(first: bool) -> Any:
    rules, composites, canonizers, resnet = (_zennit(name) for name in ("rules", "composites", "canonizers", "torchvision"))
    averages = [((GlobalAverage,), rules.Norm()), ((nn.GroupNorm,), rules.Epsilon())]
    kind = composites.EpsilonPlusFlat if first else composites.EpsilonPlus
    return kind(layer_map=averages, canonizers=[resnet.ResNetCanonizer(), canonizers.AttributeCanonizer(_settled)])


def _zennit(name: str) -> Any:
    try:
        return importlib.import_module(f"zennit.{name}")
    except ImportError:
        raise RadforgeError(
            "LRP needs the package zennit", "--method lrp", expected="`pip install radforge[lrp]`, or --method gradcam"
        ) from None


def _settled(_: str, module: nn.Module) -> dict[str, Any] | None:
    """Group norm with its deviation taken as a constant, as Ali et al. 2022 (XAI for transformers, section 4.2) do for layer
    norm: what is left of it is linear, and hands all back but its bias' part.
    """
    return {"forward": partial(_norm_with_constant_deviation, module)} if isinstance(module, nn.GroupNorm) else None


def _norm_with_constant_deviation(norm: nn.GroupNorm, maps: Tensor) -> Tensor:
    groups = maps.reshape(len(maps), norm.num_groups, -1)
    centred = groups - groups.mean(dim=2, keepdim=True)
    scale = (centred.square().mean(dim=2, keepdim=True) + norm.eps).rsqrt().detach()
    whitened = (centred * scale).reshape(maps.shape)
    return whitened * norm.weight[:, None, None] + norm.bias[:, None, None]


_KNOWN = (nn.Sequential, nn.Flatten, BasicBlock, GlobalAverage, GlobalMax)
