"""Rx: what it is made of, which pictures it refuses when it is built, and what the initialisation does to it."""

import pytest
import torch
from torch import nn

from schemas.errors import RadforgeError
from schemas.train_recipe import RxModel
from training.models.build import build
from training.models.multi_view import MultiView
from training.models.rx_sizes import sizes_after, smallest_side

torch.set_num_threads(1)


def single(pictures: int, columns: int, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of one view each: noise with a bright bar in another place in each."""
    views = 0.3 * torch.randn(pictures, 1, 1, rows, columns)
    for number in range(pictures):
        views[number, ..., 5 + 7 * number :, :] += 1
    return views, torch.ones(pictures, 1, dtype=torch.bool)


def spread(model: MultiView, columns: int, rows: int) -> float:
    with torch.no_grad():
        return float(model(*single(6, columns, rows)).std())


@pytest.mark.parametrize(("padding", "blocks", "side"), [(0, 4, 46), (0, 8, 766), (1, 8, 256), (1, 4, 16), (0, 1, 4)])
def test_the_smallest_side_is_the_smallest_that_can_be_built_and_run(padding: int, blocks: int, side: int) -> None:
    assert smallest_side(blocks, padding) == side
    assert min(sizes_after((side, side), blocks, padding)[-1]) == 1
    assert min(sizes_after((side - 1, side), blocks, padding)[-1]) == 0


@pytest.mark.parametrize(
    ("blocks", "padding", "columns", "rows"), [(4, 0, 61, 46), (4, 1, 17, 40), (5, 0, 95, 130), (3, 1, 9, 11)]
)
def test_the_sizes_worked_out_are_those_of_the_tensors(blocks: int, padding: int, columns: int, rows: int) -> None:
    model = build(RxModel.model_validate({"blocks": blocks, "padding": padding, "channels": (2,)}), (columns, rows))

    sizes = [(rows, columns)]
    images = torch.zeros(2, 1, rows, columns)
    for block in model.features.children():
        images = block(images)
        sizes.append((images.shape[2], images.shape[3]))

    assert sizes == sizes_after((rows, columns), blocks, padding)


def test_the_large_one_as_the_thesis_draws_it_is_refused_when_it_is_built() -> None:
    with pytest.raises(RadforgeError) as refused:
        build(RxModel(blocks=8, padding=0, channels=(16, 32, 64, 128, 256)), (341, 512))

    assert len(refused.value.problems) == 1
    message = str(refused.value)
    assert "512x341 -> 255x169 -> 126x83 -> 62x40 -> 30x19 -> 14x8 -> 6x3 -> 2x0" in message
    assert "block 7 pools 4x1 to nothing" in message
    assert "341 columns x 512 rows" in message
    assert "sides of 766 or more or `model.padding = 1` or `model.blocks = 6` at most" in message


def test_the_advice_is_true() -> None:
    build(RxModel(blocks=8, padding=1, channels=(2,)), (341, 512))
    build(RxModel(blocks=6, padding=0, channels=(2,)), (341, 512))
    build(RxModel(blocks=8, padding=0, channels=(2,)), (766, 766))


def test_a_padded_one_is_refused_too_and_padding_is_not_advised_where_it_does_not_help() -> None:
    for padding in (0, 1):
        with pytest.raises(RadforgeError, match=r"sides of (256|766)") as refused:
            build(RxModel.model_validate({"blocks": 8, "padding": padding}), (255, 400))
        assert "model.padding" not in str(refused.value)


def test_a_convolution_that_finds_no_room_is_told_as_such() -> None:
    with pytest.raises(RadforgeError, match="block 6 cannot convolve the 1x1 that are left"):
        build(RxModel(blocks=8, padding=0), (100, 100))


def test_rx_lite_is_what_the_thesis_draws() -> None:
    model = build(RxModel(padding=0, norm="none", head="fc"), (341, 512))

    kinds = [type(layer).__name__ for block in model.features.children() for layer in block.children()]
    widths = [(layer.in_features, layer.out_features) for layer in model.classifier.modules() if isinstance(layer, nn.Linear)]
    assert kinds == ["Conv2d", "MaxPool2d", "ReLU"] * 4
    assert widths == [(2048, 128), (128, 32), (32, 1)]
    assert model(*single(2, 341, 512)).shape == (2, 1)


@pytest.mark.parametrize("head", ["max", "average", "fc"])
@pytest.mark.parametrize("norm", ["none", "batch", "group"])
def test_every_norm_and_head_trains_every_weight(norm: str, head: str) -> None:
    settings = RxModel.model_validate({"norm": norm, "head": head, "blocks": 3, "channels": (4, 6), "grid": 2})
    model = build(settings, (24, 32), outputs=3)

    logits = model(*single(3, 24, 32))
    logits.square().sum().backward()

    assert logits.shape == (3, 3)
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_the_last_width_is_repeated_for_further_blocks() -> None:
    model = build(RxModel(blocks=4, channels=(2, 3)), (32, 32))

    assert [layer.out_channels for layer in model.features.modules() if isinstance(layer, nn.Conv2d)] == [2, 3, 3, 3]


def test_the_same_seed_gives_the_same_weights() -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(7)
        weights.append(build(RxModel(), (64, 64)).state_dict())

    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_he_initialisation_spreads_weights_by_their_fan_in_and_leaves_biases_at_zero() -> None:
    torch.manual_seed(0)
    model = build(RxModel(norm="none", head="fc"), (64, 64))

    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    assert all(layer.bias is not None and not layer.bias.any() for layer in layers)
    last = layers[3].weight
    assert last.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


def test_the_default_initialisation_without_norm_gives_every_film_the_same_logit() -> None:
    deep = {"blocks": 8, "channels": (8, 16, 32, 64), "head": "fc", "grid": 2}
    size = (256, 256)
    spreads = {}
    for name, change in {
        "default": {"init": "default", "norm": "none"},
        "he": {"init": "he", "norm": "none"},
        "batch": {"init": "default", "norm": "batch"},
    }.items():
        torch.manual_seed(0)
        spreads[name] = spread(build(RxModel.model_validate(deep | change), size), *size)

    assert spreads["default"] < 1e-3
    assert spreads["he"] > 100 * spreads["default"]
    assert spreads["batch"] > 100 * spreads["default"]
