"""The loop's parts: learning rate, chance, phases, one step."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from schemas.errors import RadforgeError
from schemas.loading import load
from schemas.train_recipe import Loop, Optim, Schedule, TrainRecipe
from training.data.batches import Batch
from training.loop import chance, checkpoint
from training.loop.optimiser import LearningRate, optimiser
from training.loop.phases import phases
from training.loop.progress import Progress, Sums
from training.loop.ranks import Ranks
from training.loop.step import Stepper, half_precision
from training.models.build import build
from training.targets import BinaryLabel

ALONE = Ranks(0, 1, 0, torch.device("cpu"))


def stepper(settings: Loop, name: str = "sgd", norm: str = "none") -> Stepper:
    torch.manual_seed(0)
    recipe = load(TrainRecipe, "rx_lite", "train", ["data.size=[32,32]", f"model.norm={norm}", "model.blocks=2"])
    network = build(recipe.model, recipe.data.size)
    network.eval()  # without batch statistics, so that parts of a batch give the gradient of the whole
    return Stepper(network, optimiser(network, Optim(name=name), 0.1), BinaryLabel(), settings, ALONE, 0.5, 0.2)


def batch(count: int = 8) -> Batch:
    rng = np.random.default_rng(0)
    views = torch.from_numpy(rng.integers(0, 255, (count, 1, 1, 32, 32), dtype=np.uint8))
    return Batch(views, torch.ones(count, 1, dtype=torch.bool), torch.arange(count).float() % 2, torch.arange(count))


def weights(from_: Stepper) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in from_.network.parameters()])


def test_the_rate_rises_waits_until_released_and_then_falls_to_nothing() -> None:
    rate = LearningRate(1.0, 9, Schedule(name="cosine"))

    assert rate.at(0, 100, None) == pytest.approx(0.1)
    assert rate.at(50, 100, None) == 1.0
    assert rate.at(50, 100, 50) == 1.0
    assert rate.at(75, 100, 50) == pytest.approx(0.5)
    assert rate.at(100, 100, 50) == pytest.approx(0.0)


def test_a_step_schedule_divides_by_ten_after_two_thirds() -> None:
    rate = LearningRate(1.0, 0, Schedule(name="step"))

    assert [rate.at(step, 90, 0) for step in (0, 59, 60, 89)] == [1.0, 1.0, 0.1, 0.1]


@pytest.mark.parametrize("name", ["adam", "adamw", "amsgrad", "sgd"])
def test_every_optimiser_moves_the_weights_and_never_decays_biases(name: str) -> None:
    moved = stepper(Loop(batch=8), name)
    before = weights(moved)

    moved.step(batch(), 0.01)

    assert not torch.equal(before, weights(moved))
    groups = optimiser(moved.network, Optim(name="adamw", weight_decay=0.5), 0.1).param_groups
    assert {p.ndim > 1 for p in groups[0]["params"]} == {True}
    assert (groups[0]["weight_decay"], groups[1]["weight_decay"]) == (0.5, 0.0)


def test_amsgrad_is_adam_with_that_switch() -> None:
    assert optimiser(nn.Linear(2, 2), Optim(name="amsgrad"), 0.1).defaults["amsgrad"] is True


def test_a_batch_in_parts_takes_the_same_step_as_the_whole() -> None:
    whole, parted = stepper(Loop(batch=8)), stepper(Loop(batch=8, accumulate=4))

    one, four = whole.step(batch(), 0.1), parted.step(batch(), 0.1)

    assert one.loss == pytest.approx(four.loss, rel=1e-5)
    torch.testing.assert_close(weights(whole), weights(parted), rtol=1e-5, atol=1e-6)


def test_clipping_bounds_the_step() -> None:
    free, clipped = stepper(Loop(batch=8)), stepper(Loop(batch=8, clip_norm=1e-3))
    before = weights(free)

    free.step(batch(), 1.0)
    clipped.step(batch(), 1.0)

    assert float((weights(free) - before).norm()) > 2e-3
    assert float((weights(clipped) - before).norm()) == pytest.approx(1e-3, rel=0.01)


def test_the_running_average_lags_behind_the_weights() -> None:
    averaged = stepper(Loop(batch=8, ema=0.5))
    before = weights(averaged)

    averaged.step(batch(), 0.1)
    averaged.step(batch(), 0.1)

    kept = torch.cat([p.detach().flatten() for p in averaged.validated.parameters()])
    now = weights(averaged)
    assert not torch.equal(kept, now)
    assert float((kept - before).norm()) < float((now - before).norm())


def test_half_precision_on_a_cpu_is_bfloat16_or_nothing() -> None:
    cpu = torch.device("cpu")

    assert half_precision(Loop(amp="auto"), cpu) is None
    assert half_precision(Loop(amp="bf16"), cpu) is torch.bfloat16
    with pytest.raises(RadforgeError, match="fp16 needs a GPU"):
        half_precision(Loop(amp="fp16"), cpu)


def test_bfloat16_training_takes_a_finite_step() -> None:
    half = stepper(Loop(batch=8, amp="bf16"))

    assert math.isfinite(half.step(batch(), 0.01).loss)


def test_a_lack_of_memory_is_one_message_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    short = stepper(Loop(batch=8))

    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(short.network, "forward", refuse)

    with pytest.raises(RadforgeError, match=r"out of memory.*loop.accumulate=2"):
        short.step(batch(), 0.1)


def test_a_flat_network_at_the_loss_of_a_coin_has_not_left_chance() -> None:
    flat = chance.Epoch(loss=0.6931, spread=1e-4, positives=0.5, best_auc=0.7)
    blind = chance.Epoch(loss=0.70, spread=0.3, positives=0.5, best_auc=0.52)
    seeing = chance.Epoch(loss=0.60, spread=0.8, positives=0.5, best_auc=0.71)

    assert [epoch.left(0.6) for epoch in (flat, blind, seeing)] == [False, False, True]
    assert "has not left chance" in chance.told(flat, 2, "stage main")


def test_the_loss_of_a_coin_follows_the_share_of_positives() -> None:
    assert chance.Epoch(0, 0, 0.5, 0).chance_loss == pytest.approx(math.log(2))
    assert chance.Epoch(0, 0, 0.1, 0).chance_loss == pytest.approx(0.3251, abs=1e-4)


def test_the_mvcnn_recipe_is_two_phases_and_a_single_view_recipe_one() -> None:
    mvcnn, single = (phases(load(TrainRecipe, name, "train")) for name in ("mvcnn", "rx_lite"))

    assert [(p.name, p.views, p.batch) for p in mvcnn] == [("first", "one", 24), ("main", "all", 8)]
    assert [(p.name, p.views) for p in single] == [("main", "one")]


def test_frozen_epochs_count_from_the_start_of_the_main_phase() -> None:
    thawing = phases(load(TrainRecipe, "mvcnn", "train", ["init.frozen_epochs=2"]))[-1]
    forever = phases(load(TrainRecipe, "mvcnn", "train", ["init.frozen_epochs=-1"]))[-1]

    assert [thawing.frozen(epoch) for epoch in range(4)] == [True, True, False, False]
    assert forever.frozen(99)


def test_progress_survives_a_checkpoint(tmp_path: Path) -> None:
    progress = Progress(phase=1, epoch=3, step=7, released=11, best={"auc": 0.9}, done=[["first", 1]], sums=Sums(loss=2.5))
    checkpoint.save(tmp_path / "c.pt", {"model": {}, "progress": progress.as_dict()})

    assert Progress.of(checkpoint.load(tmp_path / "c.pt")["progress"]) == progress


def test_a_damaged_checkpoint_is_one_clear_message(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"model": {"w": torch.zeros(1000)}})
    path.write_bytes(path.read_bytes()[:-200])

    with pytest.raises(RadforgeError, match="the checkpoint is damaged"):
        checkpoint.load(path)


def test_a_few_studies_reach_a_high_auc_by_luck_and_are_not_believed() -> None:
    lucky = chance.Epoch(loss=0.69, spread=0.3, positives=0.5, best_auc=0.63, noise=chance.auc_noise(12, 12))
    many = chance.Epoch(loss=0.69, spread=0.3, positives=0.5, best_auc=0.63, noise=chance.auc_noise(100, 100))

    assert chance.auc_noise(100, 100) == pytest.approx(0.0818, abs=1e-3)
    assert [lucky.left(0.6), many.left(0.6)] == [False, True]
