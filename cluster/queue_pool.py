"""A pool whose workers are jobs of a queue. The scheduler is in this process and ends with it, and so do the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Scheduler, SpecCluster
from distributed.utils import get_ip, get_ip_interface

from cluster import certificates
from cluster.arrivals import Arrivals
from cluster.dask_settings import DRIVER, silent
from cluster.pool import Pool
from cluster.progress import Reporter
from cluster.queue_supply import QueueSupply, Wish
from cluster.signal_mask import kept_for_later
from cluster.span import Span
from cluster.worker_folder import worker_folder
from cluster.worker_job import lifetime, script, shape
from cluster.worker_jobs import WorkerJobs
from schemas.errors import RadforgeError
from schemas.site import Site


@contextmanager
def on_queue(
    site: Site,
    span: Span,
    worker_bytes: int,
    beside: Path,
    say: Reporter,
    look: Callable[[], str] | None = None,
    lifetime_s: float | None = None,
) -> Iterator[Pool[Any, Any]]:
    """A pool on the site's `cpu` resource. Nothing is submitted before there is work, and nothing is left in the queue after.

    `worker_bytes`: the most memory a worker is given. `beside`: a folder that every node sees, for certificates and logs.
    `look`: see Pool. `lifetime_s`: when workers leave, else shortly before the job's time limit.
    Raises RadforgeError when scheduler or folder cannot be made.
    """
    form = shape(site, worker_bytes)
    most = form.workers * site.cpu.max_jobs if site.cpu.max_jobs else span.max
    span = Span(min(span.min, most), min(span.max, most))
    where = f"{site.kind} (site {site.name}{f', queue {site.cpu.queue}' if site.cpu.queue else ''})"
    arrivals = Arrivals()
    with worker_folder(beside, site.kind) as folder, dask.config.set(dict(DRIVER)):
        silent()
        security = certificates.make(folder.path) if site.tls else None
        options = {
            **_listen(site),
            "protocol": "tls://" if security else "tcp://",
            "security": security,
            "dashboard_address": "127.0.0.1:0",
            "plugins": [arrivals],
        }
        with kept_for_later():
            cluster = SpecCluster(scheduler={"cls": Scheduler, "options": options}, security=security, name="radforge")
        address, seconds = cluster.scheduler_address, lifetime_s or lifetime(site)
        jobs = WorkerJobs(site.kind, folder, lambda name: script(site, folder, address, name, form, seconds))
        try:
            with Client(cluster, set_as_default=False) as client:
                wish = Wish(span, form.workers, where, 60 * site.minutes_to_wait)
                supply = QueueSupply(jobs, arrivals, folder, wish, say)
                client.subscribe_topic("worker-restart-memory", supply.hear)
                say.say(f"asking {where} for {span} workers")
                if form.worker_bytes < worker_bytes:
                    say.warn(
                        f"a worker may take {form.worker_bytes / 2**30:.1f} GB of its job's {form.job_bytes / 2**30:.1f}, "
                        f"not {worker_bytes / 2**30:.1f}: films that need more will be failures"
                    )
                yield Pool(client, span.max, cluster.dashboard_link, supply, look)
        finally:
            with kept_for_later():
                jobs.cancel([*jobs.here.values()])
                cluster.close(timeout=10)


def _listen(site: Site) -> dict[str, str]:
    """Where the scheduler listens: one interface, never all of them. Raises RadforgeError."""
    interface = site.interface or dask.config.get(f"jobqueue.{site.kind}.interface", None)
    if interface is None:
        return {"host": get_ip()}
    try:
        get_ip_interface(interface)
    except ValueError as error:
        raise RadforgeError("no such network interface here", f"site {site.name}: interface", str(error)) from None
    return {"interface": interface}
