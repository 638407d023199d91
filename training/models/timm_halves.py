"""Where a timm network's features end and its head begins, found by watching which modules each of them calls."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

Layout = Literal["maps", "maps_last", "tokens"]
"""What `forward_features` gives: (N, C, h, w), (N, h, w, C), or anything else, which the network pools to (N, C)."""


@dataclass(frozen=True)
class Halves:
    """How a network divides."""

    layout: Layout
    channels: int
    """Of the maps, or of the pooled vector."""
    body: frozenset[str]
    """Names of the modules that the features call."""
    head: frozenset[str]
    """Names of the modules that the classifier calls."""


def find_halves(net: Any, images: Tensor) -> Halves:
    """Look at one forward of a timm network (on the meta device it costs nothing). Raises what the network raises."""
    net.eval()
    with torch.no_grad():
        body, found = _watched(net, net.forward_features, images)
        head, _ = _watched(net, net.forward_head, found)
        if isinstance(found, Tensor) and found.ndim == 4:
            last = getattr(net, "output_fmt", "NCHW") == "NHWC"
            return Halves("maps_last" if last else "maps", found.shape[-1 if last else 1], frozenset(body), frozenset(head))
        pooling, vector = _watched(net, lambda tokens: net.forward_head(tokens, pre_logits=True), found)
    return Halves("tokens", vector.shape[1], frozenset(body | pooling), frozenset(head - pooling))


def body_of(net: nn.Module, halves: Halves) -> nn.Module:
    """The network without the modules that only the head calls."""
    return _without(net, lambda name: _holds(name, halves.head) and not _holds(name, halves.body))


def head_of(net: nn.Module, halves: Halves) -> nn.Module:
    """The network without the modules that the head does not call, and without parameters of its own."""
    head = _without(net, lambda name: not _holds(name, halves.head))
    for name, _ in list(head.named_parameters(recurse=False)):
        setattr(head, name, None)
    return head


def _watched(net: nn.Module, function: Callable[[Tensor], Tensor], given: Tensor) -> tuple[set[str], Tensor]:
    called: set[str] = set()
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: called.add(name)) for name, module in net.named_modules() if name
    ]
    try:
        return called, function(given)
    finally:
        for hook in hooks:
            hook.remove()


def _holds(name: str, called: Iterable[str]) -> bool:
    return any(other == name or other.startswith(f"{name}.") for other in called)


def _without(net: nn.Module, gone: Callable[[str], bool]) -> nn.Module:
    """A copy in which the outermost modules that are `gone` do nothing and hold nothing."""
    # Only what stays is copied: the memo gives deepcopy an answer for the rest.
    memo: dict[int, Any] = {}
    done: list[str] = []
    for name, module in net.named_modules():
        if name and not any(name.startswith(f"{other}.") for other in done) and gone(name):
            memo[id(module)] = nn.Identity()
            done.append(name)
    copied: nn.Module = copy.deepcopy(net, memo)
    return copied
