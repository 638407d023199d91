"""What workers and batches cost the driver: the limit of one Dask scheduler.

`python -m tests.benchmark.scheduling [WORKERS ...]`. Real worker processes sleep through batches of a second; told is the CPU
of the driver alone (client and scheduler): of a worker that only sends its heartbeats, and of a batch on top of it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Set

import dask
from distributed import Client, LocalCluster

from cluster.dask_settings import DRIVER, WORKER, silent
from cluster.pool import Pool
from cluster.supply import Fate

BATCHES_A_WORKER = 10
SECONDS_A_BATCH = 1.0
SECONDS_IDLE = 10.0


class Nothing:
    """A supply that has nothing to do."""

    def tend(self, need: int, live: Set[str], busy: Set[str]) -> None:
        """Nothing."""

    def fate(self, worker: str) -> Fate | None:
        """Its process."""
        return "process"

    def out_of_memory(self, worker: str, since: float) -> bool:
        """No."""
        return False


def idle(item: int) -> int:
    """A batch that takes its time and no CPU."""
    time.sleep(SECONDS_A_BATCH)
    return item


def measure(workers: int) -> tuple[float, float]:
    """CPU ms of the driver: a second of a worker that does nothing, and a batch beyond that."""
    with (
        dask.config.set({**DRIVER, **WORKER}),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, memory_limit=0) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        silent()
        resting, _ = _cpu(lambda: time.sleep(SECONDS_IDLE))
        pool: Pool[int, int] = Pool(client, workers, "", Nothing())
        batches = BATCHES_A_WORKER * workers
        working, seconds = _cpu(lambda: sum(1 for _ in pool.map(idle, range(batches))))
    a_second = resting / SECONDS_IDLE
    return 1000 * a_second / workers, 1000 * (working - a_second * seconds) / batches


def _cpu(work: object) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.monotonic()
    assert callable(work)
    work()
    return time.process_time() - cpu, time.monotonic() - wall


def main(sizes: list[int]) -> None:
    """Print one line a size."""
    sys.stdout.write("workers   CPU ms a worker and second   CPU ms a batch\n")
    for workers in sizes:
        beat, batch = measure(workers)
        sys.stdout.write(f"{workers:7}   {beat:26.2f}   {batch:14.2f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [2, 16, 32])
