"""What a queue says of a job, in one set of words; and how a refusal is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.shell import Finished
from schemas.errors import RadforgeError
from schemas.job import State

SLURM: Mapping[str, State] = {
    "PENDING": "PENDING",
    "CONFIGURING": "PENDING",
    "REQUEUED": "PENDING",
    "REQUEUE_FED": "PENDING",
    "REQUEUE_HOLD": "PENDING",
    "SPECIAL_EXIT": "PENDING",
    "RESV_DEL_HOLD": "PENDING",
    "RUNNING": "RUNNING",
    "COMPLETING": "RUNNING",
    "SIGNALING": "RUNNING",
    "STAGE_OUT": "RUNNING",
    "RESIZING": "RUNNING",
    "STOPPED": "SUSPENDED",
    "SUSPENDED": "SUSPENDED",
    "COMPLETED": "DONE",
    "CANCELLED": "CANCELLED",
    "REVOKED": "CANCELLED",
    "FAILED": "FAILED",
    "TIMEOUT": "TIMEOUT",
    "DEADLINE": "TIMEOUT",
    "PREEMPTED": "PREEMPTED",
    "NODE_FAIL": "NODE_FAIL",
    "BOOT_FAIL": "NODE_FAIL",
    "OUT_OF_MEMORY": "OUT_OF_MEMORY",
}
"""squeue(1), "JOB STATE CODES"."""

LSF: Mapping[str, State] = {
    "PEND": "PENDING",
    "WAIT": "PENDING",
    "PROV": "PENDING",
    "RUN": "RUNNING",
    "PSUSP": "SUSPENDED",
    "USUSP": "SUSPENDED",
    "SSUSP": "SUSPENDED",
    "DONE": "DONE",
    "EXIT": "FAILED",
    "UNKWN": "RUNNING",
    "ZOMBI": "UNKNOWN",
}
"""LSF 10.1 reference, bjobs, "STAT"."""

LSF_ENDS: Mapping[str, State] = {
    "TERM_RUNLIMIT": "TIMEOUT",
    "TERM_DEADLINE": "TIMEOUT",
    "TERM_CPULIMIT": "TIMEOUT",
    "TERM_MEMLIMIT": "OUT_OF_MEMORY",
    "TERM_SWAP": "OUT_OF_MEMORY",
    "TERM_OWNER": "CANCELLED",
    "TERM_FORCE_OWNER": "CANCELLED",
    "TERM_ADMIN": "CANCELLED",
    "TERM_FORCE_ADMIN": "CANCELLED",
    "TERM_REMOVE_HUNG_JOB": "CANCELLED",
    "TERM_PREEMPT": "PREEMPTED",
    "TERM_ORPHAN_SYSTEM": "CANCELLED",
    "TERM_ZOMBIE": "NODE_FAIL",
    "TERM_UNKNOWN": "NODE_FAIL",
}
"""LSF 10.1 reference, bjobs, termination reasons."""

ADVICE: Mapping[State, str] = {
    "TIMEOUT": "the time limit was reached: a longer walltime in the site file",
    "OUT_OF_MEMORY": "the job took more memory than it asked for: more memory in the site file",
    "NODE_FAIL": "its node went away: rjobs rerun",
    "PREEMPTED": "another job had precedence: rjobs rerun",
}


@dataclass(frozen=True)
class Seen:
    """One job, or one member of an array, as the queue shows it now."""

    task: int | None
    """Place in its array, from 0."""
    state: State
    reason: str = ""
    elapsed_s: float | None = None
    node: str = ""
    exit_code: int | None = None


def clock_s(text: str) -> float | None:
    """Seconds of SLURM's `D-HH:MM:SS`, `MM:SS`; None when it is none."""
    days, _, rest = text.strip().rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in parts) or (days and not days.isdigit()):
        return None
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + int(part)
    return float(seconds + 86400 * int(days or 0))


def refusal(what: str, where: str, answer: Finished) -> RadforgeError:
    """The queue's own words, once."""
    lines = [line.strip() for line in (answer.stderr or answer.stdout).splitlines() if line.strip()]
    if answer.code == 127:
        return RadforgeError(
            f"{lines[0]} on this machine", where, expected="a login node of that queue, its environment loaded"
        )
    words = "; ".join(dict.fromkeys(lines)) or f"no word, exit code {answer.code}"
    return RadforgeError(what, where, found=words)
