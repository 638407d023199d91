"""From the recipe's [model] to a network. A new kind of model is entered here, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from schemas.train_recipe import Model
from training.models.multi_view import MultiView
from training.models.resnet import build_resnet18
from training.models.rx import build_rx
from training.models.timm_model import build_timm

BUILDERS: Mapping[str, Callable[[Any, tuple[int, int], int], MultiView]] = {
    "rx": build_rx,
    "resnet18": build_resnet18,
    "timm": build_timm,
}
"""By `kind`. To add one: its settings join `Model` in `schemas/train_recipe.py` with a `kind` of their own; a module here
turns them into features, a `view_pool` and a classifier, and refuses pictures it cannot take; one line goes here."""


def build(settings: Model, size: tuple[int, int], outputs: int = 1) -> MultiView:
    """The network for pictures of `size` (columns, rows), in training mode, with weights drawn from torch's generator.

    Raises RadforgeError when the network cannot work at this size, is not known, or its file of weights does not fit.
    """
    return BUILDERS[settings.kind](settings, size, outputs)
