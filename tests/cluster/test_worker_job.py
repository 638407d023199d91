"""The script of a worker's job: what it asks of the queue, and what it must not hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.worker_folder import WorkerFolder
from cluster.worker_job import ROOT, Shape, lifetime, script, shape
from schemas.site import Kind, Site, load_site

GB = 10**9


def site(kind: Kind = "slurm", cpu: dict[str, Any] | None = None, **settings: Any) -> Site:
    return Site.model_validate({"kind": kind, "cpu": cpu or {}, **settings})


def text(of: Site, worker_bytes: int = 2 * GB, folder: Path = Path("/shared/workers-login-1")) -> str:
    return script(of, WorkerFolder(folder), "tls://10.0.0.1:4242", "w7", shape(of, worker_bytes), lifetime(of))


def test_a_job_without_memory_asks_for_what_its_worker_and_its_nanny_need() -> None:
    assert shape(site(), 2 * GB) == Shape(workers=1, worker_bytes=2 * GB, job_bytes=2_650_000_000, cores=1)
    assert "#SBATCH --mem=2528M" in text(site())
    assert "--memory-limit 1.86GiB" in text(site())


def test_a_worker_of_a_small_job_gets_less_than_the_job_so_that_its_nanny_is_first() -> None:
    form = shape(site(cpu={"memory": "1GB"}), 2 * GB)

    assert (form.workers, form.job_bytes) == (1, GB)
    assert form.worker_bytes == 680_000_000


@pytest.mark.parametrize(("cores", "memory", "workers"), [(4, "6GB", 2), (4, "60GB", 4), (48, "96GB", 38), (4, "1GB", 1)])
def test_a_job_holds_as_many_workers_as_it_has_cores_and_memory_for(cores: int, memory: str, workers: int) -> None:
    of = site(cpu={"cores": cores, "memory": memory})

    assert shape(of, 2 * GB).workers == workers
    assert f"#SBATCH --cpus-per-task={cores}\n" in text(of)
    assert "--nthreads 1 " in text(of)
    assert (f"--nworkers {workers} " in text(of)) == (workers > 1)


def test_lsf_is_asked_for_the_cores_and_memory_of_the_whole_job() -> None:
    told = text(site("lsf", {"cores": 4, "memory": "60GB", "queue": "normal", "walltime": "02:30"}))

    assert {"#BSUB -n 4", "#BSUB -M 60000000", "#BSUB -q normal", "#BSUB -W 02:30", "#BSUB -rn"} <= set(told.splitlines())


@pytest.mark.parametrize("kind", ["slurm", "lsf"])
def test_paths_with_blanks_are_quoted_and_the_key_is_named_but_not_shown(kind: Kind) -> None:
    told = text(site(kind), folder=Path("/my shared/workers-login-1"))

    assert "exec > '/my shared/workers-login-1/logs/w7.log' 2>&1" in told
    assert "--tls-key '/my shared/workers-login-1/key.pem'" in told
    assert "--dashboard-address 127.0.0.1:0" in told
    assert "--tls" not in text(site(kind, tls=False))


def test_a_checkout_is_what_the_workers_run_unless_a_container_brings_its_own() -> None:
    assert f"export PYTHONPATH={ROOT}${{PYTHONPATH:+:$PYTHONPATH}}" in text(site())
    contained = text(site(container="apptainer exec radforge.sif", python="python3"))
    assert "PYTHONPATH=" not in contained
    assert "\napptainer exec radforge.sif python3 -m distributed.cli.dask_worker" in contained


@pytest.mark.parametrize(
    ("walltime", "seconds"), [("00:04", None), ("00:20", 1140), ("04:00", 14100), ("2-00:00", 172500), (None, 1710)]
)
def test_workers_leave_before_the_time_limit(walltime: str | None, seconds: float | None) -> None:
    assert lifetime(site(cpu={"walltime": walltime})) == seconds


@pytest.mark.parametrize("name", ["slurm", "lsf", "cte_power9", "lab"])
def test_every_shipped_site_has_a_script_of_one_command(name: str) -> None:
    *_, command = text(load_site(name)).strip().splitlines()

    assert " -m distributed.cli.dask_worker tls://10.0.0.1:4242 --name w7 " in command
