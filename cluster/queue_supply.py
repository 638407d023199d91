"""Workers from a queue: asked for, watched, asked for again, and never left behind.

All jobs that there is work for are asked for at once: they pend harmlessly, and work begins with the first that comes. The
queue is asked about them only while some have no worker, and less and less often while nothing changes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Set
from dataclasses import dataclass

from cluster import interrupt
from cluster.arrivals import Arrivals
from cluster.progress import Reporter
from cluster.span import Span
from cluster.supply import Fate
from cluster.worker_folder import WorkerFolder
from cluster.worker_jobs import WorkerJob, WorkerJobs
from schemas.errors import RadforgeError

JOBS_WITHOUT_A_WORKER = 3  # so many in a row, and the queue is asked for no more
SECONDS_TO_DECIDE = 60.0  # a node that lost its power is found out by the queue in minutes only
SECONDS_BETWEEN_LOOKS = (2.0, 30.0)
SECONDS_IDLE = 30.0
SECONDS_BETWEEN_TOUCHES = 600.0
SECONDS_AFTER_REFUSAL = (60.0, 1800.0)


@dataclass(frozen=True)
class Wish:
    """What is asked of the queue."""

    span: Span
    workers_a_job: int
    where: str
    """`slurm (site NAME, queue cpu)`, for people."""
    seconds_to_wait: float
    """After this with fewer workers than `span.min` the queue's reason is told."""


class QueueSupply:
    """See the module."""

    def __init__(self, jobs: WorkerJobs, arrivals: Arrivals, folder: WorkerFolder, wish: Wish, say: Reporter) -> None:
        self._jobs, self._arrivals, self._folder, self._wish, self._say = jobs, arrivals, folder, wish, say
        now = time.monotonic()
        self._live: Set[str] = frozenset()
        self._here: Set[str] = frozenset()  # names of jobs that have a worker
        self._told_live = 0
        self._barren = 0  # jobs that ended without a worker, in a row
        self._next_look, self._interval = now, SECONDS_BETWEEN_LOOKS[0]
        self._next_ask, self._refused = now, SECONDS_AFTER_REFUSAL[0]
        self._next_touch = now
        self._short_since: float | None = None
        self._next_telling = wish.seconds_to_wait
        self._told_waiting = ""
        self._surplus_since: float | None = None
        self._fallen: dict[str, float] = {}
        self._memory: dict[str, float] = {}

    def tend(self, need: int, live: Set[str], busy: Set[str]) -> None:
        """Raises RadforgeError when the queue refuses the first job, or jobs end again and again before a worker comes."""
        now = time.monotonic()
        if now >= self._next_touch:
            self._folder.touch()
            self._next_touch = now + SECONDS_BETWEEN_TOUCHES
        self._notice(live, now)
        wanted = math.ceil(min(need, self._wish.span.max) / self._wish.workers_a_job)
        if now >= self._next_look and any(not self._has_worker(job) for job in self._jobs.here.values()):
            self._look(now, wanted)
        if now >= self._next_ask:
            self._ask(wanted, now)
        self._let_go(wanted, busy, now)
        self._tell(min(need, self._wish.span.min), now)

    def fate(self, worker: str) -> Fate | None:
        """A worker that its nanny started again has died alone; else its job's end is waited for, but not for ever."""
        since = self._fallen.setdefault(worker, time.monotonic())
        fate: Fate | None = None
        if self._arrivals.came_back(worker):
            fate = "process"
        elif self._arrivals.job(worker) in self._jobs.ended or time.monotonic() - since > SECONDS_TO_DECIDE:
            fate = "job"
        if fate is not None:
            del self._fallen[worker]
        return fate

    def out_of_memory(self, worker: str, since: float) -> bool:
        """Whether its nanny said so."""
        return self._memory.get(worker, 0.0) >= since

    def hear(self, event: tuple[float, dict[str, str]]) -> None:
        """A nanny ended its worker for its memory: topic worker-restart-memory of Dask."""
        self._memory[event[1]["worker"]] = time.monotonic()

    def _has_worker(self, job: WorkerJob) -> bool:
        return job.name in self._here

    def _notice(self, live: Set[str], now: float) -> None:
        if live == self._live:
            return
        if self._live - live:
            self._next_look, self._interval = now, SECONDS_BETWEEN_LOOKS[0]
        self._live = live
        self._here = {self._arrivals.job(worker) for worker in live}
        for name in self._here & self._jobs.here.keys():
            job = self._jobs.here[name]
            self._barren = self._barren if job.came else 0
            job.came = True
            job.state = "RUNNING"
        if len(live) > self._told_live:
            self._say.say(f"{_workers(len(live))} here")
        self._told_live = len(live)

    def _look(self, now: float, wanted: int) -> None:
        before = {name: job.state for name, job in self._jobs.here.items()}
        for job in self._jobs.look():
            if not job.unwanted:
                self._mourn(job, now, wanted)
        changed = before != {name: job.state for name, job in self._jobs.here.items()}
        self._interval = SECONDS_BETWEEN_LOOKS[0] if changed else min(1.3 * self._interval, SECONDS_BETWEEN_LOOKS[1])
        self._next_look = now + self._interval

    def _mourn(self, job: WorkerJob, now: float, wanted: int) -> None:
        how = job.state.lower().replace("_", " ") + (f", {job.reason}" if job.reason else "")
        if job.came:
            more = "; asking for another" if len(self._jobs.here) < wanted else ""
            self._say.say(f"a worker's job ended ({how}){more}")
            return
        self._barren += 1
        if self._barren >= JOBS_WITHOUT_A_WORKER and not self._live:
            raise self._hopeless(job, how)
        self._say.warn(f"job {job.id} ended before its worker came ({how})")
        self._next_ask = now + min(2.0 * 2**self._barren, 300.0)

    def _hopeless(self, job: WorkerJob, how: str) -> RadforgeError:
        """No worker has read a film yet, so the log holds none's name."""
        log = self._folder.log(job.name)
        try:
            lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        except OSError:
            lines = [f"no log: do the nodes see {log.parent}?"]
        return RadforgeError(
            f"jobs end before a worker comes; the last one, {job.id}, {how}",
            self._wish.where,
            " | ".join(lines[-3:])[-500:] or "an empty log",
            f"Python and radforge on the nodes, and a way from there to this machine; the log is {log}",
        )

    def _ask(self, wanted: int, now: float) -> None:
        """Ask for what is missing. A refusal of the first is the user's to mend, later ones are limits of the queue."""
        while len(self._jobs.here) < wanted:
            interrupt.check()
            try:
                self._jobs.submit()
            except RadforgeError as error:
                if not self._jobs.here and not self._jobs.ended:
                    raise
                self._say.warn(f"no more than {len(self._jobs.here)} jobs for now: {error}")
                self._next_ask, self._refused = now + self._refused, min(2 * self._refused, SECONDS_AFTER_REFUSAL[1])
                return
            self._next_look, self._interval = now + SECONDS_BETWEEN_LOOKS[0], SECONDS_BETWEEN_LOOKS[0]

    def _let_go(self, wanted: int, busy: Set[str], now: float) -> None:
        """Jobs that there is no work for any more."""
        jobs = [job for job in self._jobs.here.values() if not job.unwanted]
        surplus = len(jobs) - wanted
        if surplus <= 0:
            self._surplus_since = None
            return
        self._surplus_since = self._surplus_since or now
        if now - self._surplus_since < SECONDS_IDLE:
            return
        working = {self._arrivals.job(worker) for worker in busy}
        idle = [job for job in jobs if job.name not in working]
        self._jobs.cancel(sorted(idle, key=self._has_worker)[:surplus])
        self._surplus_since = None

    def _tell(self, least: int, now: float) -> None:
        """What the queue says while workers are missing."""
        if len(self._live) >= least:
            self._short_since, self._next_telling = None, self._wish.seconds_to_wait
            return
        self._short_since = self._short_since or now
        waiting = self._jobs.waiting()
        short = now - self._short_since
        if short >= self._next_telling:
            self._next_telling = 2 * short
            here = f"{len(self._live)} of at least {least} workers" if self._live else "no worker"
            self._say.warn(f"{here} after {_minutes(short)}; {waiting or 'no job waits in the queue'}")
        elif waiting and waiting != self._told_waiting and not self._live:
            self._say.say(waiting)
        self._told_waiting = waiting


def _workers(count: int) -> str:
    return "1 worker is" if count == 1 else f"{count} workers are"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"
