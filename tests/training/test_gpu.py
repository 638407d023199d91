"""What only a GPU can show. Without one these tests say so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from cluster.shell import call
from schemas.dataset import DatasetVersion
from schemas.training_run import TrainingRun
from tests.training.small_run import QUIET, STAGES, recipe, trained
from training.data.batches import train_batches
from training.data.cache import open_cache
from training.data.films import read_films
from training.data.sampler import batches_of, epoch_order

GPUS = torch.cuda.device_count() if torch.cuda.is_available() else 0
pytestmark = pytest.mark.skipif(GPUS == 0, reason="no GPU here: CUDA, half precision and NCCL are not tested")


@pytest.mark.parametrize("amp", ["off", "bf16", "fp16"])
def test_a_gpu_learns_in_every_precision(amp: str, version: DatasetVersion, out: Path) -> None:
    run = trained(out, version, "mvcnn", f"loop.amp={amp}", "epochs=4", device="cuda")

    assert run.record.best["auc"] > 0.9
    assert "x " in run.record.hardware
    state = torch.load(run.best, weights_only=True)
    assert {value.device.type for value in state["model"].values()} == {"cpu"}


def test_what_a_gpu_trained_is_read_without_one(version: DatasetVersion, out: Path) -> None:
    run = trained(out, version, "rx_lite", device="cuda")

    done = call(
        [sys.executable, "-m", "training", "evaluate", str(run.folder), "--split", "train", "--device", "cpu", "--json"]
    )

    assert done.code == 0, done.stderr


def test_compiling_changes_nothing_that_is_kept(version: DatasetVersion, out: Path) -> None:
    run = trained(out, version, "rx_lite", "loop.compile=true", device="cuda")

    assert not any("_orig_mod" in name for name in torch.load(run.best, weights_only=True)["model"])


@pytest.mark.skipif(GPUS < 2, reason="fewer than two GPUs here: NCCL is not tested")
def test_two_gpus_see_what_one_sees(version: DatasetVersion, tmp_path: Path) -> None:
    settings = [w for s in (*STAGES, "model.norm=group", "loop.amp=off") for w in ("--set", s)]
    common = ["run", "mvcnn", "--data", str(version.folder), "--cache", str(tmp_path / "c"), *settings]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "training"]

    one = call([sys.executable, "-m", "training", *common, "--out", str(tmp_path / "one")], timeout_s=300)
    two = call([*launcher, *common, "--out", str(tmp_path / "two")], timeout_s=300)

    assert (one.code, two.code) == (0, 0), two.stderr[-2000:]
    tables = [TrainingRun.open(tmp_path / name).metrics().to_pylist() for name in ("one", "two")]
    losses = [[row["loss"] for row in table if row["split"] == "val"] for table in tables]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_pinned_batches_arrive_as_they_were(version: DatasetVersion, tmp_path: Path) -> None:
    chosen = recipe("rx_lite")
    films = read_films(version, chosen.data)
    pictures = open_cache(films, chosen.data, tmp_path, QUIET)
    items = [films.of("train")[i : i + 1] for i in range(len(films.of("train")))]
    plan = batches_of(epoch_order(films.target[films.of("train")], "none", 0, 0), 8)

    def batches(pin: bool) -> list[torch.Tensor]:
        loader = train_batches(pictures, films, items, plan, recipe=chosen, epoch=0, workers=2, pin=pin)
        return [batch.to("cuda", non_blocking=pin).views.cpu() for batch in loader]

    assert all(torch.equal(a, b) for a, b in zip(batches(pin=True), batches(pin=False), strict=True))
