"""`make demo`: a drawn raw archive, a dataset from it, two models trained on it, their report. Everything lands in ./demo."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from cluster.shell import follow
from schemas.dataset import DatasetVersion
from tests.contact_sheet import contact_sheet, save

DEMO = Path("demo")
BIN = Path(sys.executable).parent
SMALL = ("--set", "data.size=[96,128]", "--set", "model.channels=[8,16,32,64]", "--cache", str(DEMO / "cache"))


def step(*command: str) -> None:
    """Show a command as a person would type it, and run it."""
    sys.stdout.write(f"\n$ {' '.join(command)}\n")
    sys.stdout.flush()
    done = follow([str(BIN / command[0]), *command[1:]])
    sys.stdout.write(done.stdout)
    if done.code:
        sys.exit(done.code)


def main() -> None:
    """The README's tour, by itself."""
    started = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    raw, dataset = DEMO / "raw", DEMO / "dataset"
    step("etl", "phantom", str(raw), "--studies", "40", "--seed", "0")
    step("etl", "run", f"{raw}/archive", "--out", str(dataset), "--recipe", "wrist", "--labels", f"{raw}/labels.csv")
    step("etl", "inspect", str(dataset), "--limit", "8")
    page = DEMO / "before-after.png"
    save(page, contact_sheet(DatasetVersion.open(dataset), films=24, columns=3))
    built = time.monotonic()

    films, studies = DEMO / "training-raw", DEMO / "training-dataset"
    step(
        "etl", "phantom", str(films), "--splits", "200,60,80", "--size", "128x96", "--views", "2:3", "--visible", "all",
    )  # fmt: skip
    step("etl", "run", f"{films}/archive", "--out", str(studies), "--recipe", "wrist", "--labels", f"{films}/labels.csv")
    lite, mvcnn = DEMO / "rx_lite", DEMO / "mvcnn"
    step(
        "train", "run", "rx_lite", "--data", str(studies), "--out", str(lite), *SMALL, "--set", "model.head=max",
        "--set", "epochs=8", "--set", "loop.batch=16",
    )  # fmt: skip
    step(
        "train",
        "run",
        "mvcnn",
        "--data",
        str(studies),
        "--out",
        str(mvcnn),
        *SMALL,
        "--set",
        "first.epochs=8",
        "--set",
        "epochs=3",
    )
    step("train", "compare", str(lite), str(mvcnn))
    step("train", "explain", str(mvcnn), "--out", str(DEMO / "explain"), "--limit", "6", "--cache", str(DEMO / "cache"))
    sys.stdout.write(
        f"\nbefore and after, 24 films:  {page}\n"
        f"the datasets:                {DatasetVersion.open(dataset).folder} and {DatasetVersion.open(studies).folder}\n"
        f"the reports:                 {lite / 'report.html'} and {mvcnn / 'report.html'}\n"
        f"where the model looked:      {DEMO / 'explain' / 'index.html'}\n"
        f"done in {time.monotonic() - started:.0f} s, {time.monotonic() - built:.0f} s of them for the training part\n"
    )


if __name__ == "__main__":
    main()
