"""What a network costs, worked out without computing or allocating anything: everything runs on the meta device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from schemas.train_recipe import Model
from training.models.build import build
from training.models.multi_view import MultiView

VIEWS = 2
"""Views that are tried: batch norm cannot train on a single cell."""

FLOAT = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Description:
    """Facts about a network for pictures of one size."""

    columns: int
    rows: int
    parameters: int
    trainable: int
    flops: int
    """Floating-point operations of one view's forward; a multiplication and its addition are two. Training takes three times
    as many."""
    activation_bytes: int
    """What one view keeps in memory from forward to backward, float32. About half of it with half precision, and less
    where attention is computed in blocks."""
    map_channels: int
    sizes: tuple[tuple[int, int], ...]
    """Rows and columns of the picture on its way through the features; the last is the maps'."""

    def training_bytes(self, batch: int) -> int:
        """About what a training step of so many views needs with Adam: weights, gradients, two moments, activations."""
        return FLOAT * (self.parameters + 3 * self.trainable) + batch * self.activation_bytes


def describe(settings: Model, size: tuple[int, int], outputs: int = 1) -> Description:
    """Facts about the network of `settings` for pictures of `size` (columns, rows); a file of weights is not read.

    Raises RadforgeError when the network cannot work at this size.
    """
    if settings.kind != "rx":
        settings = settings.model_copy(update={"weights": ""})
    columns, rows = size
    with torch.device("meta"):
        model = build(settings, size, outputs)
        views, mask = torch.empty(VIEWS, 1, 1, rows, columns), torch.ones(VIEWS, 1, dtype=torch.bool)
        sizes = _sizes(model, views, mask)
        with FlopCounterMode(display=False) as counter:
            activations = _saved_bytes(model, views, mask)
        channels = model.features(views[:, 0]).shape[1]
    weights = list(model.parameters())
    return Description(
        columns=columns,
        rows=rows,
        parameters=sum(weight.numel() for weight in weights),
        trainable=sum(weight.numel() for weight in weights if weight.requires_grad),
        flops=counter.get_total_flops() // VIEWS,
        activation_bytes=activations // VIEWS,
        map_channels=channels,
        sizes=sizes,
    )


def _sizes(model: MultiView, views: Tensor, mask: Tensor) -> tuple[tuple[int, int], ...]:
    seen: list[tuple[int, int]] = [(views.shape[-2], views.shape[-1])]

    def look(_: nn.Module, __: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            seen.append((output.shape[2], output.shape[3]))

    hooks = [model.features.register_forward_hook(look)]
    hooks += [module.register_forward_hook(look) for module in model.features.modules() if isinstance(module, LAYERS)]
    model(views, mask)
    for hook in hooks:
        hook.remove()
    # A side branch, as squeeze-and-excitation, looks at one cell for a moment: what grows again was none of the way.
    return tuple(dict.fromkeys(size for place, size in enumerate(seen) if size >= max(seen[place:])))


LAYERS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
"""What changes the size of a map."""


def _saved_bytes(model: MultiView, views: Tensor, mask: Tensor) -> int:
    """Bytes that a training forward keeps for its backward, weights not counted, each memory once."""
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        # Held, so that no other memory gets its address.
        saved.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        model.train()(views, mask)
    return sum(tensor.untyped_storage().nbytes() for address, tensor in saved.items() if address not in own)
