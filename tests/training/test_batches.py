from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console

from cluster.progress import Reporter
from cluster.shell import call
from schemas.train_recipe import Augment, TrainRecipe
from tests.training.drawn_dataset import drawn_version
from training.data.batches import Batch, eval_batches, normalise, train_batches
from training.data.cache import Pictures, open_cache
from training.data.films import Films, read_films
from training.data.sampler import batches_of, epoch_order

RECIPE = TrainRecipe.model_validate({"seed": 3, "data": {"size": (24, 32), "max_views": 3}, "augment": {"invert": 0.3}})
Drawn = tuple[Films, Pictures, list[NDArray[np.int64]]]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Films, their pictures, and the training studies, of 1 to 5 views each."""
    folder = tmp_path_factory.mktemp("batches")
    films = read_films(drawn_version(folder / "ds", 32, views=(1, 5)), RECIPE.data)
    pictures = open_cache(films, RECIPE.data, folder / "cache", Reporter(Console(quiet=True)))
    return films, pictures, films.studies(films.of("train"))


def training(drawn: Drawn, *, epoch: int = 0, workers: int = 0, skip: int = 0, recipe: TrainRecipe = RECIPE) -> Iterator[Batch]:
    films, pictures, items = drawn
    target = films.target[[views[0] for views in items]]
    batches = batches_of(epoch_order(target, "equal", recipe.seed, epoch), 4)[skip:]
    return train_batches(pictures, films, items, batches, recipe=recipe, epoch=epoch, workers=workers, pin=False)


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("views", "mask", "target", "item"))


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_the_same_on_any_number_of_workers(drawn: Drawn, workers: int) -> None:
    alone, helped = list(training(drawn)), list(training(drawn, workers=workers))

    assert len(alone) == len(helped) == 4
    assert all(same(one, other) for one, other in zip(alone, helped, strict=True))


def test_what_is_left_after_a_resume_is_what_would_have_come(drawn: Drawn) -> None:
    whole, rest = list(training(drawn)), list(training(drawn, skip=2))

    assert len(rest) == len(whole) - 2
    assert all(same(one, other) for one, other in zip(whole[2:], rest, strict=True))


def test_each_epoch_draws_anew(drawn: Drawn) -> None:
    films, pictures, items = drawn
    batch = [np.arange(8)]

    first, second = (
        next(train_batches(pictures, films, items, batch, recipe=RECIPE, epoch=epoch, workers=0, pin=False)) for epoch in (0, 1)
    )

    assert first.item.tolist() == second.item.tolist()
    assert not torch.equal(first.views, second.views)


def test_a_picture_is_augmented_alike_in_whichever_batch_it_comes(drawn: Drawn) -> None:
    films, pictures, items = drawn
    single = [positions[:1] for positions in items]

    def of(*batches: list[int]) -> list[Batch]:
        arrays = [np.array(batch) for batch in batches]
        return list(train_batches(pictures, films, single, arrays, recipe=RECIPE, epoch=0, workers=0, pin=False))

    together, apart = of([5, 6])[0], of([1, 6], [2, 5])
    assert torch.equal(together.views[1], apart[0].views[1])
    assert torch.equal(together.views[0], apart[1].views[1])


def test_loading_leaves_the_trainings_own_randomness_alone(drawn: Drawn) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()

    list(training(drawn))

    assert torch.equal(torch.get_rng_state(), before)


def test_a_study_is_its_views_padded_and_masked_with_its_label(drawn: Drawn) -> None:
    films, _, items = drawn

    for batch in training(drawn):
        counts = [min(len(items[item]), 3) for item in batch.item.tolist()]
        assert batch.views.shape == (4, max(counts), 1, 32, 24)
        assert batch.views.dtype == torch.uint8
        assert batch.mask.sum(1).tolist() == counts
        assert batch.mask.tolist() == [[view < count for view in range(max(counts))] for count in counts]
        assert not batch.views[~batch.mask].any()
        assert batch.target.tolist() == [films.target[items[item][0]] for item in batch.item.tolist()]


def test_of_many_views_a_few_are_drawn_each_epoch(drawn: Drawn) -> None:
    films, pictures, items = drawn
    recipe = RECIPE.model_copy(update={"augment": Augment(crop=1, flip=0)})
    large = next(index for index, positions in enumerate(items) if len(positions) == 5)
    of = {pictures[position].tobytes(): view for view, position in enumerate(items[large].tolist())}

    drawn_views = set()
    for epoch in range(30):
        batch = next(
            train_batches(pictures, films, items, [np.array([large])], recipe=recipe, epoch=epoch, workers=0, pin=False)
        )
        drawn_views.add(tuple(of[view.numpy().tobytes()] for view in batch.views[0]))

    assert all(len(set(views)) == 3 and list(views) == sorted(views) for views in drawn_views)
    assert {view for views in drawn_views for view in views} == {0, 1, 2, 3, 4}
    assert len(drawn_views) > 4


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_sees_every_view_of_every_study_as_it_is(drawn: Drawn, workers: int) -> None:
    films, pictures, items = drawn

    batches = list(eval_batches(pictures, films, items, batch=3, workers=workers, pin=False))

    assert sorted(item for batch in batches for item in batch.item.tolist()) == list(range(len(items)))
    for batch in batches:
        assert len(batch.item) <= 3
        for views, mask, item in zip(batch.views, batch.mask, batch.item.tolist(), strict=True):
            assert (views[mask][:, 0].numpy() == pictures[items[item]]).all()
    padded = sum((~batch.mask).sum().item() for batch in batches)
    assert padded <= 4  # only where one number of views gives way to the next


def test_evaluation_takes_fewer_large_studies_at_a_time(drawn: Drawn) -> None:
    films, pictures, _ = drawn
    items = [np.arange(20, dtype=np.int64)] * 3

    batches = list(eval_batches(pictures, films, items, batch=4, workers=0, pin=False))

    assert [batch.views.shape[:2] for batch in batches] == [(1, 20), (1, 20), (1, 20)]


def test_a_signal_to_a_worker_is_the_drivers_business(drawn: Drawn) -> None:
    batches = training(drawn, workers=2)
    workers = multiprocessing.active_children()
    assert len(workers) == 2

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        for worker in workers:
            assert worker.pid is not None
            os.kill(worker.pid, number)

    assert len(list(batches)) == 4
    del batches
    for worker in workers:
        worker.join(10)
        assert worker.exitcode == 0


IN_THE_MIDDLE = """
import sys
from pathlib import Path
import numpy as np
from schemas.train_recipe import TrainRecipe
from tests.training.drawn_dataset import drawn_version
from training.data.batches import train_batches
from training.data.films import read_films

recipe = TrainRecipe()
films = read_films(drawn_version(Path(sys.argv[1]), 16), recipe.data)
pictures = np.zeros((len(films.target), 32, 24), dtype=np.uint8)
items = films.studies(films.of("train"))
batches = train_batches(pictures, films, items, [np.arange(4)] * 50, recipe=recipe, epoch=0, workers=2, pin=False)
next(batches)
sys.exit(7)
"""


def test_a_training_that_ends_in_mid_epoch_ends_its_workers(tmp_path: Path) -> None:
    done = call([sys.executable, "-c", IN_THE_MIDDLE, str(tmp_path)], timeout_s=60)

    assert done.code == 7, done.stderr


def test_the_drivers_own_signals_are_not_held_back(drawn: Drawn) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])

    batches = training(drawn, workers=1)

    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
    list(batches)


def test_parts_are_the_batch_in_order(drawn: Drawn) -> None:
    batch = next(training(drawn))

    for count, sizes in [(1, [4]), (2, [2, 2]), (3, [1, 1, 2]), (9, [1, 1, 1, 1])]:
        parts = batch.parts(count)
        assert [len(part.item) for part in parts] == sizes
        assert torch.equal(torch.cat([part.views for part in parts]), batch.views)
        assert torch.equal(torch.cat([part.mask for part in parts]), batch.mask)
        assert torch.equal(torch.cat([part.target for part in parts]), batch.target)


def test_a_batch_moves_as_a_whole(drawn: Drawn) -> None:
    moved = next(training(drawn)).to("meta", non_blocking=True)

    assert {tensor.device.type for tensor in (moved.views, moved.mask, moved.target, moved.item)} == {"meta"}


def test_greys_are_normalised_by_mean_and_deviation() -> None:
    views = torch.tensor([[0, 51, 255]], dtype=torch.uint8)

    found = normalise(views, 0.2, 0.25)

    assert found.dtype == torch.float32
    assert found.tolist()[0] == pytest.approx([-0.8, 0.0, 3.2], abs=1e-6)


def test_a_film_without_a_label_has_no_target(drawn: Drawn) -> None:
    films, pictures, items = drawn
    unlabelled = Films(**{**vars(films), "target": np.full_like(films.target, np.nan)})

    batch = next(eval_batches(pictures, unlabelled, items, batch=4, workers=0, pin=False))

    assert all(math.isnan(target) for target in batch.target.tolist())
