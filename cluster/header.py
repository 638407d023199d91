"""What the queue is told of a job: the header lines, made by dask-jobqueue's own job classes.

ETL workers and trainings thus ask for queue, account, memory and walltime in one way, and a site's jobqueue.yaml gives the
defaults of both.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

import dask

from cluster.jobqueue import LSFJob, SLURMJob
from schemas.errors import RadforgeError
from schemas.site import Kind, Resource, Site, memory_bytes, walltime_s

CORES = 1
MEMORY = "4GB"

JOB_CLASSES: dict[Kind, Any] = {"slurm": SLURMJob, "lsf": LSFJob}


def arguments(site: Site, resource: Resource) -> dict[str, Any]:
    """Keyword arguments that dask-jobqueue's job and cluster classes share.

    What the site file leaves out is not among them, or is jobqueue.yaml's, else CORES and MEMORY.
    """
    lsf = site.kind == "lsf"
    account = resource.account or site.account
    given: dict[str, Any] = {
        "queue": resource.queue,
        "project" if lsf else "account": account,
        "walltime": _walltime(resource.walltime, site.kind),
        "interface": site.interface,
    }
    return {name: value for name, value in given.items() if value is not None} | {
        "cores": cores(site, resource),
        "memory": f"{memory(site, resource)}B",
        "processes": 1,
        "python": python(site),
        "job_directives_skip": [
            *_skipped(site, resource),
            *([] if resource.memory_line else ["#BSUB -M " if lsf else "--mem="]),
        ],
        "job_extra_directives": [
            *_directives(site, resource),
            *(resource.directives or dask.config.get(f"jobqueue.{site.kind}.job-extra-directives", None) or []),
        ],
    }


def header(site: Site, resource: Resource, name: str, *, directives: Sequence[str], skip: Sequence[str]) -> str:
    """The #SBATCH or #BSUB lines of a job, without a line about its output. Pure but for LSF's own unit of memory.

    `directives` come before the site's own, so that the site has the last word. `skip`: texts of lines that dask-jobqueue
    would write and this job does not want.
    """
    known = arguments(site, resource)
    ours = [line for line in directives if not any(text in line for text in _skipped(site, resource))]
    known["job_extra_directives"] = [*ours, *known["job_extra_directives"]]
    known["job_directives_skip"] = [*known["job_directives_skip"], *skip]
    # jobqueue.yaml may name a folder for logs, which the class would make; a job writes into its own.
    with dask.config.set({f"jobqueue.{site.kind}.log-directory": None}):
        return str(JOB_CLASSES[site.kind]("tcp://unused", name=name, job_name=name, **known).job_header)


def shebang(site: Site) -> str:
    """The first line of a script."""
    return str(dask.config.get(f"jobqueue.{site.kind}.shebang", "#!/usr/bin/env bash"))


def prologue(site: Site) -> list[str]:
    """Lines of shell before a command: the site's, else those of jobqueue.yaml."""
    return list(site.setup) or list(dask.config.get(f"jobqueue.{site.kind}.job-script-prologue", None) or [])


def python(site: Site) -> str:
    """What starts Python on a node, the container's command included. Raises RadforgeError when a shell would cut it."""
    path = site.python or dask.config.get(f"jobqueue.{site.kind}.python", None) or sys.executable
    if re.search(r"\s", path):
        raise RadforgeError("the path of Python holds a blank", path, expected="`python` in the site file, or another place")
    return " ".join(filter(None, [site.container, path]))


def interface(site: Site) -> str | None:
    """The network interface of the nodes, where site or jobqueue.yaml name one."""
    return site.interface or dask.config.get(f"jobqueue.{site.kind}.interface", None)


def warned_in_time(site: Site, resource: Resource) -> None:
    """Raises RadforgeError when a job would be warned of its end before it begins."""
    if resource.walltime is not None and walltime_s(resource.walltime) <= resource.warn_s:
        raise RadforgeError(
            "the job would be warned of its end before it begins",
            f"site {site.name}",
            f"walltime {resource.walltime}, warn_s {resource.warn_s}",
            "a longer walltime, or a smaller warn_s",
        )


def cores(site: Site, resource: Resource) -> int:
    """Cores of a job."""
    return int(resource.cores or dask.config.get(f"jobqueue.{site.kind}.cores", None) or CORES)


def memory(site: Site, resource: Resource) -> int:
    """Bytes of memory of a job. Raises RadforgeError when jobqueue.yaml says what cannot be read."""
    text = str(resource.memory or dask.config.get(f"jobqueue.{site.kind}.memory", None) or MEMORY)
    try:
        return memory_bytes(text)
    except ValueError as error:
        raise RadforgeError(str(error), "jobqueue.yaml") from None


def _skipped(site: Site, resource: Resource) -> list[str]:
    return list(resource.skip) or list(dask.config.get(f"jobqueue.{site.kind}.job-directives-skip", None) or [])


def _directives(site: Site, resource: Resource) -> list[str]:
    if site.kind == "slurm":
        lines = [f"--qos={resource.qos}" if resource.qos else "", f'-C "{resource.constraint}"' if resource.constraint else ""]
    else:
        lines = [f'-R "select[{resource.constraint}]"' if resource.constraint else ""]
    return [line for line in lines if line]


def gpu_directives(site: Site, resource: Resource, gpus: int, nodes: int) -> list[str]:
    """How the site is asked for `gpus` GPUs on each of `nodes` nodes."""
    if not gpus:
        return []
    kind = f"{resource.gpu_type}:" if resource.gpu_type else ""
    if site.kind == "lsf":
        model = f":gmodel={resource.gpu_type}" if resource.gpu_type else ""
        return [f'-gpu "num={gpus}{model}"']  # of each host: LSF 10.1 reference, bsub -gpu
    match resource.gpu_request:
        case "gpus":
            return [f"--gpus={kind}{gpus * nodes}"]  # of the whole job: sbatch(1)
        case "gpus-per-node":
            return [f"--gpus-per-node={kind}{gpus}"]
        case _:
            return [f"--gres=gpu:{kind}{gpus}"]  # of each node: sbatch(1)


def _walltime(text: str | None, kind: Kind) -> str | None:
    """SLURM reads `20:00` as minutes and seconds and LSF knows no seconds, so each gets its own unmistakable form."""
    if text is None:
        return None
    seconds = walltime_s(text)
    if kind == "lsf":
        minutes = -(-seconds // 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}"
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d}"
    return f"{days}-{clock}" if days else clock
