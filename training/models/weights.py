"""Weights from a file of the user's, fitted to a network with one input channel. Nothing is ever downloaded."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from schemas.errors import RadforgeError

Weights = dict[str, Tensor]


def read_weights(path: str | Path) -> Weights:
    """The tensors of a state dict by name: `.safetensors`, or what torch.save wrote (read without running its code).

    Also finds them under `state_dict` or `model`, where training programs put them. Raises RadforgeError when the file is
    not there or holds something else.
    """
    path = Path(path)
    expected = "a state dict: .safetensors, or .pt/.pth of torch.save"
    if not path.is_file():
        raise RadforgeError("no such file of weights", str(path), expected=expected)
    if path.suffix == ".safetensors":
        # Comes with timm only; torch files need nothing of it.
        from safetensors import SafetensorError  # noqa: PLC0415
        from safetensors.torch import load_file  # noqa: PLC0415

        try:
            return dict(load_file(path))
        except SafetensorError:
            raise RadforgeError("the file of weights is damaged", str(path), expected=expected) from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError):
        raise RadforgeError("the file of weights cannot be read as plain tensors", str(path), expected=expected) from None
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise RadforgeError("the file holds no state dict", str(path), expected=expected)
    return dict(content)


def load_weights(
    net: nn.Module,
    path: str,
    classifier: tuple[str, ...],
    adapt: Callable[[Weights], Weights] = lambda weights: weights,
) -> None:
    """Load a file into `net`, strictly, but for two things that differ between any two tasks.

    A convolution of three colours becomes one of grey by the sum of its weights: for a grey picture given three times
    it computes the same. The layers named in `classifier` stay as they are where the file has none of that shape.
    `adapt` renames or resizes what the file holds first. Raises RadforgeError naming what does not fit.
    """
    wanted = net.state_dict()
    try:
        weights = adapt(read_weights(path))
    except (KeyError, IndexError, AttributeError):
        raise RadforgeError("the weights are of another network", path, expected=f"weights of {type(net).__name__}") from None
    for name, value in weights.items():
        if name in wanted and value.ndim == 4 and value.shape[1] == 3 and wanted[name].shape[1] == 1:
            weights[name] = value.sum(dim=1, keepdim=True)
    for name in [name for name in wanted if name.rpartition(".")[0] in classifier]:
        if name not in weights or weights[name].shape != wanted[name].shape:
            weights[name] = wanted[name]
    check_shapes(weights, wanted, path)
    net.load_state_dict(weights)


def check_shapes(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str) -> None:
    """Raises RadforgeError, naming the first three differences, unless both hold the same names and shapes."""
    differences = [f"`{name}` is missing" for name in wanted if name not in found]
    differences += [f"`{name}` is not in the model" for name in found if name not in wanted]
    differences += [
        f"`{name}` is {_shape(found[name])} instead of {_shape(value)}"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise RadforgeError(
            "the weights do not fit the model",
            where,
            found="; ".join(differences[:3]) + more,
            expected=f"weights of the same network ({len(wanted)} tensors)",
        )


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a number"
