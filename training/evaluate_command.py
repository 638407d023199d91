"""`train evaluate`: a run's frozen thresholds on the films it was told of, or on others."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cluster.progress import Reporter
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.training_run import TrainingRun
from training import predictions, trained
from training.data.cache import open_cache
from training.data.films import read_films
from training.data.label import named_label
from training.evaluate.evaluate import chosen_rows, evaluate_run
from training.evaluate.report import write_report
from training.loop.ranks import join


@dataclass(frozen=True)
class Question:
    """What is asked of a run."""

    data: str | None = None
    split: str = "test"
    where: str | None = None
    studies: Path | None = None
    label: str | None = None
    export_errors: Path | None = None
    out: Path | None = None
    device: str = "auto"
    cache: Path | None = None


def answer(run: TrainingRun, question: Question, say: Reporter) -> dict[str, Any]:
    """The evaluation; the report is written beside it. Raises RadforgeError when there is nothing to evaluate."""
    if question.split not in ("train", "val", "test", "all"):
        raise RadforgeError("no such split", f"--split {question.split}", expected="train, val, test or all")
    if question.out is not None and question.out.suffix != ".html":
        raise RadforgeError("not a place for a page", f"--out {question.out}", expected="a file that ends in .html")
    if not run.finished:
        raise RadforgeError("the run is not finished", str(run.folder), expected="train run --resume to its end")
    version = _version(question, run)
    own = version is None or version.version == run.record.version
    if own and question.split == "all":
        raise RadforgeError("the run's own version holds what it was trained on", "--split all", expected="train, val or test")
    if version is not None and not (own and _predicted(run, question) and _complete(run, version, question)):
        run = _predict(run, version, question, say)
    result = evaluate_run(
        run,
        version,
        split=question.split,
        where=question.where,
        studies=question.studies,
        label=question.label,
        export_errors=question.export_errors,
    )
    plain = not (question.where or question.studies or question.label or question.data) and question.split == "test"
    page = question.out or (run.folder / "report.html" if plain else None)
    if page is not None:
        rows = chosen_rows(
            run, version, split=question.split, where=question.where, studies=question.studies, label=question.label
        )
        write_report(page, run, version, result, rows)
        say.say(f"report: {page}")
    return result


def _predicted(run: TrainingRun, question: Question) -> bool:
    return (run.folder / "predictions" / f"{question.split}.parquet").is_file()


def _complete(run: TrainingRun, version: DatasetVersion, question: Question) -> bool:
    """Whether every study of the split has a prediction: a revised label may name some that had none before."""
    if question.label is None:
        return True
    rows = version.table("manifest", ["study_id", "split"]).to_pylist()
    wanted = {row["study_id"] for row in rows if row["split"] == question.split}
    return wanted <= set(run.predictions(question.split)["study_id"].to_pylist())


def _version(question: Question, run: TrainingRun) -> DatasetVersion | None:
    """The version asked for; else the run's own, where it still is."""
    if question.data is not None:
        return DatasetVersion.open(question.data)
    try:
        return DatasetVersion.open(f"{run.record.dataset}@{run.record.version}")
    except RadforgeError:
        return None


def _predict(run: TrainingRun, version: DatasetVersion, question: Question, say: Reporter) -> TrainingRun:
    """The split's predictions: beside the run's own where the version is the run's, else in a folder of that version."""
    own = version.version == run.record.version and question.label is None
    place = run if own else _elsewhere(run, version)
    with join(question.device) as ranks:
        model = trained.load(run, ranks.device)
        data = model.recipe.data.model_copy(update={"label": run.record.label})
        if not own and question.label is None:
            named_label(version.table("manifest").column_names, data.label, f"--data {question.data}")
        films = model.see(read_films(version, data, labelled=own))
        pictures = open_cache(films, model.recipe.data, question.cache, say)
        at = np.arange(len(films.split)) if question.split == "all" else films.of(question.split)
        if not len(at):
            there = sorted({name for name in films.split.tolist() if name} | (set() if own else {"all"}))
            raise RadforgeError(
                "no pictures to evaluate",
                f"{version.version}, split {question.split}",
                expected=f"--split {' or '.join(there)}",
            )
        table = predictions.score(model, pictures, films, at, ranks)
    predictions.write(place, question.split, table)
    return place


def _elsewhere(run: TrainingRun, version: DatasetVersion) -> TrainingRun:
    """RUN/elsewhere/<version>: what evaluation needs of the run, beside predictions on another version."""
    folder = run.folder / "elsewhere" / version.version
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("run.json", "recipe.toml", "decision.json", "metrics.parquet"):
        shutil.copyfile(run.folder / name, folder / name)
    return TrainingRun(folder)
