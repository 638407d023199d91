"""The queues a job can go to. Each module says in its own queue's words what a script holds, and submits, asks and cancels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from cluster.queues import local, lsf, slurm
from cluster.queues.words import Seen
from schemas.job import JobSpec
from schemas.site import Kind, Site


class Queue(Protocol):
    """What every module here offers."""

    COMMENT: str
    """Begins a line of the header."""
    JOB_ID: str
    """Shell: the id of the job that runs, without its place in an array."""
    TASK: str
    """Shell: the place of the running member in its array, from 0; nothing when there is no array."""
    REQUEUE: str
    """Shell: asks that the job be run again under its id, and ends the script."""

    def header(self, spec: JobSpec, site: Site) -> str:
        """The lines before the first command."""
        ...

    def launch(self, spec: JobSpec, site: Site) -> str:
        """Shell: runs `"$@"` on every node, one launcher each; leaves its exit code in $code."""
        ...

    def submit(self, script: Path, members: int = 1) -> str:
        """The id. Raises RadforgeError with the queue's own words when it refuses.

        `members` of an array: a queue reads their number from the script, this machine does not.
        """
        ...

    def states(self, ids: Sequence[str]) -> dict[str, list[Seen]]:
        """What the queue knows of these jobs, in one question; those it has forgotten are not there."""
        ...

    def cancel(self, id_: str, members: Sequence[int]) -> None:
        """End a job, or members of an array. Raises RadforgeError with the queue's words."""
        ...


QUEUES: dict[Kind, Queue] = {"local": local, "slurm": slurm, "lsf": lsf}
