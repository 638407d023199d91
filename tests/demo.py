"""`make demo`: a drawn raw archive, a dataset from it, a look into it. Everything lands in ./demo."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from cluster.shell import call
from schemas.dataset import DatasetVersion
from tests.contact_sheet import contact_sheet, save

DEMO = Path("demo")
ETL = str(Path(sys.executable).parent / "etl")


def step(*command: str) -> None:
    """Show a command as a person would type it, run it, show what it says."""
    sys.stdout.write(f"\n$ etl {' '.join(command)}\n")
    sys.stdout.flush()
    done = call([ETL, *command], timeout_s=600)
    sys.stdout.write(done.stderr + done.stdout)
    if done.code:
        sys.exit(done.code)


def main() -> None:
    """The README's tour, by itself."""
    started = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    shutil.rmtree("demo.private", ignore_errors=True)
    raw, dataset = DEMO / "raw", DEMO / "dataset"
    step("phantom", str(raw), "--studies", "40", "--seed", "0")
    step("run", f"{raw}/archive", "--out", str(dataset), "--recipe", "wrist", "--labels", f"{raw}/labels.csv")
    step("inspect", str(dataset), "--limit", "8")
    page = DEMO / "before-after.png"
    save(page, contact_sheet(DatasetVersion.open(dataset), films=24, columns=3))
    sys.stdout.write(
        f"\nbefore and after, 24 films: {page}\n"
        f"the dataset:                {DatasetVersion.open(dataset).folder}\n"
        f"done in {time.monotonic() - started:.0f} s\n"
    )


if __name__ == "__main__":
    main()
