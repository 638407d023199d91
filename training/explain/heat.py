"""What an explanation is: how much each pixel of each view speaks for or against the label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from training.models.multi_view import MultiView

Map = NDArray[np.float32]
"""float32 (rows, columns): above 0 speaks for the label, below 0 against it, 0 says nothing."""


@dataclass(frozen=True, eq=False)
class Heat:
    """The explanation of one logit from the views that it was made from."""

    views: NDArray[np.float32]
    """(V, H, W): a Map of each view, in the pixels of the network's input."""
    weights: NDArray[np.float32]
    """(V,): how much of the study each view decided; sums to 1."""
    totals: NDArray[np.float32]
    """(V,): what the view's contributions sum to, in units of the logit; NaN where the method has no such sum."""
    logits: NDArray[np.float32]
    """(V,): the logit that the view's map explains: the study's, or its own where a network sees single views."""


Method = Callable[[MultiView, Tensor], Heat]
"""From a network in evaluation mode and the normalised views of one study, float32 (V, 1, H, W), to its explanation."""


def each_alone(method: Method, network: MultiView, views: Tensor) -> Heat:
    """For a network of single views: every view of a study explained by itself, as a study of its own (weight 1)."""
    found = [method(network, view[None]) for view in views]
    return Heat(*(np.concatenate([getattr(heat, field.name) for heat in found]) for field in fields(Heat)))


def peak(heat: Map) -> tuple[float, float] | None:
    """(x, y) of the strongest place that speaks for the label, the middle of several equal ones; None where none does."""
    highest = float(heat.max(initial=0.0))
    if highest <= 0:
        return None
    y, x = np.nonzero(heat >= highest * (1 - 1e-6))
    return float(x.mean()), float(y.mean())


def smoothed(heat: Map, sigma: float) -> Map:
    """The map after a Gaussian of `sigma` pixels. Relevance of single pixels is grainy; what is looked at are places."""
    return np.asarray(cv2.GaussianBlur(heat, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)
