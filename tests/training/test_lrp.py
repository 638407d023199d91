"""Relevance is neither made nor lost: on a network without biases the pixels' sum is the logit."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from schemas.errors import RadforgeError
from schemas.train_recipe import ResNetModel, RxModel, TimmModel
from training.explain.heat import peak
from training.explain.lrp import lrp, through_views
from training.models.build import build
from training.models.multi_view import MultiView
from training.models.pooling import LogSumExpPool, MaxPool, MeanPool

SIZE = (96, 128)


def without_biases(model: MultiView, seed: int = 3) -> MultiView:
    """Every bias 0, every batch norm a plain scale that differs from channel to channel."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
        if isinstance(getattr(module, "bias", None), Tensor):
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return model.eval()


def views(count: int = 3) -> Tensor:
    return torch.randn(count, 1, 128, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "settings",
    [
        RxModel(norm="none"),
        RxModel(norm="batch"),
        RxModel(norm="group"),
        RxModel(head="average"),
        RxModel(head="fc"),
        RxModel(padding=0),
        RxModel(pool="mean"),
        RxModel(pool="lse"),
        RxModel(pool="attention"),
        ResNetModel(),
    ],
    ids=["no norm", "batch", "group", "average", "fc", "padding 0", "mean views", "lse views", "attention views", "resnet18"],
)
@pytest.mark.parametrize("count", [1, 3])
def test_relevance_sums_to_the_logit_within_one_per_cent_without_biases(settings: RxModel | ResNetModel, count: int) -> None:
    torch.manual_seed(0)
    model = without_biases(build(settings, SIZE))

    heat = lrp(model, views(count))

    assert abs(heat.logits[0]) > 0.05
    assert heat.totals.sum() == pytest.approx(heat.logits[0], rel=0.01)
    np.testing.assert_allclose(heat.views.sum(axis=(1, 2)), heat.totals, rtol=1e-3, atol=1e-4)


def test_what_biases_took_is_missing_from_the_sum() -> None:
    torch.manual_seed(0)
    model = without_biases(build(RxModel(norm="none"), SIZE))
    before = lrp(model, views(1)).totals.sum()
    nn.init.constant_(model.classifier[1].bias, 2.0)

    heat = lrp(model, views(1))

    assert heat.totals.sum() == pytest.approx(before, rel=1e-3)
    assert heat.logits[0] - heat.totals.sum() == pytest.approx(2.0, abs=0.02)


def test_the_network_is_what_it_was_afterwards() -> None:
    model = without_biases(build(RxModel(norm="group"), SIZE))
    batch = without_biases(build(ResNetModel(), SIZE))
    kept = [{name: value.clone() for name, value in each.state_dict().items()} for each in (model, batch)]

    lrp(model, views(1))
    lrp(batch, views(1))

    for each, before in zip((model, batch), kept, strict=True):
        after = each.state_dict()
        assert list(after) == list(before)
        assert all(torch.equal(after[name], before[name]) for name in before)
        assert not any("forward" in vars(module) or module._forward_hooks for module in each.modules())


def test_relevance_lies_on_the_spot_that_a_detector_of_bright_spots_sees() -> None:
    model = without_biases(build(RxModel(blocks=2, norm="none"), SIZE))
    for block in model.features:
        nn.init.constant_(block.conv.weight, 0.02)
    nn.init.constant_(model.classifier[1].weight, 1.0)
    picture = torch.zeros(1, 1, 128, 96)
    picture[0, 0, 84:88, 28:32] = 5.0

    heat = lrp(model, picture)

    assert peak(heat.views[0]) == pytest.approx((29.5, 85.5), abs=3)
    assert heat.views[0, 74:98, 18:42].sum() == pytest.approx(heat.totals[0], rel=1e-4)


def test_a_maximum_over_views_hands_all_to_the_winner_and_parts_a_tie() -> None:
    maps = torch.tensor([3.0, 1.0, 2.0, 2.0]).reshape(2, 2, 1, 1)  # view 0 has 3 and 1, view 1 has 2 and 2
    tied = torch.ones(2, 1, 1, 1)

    found = through_views(MaxPool(), maps, torch.ones(2) / 2, torch.tensor([6.0, 4.0]).reshape(2, 1, 1))
    parted = through_views(MaxPool(), tied, torch.ones(2) / 2, torch.full((1, 1, 1), 5.0))

    assert found.flatten().tolist() == [6.0, 0.0, 0.0, 4.0]
    assert parted.flatten().tolist() == [2.5, 2.5]


def test_averages_and_log_sum_exp_hand_back_in_proportion() -> None:
    maps = torch.tensor([3.0, 1.0]).reshape(2, 1, 1, 1)
    relevance = torch.full((1, 1, 1), 8.0)

    mean = through_views(MeanPool(), maps, torch.tensor([0.5, 0.5]), relevance)
    attention = through_views(MeanPool(), maps, torch.tensor([0.25, 0.75]), relevance)
    lse = through_views(LogSumExpPool(), maps, torch.ones(2), relevance)

    assert mean.flatten().tolist() == pytest.approx([6, 2])
    assert attention.flatten().tolist() == pytest.approx([4, 4])
    assert lse.flatten().tolist() == pytest.approx([8 * 0.880797, 8 * 0.119203], rel=1e-5)


def test_a_network_without_known_rules_is_refused() -> None:
    model = build(TimmModel(name="vit_tiny_patch16_224"), SIZE).eval()

    with pytest.raises(RadforgeError, match="no rule for a layer") as refused:
        lrp(model, views(1))

    assert "rx" in str(refused.value)


def test_without_zennit_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(RxModel(), SIZE).eval()
    monkeypatch.setitem(sys.modules, "zennit.rules", None)

    with pytest.raises(RadforgeError, match=r"pip install radforge\[lrp\]"):
        lrp(model, views(1))
