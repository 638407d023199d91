"""`train run`: a recipe and a dataset version become a run folder."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from cluster.progress import Reporter
from schemas.runs import now
from schemas.training_run import TrainingRecord, TrainingRun
from training import machine, predictions, run_folder, trained
from training.data.cache import Pictures, open_cache
from training.data.films import Films, read_films
from training.drift import training_statistics
from training.loop import checkpoint, stopping
from training.loop.journal import Journal
from training.loop.progress import Progress
from training.loop.ranks import Ranks, join
from training.loop.train import Scene, train
from training.models.build import build
from training.models.multi_view import MultiView
from training.models.transfer import load_features
from training.run_folder import Order
from training.targets import BinaryLabel


def run(order: Order, say: Reporter) -> TrainingRun | None:
    """Train, score validation and test, choose thresholds, write the report. The same order with `resume` goes on.

    Of several processes only the first returns the run.

    Raises RadforgeError for a recipe, a version or a disk that will not do, Stopped after a signal (checkpoint written).
    """
    target = BinaryLabel()
    torch.manual_seed(order.recipe.seed)
    network = build(order.recipe.model, order.recipe.data.size, target.outputs)  # refuses what cannot work, before any film
    goes_on = run_folder.check(order)
    films = read_films(order.version, order.recipe.data)
    with join(order.device) as ranks:
        if ranks.first and ranks.device.type == "cpu" and order.device == "auto" and (asked := machine.gpus_of_job()):
            say.warn(f"the job asked for {asked} GPUs of each node, and torch sees none here: training on the CPU")
        say = say if ranks.first else Reporter(Console(quiet=True), quiet=True)
        if not ranks.first:
            _train(order, films, network, goes_on, ranks, say)
            return None
        with run_folder.locked(order.folder):
            try:
                _train(order, films, network, goes_on, ranks, say)
            except stopping.Stopped as stopped:
                if stopped.number in stopping.WARNINGS:
                    (order.folder / "again").touch()
                raise
    return TrainingRun(order.folder)


def _train(order: Order, films: Films, network: MultiView, goes_on: bool, ranks: Ranks, say: Reporter) -> None:
    folder, recipe = order.folder, order.recipe
    if ranks.first:
        (folder / "again").unlink(missing_ok=True)
        if goes_on:
            say.say(f"going on with {folder}")
    ranks.wait()
    pictures = _pictures(order, films, ranks, say)
    record = TrainingRun.open(folder).record if goes_on else _record(order, films, ranks)
    if ranks.first and not goes_on:
        run_folder.adopt(order)
        run_folder.write(folder, recipe, record)
    _describe(order, films, record, say)
    ranks.wait()

    state = _state(order, folder, goes_on)
    if state is None:
        _initialise(order, network)
    network.to(ranks.device)
    if recipe.loop.channels_last:
        network.to(memory_format=torch.channels_last)
    journal = Journal(folder, machine.hardware(ranks.device, ranks.world), ranks.first)
    if state is not None:
        done = Progress.of(state["progress"])
        journal.go_on(done.total_steps, [(name, epoch) for name, epoch in done.done])
    if ranks.device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    scene = Scene(recipe, films, pictures, BinaryLabel(), ranks, folder, journal, say, _facts(order, films))
    try:
        progress = train(scene, network, state)
    finally:
        journal.close()
    _finish(order, films, pictures, progress, record, ranks, say)


def _pictures(order: Order, films: Films, ranks: Ranks, say: Reporter) -> Pictures:
    """One process of each node fills the cache, the others read it."""
    if ranks.local == 0:
        pictures = open_cache(films, order.recipe.data, order.cache, say)
    ranks.wait()
    return pictures if ranks.local == 0 else open_cache(films, order.recipe.data, order.cache, say)


def _state(order: Order, folder: Path, goes_on: bool) -> dict[str, Any] | None:
    if not (goes_on or order.continues):
        return None
    state = checkpoint.load(folder / "checkpoints" / "last.pt")
    if order.continues and not goes_on:
        state["progress"]["stale"] = 0  # it was asked to go on
    return state


def _initialise(order: Order, network: MultiView) -> None:
    init = order.recipe.init
    if init.run:
        source = TrainingRun.open(init.run)
        load_features(network, checkpoint.load(source.best)["model"], init.what)


def _facts(order: Order, films: Films) -> dict[str, Any]:
    return {
        "mean": films.mean,
        "std": films.std,
        "label": films.label,
        "version": order.version.version,
        "statistics": training_statistics(films, films.of("train")),
    }


def _record(order: Order, films: Films, ranks: Ranks) -> TrainingRecord:
    card = order.version.card
    classes: dict[str, dict[str, int]] = {}
    for split in ("train", "val", "test"):
        studies = films.studies(films.of(split))
        counted = Counter("positive" if films.target[s[0]] else "negative" for s in studies)
        classes[split] = {"negative": counted["negative"], "positive": counted["positive"], "pictures": len(films.of(split))}
    return TrainingRecord(
        recipe=order.recipe.name,
        dataset=str(order.version.dataset.resolve()),
        version=order.version.version,
        label=films.label,
        classes=classes,
        unlabelled_studies=films.unlabelled_studies,
        mean=films.mean,
        std=films.std,
        etl_recipe=card.get("recipe", {}),
        etl_parent=card.get("parent"),
        key_fingerprint=card.get("key_fingerprint"),
        seed=order.recipe.seed,
        command=run_folder.command_line(),
        continues=str(order.continues.folder.resolve()) if order.continues else None,
        initialised_from=str(Path(order.recipe.init.run).resolve()) if order.recipe.init.run else None,
        git_commit=machine.commit(),
        packages=machine.packages(),
        host=machine.host(),
        hardware=machine.hardware(ranks.device, ranks.world),
        processes=ranks.world,
        started_at=now(),
    )


def _describe(order: Order, films: Films, record: TrainingRecord, say: Reporter) -> None:
    counts = ", ".join(
        f"{split} {c['negative'] + c['positive']:,} studies ({c['positive']:,} positive, {c['pictures']:,} pictures)"
        for split, c in ((name, record.classes[name]) for name in ("train", "val", "test"))
    )
    say.say(f"{order.recipe.name} on {order.version.version}, label {films.label}: {counts}")
    if films.unlabelled_studies:
        say.say(f"{films.unlabelled_studies:,} studies have no label and are left out")
    columns, rows = order.recipe.data.size
    say.say(f"inputs of {columns} columns x {rows} rows on {record.hardware}; run folder {order.folder}")


def _finish(
    order: Order,
    films: Films,
    pictures: Pictures | NDArray[np.uint8],
    progress: Progress,
    record: TrainingRecord,
    ranks: Ranks,
    say: Reporter,
) -> None:
    """Scores, thresholds, record, report."""
    from training.finish import finish  # noqa: PLC0415 - matplotlib takes a second to import

    run = TrainingRun(order.folder)
    started = time.monotonic()
    best = trained.load(run, ranks.device)
    tables = {
        split: predictions.score(best, pictures, films, films.of(split), ranks)
        for split in ("val", "test")
        if len(films.of(split))
    }
    if not ranks.first:
        return
    for split, table in tables.items():
        predictions.write(run, split, table)
    state = checkpoint.load(run.best)["progress"]["best"]
    warnings = (progress.stuck,) if progress.stuck else ()
    record = record.model_copy(
        update={"finished_at": now(), "elapsed_s": progress.elapsed_s, "best": state, "warnings": warnings}
    )
    run_folder.write(order.folder, order.recipe, record)
    if order.continues is not None and state["epoch"] <= order.continues.recipe.epochs:
        say.say(f"no later epoch was better than epoch {state['epoch']:.0f} of {order.continues.folder}: its weights were kept")
    finish(run, order.version, list(tables))
    say.say(f"scored in {time.monotonic() - started:.1f} s")
