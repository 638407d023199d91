"""A site file: where jobs run and what each kind of job asks for. The only place that names a queue."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.loading import load

Kind = Literal["local", "slurm", "lsf"]
ResourceName = Literal["cpu", "gpu"]

_WALLTIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d))?")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_MEMORY = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMGT]?)(?P<binary>i?)B?", re.IGNORECASE)


def walltime_s(text: str) -> int:
    """Seconds of `HH:MM`, `HH:MM:SS` or `D-HH:MM[:SS]`. Raises ValueError."""
    match = _WALLTIME.fullmatch(text)
    if match is None:
        raise ValueError(f"walltime {text!r} is not HH:MM, HH:MM:SS or D-HH:MM (hours first)")
    days, hours, minutes, seconds = (int(match[name] or 0) for name in ("days", "hours", "minutes", "seconds"))
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total < 60:
        raise ValueError(f"walltime {text!r} is shorter than a minute")
    return total


def memory_bytes(text: str) -> int:
    """Bytes of `8GB`, `500 MB`, `2GiB`. Raises ValueError."""
    match = _MEMORY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"memory {text!r} is not a size such as 8GB")
    unit = _UNITS[match["unit"].upper()]
    if match["binary"]:
        unit = 1024 ** list(_UNITS).index(match["unit"].upper())
    number = float(match["number"])
    if number * unit > 1e18:
        raise ValueError(f"memory {text[:40]!r} is more than any node has")
    size = int(number * unit)
    if size < 64 * 10**6:
        raise ValueError(f"memory {text!r} is less than 64 MB")
    return size


def _checked_walltime(text: str) -> str:
    walltime_s(text)
    return text


def _checked_memory(text: str) -> str:
    memory_bytes(text)
    return text


def _plain(text: str) -> str:
    """dask-jobqueue joins header and command without quotes, so a blank would cut them."""
    if re.search(r"[\s'\"`;&|<>\x00-\x1f]", text):
        raise ValueError(f"{text!r} holds a blank or a character that a shell would read; use a path or name without")
    return text


def _one_line(text: str) -> str:
    if re.search(r"[\r\n\x00]", text):
        raise ValueError("must be one line")
    return text


def _directive(text: str) -> str:
    if not text.strip() or text.lstrip().startswith("#"):
        raise ValueError(f'{text!r} is no directive: what follows #SBATCH or #BSUB is meant, e.g. "--exclusive"')
    return _one_line(text)


def _feature(text: str) -> str:
    if not re.fullmatch(r"[\w.+:,=&|!()\[\]*-]+", text):
        raise ValueError(f"{text!r} is no expression of node features")
    return text


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("an empty text would skip every line")
    return text


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Directive = Annotated[str, AfterValidator(_directive)]
Feature = Annotated[str, AfterValidator(_feature)]
Said = Annotated[str, AfterValidator(_said)]
Word = Annotated[str, BeforeValidator(_number_as_text), AfterValidator(_plain)]
Line = Annotated[str, AfterValidator(_one_line)]


class Settings(BaseModel):
    """Strict and frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Resource(Settings):
    """What one job asks for, per node. What is left out comes from dask-jobqueue's jobqueue.yaml, if the site has one."""

    queue: Word | None = Field(None, description="Partition (SLURM) or queue (LSF).")
    account: Word | None = Field(None, description="Account (SLURM) or project (LSF); else that of the site.")
    qos: Word | None = Field(None, description="SLURM: quality of service.")
    walltime: Annotated[str, AfterValidator(_checked_walltime)] | None = Field(
        None,
        description="HH:MM, HH:MM:SS or D-HH:MM: after this the queue ends the job. dask-jobqueue's own default is 00:30:00.",
    )
    cores: int | None = Field(None, ge=1, description="Processor cores.")
    memory: Annotated[str, AfterValidator(_checked_memory)] | None = Field(
        None, description='Memory of the job, e.g. "8GB"; `memory_line = false` where the queue refuses to be told.'
    )
    memory_line: bool = Field(True, description="Whether the queue is told the memory; some sites derive it from the cores.")
    gpus: int = Field(0, ge=0, description="GPUs of a node that a job asks for, where the command does not say.")
    gpu_request: Literal["gres", "gpus", "gpus-per-node", "gpu"] | None = Field(
        None, description="How the site wants to be asked: SLURM --gres=gpu:N, --gpus or --gpus-per-node; LSF -gpu."
    )
    gpu_type: Word | None = Field(None, description="Kind of GPU: gres gpu:TYPE:N, or LSF's gmodel.")
    constraint: Feature | None = Field(None, description="Node feature: SLURM -C, LSF -R select[...].")
    directives: tuple[Directive, ...] = Field((), description="More lines of the header, without #SBATCH or #BSUB.")
    skip: tuple[Said, ...] = Field((), description="Header lines that hold one of these texts are left out.")
    warn_s: int = Field(300, ge=30, description="Seconds before the time limit at which a training is asked for a checkpoint.")
    max_jobs: int | None = Field(None, ge=1, description="At most so many jobs of one `etl run`.")

    @model_validator(mode="after")
    def _warning_fits(self) -> Self:
        # SLURM may warn up to 60 s early (sbatch(1), --signal).
        if self.walltime is not None and self.gpus and walltime_s(self.walltime) < self.warn_s + 60:
            raise ValueError(f"warn_s = {self.warn_s} leaves no time to work within walltime {self.walltime}")
        return self


class Site(Settings):
    """One cluster, or this machine."""

    name: str = Field("site", description="For people; the file's name unless said.")
    kind: Kind = Field(description="local, slurm or lsf.")
    shared: str = Field(
        "",
        description="A folder that every node sees: logs of workers and certificates; else DATASET.private beside a dataset.",
    )
    interface: Word | None = Field(
        None, description="Network interface of nodes and login node, e.g. ib0; else the default one."
    )
    account: Word | None = Field(None, description="Account (SLURM) or project (LSF) of all jobs.")
    setup: tuple[Line, ...] = Field((), description="Lines of shell before the command: module load, source venv/bin/activate.")
    python: Word | None = Field(None, description="Python on the nodes; else the one that submits.")
    container: Line = Field(
        "", description='Put before the Python on the nodes, e.g. "apptainer exec --nv --bind /data radforge.sif".'
    )
    scratch: Word | None = Field(None, description="A node's own folder for caches, e.g. $TMPDIR; else the system's.")
    tls: bool = Field(True, description="Whether scheduler and workers talk encrypted, with certificates made for the run.")
    minutes_to_wait: float = Field(1.0, gt=0, description="After this without a worker, the queue's reason is told.")
    cpu: Resource = Field(
        default_factory=lambda: Resource.model_validate({}), description="ETL workers and jobs without a GPU."
    )
    gpu: Resource | None = Field(None, description="Trainings. Left out where a site has no GPUs.")

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.shared:
            _plain(self.shared)
            if not Path(self.shared).expanduser().is_absolute():
                raise ValueError(f"shared = {self.shared!r} must be an absolute path: every node reads it")
        for name, resource in (("cpu", self.cpu), ("gpu", self.gpu)):
            if resource is None:
                continue
            wanted = {"slurm": ("gres", "gpus", "gpus-per-node"), "lsf": ("gpu",), "local": ()}[self.kind]
            if resource.gpu_request is not None and resource.gpu_request not in wanted:
                raise ValueError(
                    f"{name}.gpu_request = {resource.gpu_request!r} is not {self.kind}'s: {', '.join(wanted) or 'none'}"
                )
            if self.kind == "lsf" and resource.qos is not None:
                raise ValueError(f"{name}.qos: LSF has none; a directive such as -sla may be meant")
        return self

    def resource(self, name: ResourceName) -> Resource:
        """The resource of that name; `gpu` falls back to `cpu` where the site has no GPUs."""
        return self.gpu if name == "gpu" and self.gpu is not None else self.cpu


def load_site(name_or_path: str) -> Site:
    """A site file, or the shipped one of that name. Raises RadforgeError naming every problem."""
    return load(Site, name_or_path, "sites")
