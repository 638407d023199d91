"""ResNet18 (He et al. 2016), the thesis' baseline, with one input channel."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn
from torchvision.models import resnet18

from schemas.errors import RadforgeError
from schemas.train_recipe import ResNetModel
from training.models.multi_view import MultiView
from training.models.pooling import view_pool
from training.models.rx import GlobalAverage
from training.models.weights import load_weights

HALVINGS = 5
"""Times the network halves a side, rounding up."""


def build_resnet18(settings: ResNetModel, size: tuple[int, int], outputs: int) -> MultiView:
    """torchvision's ResNet18: maps are what comes before its average pooling, the classifier is that and one linear layer.

    Raises RadforgeError for pictures that end as a single cell (batch norm could then not train on a single one), and
    when `settings.weights` cannot be read or does not fit.
    """
    if max(size) <= 2**HALVINGS:
        raise RadforgeError(
            f"nothing but one cell is left of the pictures after {HALVINGS} halvings",
            "[model]",
            found=f"`data.size` of {size[0]} columns x {size[1]} rows",
            expected=f"a side above {2**HALVINGS}",
        )
    net = resnet18(num_classes=outputs)
    net.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    if settings.weights:
        load_weights(net, settings.weights, classifier=("fc",))
    children = OrderedDict((name, child) for name, child in net.named_children() if name not in ("avgpool", "fc"))
    channels = net.fc.in_features
    return MultiView(nn.Sequential(children), view_pool(settings.pool, channels), nn.Sequential(GlobalAverage(), net.fc))
