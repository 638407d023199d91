"""Which worker is which, kept beyond its death."""

from __future__ import annotations

from distributed import Scheduler, SchedulerPlugin


class Arrivals(SchedulerPlugin):  # type: ignore[misc]  # distributed's class is untyped
    """Listens to the scheduler of a run."""

    name = "radforge-arrivals"

    def __init__(self) -> None:
        self.name_of: dict[str, str] = {}
        self.newest: dict[str, str] = {}

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """A worker's name is its job's, and its place in the job: `w3`, `w3-0`."""
        name = str(scheduler.workers[worker].name)
        self.newest[name] = worker
        self.name_of[worker] = name

    def job(self, worker: str) -> str:
        """Name of a worker's job."""
        return self.name_of.get(worker, "").split("-")[0]

    def came_back(self, worker: str) -> bool:
        """Whether a nanny started this worker again, under another address."""
        return self.newest.get(self.name_of.get(worker, ""), worker) != worker
