"""What the loop costs: a training step of ours against a bare PyTorch loop on the same model, batches and optimiser."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from schemas.loading import load
from schemas.train_recipe import TrainRecipe
from training.data.batches import Batch
from training.loop.journal import Journal
from training.loop.optimiser import LearningRate, optimiser
from training.loop.ranks import Ranks
from training.loop.step import Stepper
from training.models.build import build
from training.targets import BinaryLabel

SIZE = (96, 128)
BATCH = 32
STEPS = 25
ROUNDS = 5


def compare(folder: Path) -> dict[str, Any]:
    """Seconds of a step of each, medians of alternating rounds, and ours over theirs."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    pictures = torch.from_numpy(rng.integers(0, 255, (BATCH, 1, 1, SIZE[1], SIZE[0]), dtype=np.uint8))
    batch = Batch(pictures, torch.ones(BATCH, 1, dtype=torch.bool), torch.arange(BATCH).float() % 2, torch.arange(BATCH))
    ours, bare = _ours(folder, batch), _bare(batch)
    ours(3)
    bare(3)
    pairs = [(_timed(ours), _timed(bare)) for _ in range(ROUNDS)]
    return {
        "ours_s": statistics.median(a for a, _ in pairs),
        "bare_s": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(a / b for a, b in pairs),
    }


def _timed(steps: Any) -> float:
    began = time.process_time()
    steps(STEPS)
    return (time.process_time() - began) / STEPS


def _ours(folder: Path, batch: Batch) -> Any:
    """What the loop does in a step, with its bookkeeping."""
    recipe = load(TrainRecipe, "rx_lite", "train", [f"data.size={list(SIZE)}"])
    torch.manual_seed(0)
    network = build(recipe.model, SIZE).train()
    ranks = Ranks(0, 1, 0, torch.device("cpu"))
    stepper = Stepper(network, optimiser(network, recipe.optim, 1e-3), BinaryLabel(), recipe.loop, ranks, 0.3, 0.2)
    rate, journal = LearningRate(1e-3, 10, recipe.schedule), Journal(folder, "here")

    def steps(count: int) -> None:
        for step in range(count):
            lr = rate.at(step, count, 0)
            torch.manual_seed(step)
            result = stepper.step(batch, lr)
            loss, items, _ = ranks.total([result.loss, float(len(batch.item)), 0.0])
            _ = float(result.logits.sum()), float(result.logits.square().sum())
            journal.step("main", 1, step, loss / items, lr)

    return steps


def _bare(batch: Batch) -> Any:
    """The shortest loop that learns the same."""
    recipe = load(TrainRecipe, "rx_lite", "train", [f"data.size={list(SIZE)}"])
    torch.manual_seed(0)
    network = build(recipe.model, SIZE).train()
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)

    def steps(count: int) -> None:
        for _ in range(count):
            adam.zero_grad()
            views = (batch.views.float() / 255 - 0.3) / 0.2
            loss = functional.binary_cross_entropy_with_logits(network(views, batch.mask)[:, 0], batch.target)
            loss.backward()
            adam.step()
            loss.item()

    return steps
