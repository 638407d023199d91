"""Which items an epoch shows, in what order, and how they make batches. Pure functions of (seed, epoch)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.errors import RadforgeError

Balance = Literal["equal", "weighted", "none"]


def generator(seed: int, *keys: int) -> np.random.Generator:
    """A generator that is a function of the seed and its keys (non-negative): any other keys give an independent one."""
    # As a spawn key, because SeedSequence takes (1, 2) and (1, 2, 0) for the same entropy.
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=keys)))


def epoch_order(target: NDArray[np.float32], balance: Balance, seed: int, epoch: int) -> NDArray[np.int64]:
    """Positions of the items that an epoch shows, int64, in order; `target` is float32 (n_items,), 0 or 1.

    `equal`: n_min of each class, drawn without replacement and shuffled: an exact half each.
    `weighted`: the thesis' rule, P(s) = n_opposite(s) / (2 n_b n_nb), without replacement, 2 n_min draws, in the order drawn.
    It is not the balance it looks like: the small class runs out, so 4,214 of 13,538 give 40.8 %, not 50 %.
    `none`: every item, shuffled.
    """
    rng = generator(seed, epoch)
    positive = np.flatnonzero(target > 0.5)
    negative = np.flatnonzero(target <= 0.5)
    fewest = min(positive.size, negative.size)
    if balance == "none":
        return rng.permutation(target.size).astype(np.int64)
    if balance == "equal":
        chosen = np.concatenate([rng.permutation(side)[:fewest] for side in (positive, negative)])
        return rng.permutation(chosen).astype(np.int64)
    labelled = np.concatenate([positive, negative])
    weight = np.where(target[labelled] > 0.5, negative.size, positive.size)
    # The first of independent exponential clocks rings with chance rate / sum of rates, and again among those left: sorted,
    # they are draws without replacement (Efraimidis & Spirakis 2006, Inf. Process. Lett. 97, 181).
    rings = rng.exponential(size=labelled.size) / weight
    return labelled[np.argsort(rings, kind="stable")[: 2 * fewest]].astype(np.int64)


def batches_of(order: NDArray[np.int64], batch: int, rank: int = 0, world: int = 1) -> list[NDArray[np.int64]]:
    """The share of process `rank` of `world` in each batch of `batch` consecutive items.

    Together the processes see in a step what one alone would see. A last, smaller batch is cut to a multiple of `world`, and
    left out where it would give a process fewer than two items (which batch statistics cannot bear) after full batches.
    Raises RadforgeError when a batch does not divide between the processes.
    """
    if batch % world:
        raise RadforgeError("a batch does not divide between the processes", "loop.batch", str(batch), f"a multiple of {world}")
    batches: list[NDArray[np.int64]] = []
    for start in range(0, order.size, batch):
        share = min(batch, order.size - start) // world
        tail = share * world < batch
        if share == 0 or (tail and share < 2 and batches):
            break
        batches.append(order[start + rank * share : start + (rank + 1) * share])
    return batches
