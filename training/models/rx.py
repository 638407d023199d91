"""Rx, the thesis' own network, as a family: depth, width, padding, norm, initialisation and head can be chosen."""

from __future__ import annotations

from math import gcd

from torch import Tensor, nn

from schemas.train_recipe import RxModel
from training.models.multi_view import MultiView
from training.models.pooling import view_pool
from training.models.rx_sizes import check_fits

HIDDEN = (128, 32)
"""Widths of the fully connected layers between the grid and the output: the thesis says "falling"."""


def build_rx(settings: RxModel, size: tuple[int, int], outputs: int) -> MultiView:
    """Rx for pictures of `size` (columns, rows).

    Raises RadforgeError when the blocks leave nothing of a picture. Source: de Cid 2021; what the thesis does not say
    (channels, norm, initialisation, a head other than `fc`) is in the recipe.
    """
    columns, rows = size
    check_fits((rows, columns), settings.blocks, settings.padding)
    widths = [settings.channels[min(block, len(settings.channels) - 1)] for block in range(settings.blocks)]
    features = nn.Sequential()
    for block, (before, after) in enumerate(zip([1, *widths], widths, strict=False), start=1):
        features.add_module(f"block{block}", _block(before, after, settings))
    classifier = _head(widths[-1], outputs, settings)
    if settings.init == "he":
        features.apply(_he)
        classifier.apply(_he)
    return MultiView(features, view_pool(settings.pool, widths[-1]), classifier)


class GlobalMax(nn.Module):
    """The highest cell of each channel: (B, C, h, w) -> (B, C). Its gradient is the same on every run of a GPU."""

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        return maps.amax(dim=(-2, -1))


class GlobalAverage(nn.Module):
    """The average cell of each channel: (B, C, h, w) -> (B, C)."""

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        return maps.mean(dim=(-2, -1))


def _block(before: int, after: int, settings: RxModel) -> nn.Sequential:
    # A bias before a batch norm is subtracted again.
    block = nn.Sequential()
    block.add_module("conv", nn.Conv2d(before, after, 3, padding=settings.padding, bias=settings.norm != "batch"))
    if settings.norm == "batch":
        block.add_module("norm", nn.BatchNorm2d(after))
    elif settings.norm == "group":
        block.add_module("norm", nn.GroupNorm(gcd(after, 8), after))
    block.add_module("pool", nn.MaxPool2d(2))
    block.add_module("relu", nn.ReLU())
    return block


def _head(channels: int, outputs: int, settings: RxModel) -> nn.Sequential:
    if settings.head != "fc":
        pool = GlobalMax() if settings.head == "max" else GlobalAverage()
        return nn.Sequential(pool, nn.Linear(channels, outputs))
    first, second = HIDDEN
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(settings.grid),
        nn.Flatten(),
        nn.Linear(settings.grid**2 * channels, first),
        nn.ReLU(),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, outputs),
    )


def _he(module: nn.Module) -> None:
    """He et al. 2015, equation 10: fan-in, zero bias. It keeps the spread of the activations through the ReLUs."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
