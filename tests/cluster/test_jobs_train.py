"""Real trainings as jobs: two processes that are warned and go on, and an array of seeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import jobs, registry
from schemas.training_run import TrainingRun
from tests.cluster.counting import all_ended, ended, log, warn
from tests.cluster.drawn_jobs import own_list  # noqa: F401
from tests.lab.lab import Lab
from tests.training.drawn_dataset import drawn_version
from tests.training.small_run import SMALL, STAGES

TRAIN = str(Path(sys.executable).parent / "train")


def train(*words: object, folder: Path) -> str:
    """What the command answers; it must end well."""
    command = [TRAIN, *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def submitted(lab: Lab, folder: Path, recipe: str, settings: tuple[str, ...], *words: object) -> str:
    """The job's id."""
    drawn_version(folder / "dataset", {"train": 12, "val": 8, "test": 8}, size=(32, 24))
    chosen = [word for setting in settings for word in ("--set", setting)]
    where = ("--data", "dataset", "--site", lab.site(), "--out", "run", "--cache", "cache")
    return train("submit", recipe, *where, *chosen, *words, folder=folder).strip()


def assert_a_training_goes_on(lab: Lab, folder: Path) -> None:
    id_ = submitted(lab, folder, "mvcnn", (*STAGES, "data.size=[64,64]", "epochs=3"), "--gpus", "2")
    record = registry.find(id_)[0]
    run = folder / "run"
    lab.wait_until((run / "run.json").exists, 120)

    warn(lab, id_)
    status = ended(record, 180)

    assert (status.id, status.state, status.restarts) == (id_, "DONE", 1), log(record)
    assert (run / "again").exists() is False
    assert TrainingRun.open(run).finished
    assert f"going on with {run}" in log(record)
    assert record.dataset is not None
    assert record.dataset.startswith(f"{folder}/dataset@")
    evaluated = json.loads(train("evaluate", "run", "--json", "--cache", "cache", folder=folder))
    assert evaluated


def test_a_training_of_two_processes_is_warned_and_goes_on_to_its_end(slurm: Lab, tmp_path: Path) -> None:
    assert_a_training_goes_on(slurm, tmp_path)


@pytest.mark.acceptance
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # dask-jobqueue's
def test_a_training_of_two_processes_goes_on_under_lsf_too(lsf: Lab, tmp_path: Path) -> None:
    assert_a_training_goes_on(lsf, tmp_path)


def test_an_array_trains_one_run_for_each_seed(lsf: Lab, tmp_path: Path) -> None:
    small = [setting for setting in SMALL if not setting.startswith("model.")]
    settings = (*small, "epochs=1", "data.size=[64,64]")
    id_ = submitted(lsf, tmp_path, "resnet18", settings, "--array", "seed=0..1")
    record = registry.find(id_)[0]

    told = all_ended(record, 180)

    assert [(status.id, status.label, status.state) for status in told] == [
        (f"{id_}_{seed}", f"seed={seed}", "DONE") for seed in range(2)
    ], log(record, 0) + log(record, 1)
    runs = [TrainingRun.open(tmp_path / f"run/seed{seed}") for seed in range(2)]
    assert [(run.finished, run.recipe.seed, run.record.seed) for run in runs] == [(True, 0, 0), (True, 1, 1)]
    assert [status.folder for status in jobs.statuses([record])] == [run.folder for run in runs]
