"""Weights of another run as the start of this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from schemas.errors import RadforgeError
from training.models.multi_view import MultiView
from training.models.weights import check_shapes


def load_features(
    model: MultiView, state: Mapping[str, Tensor], what: Literal["features", "all"] = "features", where: str = "[init]"
) -> None:
    """Copy another MultiView's features into `model`, and with `all` its classifier (and view attention, where both have it).

    `state` is the other model's state dict. Nothing is changed when it does not fit. Raises RadforgeError naming the
    tensors that differ; `where` says in it where the weights came from.
    """
    parts = ["features", "classifier"] if what == "all" else ["features"]
    if what == "all" and _part(state, "pool") and _part(model.state_dict(), "pool"):
        parts.append("pool")
    for part in parts:
        found = _part(state, part)
        if not found:
            raise RadforgeError(f"the weights hold no {part}", where, expected="a checkpoint of a training run")
        check_shapes(found, _part(model.state_dict(), part), where)
    for part in parts:
        model.get_submodule(part).load_state_dict(_part(state, part))


def _part(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}."): value for name, value in state.items() if name.startswith(f"{part}.")}
