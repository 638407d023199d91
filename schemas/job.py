"""A job on disk: what it is asked to do (`JobSpec`), what became of it (`JobRecord`), and the words for its states."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.site import Kind, ResourceName, Site

State = Literal[
    "PENDING",
    "RUNNING",
    "SUSPENDED",
    "DONE",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "PREEMPTED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "UNKNOWN",
]
"""One set of words for every queue. UNKNOWN: the queue has forgotten the job, and it left no word itself."""

OVER: frozenset[State] = frozenset(
    ("DONE", "FAILED", "CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL", "OUT_OF_MEMORY", "UNKNOWN")
)
"""PREEMPTED: for good; one that is requeued is PENDING."""


class Stored(BaseModel):
    """Frozen; unknown keys of a later radforge are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Member(Stored):
    """One command line: the only one of a job, or one of an array."""

    label: str = ""
    """What tells it from the others of an array, e.g. `seed=3`."""
    command: tuple[str, ...]
    """`python` as its first word is the Python of the site."""
    run: Path | None = None
    """The folder that it writes, where that is not the job's own."""
    again: Path | None = None
    """A file that the command leaves when it was warned and wants to be run again."""
    progress: str = ""
    """A file, or a pattern of files, that changes when the command gets further."""


class JobSpec(Stored):
    """What is to be run, where and on how much: with a site, all that a script is rendered from."""

    name: str
    members: tuple[Member, ...]
    folder: Path
    """Absolute: `job.sh` and `job/` (log, events, code) go here."""
    cwd: Path
    """Absolute: where the command was typed."""
    resource: ResourceName = "cpu"
    nodes: int = Field(default=1, ge=1)
    processes: int = Field(default=1, ge=1)
    """Processes of a node: one a GPU, told RANK, LOCAL_RANK and WORLD_SIZE."""
    gpus: int = Field(default=0, ge=0)
    """GPUs of a node."""
    after: tuple[str, ...] = ()
    """Queue ids of jobs that must have ended well."""
    together: int | None = None
    """Members of an array that may run at once."""
    resumable: bool = False
    """Whether the command answers SIGUSR1 and SIGTERM with a checkpoint, `again`, and goes on when it is run again."""
    git_commit: str | None = None
    """Of the code that it runs."""

    @property
    def code(self) -> Path:
        """The copy of radforge that it runs: an edit while it waits does not change it."""
        return self.folder / "job" / "code"


class JobRecord(Stored):
    """job/record.json: what was submitted, when, where, from what."""

    id: str
    """The queue's."""
    kind: Kind
    spec: JobSpec
    site: Site
    site_file: str = ""
    submitted_at: str
    user: str = ""
    host: str = ""
    command: tuple[str, ...] = ()
    """What was typed."""
    dataset: str | None = None
    """DATASET@VERSION that it reads, or the dataset that it builds."""
    continues: str | None = None
    """Id of the job that this one repeats or goes on from."""


class Status(Stored):
    """One job or array member as it stands now."""

    id: str
    name: str
    label: str = ""
    state: State
    reason: str = ""
    elapsed_s: float | None = None
    node: str = ""
    exit_code: int | None = None
    restarts: int = 0
    folder: Path
