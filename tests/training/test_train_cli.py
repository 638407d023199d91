"""`train` as it is typed: exit codes, messages, signals, two processes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cluster.shell import call
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.training_run import TrainingRun
from tests.training.small_run import STAGES
from training.cli import app

TRAIN = ["env", "OMP_NUM_THREADS=1", sys.executable, "-m", "training"]


def sets(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def invoke(*words: str) -> tuple[int, str]:
    """In this process: exit code and stdout. RadforgeError comes through as itself."""
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_rx_large_without_padding_is_refused_with_exit_2_before_a_film_is_read(tmp_path: Path, version: DatasetVersion) -> None:
    done = call(
        [*TRAIN, "run", "rx_large", "--set", "model.padding=0", "--data", str(version.folder), "--out", str(tmp_path / "r")]
    )

    assert done.code == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "766" in done.stderr
    assert "341" in done.stderr
    assert not (tmp_path / "r").exists()


def test_a_run_is_evaluated_compared_and_listed(run_of_all: TrainingRun) -> None:
    code, text = invoke("evaluate", str(run_of_all.folder), "--json")
    result = json.loads(text)

    assert code == 0
    assert {"split", "n_studies", "n_instances", "threshold", "instance", "study"} <= result.keys()
    assert set(result["study"]) == {"majority", "alo", "max", "mean", "aggregator"}
    for m in (result["instance"], *result["study"].values()):
        assert {"accuracy", "accuracy_ci", "auc", "auc_ci", "sensitivity", "specificity"} <= m.keys()

    code, text = invoke("compare", str(run_of_all.folder), str(run_of_all.folder))
    assert code == 0
    assert "DeLong p 1" in text
    code, text = invoke("models", "--json")
    assert {row["recipe"] for row in json.loads(text)} >= {"resnet18", "rx_lite", "rx_large", "mvcnn"}


def test_a_subset_is_evaluated_without_touching_the_runs_own_report(run_of_all: TrainingRun, tmp_path: Path) -> None:
    before = (run_of_all.folder / "report.html").read_bytes()

    code, text = invoke(
        "evaluate", str(run_of_all.folder), "--where", "sex = 'F'", "--export-errors", str(tmp_path / "e.csv"), "--json"
    )

    assert code == 0
    assert 0 < json.loads(text)["n_studies"] < 20
    assert (tmp_path / "e.csv").read_text().startswith('"study_id"')
    assert (run_of_all.folder / "report.html").read_bytes() == before


def test_a_condition_that_holds_for_some_pictures_of_a_study_says_so(run_of_all: TrainingRun) -> None:
    first = "image_id IN (SELECT min(image_id) FROM manifest GROUP BY study_id)"

    _, text = invoke("evaluate", str(run_of_all.folder), "--where", first, "--json")

    assert any("pictures for which the condition does not hold" in note for note in json.loads(text)["notes"])
    _, text = invoke("evaluate", str(run_of_all.folder), "--where", "sex = 'F'", "--json")
    assert not any("pictures for which the condition does not hold" in note for note in json.loads(text)["notes"])


def test_the_training_split_can_be_evaluated_too(run_of_all: TrainingRun) -> None:
    _, text = invoke("evaluate", str(run_of_all.folder), "--split", "train", "--json")

    assert json.loads(text)["n_studies"] == 24


def test_everything_the_run_was_trained_on_is_no_test(run_of_all: TrainingRun) -> None:
    with pytest.raises(RadforgeError, match="holds what it was trained on"):
        invoke("evaluate", str(run_of_all.folder), "--split", "all")


def test_check_proves_a_recipe_on_eight_studies(version: DatasetVersion, tmp_path: Path) -> None:
    code, text = invoke(
        "check", "mvcnn", "--data", str(version.folder), *sets("data.size=[24,32]"), "--cache", str(tmp_path), "--json"
    )
    said = json.loads(text)

    assert code == 0
    assert said["learned_by_heart"] is True
    assert said["views"][0] == 8
    assert said["seconds"] < 40


def test_a_warning_of_the_queue_ends_the_process_with_0_and_a_mark(version: DatasetVersion, tmp_path: Path) -> None:
    command = [
        *TRAIN, "run", "mvcnn", "--data", str(version.folder), "--out", str(tmp_path / "r"), "--cache", str(tmp_path / "c"),
        *sets(*STAGES, "epochs=400"),
    ]  # fmt: skip
    pid = os.spawnvpe(os.P_NOWAIT, command[0], command, dict(os.environ))
    deadline = time.monotonic() + 90
    while not (tmp_path / "r" / "metrics.parquet").exists() and time.monotonic() < deadline:
        time.sleep(0.1)

    os.kill(pid, signal.SIGUSR1)

    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (tmp_path / "r" / "again").exists()
    assert (tmp_path / "r" / "checkpoints" / "last.pt").exists()


def test_two_processes_see_what_one_sees(version: DatasetVersion, tmp_path: Path) -> None:
    common = ["run", "mvcnn", "--data", str(version.folder), "--cache", str(tmp_path / "c"), *sets(*STAGES, "model.norm=group")]
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "training"]

    alone = call([*TRAIN, *common, "--out", str(tmp_path / "one")], timeout_s=200)
    together = call(["env", "OMP_NUM_THREADS=1", *two, *common, "--out", str(tmp_path / "two")], timeout_s=200)

    assert (alone.code, together.code) == (0, 0), together.stderr[-2000:]
    one, both = (pq.read_table(tmp_path / name / "steps.parquet")["loss"].to_pylist() for name in ("one", "two"))
    assert len(one) == len(both) > 8
    assert max(abs(a - b) for a, b in zip(one, both, strict=True)) < 1e-4
    assert TrainingRun.open(tmp_path / "two").record.processes == 2


def test_help_tells_every_command_and_how_to_begin() -> None:
    _, text = invoke("--help")

    for name in ("run", "check", "models", "evaluate", "predict", "explain", "compare"):
        assert f" {name} " in text
    assert "train run mvcnn --data dataset" in text
