"""Training pictures a second: from the packed cache, and read from PNG for every epoch as a plain data set does."""

from __future__ import annotations

import statistics
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

from cluster.progress import Reporter
from schemas.train_recipe import TrainRecipe
from tests.training.drawn_dataset import drawn_version
from training.data.augment import augment
from training.data.batches import normalise, train_batches
from training.data.cache import open_cache
from training.data.films import Films, read_films
from training.data.fit import fit
from training.data.sampler import batches_of, epoch_order

BATCH = 32
_MOST = 100_000


@dataclass(frozen=True, eq=False)
class PlainPictures(Dataset[tuple[Tensor, float]]):
    """cv2.imread, the same fit and the same augmentation, once more for each picture of each epoch."""

    films: Films
    recipe: TrainRecipe
    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> tuple[Tensor, float]:
        picture = cv2.imread(self.paths[position], cv2.IMREAD_UNCHANGED)
        fitted = fit(picture, self.recipe.data.size, self.recipe.data.fit, self.films.largest)
        return augment(torch.from_numpy(fitted)[None], self.recipe.augment), float(self.films.target[position])


def compare(
    folder: Path,
    studies: int = 120,
    picture: tuple[int, int] = (1024, 768),
    size: tuple[int, int] = (341, 512),
    workers: int = 2,
    rounds: int = 3,
    seconds: float = 3.0,
) -> dict[str, Any]:
    """Images a second of both on a drawn version, measured in turns; medians, and the median of the ratios.

    `picture`: rows and columns of the largest PNG; `size`: columns and rows of the input. Each is measured for so many
    `seconds` after its first batch, so that starting the workers does not count. `build_s` is what the cache costs once.
    """
    recipe = TrainRecipe.model_validate({"data": {"size": size}})
    films = read_films(drawn_version(folder / "ds", studies, views=(2, 2), size=picture), recipe.data)
    began = time.perf_counter()
    pictures = open_cache(films, recipe.data, folder / "cache", Reporter(Console(stderr=True), quiet=True))
    build_s = time.perf_counter() - began
    plain = PlainPictures(
        films, recipe, tuple(str(films.version.folder / path) for path in films.rows["image_path"].to_pylist())
    )
    items = [np.array([position]) for position in range(len(pictures))]
    order = np.concatenate([epoch_order(films.target, "none", 0, epoch) for epoch in range(_MOST // len(items) + 1)])
    cached_per_s, png_per_s = [], []
    for epoch in range(rounds):
        batches = batches_of(order, BATCH)
        cached = train_batches(pictures, films, items, batches, recipe=recipe, epoch=epoch, workers=workers, pin=False)
        cached_per_s.append(_rate((len(batch.item) for batch in cached), seconds))
        del cached
        drawn = RandomSampler(plain, replacement=True, num_samples=_MOST)
        png = DataLoader(plain, batch_size=BATCH, sampler=drawn, num_workers=workers)
        png_per_s.append(_rate((len(target) for _, target in png), seconds))
    return {
        "pictures": len(pictures),
        "size": size,
        "workers": workers,
        "build_s": build_s,
        "cached_per_s": statistics.median(cached_per_s),
        "png_per_s": statistics.median(png_per_s),
        "ratio": statistics.median(ours / theirs for ours, theirs in zip(cached_per_s, png_per_s, strict=True)),
    }


def fed_per_s(folder: Path, device: str, workers: int = 4, seconds: float = 5.0) -> float:
    """Pictures of 341 x 512 a second from the cache to a device, pinned, and normalised there."""
    recipe = TrainRecipe()
    films = read_films(drawn_version(folder / "fed", 120, views=(2, 2), size=(1024, 768)), recipe.data)
    pictures = open_cache(films, recipe.data, folder / "cache", Reporter(Console(stderr=True), quiet=True))
    items = [np.array([position]) for position in range(len(pictures))]
    order = np.concatenate([epoch_order(films.target, "none", 0, epoch) for epoch in range(_MOST // len(items) + 1)])
    loaded = train_batches(pictures, films, items, batches_of(order, BATCH), recipe=recipe, epoch=0, workers=workers, pin=True)
    return _rate((len(normalise(b.to(device, non_blocking=True).views, films.mean, films.std)) for b in loaded), seconds)


def _rate(sizes: Generator[int, None, None], seconds: float) -> float:
    """Items a second after the first batch; the loader ends with its generator."""
    with closing(sizes):
        next(sizes)
        began, items = time.perf_counter(), 0
        for size in sizes:
            items += size
            if time.perf_counter() - began >= seconds:
                break
        return items / (time.perf_counter() - began)
