"""`etl run --detach`: the driver too as a job. It lies in DATASET.private, because what was typed may name patients."""

from __future__ import annotations

import time
from pathlib import Path

from cluster import order as jobs
from cluster import registry, snapshot
from cluster.jobs import statuses
from etl.corrections import read_corrections
from etl.order import Order, check
from etl.private import Private
from schemas.errors import RadforgeError
from schemas.job import OVER, JobSpec, Member
from schemas.loading import as_toml

NAME = "etl-run"


def driver_job(order: Order) -> tuple[JobSpec, dict[str, str]]:
    """The job, and the files that go beside its script: the resolved recipe and site. Makes nothing.

    Raises RadforgeError for what `etl run` would refuse at once.
    """
    if order.site is None:
        raise RadforgeError("where to?", "--detach", expected="--site S.toml; the shipped site `local` is this machine")
    check(order)
    if order.corrections:
        read_corrections(order.corrections)
    for path in order.archives:
        if "@" not in path.name and not path.exists():
            raise RadforgeError("the archive does not exist", str(path))
    _alone(order.out.resolve())
    private = Private.beside(order.out, order.private)
    folder = jobs.job_folder(private.folder.resolve() / "jobs" / f"etl-{time.strftime('%Y%m%d-%H%M%S')}")
    options = {
        "--out": order.out.resolve(),
        "--recipe": folder / "job" / "recipe.toml",
        "--site": folder / "job" / "site.toml",
        "--labels": order.labels and order.labels.resolve(),
        "--key": order.key and order.key.resolve(),
        "--crosswalk": order.crosswalk and order.crosswalk.resolve(),
        "--private": order.private and order.private.resolve(),
        "--shard": order.shard,
        "--workers": order.workers and f"{order.workers.min}:{order.workers.max}",
    }
    words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    # As they are now: somebody may go on reviewing while the job waits.
    named = enumerate(order.corrections, 1)
    corrections = {f"job/corrections-{number}.toml": path.read_text("utf-8") for number, path in named}
    words += [word for name in corrections for word in ("--corrections", str(folder / name))]
    archives = [str(path.parent.resolve() / path.name) for path in order.archives]
    again = folder / "job" / "again"
    spec = JobSpec(
        name=NAME,
        members=(
            Member(
                command=("python", "-P", "-m", "etl", "run", *archives, *words),
                run=order.out.resolve(),
                again=again,
                progress=f"{order.out.resolve()}/.building-*/journal.jsonl {private.index_file.resolve()}",
            ),
        ),
        folder=folder,
        cwd=Path.cwd(),
        resumable=True,
        git_commit=snapshot.commit(),
    )
    files = {"job/recipe.toml": as_toml(order.recipe, only_set=True), "job/site.toml": as_toml(order.site)}
    return spec, files | corrections


def _alone(out: Path) -> None:
    """Raises RadforgeError when a driver of this dataset is in the queue already."""
    drivers = [record for record in registry.records() if record.spec.name == NAME and record.spec.members[0].run == out]
    if drivers and any(status.state not in OVER for status in statuses([drivers[-1]], lambda error: None)):
        raise RadforgeError(
            "a job builds this dataset already", str(out), f"job {drivers[-1].id}", "to wait for it, or rjobs cancel"
        )
