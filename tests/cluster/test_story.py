"""From raw films to figures without leaving the queue: the commands that a person types, in their order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from etl import phantom
from tests.cluster.drawn_jobs import own_list  # noqa: F401
from tests.lab.lab import Lab

BIN = Path(sys.executable).parent
TINY = ("data.size=[64,64]", "epochs=1", "loop.batch=8", "loop.workers=0", "schedule.wait_epochs=0")
RECIPES = {"resnet18": TINY, "rx_lite": TINY, "mvcnn": (*TINY, "first.epochs=1")}


def typed(*words: object, folder: Path) -> str:
    """What a command answers; it must end well."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [str(BIN / str(words[0])), *map(str, words[1:])]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # dask-jobqueue's
def test_films_become_a_dataset_and_three_models_of_it_on_the_queue(lab: Lab, tmp_path: Path) -> None:
    phantom.draw(tmp_path / "films", splits=(8, 6, 6), seed=3, size=(160, 120), views=(1, 2), visible="all", mimics=0.0)
    site = lab.site(gpu={"memory": "5GB"})

    typed("etl", "-q", "run", "films/archive", "--out", "set", "--recipe", "wrist", "--labels", "films/labels.csv",
          "--site", site, "--workers", "2", folder=tmp_path)  # fmt: skip
    ids = []
    for recipe, settings in RECIPES.items():
        chosen = [word for setting in settings for word in ("--set", setting)]
        ids.append(
            typed("train", "submit", recipe, "--data", "set", "--site", site, "--gpus", 2, "--out", recipe, "--cache", "cache",
                  *chosen, folder=tmp_path).strip()
        )  # fmt: skip
    typed("rjobs", "wait", *ids, folder=tmp_path)

    listed = {job["id"]: job for job in json.loads(typed("rjobs", "list", "--json", folder=tmp_path))}
    assert [listed[id_]["state"] for id_ in ids] == ["DONE"] * 3
    assert [listed[id_]["exit_code"] for id_ in ids] == [0] * 3
    for recipe in RECIPES:
        record = json.loads((tmp_path / recipe / "run.json").read_text())
        figures = json.loads(typed("train", "evaluate", recipe, "--json", "--cache", "cache", folder=tmp_path))
        assert record["processes"] == 2
        assert (figures["split"], figures["n_studies"]) == ("test", 6)
        assert 0 <= figures["study"]["max"]["accuracy"] <= 1
        assert ("aggregator" in figures["study"]) == (recipe == "mvcnn")
