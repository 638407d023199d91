"""Any classifier of the timm library, with one input channel and pictures of any shape. Nothing is ever downloaded."""

from __future__ import annotations

import difflib
import importlib
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.errors import RadforgeError
from schemas.train_recipe import TimmModel
from training.models.multi_view import MultiView
from training.models.pooling import view_pool
from training.models.timm_halves import Halves, Layout, body_of, find_halves, head_of
from training.models.weights import Weights, load_weights

Size = tuple[int, int]
"""Rows and columns."""

MISFIT = (TypeError, ValueError, AssertionError, RuntimeError, AttributeError)
"""How timm's networks say that they cannot take a size."""


class TimmFeatures(nn.Module):
    """Images (N, 1, H, W) -> maps (N, C, h, w) before the network's own pooling.

    A network of tokens, as a ViT, gives its pooled vector as (N, C, 1, 1). Where the network needs other sides than the
    pictures have, these grow to `padded` (rows, columns) by repeating their edges.
    """

    def __init__(self, net: nn.Module, padded: Size, layout: Layout) -> None:
        super().__init__()
        self.net: Any = net
        self.padded = padded
        self.layout = layout

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.net.forward_features(self.pad(images))
        if self.layout == "tokens":
            found = self.net.forward_head(found, pre_logits=True)
            return found[:, :, None, None]
        return found.permute(0, 3, 1, 2) if self.layout == "maps_last" else found

    def pad(self, images: Tensor) -> Tensor:
        """Images of `padded` size with the given ones (N, 1, H, W) in the middle."""
        left, top = self.corner(images)
        right, bottom = self.padded[1] - images.shape[3] - left, self.padded[0] - images.shape[2] - top
        return (
            functional.pad(images, (left, right, top, bottom), mode="replicate") if left or right or top or bottom else images
        )

    def corner(self, images: Tensor) -> tuple[int, int]:
        """Columns and rows that `pad` puts before the images (N, 1, H, W)."""
        return (self.padded[1] - images.shape[3]) // 2, (self.padded[0] - images.shape[2]) // 2


class TimmHead(nn.Module):
    """Maps (B, C, h, w) -> logits (B, outputs): what the network itself does after its maps, pooling first."""

    def __init__(self, net: nn.Module, layout: Layout) -> None:
        super().__init__()
        self.net: Any = net
        self.layout = layout

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.net.forward_head(maps.permute(0, 2, 3, 1) if self.layout == "maps_last" else maps)
        return logits


def build_timm(settings: TimmModel, size: tuple[int, int], outputs: int) -> MultiView:
    """The timm network called `settings.name`, in two halves.

    Raises RadforgeError when timm is not installed, does not know the name (with the nearest one), the network cannot
    take pictures of `size` (columns, rows), or `settings.weights` cannot be read or does not fit.
    """
    timm = _timm()
    name = settings.name
    # A name with a source, as `hf-hub:`, would be looked up over the network: timm does not call it a model.
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=1)
        meant = f" (did you mean `{close[0]}`?)" if close else ""
        raise RadforgeError(f"timm has no model `{name}`{meant}", "`model.name`", expected="a name of timm.list_models()")
    columns, rows = size
    padded, options, halves = _fitting(timm, name, (rows, columns), outputs)
    net = _create(timm, name, outputs, options)
    if settings.weights:
        named = net.pretrained_cfg.get("classifier") or ()
        classifier = (named,) if isinstance(named, str) else tuple(named)
        load_weights(net, settings.weights, classifier, lambda weights: _renamed(net, weights))
    features = TimmFeatures(body_of(net, halves), padded, halves.layout)
    classifier_half = (
        TimmHead(head_of(net, halves), halves.layout) if halves.layout != "tokens" else _linear(net, halves, outputs)
    )
    return MultiView(features, view_pool(settings.pool, halves.channels), classifier_half)


def _timm() -> ModuleType:
    try:
        # It is large, and needed by one kind of model alone.
        return importlib.import_module("timm")
    except ImportError:
        raise RadforgeError(
            'models of `kind = "timm"` need the package timm', "[model]", expected="`pip install timm`, or another kind"
        ) from None


def _create(timm: ModuleType, name: str, outputs: int, options: dict[str, Size]) -> Any:
    return timm.create_model(name, pretrained=False, in_chans=1, num_classes=outputs, **options)


def _fitting(timm: ModuleType, name: str, size: Size, outputs: int) -> tuple[Size, dict[str, Size], Halves]:
    """A network's input that holds a picture of `size`, what the network must be told of it, and how it divides there.

    As it is; else in whole patches; else in steps of 32 and 64, for networks that halve or have windows; else square.
    Beyond the first the network is told the size of its input, if it can be.
    """
    reason = ""
    with torch.device("meta"):
        patch = getattr(getattr(_create(timm, name, outputs, {}), "patch_embed", None), "patch_size", None)
        steps = (max(patch) if isinstance(patch, tuple) else 14, 32, 64)
        square = _up(max(size), 64)
        tried: list[tuple[Size, dict[str, Size]]] = [(size, {})]
        for padded in [*((_up(size[0], step), _up(size[1], step)) for step in steps), (square, square)]:
            tried += [(padded, {"img_size": padded}), (padded, {})]
        for padded, options in tried:
            try:
                return padded, options, find_halves(_create(timm, name, outputs, options), torch.empty(2, 1, *padded))
            except MISFIT as error:
                reason = reason or str(error).partition("\n")[0] or "it gives no reason"
    raise RadforgeError(
        f"timm's `{name}` cannot take the pictures: {reason}",
        "[model]",
        found=f"`data.size` of {size[1]} columns x {size[0]} rows",
        expected="another size, or a model that is not bound to one",
    )


def _up(side: int, step: int) -> int:
    return -(-side // step) * step


def _linear(net: Any, halves: Halves, outputs: int) -> nn.Module:
    own = net.get_classifier()
    fits = isinstance(own, nn.Linear) and own.in_features == halves.channels
    return nn.Sequential(nn.Flatten(), own if fits else nn.Linear(halves.channels, outputs))


def _renamed(net: nn.Module, weights: Weights) -> Weights:
    """As timm does for the file of a network: older names become today's, position embeddings take the new size."""
    adapt = getattr(importlib.import_module(type(net).__module__), "checkpoint_filter_fn", None)
    renamed: Weights = adapt(weights, net) if adapt else weights
    return dict(renamed)
