from __future__ import annotations

import numpy as np
import pytest

from schemas.errors import RadforgeError
from training.data.sampler import Balance, batches_of, epoch_order, generator

THESIS = np.repeat(np.array([1, 0], dtype=np.float32), [4214, 9324])


def test_equal_shows_an_exact_half_of_each_class_once() -> None:
    order = epoch_order(THESIS, "equal", 0, 0)

    assert len(order) == len(set(order.tolist())) == 2 * 4214
    assert THESIS[order].sum() == 4214
    assert 0.4 < THESIS[order][:1000].mean() < 0.6


def test_weighted_is_the_thesis_rule_and_gives_41_percent() -> None:
    order = epoch_order(THESIS, "weighted", 0, 0)

    assert len(order) == len(set(order.tolist())) == 2 * 4214
    assert 100 * THESIS[order].mean() == pytest.approx(40.8, abs=1)


def test_weighted_draws_one_after_the_other_without_replacement() -> None:
    target = np.array([1, 0, 0], dtype=np.float32)  # weights 2, 1, 1: two draws

    pairs = [tuple(epoch_order(target, "weighted", 0, epoch).tolist()) for epoch in range(6000)]

    # By hand: first the positive one with 1/2, then either other with 1/2; first a negative one with 1/4, then 2/3 : 1/3.
    expected = {(0, 1): 1 / 4, (0, 2): 1 / 4, (1, 0): 1 / 6, (2, 0): 1 / 6, (1, 2): 1 / 12, (2, 1): 1 / 12}
    assert {pair: pairs.count(pair) / len(pairs) for pair in expected} == pytest.approx(expected, abs=0.025)


def test_none_shows_everything_once() -> None:
    order = epoch_order(THESIS, "none", 0, 0)

    assert sorted(order.tolist()) == list(range(len(THESIS)))
    assert order.tolist() != sorted(order.tolist())


@pytest.mark.parametrize("balance", ["equal", "weighted", "none"])
def test_the_order_is_a_function_of_seed_and_epoch(balance: Balance) -> None:
    orders = [epoch_order(THESIS, balance, seed, epoch).tolist() for seed, epoch in [(0, 0), (0, 1), (1, 0), (0, 0)]]

    assert orders[0] == orders[3]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_generators_of_other_keys_differ_even_by_a_trailing_zero() -> None:
    draws = {keys: generator(*keys).integers(0, 2**60) for keys in [(1, 2), (1, 2, 0), (1, 2, 0, 0), (2, 1)]}

    assert len(set(draws.values())) == 4


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("items", [64, 61, 7, 100])
def test_processes_together_see_in_a_step_what_one_would_see(world: int, items: int) -> None:
    order = np.random.default_rng(0).permutation(items)

    shares = [batches_of(order, 16, rank, world) for rank in range(world)]

    assert len({len(share) for share in shares}) == 1
    for step, together in enumerate(zip(*shares, strict=True)):
        assert len({len(part) for part in together}) == 1
        whole = order[16 * step : 16 * (step + 1)]
        assert np.concatenate(together).tolist() == whole[: len(whole) // world * world].tolist()


@pytest.mark.parametrize(
    ("items", "batch", "world", "sizes"),
    [
        (10, 4, 1, [4, 4, 2]),
        (9, 4, 1, [4, 4]),  # one item left: batch statistics cannot bear it
        (11, 4, 2, [2, 2]),
        (13, 8, 2, [4, 2]),
        (3, 8, 1, [3]),
        (1, 8, 1, [1]),  # better than nothing
        (1, 8, 2, []),
        (3, 1, 1, [1, 1, 1]),
        (0, 8, 1, []),
    ],
)
def test_a_last_batch_is_cut_or_left_out(items: int, batch: int, world: int, sizes: list[int]) -> None:
    assert [len(share) for share in batches_of(np.arange(items), batch, 0, world)] == sizes


def test_a_batch_that_does_not_divide_between_processes_is_told() -> None:
    with pytest.raises(RadforgeError, match=r"loop\.batch.*found 9; expected a multiple of 2"):
        batches_of(np.arange(20), 9, 0, 2)
