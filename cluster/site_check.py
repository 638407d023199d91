"""Is a site file true? Everything that can be seen from the login node, and, when asked, from a job and a worker."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cluster import header as headers
from cluster import registry, snapshot
from cluster.follow import wait
from cluster.jobs import submit
from cluster.order import job_folder
from cluster.progress import Reporter
from cluster.script import render
from cluster.shell import call
from cluster.show_jobs import sentence
from cluster.span import Span
from schemas.errors import RadforgeError
from schemas.job import JobSpec, Member
from schemas.site import ResourceName, Site

COMMANDS = {
    "slurm": ("sbatch", "squeue", "scancel", "srun", "scontrol", "sinfo"),
    "lsf": ("bsub", "bjobs", "bkill", "bqueues"),
    "local": ("bash",),
}

WORKER_BYTES = 256 * 10**6


@dataclass(frozen=True)
class Fact:
    """One thing that was looked at. `holds` is None where it could not be seen from here."""

    what: str
    holds: bool | None
    found: str = ""


def check(site: Site, with_jobs: bool, say: Reporter) -> list[Fact]:
    """All facts, in the order a person would mend them. Raises RadforgeError when a probe cannot be written."""
    facts = [*_commands(site), *_folders(site), *_network(site), *_python(site)]
    reachable = all(fact.holds is not False for fact in facts if fact.what.startswith("command"))
    resources: list[ResourceName] = ["cpu"] if site.gpu is None else ["cpu", "gpu"]
    if reachable:
        for name in resources:
            facts += _queue(site, name)
    if with_jobs and all(fact.holds is not False for fact in facts):
        for name in resources:
            facts += _probe(site, name, say)
        facts += _worker(site, say)
    elif with_jobs:
        facts.append(Fact("jobs", None, "not tried: mend the others first"))
    return facts


def _commands(site: Site) -> Iterator[Fact]:
    for name in COMMANDS[site.kind]:
        path = shutil.which(name)
        yield Fact(f"command {name}", path is not None, path or "not on this machine's PATH")
    if site.container:
        name = site.container.split()[0]
        path = shutil.which(name)
        yield Fact(f"command {name} (container)", True if path else None, path or "not here; a node may have it")


def _folders(site: Site) -> Iterator[Fact]:
    if site.shared:
        yield _writable("shared folder", Path(site.shared).expanduser())
    if site.scratch:
        place = Path(os.path.expandvars(site.scratch))
        # A node's own disk need not be here; where it is, it must be writable too.
        yield _writable("scratch folder", place) if place.is_dir() else Fact("scratch folder", None, _elsewhere(place))


def _elsewhere(place: Path) -> str:
    return f"{place} is not set here" if "$" in str(place) else f"{place}: seen on the nodes only"


def _writable(what: str, folder: Path) -> Fact:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".radforge-"):
            pass
    except OSError as error:
        return Fact(what, False, f"{folder}: {error.strerror}")
    return Fact(what, True, f"{folder}: written")


def _network(site: Site) -> Iterator[Fact]:
    if site.interface:
        known = sorted(path.name for path in Path("/sys/class/net").iterdir())
        there = site.interface in known
        yield Fact(f"interface {site.interface}", there, "here" if there else f"this machine has {', '.join(known)}")


def _python(site: Site) -> Iterator[Fact]:
    lines = headers.prologue(site) if site.kind != "local" else list(site.setup)
    version = f"{headers.python(site)} -c 'import sys, cluster; print(sys.version.split()[0])'"
    environment = f"export PYTHONPATH={snapshot.ROOT} PYTHONSAFEPATH=1"
    answer = call(["bash", "-c", "\n".join(["set -e", *lines, environment, version])], timeout_s=120)
    own = platform.python_version()
    told = answer.stdout.strip().splitlines()
    words = (answer.stderr.strip().splitlines() or ["no word"])[-1]
    same = not answer.code and bool(told) and told[-1].rsplit(".", 1)[0] == own.rsplit(".", 1)[0]
    yield Fact("setup lines and Python", same, f"{told[-1]}, here {own}" if told and not answer.code else words)


def _queue(site: Site, name: ResourceName) -> Iterator[Fact]:
    queue = site.resource(name).queue
    if site.kind == "slurm":
        if queue is not None:
            answer = call(["sinfo", "--noheader", f"--partition={queue}", "--format=%P %a %l %D nodes"])
            known = "; ".join(answer.stdout.split("\n")).strip("; ")
            yield Fact(f"[{name}] partition {queue}", bool(known) and not answer.code, known or "sinfo does not know it")
        # The queue itself judges queue, account, QoS, memory, cores and GPUs; nothing is submitted: sbatch(1), --test-only.
        with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
            file.write(render(_job(site, name, Path(tempfile.gettempdir()) / "radforge-check"), site))
            file.flush()
            answer = call(["sbatch", "--test-only", file.name])
        words = " ".join(line.strip() for line in answer.stderr.splitlines())
        yield Fact(f"[{name}] sbatch --test-only", not answer.code, words)
    elif site.kind == "lsf":
        answer = call(["bqueues", *([queue] if queue else [])])
        told = (answer.stderr.strip() or answer.stdout.strip()).splitlines()
        yield Fact(f"[{name}] queue {queue or '(default)'}", not answer.code, told[-1] if told else "")


def _job(site: Site, name: ResourceName, folder: Path) -> JobSpec:
    gpus = site.resource(name).gpus if name == "gpu" else 0
    command = ("python", "-P", "-m", "cluster.site_probe", str(folder), *([site.scratch] if site.scratch else []))
    return JobSpec(
        name="radforge-check",
        members=(Member(command=command),),
        folder=folder,
        cwd=Path("/"),
        resource=name,
        gpus=gpus,
        git_commit=snapshot.commit(),
    )


def _probe(site: Site, name: ResourceName, say: Reporter) -> Iterator[Fact]:
    """A tiny job, and what it saw on its node."""
    base = Path(site.shared).expanduser() if site.shared else Path.cwd()
    folder = job_folder(base / "jobs" / f"site-check-{name}-{os.getpid()}")
    say.say(f"[{name}]: a tiny job, until it is over (Ctrl-C ends the waiting)")
    try:
        record = submit(_job(site, name, folder), site)
    except RadforgeError as error:
        yield Fact(f"[{name}] a job", False, str(error))
        return
    (status,) = wait(record, told=lambda status: say.say(sentence(status)))
    if status.state != "DONE":
        yield Fact(f"[{name}] a job", False, f"job {record.id}: {status.state} {status.reason}; {folder}/job/log.txt")
        return
    yield Fact(f"[{name}] a job", True, f"job {record.id} ran on {status.node}")
    try:
        seen = json.loads((folder / "probe.json").read_text("utf-8"))
    except (OSError, ValueError):
        yield Fact(f"[{name}] shared file system", False, f"what the job wrote into {folder} is not seen here")
        return
    yield Fact(f"[{name}] Python on the node", seen["python"] == platform.python_version(), seen["python"])
    if site.interface:
        yield Fact(f"[{name}] interface on the node", site.interface in seen["interfaces"], ", ".join(seen["interfaces"]))
    if site.scratch:
        yield Fact(f"[{name}] scratch on the node", seen["scratch_writable"], seen["scratch"])
    if name == "gpu" and site.resource(name).gpus:
        yield _gpus(site.resource(name).gpus, seen["gpus"], seen["nvidia_smi"])
    registry.forget(record)
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folder.parent.rmdir()


def _gpus(wanted: int, given: str, counted: int | None) -> Fact:
    """What the queue gave, and whether the driver of the node sees any: without one a training would run on the CPU."""
    devices = [device for device in given.split(",") if device]
    found = f"{len(devices)} of {wanted} given (CUDA_VISIBLE_DEVICES={given})" if devices else "CUDA_VISIBLE_DEVICES is not set"
    seen = "nvidia-smi is not on the node" if counted is None else f"nvidia-smi sees {counted}"
    holds = len(devices) == wanted and (None if counted is None else counted >= 1)
    return Fact("[gpu] GPUs", holds, f"{found}; {seen}")


def _worker(site: Site, say: Reporter) -> Iterator[Fact]:
    """One Dask worker, as `etl run --site` would start it."""
    if site.kind == "local":
        return
    # Imported here: Dask takes a while, and nothing else of a check needs it.
    from cluster.queue_pool import on_queue  # noqa: PLC0415

    beside = Path(site.shared).expanduser() if site.shared else Path.cwd()
    try:
        with on_queue(site, Span(1, 1), WORKER_BYTES, beside.absolute(), say) as pool:
            ((_, host),) = pool.map(_host, [0])
    except RadforgeError as error:
        yield Fact("[cpu] a worker", False, str(error))
        return
    yield Fact("[cpu] a worker", isinstance(host, str), f"on {host}, {'over TLS' if site.tls else 'without TLS'}")


def _host(item: int) -> str:
    return platform.node()
