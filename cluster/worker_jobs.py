"""The jobs of a run's workers as the queue sees them: submitted, asked about in bulk, cancelled."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from cluster.queues import QUEUES
from cluster.worker_folder import WorkerFolder
from schemas.errors import RadforgeError
from schemas.job import OVER, State
from schemas.site import Kind

ENDED = OVER | {"PREEMPTED"}  # they are submitted as jobs that are not begun again
SECONDS_UNTIL_KNOWN = 30.0  # a queue may not show a job yet that it has just taken


@dataclass
class WorkerJob:
    """One job."""

    name: str
    id: str
    asked_at: float
    state: State = "UNKNOWN"
    reason: str = ""
    came: bool = False
    """Whether a worker of it ever spoke to the scheduler."""
    unwanted: bool = False


class WorkerJobs:
    """Those of one run. `script(name)` is the text of the job of that name."""

    def __init__(self, kind: Kind, folder: WorkerFolder, script: Callable[[str], str]) -> None:
        self._queue, self._folder, self._script = QUEUES[kind], folder, script
        self._number = 0
        self.here: dict[str, WorkerJob] = {}
        """By name, those that are not over."""
        self.ended: set[str] = set()
        """Names of those that are."""

    def submit(self) -> None:
        """One more. Raises RadforgeError with the queue's own words."""
        self._number += 1
        name = f"w{self._number}"
        path = self._folder.path / "worker.sh"
        try:
            path.write_text(self._script(name), "utf-8")
            id_ = self._queue.submit(path)
            self.here[name] = WorkerJob(name, id_, time.monotonic())  # first: what we know of we cancel
            self._folder.remember(id_)
        except OSError as error:
            raise RadforgeError("cannot be written", str(self._folder.path), error.strerror or "I/O error") from None

    def look(self) -> Iterator[WorkerJob]:
        """Ask the queue about all of them; those that have ended since, `state` saying how. Nothing when it does not answer."""
        try:
            seen = self._queue.states([job.id for job in self.here.values()])
        except RadforgeError:
            return  # a busy queue is no reason to end; the next time is soon
        for job in list(self.here.values()):
            found = seen.get(job.id)
            if found:
                job.state, job.reason = found[0].state, found[0].reason
            elif time.monotonic() - job.asked_at < SECONDS_UNTIL_KNOWN:
                continue
            if not found or job.state in ENDED:
                del self.here[job.name]
                self.ended.add(job.name)
                yield job

    def cancel(self, jobs: list[WorkerJob]) -> None:
        """They are not wanted any more; their end is not told."""
        for job in jobs:
            job.unwanted = True
            with suppress(RadforgeError):  # it is over; not asked first, as a queue may not show yet what it has just taken
                self._queue.cancel(job.id, ())

    def waiting(self) -> str:
        """`4 jobs wait in the queue (Priority 3, Resources 1)`; "" when none waits."""
        waiting = [job for job in self.here.values() if job.state in {"PENDING", "SUSPENDED"}]
        reasons = Counter(job.reason or "no reason told" for job in waiting)
        told = ", ".join(f"{reason} {count}" if len(reasons) > 1 else reason for reason, count in reasons.most_common(3))
        return f"{_jobs(len(waiting))} in the queue ({told})" if waiting else ""


def _jobs(count: int) -> str:
    return "1 job waits" if count == 1 else f"{count} jobs wait"
