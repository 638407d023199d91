"""Workers on this machine."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster

from cluster.dask_settings import DRIVER, WORKER, silent
from cluster.pool import Pool
from cluster.signal_mask import kept_for_later
from cluster.supply import Fate
from schemas.errors import RadforgeError

SECONDS_WITHOUT_WORKERS = 120.0
_SCRATCH = "radforge-pool-"


class _Machine(logging.Handler):
    """Workers that a nanny starts again, here. The nanny says in its log which one it ended for its memory."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._ended_at: deque[float] = deque(maxlen=100)
        self._alone_since: float | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """A line of the nanny's log."""
        if "memory budget" in record.getMessage():
            self._ended_at.append(time.monotonic())

    def tend(self, need: int, live: Set[str], busy: Set[str]) -> None:
        """Raises RuntimeError when no worker came back."""
        self._alone_since = None if live else self._alone_since or time.monotonic()
        if self._alone_since is not None and time.monotonic() - self._alone_since > SECONDS_WITHOUT_WORKERS:
            raise RuntimeError("no worker came back")

    def fate(self, worker: str) -> Fate | None:
        """Here a worker dies of what it does."""
        return "process"

    def out_of_memory(self, worker: str, since: float) -> bool:
        """Whether any worker was ended for its memory since."""
        return any(moment >= since for moment in self._ended_at)


@contextmanager
def local(workers: int, memory_bytes: int) -> Iterator[Pool[Any, Any]]:
    """A pool of worker processes on this machine; the dashboard listens on loopback only. Scratch goes with the pool."""
    _sweep_scratch()
    scratch = tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-")
    machine = _Machine()
    nanny_log = logging.getLogger("distributed.nanny.memory")
    try:
        with dask.config.set({**DRIVER, **WORKER, "temporary-directory": scratch}):
            silent()
            nanny_log.setLevel(logging.WARNING)
            nanny_log.propagate = False
            nanny_log.addHandler(machine)
            with kept_for_later(), _start_is_told():
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
                    yield Pool(client, workers, cluster.dashboard_link, machine)
            finally:
                cluster.close(timeout=10)
    finally:
        nanny_log.removeHandler(machine)
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
