"""Where the cells of a network's maps lie on its input, and how a map becomes as large as the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.explain.heat import Map
from training.models.timm_model import TimmFeatures


@dataclass(frozen=True)
class Cells:
    """Cell (row i, column j) of the maps is centred at x = left + j * step_x, y = top + i * step_y of the input."""

    left: float
    top: float
    step_x: float
    step_y: float


def find_cells(features: nn.Module, images: Tensor, maps: Tensor) -> Cells:
    """Where the cells of `maps` (N, C, h, w) = features(images (N, 1, H, W)) lie.

    Rx and ResNet: the centres of their receptive fields, from kernel, stride and padding of each layer (Araujo et al. 2019,
    Computing receptive fields of convolutional neural networks, equations 3 and 4): without padding, and in ResNet, these
    are not spread evenly. Other networks: spread evenly over the (padded) input.
    """
    if not isinstance(features, TimmFeatures):
        return _centres(features, images)
    left, top = features.corner(images)
    step_y, step_x = features.padded[0] / maps.shape[2], features.padded[1] / maps.shape[3]
    return Cells((step_x - 1) / 2 - left, (step_y - 1) / 2 - top, step_x, step_y)


def enlarge(cells: Map, where: Cells, rows: int, columns: int) -> Map:
    """The map as float32 (rows, columns): linear between the cells' centres, fading to 0 one cell beyond the last ones."""
    down = _hats(rows, cells.shape[0], where.top, where.step_y)
    across = _hats(columns, cells.shape[1], where.left, where.step_x)
    return np.asarray(down @ cells @ across.T, np.float32)


def _hats(pixels: int, cells: int, start: float, step: float) -> NDArray[np.float64]:
    place = (np.arange(pixels)[:, None] - start) / step
    return np.asarray(np.maximum(0.0, 1 - np.abs(place - np.arange(cells))), np.float64)


def _centres(features: nn.Module, images: Tensor) -> Cells:
    layers: list[nn.Conv2d | nn.MaxPool2d] = []
    hooks = [
        module.register_forward_hook(lambda layer, *_: layers.append(layer))
        for name, module in features.named_modules()
        # A shortcut runs beside layers that are counted already.
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d)) and "downsample" not in name
    ]
    try:
        with torch.no_grad():
            features(images[:1])
    finally:
        for hook in hooks:
            hook.remove()
    start, step = 0.0, 1
    for layer in layers:
        kernel, stride, padding = (_side(side) for side in (layer.kernel_size, layer.stride, layer.padding))
        start += step * ((kernel - 1) / 2 - padding)
        step *= stride
    return Cells(start, start, step, step)


def _side(value: Any) -> int:
    """Every kernel here is square."""
    return int(value[0] if isinstance(value, tuple) else value)
