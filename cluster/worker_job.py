"""The job of a worker: how many workers it holds, what it asks of the queue, its script. Pure but for LSF's unit of memory.

Script and header are dask-jobqueue's. It is not given the submitting: its cluster says nothing of a refusal, does not notice
a job that ends before its worker came, and forgets jobs when it closes (measured with 0.9; see docs/architecture.md).
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask

from cluster import certificates, header
from cluster.dask_settings import exports
from cluster.worker_folder import WorkerFolder
from schemas.errors import RadforgeError
from schemas.site import Site, walltime_s

ROOT = Path(__file__).resolve().parent.parent
BESIDE_WORKERS = 150 * 10**6  # bytes of a job beside its workers: shell, nanny and resource tracker, 80 MB as measured
LEAST_FOR_A_WORKER = 300 * 10**6  # an idle one takes 200 MB
HEADROOM = 1.25  # the nanny must end a worker before the queue ends the job, which would tell nobody what it was
SECONDS_TO_FIND_THE_SCHEDULER = 60


@dataclass(frozen=True)
class Shape:
    """What one job holds."""

    workers: int
    worker_bytes: int
    """The nanny ends a worker that takes more."""
    job_bytes: int
    cores: int


def shape(site: Site, worker_bytes: int) -> Shape:
    """As many workers as the job has cores and memory for, one at least; `worker_bytes` is the most a worker is given.

    Raises RadforgeError when a job would be too small for any worker.
    """
    cores = header.cores(site, site.cpu)
    needed = math.ceil(worker_bytes * HEADROOM)
    if site.cpu.memory is None and dask.config.get(f"jobqueue.{site.kind}.memory", None) is None:
        return Shape(cores, worker_bytes, cores * needed + BESIDE_WORKERS, cores)
    job_bytes = header.memory(site, site.cpu)
    if (job_bytes - BESIDE_WORKERS) / HEADROOM < LEAST_FOR_A_WORKER:
        raise RadforgeError(
            "too little memory for a worker",
            f"site {site.name}: [cpu] memory",
            f"{job_bytes / 10**6:.0f} MB",
            f"{(LEAST_FOR_A_WORKER * HEADROOM + BESIDE_WORKERS) / 10**6:.0f} MB or more; 3GB holds the default of a recipe",
        )
    workers = max(1, min(cores, (job_bytes - BESIDE_WORKERS) // needed))
    fits = int(max(job_bytes - BESIDE_WORKERS, job_bytes / 2) / workers / HEADROOM)
    return Shape(workers, min(worker_bytes, fits), job_bytes, cores)


def script(site: Site, folder: WorkerFolder, scheduler: str, name: str, form: Shape, lifetime_s: float | None) -> str:
    """The text that is given to the queue; no secret stands in it."""
    lsf = site.kind == "lsf"
    arguments: dict[str, Any] = {
        **header.arguments(site, site.cpu),
        "cores": form.workers,
        "processes": form.workers,
        "memory": f"{form.worker_bytes * form.workers}B",
        "nanny": True,
        "death_timeout": SECONDS_TO_FIND_THE_SCHEDULER,
        "job_script_prologue": _prologue(site, folder.log(name)),
        "worker_extra_args": _worker_arguments(site, folder.path, lifetime_s),
        "local_directory": f'"{site.scratch}"' if site.scratch else None,
    }
    if lsf:
        arguments |= {"ncpus": form.cores, "mem": form.job_bytes}
    else:
        arguments |= {"job_cpu": form.cores, "job_mem": f"{math.ceil(form.job_bytes / 2**20)}M"}
    # A job that the queue began again would be taken for one of ours that lives; another one is asked for instead.
    own = ["-rn" if lsf else "--no-requeue", "-o /dev/null"]
    arguments["job_extra_directives"] = [*own, *arguments["job_extra_directives"]]
    with dask.config.set({f"jobqueue.{site.kind}.log-directory": None}):
        return str(header.JOB_CLASSES[site.kind](scheduler, name=name, job_name="radforge-worker", **arguments).job_script())


def lifetime(site: Site) -> float | None:
    """Seconds after which a worker leaves by itself, before the queue ends its job; None when no time limit is known."""
    text = site.cpu.walltime or dask.config.get(f"jobqueue.{site.kind}.walltime", None)
    try:
        limit = walltime_s(str(text))
    except ValueError:
        return None
    return limit - min(300.0, max(60.0, limit / 20)) if limit >= 300 else None


def _prologue(site: Site, log: Path) -> list[str]:
    root = "" if ROOT.name in {"site-packages", "dist-packages"} or site.container else shlex.quote(str(ROOT))
    return [
        # Not the queue's own output file: LSF writes that when the job ends, and some sites elsewhere.
        f"exec > {shlex.quote(str(log))} 2>&1",
        f"cd {shlex.quote(str(Path.cwd()))}",
        *header.prologue(site),
        "export PYTHONSAFEPATH=1",
        *([f"export PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}}"] if root else []),
        *exports(),
    ]


def _worker_arguments(site: Site, folder: Path, lifetime_s: float | None) -> list[str]:
    # Without an address of its own the dashboard of a worker would listen on every interface.
    given = ["--dashboard-address", "127.0.0.1:0"]
    if site.tls:
        for flag, file in (
            ("ca-file", certificates.CERTIFICATE),
            ("cert", certificates.CERTIFICATE),
            ("key", certificates.KEY),
        ):
            given += [f"--tls-{flag}", shlex.quote(str(folder / file))]
    if lifetime_s is not None:
        given += ["--lifetime", f"{lifetime_s:g}s", "--lifetime-stagger", f"{min(60.0, lifetime_s / 10):g}s"]
    return given
