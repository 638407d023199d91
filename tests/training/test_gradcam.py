"""Grad-CAM says which cells of which view made the logit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from schemas.errors import RadforgeError
from schemas.train_recipe import ResNetModel, RxModel, TimmModel
from training.explain.attention import attention
from training.explain.gradcam import gradcam
from training.explain.heat import each_alone, peak
from training.models.build import build
from training.models.multi_view import MultiView

SIZE = (96, 128)


def network(seed: int = 0, **settings: object) -> MultiView:
    torch.manual_seed(seed)
    return build(RxModel(**settings), SIZE).eval()  # type: ignore[arg-type]


def views(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 1, 128, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("head", ["max", "average"])
@pytest.mark.parametrize("pool", ["max", "mean"])
def test_contributions_sum_to_the_logit_without_the_last_bias(head: str, pool: str) -> None:
    model = network(head=head, pool=pool)
    torch.nn.init.constant_(model.classifier[1].bias, 3.0)

    heat = gradcam(model, views())

    assert heat.totals.sum() == pytest.approx(heat.logits[0] - 3.0, abs=1e-4)
    with torch.no_grad():
        assert heat.logits[0] == pytest.approx(model(views()[None], torch.ones(1, 3, dtype=torch.bool)).item(), abs=1e-5)


def test_maps_have_the_size_of_the_input_and_both_signs() -> None:
    heat = gradcam(network(head="average"), views())

    assert heat.views.shape == (3, 128, 96)
    assert heat.views.min() < 0 < heat.views.max()
    assert heat.weights.sum() == pytest.approx(1, abs=1e-5)


def test_a_view_that_loses_every_cell_has_an_empty_map() -> None:
    model = network(norm="none")
    strong, nothing = views(1), torch.zeros(1, 1, 128, 96)

    heat = gradcam(model, torch.cat([strong, nothing]))

    assert heat.views[0].any()
    assert not heat.views[1].any()
    assert heat.weights.tolist() == [1.0, 0.0]


def test_the_peak_is_where_a_detector_of_bright_spots_sees_one() -> None:
    model = network(blocks=2, norm="none")
    for block in model.features:
        torch.nn.init.constant_(block.conv.weight, 0.02)
    torch.nn.init.constant_(model.classifier[1].weight, 1.0)
    picture = torch.zeros(1, 1, 128, 96)
    picture[0, 0, 84:88, 28:32] = 5.0  # cell (21, 7), centre (29.5, 85.5)

    heat = gradcam(model, picture)

    assert peak(heat.views[0]) == pytest.approx((29.5, 85.5), abs=1)


def test_single_views_are_explained_each_by_itself() -> None:
    model = network()

    together, alone = gradcam(model, views()[:1]), each_alone(gradcam, model, views())

    assert alone.weights.tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(alone.views[0], together.views[0])
    assert len(set(alone.logits.tolist())) == 3


def test_resnet_has_maps_too_and_its_weights_stay_untouched() -> None:
    model = build(ResNetModel(), SIZE).eval()

    heat = gradcam(model, views(2))

    assert heat.views.shape == (2, 128, 96)
    assert all(weight.grad is None for weight in model.parameters())


def test_a_network_of_tokens_has_attention_and_no_gradcam() -> None:
    model = build(TimmModel(name="vit_tiny_patch16_224"), SIZE).eval()

    with pytest.raises(RadforgeError, match="--method attention"):
        gradcam(model, views(1))
    heat = attention(model, views(2))

    assert heat.views.shape == (2, 128, 96)
    assert heat.views.min() >= 0
    assert np.isnan(heat.totals).all()


def test_a_convolution_has_no_attention() -> None:
    with pytest.raises(RadforgeError, match="no attention map"):
        attention(network(), views(1))
