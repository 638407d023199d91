"""One network for single pictures and for studies: pooling over the views that exist, weights of views, transfer, freezing."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from schemas.errors import RadforgeError
from schemas.train_recipe import Model, RxModel
from training.models.build import build
from training.models.multi_view import MultiView, freeze
from training.models.pooling import EMPTY, view_pool
from training.models.transfer import load_features

torch.set_num_threads(1)
POOLS = ["max", "mean", "lse", "attention"]


def small(pool: str = "max", **change: object) -> MultiView:
    torch.manual_seed(3)
    settings: Model = RxModel.model_validate({"blocks": 2, "channels": (4, 8), "pool": pool, "head": "fc", "grid": 2, **change})
    return build(settings, (20, 24))


def studies(counts: list[int], most: int = 0) -> tuple[Tensor, Tensor]:
    """Studies with so many views each; what stands in the missing ones is absurd on purpose."""
    torch.manual_seed(5)
    mask = torch.arange(max(most, *counts)) < torch.tensor(counts)[:, None]
    views = torch.randn(*mask.shape, 1, 24, 20)
    views[~mask] = 1e6
    return views, mask


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("training", [False, True])
def test_the_order_of_the_views_does_not_matter(pool: str, training: bool) -> None:
    model = small(pool).train(training)
    views, mask = studies([3, 2, 1])
    expected, weights = model(views, mask), model.view_weights(views, mask)

    for order in map(list, itertools.permutations(range(3))):
        torch.testing.assert_close(model(views[:, order], mask[:, order]), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(model.view_weights(views[:, order], mask[:, order]), weights[:, order], rtol=0, atol=1e-5)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("training", [False, True])
def test_empty_views_do_not_matter(pool: str, training: bool) -> None:
    model = small(pool).train(training)
    views, mask = studies([3, 2, 1])
    more = torch.cat([views, torch.full_like(views[:, :2], float("nan"))], dim=1)
    wider = torch.cat([mask, torch.zeros_like(mask[:, :2])], dim=1)

    torch.testing.assert_close(model(more, wider), model(views, mask), rtol=0, atol=1e-5)
    assert (model.view_weights(more, wider)[:, 3:] == 0).all()


def test_empty_views_do_not_reach_the_batch_statistics() -> None:
    with_empty, without = small().train(), small().train()
    views, mask = studies([1, 1], most=4)

    with_empty(views, mask)
    without(views[:, :1], mask[:, :1])

    for name, value in without.features.state_dict().items():
        torch.testing.assert_close(with_empty.features.state_dict()[name], value)


@pytest.mark.parametrize("pool", POOLS)
def test_one_view_is_the_network_without_pooling(pool: str) -> None:
    model = small(pool).eval()
    views, mask = studies([1, 1, 1])

    torch.testing.assert_close(model(views, mask), model.classifier(model.features(views[:, 0])), rtol=0, atol=1e-6)
    assert torch.equal(model.view_weights(views, mask), torch.ones(3, 1))


@pytest.mark.parametrize("pool", POOLS)
def test_view_weights_sum_to_one_over_the_views_that_exist(pool: str) -> None:
    views, mask = studies([3, 2, 1])

    weights = small(pool).eval().view_weights(views, mask)

    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3))
    assert (weights >= 0).all()
    assert (weights[~mask] == 0).all()


def maps_of(*values: list[float]) -> tuple[Tensor, Tensor]:
    """One study: views with the values of a row of cells each, and an empty view."""
    maps = torch.tensor([*values, [EMPTY] * len(values[0])])[None, :, None, None, :]
    return maps, torch.tensor([[True] * len(values) + [False]])


def test_the_poolings_compute_what_their_formulas_say() -> None:
    maps, mask = maps_of([1.0, 0.0, 4.0], [3.0, 0.0, 2.0])

    def pooled(name: str) -> Tensor:
        return view_pool(name, 1)(maps, mask)[0].flatten()

    one, three = torch.tensor(1.0), torch.tensor(3.0)
    assert pooled("max").tolist() == [3.0, 0.0, 4.0]
    torch.testing.assert_close(pooled("mean"), torch.tensor([2.0, 0.0, 3.0]))
    torch.testing.assert_close(pooled("lse")[0], ((one.exp() + three.exp()) / 2).log())
    torch.testing.assert_close(pooled("lse")[1], torch.tensor(0.0))


def test_the_weights_of_max_are_shares_of_the_cells_that_tell_views_apart() -> None:
    maps, mask = maps_of([5.0, 1.0, 2.0, 0.0, 3.0], [0.0, 0.0, 7.0, 0.0, 0.0])

    _, weights = view_pool("max", 1)(maps, mask)

    torch.testing.assert_close(weights, torch.tensor([[0.75, 0.25, 0.0]]))


def test_views_that_agree_everywhere_weigh_the_same() -> None:
    maps, mask = maps_of([1.0, 0.0], [1.0, 0.0])

    for name in ("max", "mean", "lse"):
        torch.testing.assert_close(view_pool(name, 1)(maps, mask)[1], torch.tensor([[0.5, 0.5, 0.0]]))


def test_attention_learns_which_view_tells() -> None:
    torch.manual_seed(0)
    pool = view_pool("attention", 4)
    optimiser = torch.optim.Adam(pool.parameters(), lr=0.05)
    for _ in range(60):
        maps = torch.randn(16, 3, 4, 1, 1)
        maps[:, :, 0] = 0
        place = torch.randint(3, (16,))
        maps[torch.arange(16), place, 0] = 3.0
        _, weights = pool(maps, torch.ones(16, 3, dtype=torch.bool))
        loss = -weights[torch.arange(16), place].log().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    assert loss.item() < 0.1


@pytest.mark.parametrize("pool", POOLS)
def test_half_precision_with_empty_views_keeps_gradients_finite(pool: str) -> None:
    model = small(pool).train()
    views, mask = studies([2, 1])

    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(views, mask).float().sum().backward()

    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_frozen_features_keep_weights_and_batch_statistics_and_come_back() -> None:
    model = small()
    views, mask = studies([2, 2])
    freeze(model, True)
    before = {name: value.clone() for name, value in model.features.state_dict().items()}

    model.train()
    model(views, mask).sum().backward()

    assert all(torch.equal(value, before[name]) for name, value in model.features.state_dict().items())
    assert all(weight.grad is None for weight in model.features.parameters())
    assert all(weight.grad is not None for weight in model.classifier.parameters())
    freeze(model, False)
    assert all(layer.training for layer in model.modules())
    model(views, mask).sum().backward()
    assert all(weight.grad is not None for weight in model.features.parameters())


def test_features_are_taken_from_another_model_and_the_classifier_starts_fresh() -> None:
    source = small("attention")
    torch.manual_seed(11)
    model = build(RxModel(blocks=2, channels=(4, 8), head="max"), (20, 24))
    before = [weight.clone() for weight in model.classifier.parameters()]

    load_features(model, source.state_dict(), "features")

    assert all(torch.equal(value, source.features.state_dict()[name]) for name, value in model.features.state_dict().items())
    assert all(torch.equal(now, then) for now, then in zip(model.classifier.parameters(), before, strict=True))


def test_with_all_the_single_view_model_says_the_same_in_the_new_one() -> None:
    source, model = small("max").eval(), small("attention", init="default").eval()
    views, mask = studies([1, 1])

    load_features(model, source.state_dict(), "all")

    torch.testing.assert_close(model(views, mask), source(views, mask))


def test_features_of_another_shape_are_refused_by_name_and_nothing_is_changed() -> None:
    model = small()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    with pytest.raises(RadforgeError, match=r"runs/x: .*`block2\.conv\.weight` is 9x4x3x3 instead of 8x4x3x3"):
        load_features(model, small(channels=(4, 9)).state_dict(), where="runs/x")
    with pytest.raises(RadforgeError, match="is missing"):
        load_features(model, small(blocks=1).state_dict())
    with pytest.raises(RadforgeError, match="hold no features"):
        load_features(model, nn.Linear(2, 2).state_dict())

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_classifier_of_another_shape_is_refused_before_the_features_are_changed() -> None:
    model = small()
    torch.manual_seed(12)
    other = build(RxModel(blocks=2, channels=(4, 8), head="max"), (20, 24)).state_dict()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    with pytest.raises(RadforgeError, match="do not fit"):
        load_features(model, other, "all")

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
