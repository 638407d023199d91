"""The dataset and the runs, each made once: what is there already is not repeated."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster.pool import cores
from cluster.shell import Finished, call
from schemas.dataset import newest_version
from schemas.training_run import TrainingRun
from tests.thesis.arms import ARMS, SEEDS, Arm

WORK = Path("thesis")
DATASET = WORK / "dataset"
PHANTOM = (
    "--splits",
    "600,200,400",
    "--size",
    "128x96",
    "--views",
    "2:4",
    "--visible",
    "one",
    "--mimics",
    "0.35",
    "--seed",
    "1",
)
_TRAIN = (sys.executable, "-m", "training")
_ETL = (sys.executable, "-c", "from etl.cli import main; main()")


def run_folder(arm: str, seed: int) -> Path:
    """Where a run lies."""
    return WORK / "runs" / f"{arm}-seed{seed}"


def make_dataset(say: Callable[[str], None]) -> None:
    """Draw the archive and build its version, unless they are there: runs made on one version stay comparable."""
    if newest_version(DATASET) is not None:
        return
    raw = WORK / "raw"
    if not (raw / "labels.csv").is_file():
        say(f"drawing: etl phantom {raw} {' '.join(PHANTOM)}")
        _must([*_ETL, "phantom", str(raw), *PHANTOM])
    _must(
        [*_ETL, "-q", "run", f"{raw}/archive", "--out", str(DATASET), "--recipe", "wrist", "--labels", f"{raw}/labels.csv",
         "--crosswalk", str(WORK / "crosswalk.csv")]
    )  # fmt: skip


def train_all(say: Callable[[str], None], *, only_refused: bool = False) -> dict[str, str]:
    """Every arm and seed, as many at a time as there are cores; returns what refused arms said."""
    done: dict[tuple[str, int], threading.Event] = {(arm.key, seed): threading.Event() for arm in ARMS for seed in SEEDS}
    refusals: dict[str, str] = {}

    def one(arm: Arm, seed: int) -> None:
        if arm.after:
            done[arm.after, seed].wait()
        folder = run_folder(arm.key, seed)
        try:
            if not _finished(folder):
                ended = call(_command(arm, seed), timeout_s=7200)
                if arm.refused:
                    refusals[arm.key] = f"exit {ended.code}: {ended.stderr.strip()}"
                elif ended.code:
                    say(f"{arm.key} seed {seed}: exit {ended.code}\n{ended.stderr[-2000:]}")
                    raise SystemExit(1)
                say(f"{arm.key} seed {seed}: done")
        finally:
            done[arm.key, seed].set()

    with ThreadPoolExecutor(cores()) as pool:
        # Seed by seed, so that a table made before the end has every arm.
        jobs = [pool.submit(one, arm, seed) for seed in SEEDS for arm in ARMS if _wanted(arm, seed, only_refused)]
        for job in jobs:
            job.result()
    return refusals


def _wanted(arm: Arm, seed: int, only_refused: bool) -> bool:
    return seed == SEEDS[0] if arm.refused else not only_refused


def _command(arm: Arm, seed: int) -> list[str]:
    settings = [*arm.settings, f"seed={seed}", f"name={arm.key}"]
    if arm.after:
        settings.append(f"init.run={run_folder(arm.after, seed)}")
    words = [word for setting in settings for word in ("--set", setting)]
    return [
        "env", "OMP_NUM_THREADS=1", *_TRAIN, "-q", "run", arm.recipe, "--data", str(DATASET), "--out",
        str(run_folder(arm.key, seed)), "--resume", "--cache", str(WORK / "cache"), *words,
    ]  # fmt: skip


def finished(arm: str) -> list[TrainingRun]:
    """The arm's finished runs, in the order of their seeds."""
    return [TrainingRun.open(run_folder(arm, seed)) for seed in SEEDS if _finished(run_folder(arm, seed))]


def _finished(folder: Path) -> bool:
    return (folder / "run.json").is_file() and TrainingRun.open(folder).finished


def _must(command: list[str]) -> Finished:
    ended = call(command, timeout_s=3600)
    if ended.code:
        raise SystemExit(f"{' '.join(command[2:])}: exit {ended.code}\n{ended.stderr}")
    return ended
