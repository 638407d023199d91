"""Class activation maps from the gradient of the logit: which cells of each view's maps made it what it is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from schemas.errors import RadforgeError
from training.explain.cells import enlarge, find_cells
from training.explain.heat import Heat
from training.models.multi_view import MultiView

ABOUT = (
    "Grad-CAM in the form of HiResCAM (Draelos & Carin 2020): activation times gradient, cell by cell, summed over channels "
    "and not cut at zero, from the maps before the views are pooled"
)


def gradcam(network: MultiView, views: Tensor) -> Heat:
    """Maps of one study's views, float32 (V, 1, H, W): the contribution of every cell, enlarged to the input.

    HiResCAM (Draelos & Carin 2020, arXiv:2011.08891, equation 3): a cell's value is the sum over channels of activation
    times the logit's own gradient there. Grad-CAM (Selvaraju et al. 2017, equation 1) averages the gradient over the cells
    first. That is the same for average pooling, but behind a maximum, over cells or over views, the gradient of all but one
    cell is 0: the average would lend the winner's weight to cells and views that the network did not use. Here `totals`
    sum to the logit less the classifier's bias wherever everything after the maps is linear or a maximum.
    Raises RadforgeError for a network whose maps are a single vector (a ViT).
    """
    with torch.no_grad():
        maps = network.features(views)
    if maps.shape[2] * maps.shape[3] == 1:
        raise RadforgeError(
            "Grad-CAM needs maps, and this network gives one vector a picture",
            "--method gradcam",
            expected="--method attention for a ViT, or an Rx or ResNet",
        )
    maps = maps.requires_grad_()
    mask = torch.ones(1, len(views), dtype=torch.bool, device=views.device)
    with torch.enable_grad():
        pooled, weights = network.pool(maps[None], mask)
        logit = network.classifier(pooled)[0, 0]
        (gradient,) = torch.autograd.grad(logit, maps)
    cells = (gradient * maps.detach()).sum(dim=1).float().cpu().numpy()
    where = find_cells(network.features, views, maps)
    rows, columns = views.shape[-2:]
    return Heat(
        views=np.stack([enlarge(view, where, rows, columns) for view in cells]),
        weights=weights[0].detach().float().cpu().numpy(),
        totals=cells.sum(axis=(1, 2)),
        logits=np.full(len(views), logit.item(), np.float32),
    )
