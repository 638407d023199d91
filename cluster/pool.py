"""Workers on this machine, through Dask: one process and one thread each, watched from outside.

A decoder may hold the interpreter's lock for ever, kill its process or eat the machine's memory, so nothing inside a worker
can be trusted to end it. The pool holds one item per worker, so it knows when each began; an item that takes too long
loses its worker, and an item whose worker died comes back as Lost instead of a result.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, wait
from distributed.client import FutureCancelledError

from cluster import interrupt
from schemas.errors import RadforgeError

SECONDS_WITHOUT_WORKERS = 120.0
SECONDS_TO_NOTICE = 15.0

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Lost:
    """The worker of an item went away before it had a result."""

    reason: Literal["crash", "memory", "timeout"]


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class _Running(Generic[Item]):
    item: Item
    worker: str
    since: float


class _MemoryWatch(logging.Handler):
    """The nanny says in its log which worker it ended for its memory; there is no other word of it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.killed_at: deque[float] = deque(maxlen=100)

    def emit(self, record: logging.LogRecord) -> None:
        if "memory budget" in record.getMessage():
            self.killed_at.append(time.monotonic())


class Pool(Generic[Item, Result]):
    """Runs a function over items, one at a time on each worker, and never waits for ever."""

    def __init__(self, client: Client, workers: int, dashboard: str, memory: _MemoryWatch) -> None:
        self.workers = workers
        self.dashboard = dashboard
        self._client = client
        self._memory = memory

    def map(
        self, work: Callable[[Item], Result], items: Iterable[Item], seconds: Callable[[Item], float] | None = None
    ) -> Iterator[tuple[Item, Result | Lost]]:
        """(item, result) as they finish; `seconds(item)` is the time an item may take.

        Each worker holds one item, so a million items cost no memory, and nobody is blamed for a neighbour's death.
        An exception of `work` is raised here.
        """
        waiting = iter(items)
        returned: list[Item] = []
        running: dict[Future, _Running[Item]] = {}
        alone_since: float | None = None
        try:
            while True:
                interrupt.check()
                live = self._live()
                for address in sorted(live - {held.worker for held in running.values()}):
                    item = returned.pop() if returned else next(waiting, _END)
                    if item is _END:
                        break
                    future = self._client.submit(work, item, pure=False, workers=[address])
                    running[future] = _Running(item, address, time.monotonic())
                if not running and live:
                    return
                alone_since = None if live else alone_since or time.monotonic()
                if alone_since is not None and time.monotonic() - alone_since > SECONDS_WITHOUT_WORKERS:
                    raise RuntimeError("no worker came back")
                if running:
                    with suppress(TimeoutError), self._client.as_current():
                        wait(list(running), timeout=1, return_when="FIRST_COMPLETED")
                else:
                    time.sleep(0.2)
                for future, held in list(running.items()):
                    age = time.monotonic() - held.since
                    if future.done():
                        del running[future]
                        yield held.item, self._outcome(future, held.since)
                    elif seconds is not None and age > seconds(held.item):
                        del running[future]
                        self._end(future, held.worker)
                        yield held.item, Lost("timeout")
                    elif held.worker not in live and age > SECONDS_TO_NOTICE:
                        # Sent to a worker that had just died: nobody has begun it.
                        del running[future]
                        self._client.cancel([future], force=True)
                        returned.append(held.item)
        finally:
            with suppress(Exception):
                self._client.cancel(list(running), force=True)

    def _live(self) -> set[str]:
        if self._client.status != "running":  # without the scheduler no result would ever come
            raise RuntimeError("the connection to the scheduler is lost")
        return set(self._client.nthreads())

    def _outcome(self, future: Future, started: float) -> Any:
        try:
            return future.result()
        except (KilledWorker, FutureCancelledError):
            memory = any(moment >= started for moment in self._memory.killed_at)
            return Lost("memory" if memory else "crash")

    def _end(self, future: Future, worker: str) -> None:
        # Cancelled first: the scheduler would otherwise give it to the next worker.
        self._client.cancel([future], force=True)
        self._client.restart_workers([worker], timeout=30, raise_for_error=False)


_END: Any = object()
_SCRATCH = "radforge-pool-"

_SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,  # who dies with an item is tried again by us, alone
    "distributed.scheduler.worker-ttl": None,  # a decoder that holds the lock sends no heartbeat; we watch the time
    "distributed.worker.daemon": True,
    "distributed.worker.memory.target": False,  # nothing worth spilling: results are small rows
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.profile.enabled": False,
    "distributed.comm.timeouts.connect": "60s",
}


@contextmanager
def local(workers: int, memory_bytes: int) -> Iterator[Pool[Any, Any]]:
    """A pool of worker processes on this machine; the dashboard listens on loopback only. Scratch goes with the pool."""
    _sweep_scratch()
    scratch = tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-")
    memory = _MemoryWatch()
    nanny_log = logging.getLogger("distributed.nanny.memory")
    try:
        with dask.config.set({**_SETTINGS, "temporary-directory": scratch}):
            # Dask quotes arguments in its messages: they hold paths, which hold names.
            for name in ("distributed", "tornado", "asyncio"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
            nanny_log.setLevel(logging.WARNING)
            nanny_log.propagate = False
            nanny_log.addHandler(memory)
            with _ctrl_c_for_us_alone(), _start_is_told():
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=memory_bytes,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    local_directory=scratch,
                    silence_logs=logging.CRITICAL,
                )
            try:
                with Client(cluster, set_as_default=False) as client:
                    yield Pool(client, workers, cluster.dashboard_link, memory)
            finally:
                cluster.close(timeout=10)
    finally:
        nanny_log.removeHandler(memory)
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _start_is_told() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, OSError, TimeoutError) as error:
        raise RadforgeError(
            "workers could not be started",
            found=type(error).__name__,
            expected=f"room in {tempfile.gettempdir()} (TMPDIR), processes and memory to spare",
        ) from None


def _sweep_scratch() -> None:
    """Remove the scratch of pools whose process was killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        owner = path.name.removeprefix(_SCRATCH).split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and Path("/proc/self").exists():
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _ctrl_c_for_us_alone() -> Iterator[None]:
    """A terminal sends Ctrl-C to every process. Threads and processes started in this block never see it, nor do theirs;
    one that arrives meanwhile is kept for the end of the block."""
    resource_tracker.ensure_running()  # its own start would take SIGINT out of the mask again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
