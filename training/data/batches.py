"""Batches for the model: read from the cache, augmented, padded to the same number of views. Order and content never depend
on the number of workers."""

from __future__ import annotations

import atexit
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Self
from weakref import WeakSet

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from schemas.train_recipe import TrainRecipe
from training.data.augment import augment, picture_seed
from training.data.cache import Pictures
from training.data.films import Films
from training.data.sampler import generator

_VIEWS_AN_ITEM = 8
"""An evaluation batch holds at most so many views for each item it may hold: memory, when studies are large."""
_FOR_THE_DRIVER = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_running: WeakSet[Iterator[Batch]] = WeakSet()


@dataclass(frozen=True, eq=False)
class Batch:
    """B items with up to V views each."""

    views: Tensor
    """uint8 (B, V, 1, H, W); padding is black."""
    mask: Tensor
    """bool (B, V): True where there is a view."""
    target: Tensor
    """float32 (B,): 0 or 1, NaN without a label."""
    item: Tensor
    """int64 (B,): index into the list of items."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The batch on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """The batch in page-locked memory; the loader asks for it."""
        return self._each(lambda tensor: tensor.pin_memory())

    def parts(self, count: int) -> list[Self]:
        """The batch in `count` parts as equal as can be, fewer where there are fewer items."""
        edges = np.linspace(0, len(self.item), min(count, len(self.item)) + 1).astype(int).tolist()
        return [self._each(lambda t, a=a, b=b: t[a:b]) for a, b in pairwise(edges)]

    def _each(self, change: Any) -> Self:
        return type(self)(*(change(getattr(self, field.name)) for field in fields(self)))


@dataclass(frozen=True, eq=False)
class _Batches(Dataset[Batch]):
    """A batch for each array of item indices. A recipe makes it a training batch: fewer views and augmentation."""

    pictures: Pictures | NDArray[np.uint8]
    target: NDArray[np.float32]
    items: Sequence[NDArray[np.int64]]
    recipe: TrainRecipe | None
    epoch: int

    def __getitem__(self, batch: NDArray[np.int64]) -> Batch:
        chosen = [self._views(int(item)) for item in batch]
        rows, columns = self.pictures.shape[1:]
        most = max(len(positions) for positions in chosen)
        views = torch.zeros((len(chosen), most, 1, rows, columns), dtype=torch.uint8)
        mask = torch.zeros((len(chosen), most), dtype=torch.bool)
        # Drawing must not move the training process' own generator, which it does not share with a worker.
        state = torch.default_generator.get_state()
        for place, positions in enumerate(chosen):
            mask[place, : len(positions)] = True
            for view, position in enumerate(positions.tolist()):
                views[place, view] = self._picture(position)
        torch.default_generator.set_state(state)
        target = torch.from_numpy(self.target[[positions[0] for positions in chosen]])
        return Batch(views, mask, target, torch.from_numpy(np.asarray(batch, dtype=np.int64)))

    def _views(self, item: int) -> NDArray[np.int64]:
        positions = self.items[item]
        if self.recipe is None or len(positions) <= self.recipe.data.max_views:
            return positions
        rng = generator(self.recipe.seed, self.epoch, item, 0)
        return np.sort(rng.choice(positions, self.recipe.data.max_views, replace=False))

    def _picture(self, position: int) -> Tensor:
        picture = torch.from_numpy(np.array(self.pictures[position]))[None]
        if self.recipe is None:
            return picture
        torch.default_generator.manual_seed(picture_seed(self.recipe.seed, self.epoch, position))
        return augment(picture, self.recipe.augment)


def train_batches(
    pictures: Pictures | NDArray[np.uint8],
    films: Films,
    items: Sequence[NDArray[np.int64]],
    batches: Sequence[NDArray[np.int64]],
    *,
    recipe: TrainRecipe,
    epoch: int,
    workers: int,
    pin: bool,
) -> Iterator[Batch]:
    """Augmented batches of an epoch, in the order of `batches` (indices into `items`); what is left of them after a resume.

    An item is the positions of one picture or of a study's pictures; of more than `data.max_views` so many are drawn anew
    each epoch. A batch is a function of (recipe.seed, epoch, its indices) alone.
    """
    return _load(_Batches(pictures, films.target, items, recipe, epoch), batches, workers, pin)


def eval_batches(
    pictures: Pictures | NDArray[np.uint8],
    films: Films,
    items: Sequence[NDArray[np.int64]],
    *,
    batch: int,
    workers: int,
    pin: bool,
) -> Iterator[Batch]:
    """Every item once with all its views as they are, those of like view count together; `Batch.item` says which they are."""
    batches: list[list[int]] = []
    for item in sorted(range(len(items)), key=lambda item: len(items[item])):
        # Ascending, so that this item has the most views of the batch.
        full = not batches or len(batches[-1]) >= batch or (len(batches[-1]) + 1) * len(items[item]) > _VIEWS_AN_ITEM * batch
        if full:
            batches.append([])
        batches[-1].append(item)
    arrays = [np.array(chosen, dtype=np.int64) for chosen in batches]
    return _load(_Batches(pictures, films.target, items, None, 0), arrays, workers, pin)


def normalise(views: Tensor, mean: float, std: float) -> Tensor:
    """uint8 0..255 to float32: (grey - mean) / std with greys of 0..1, on the device where the views are."""
    return views.float().mul(1 / (255 * std)).sub(mean / std)


def _load(dataset: _Batches, batches: Sequence[NDArray[np.int64]], workers: int, pin: bool) -> Iterator[Batch]:
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=batches,  # an index is a whole batch
        num_workers=min(workers, len(batches)),
        pin_memory=pin,
        worker_init_fn=_leave_signals_to_the_driver,
        generator=torch.Generator(),  # the loader draws a seed: not from the training's generator
    )
    # Blocked from before the workers are there: a queue signals every process of a job, also one that has just begun.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_THE_DRIVER)
    try:
        batches_to_come = iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    _running.add(batches_to_come)
    return batches_to_come


@atexit.register
def _end_workers() -> None:
    # An exit in the middle of an epoch: multiprocessing would send its children SIGTERM, which ours ignore, and wait for ever.
    for batches_to_come in list(_running):
        if hasattr(batches_to_come, "_shutdown_workers"):
            batches_to_come._shutdown_workers()


def _leave_signals_to_the_driver(worker: int) -> None:
    for number in _FOR_THE_DRIVER:
        signal.signal(number, signal.SIG_IGN)
    # Ignored from here on, and so no longer held back.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_THE_DRIVER)
