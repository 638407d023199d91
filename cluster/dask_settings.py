"""How Dask is set here, in the driver and in its workers."""

from __future__ import annotations

import logging
from collections.abc import Mapping

DRIVER: Mapping[str, object] = {
    "distributed.scheduler.allowed-failures": 0,  # who dies with an item is tried again by us, alone
    "distributed.scheduler.worker-ttl": None,  # a decoder that holds the lock sends no heartbeat; we watch the time
    "distributed.comm.timeouts.connect": "60s",
    "distributed.admin.low-level-log-length": 10,  # each connection would keep its last thousand messages: batches, rows
}
WORKER: Mapping[str, object] = {
    "distributed.worker.daemon": True,
    "distributed.worker.memory.target": False,  # nothing worth spilling: results are small rows
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.profile.enabled": False,
    "distributed.comm.timeouts.connect": "60s",
}
_LOGGERS = ("distributed", "tornado", "asyncio")


def silent() -> None:
    """Dask quotes arguments in its messages: they hold paths, which hold names."""
    for name in (*_LOGGERS, "distributed.client"):  # to which Dask gives a level of its own
        logging.getLogger(name).setLevel(logging.CRITICAL)


def exports() -> list[str]:
    """Lines of shell that set a worker of another machine alike. Dask's configuration reference, "Environment Variables"."""
    settings = {**WORKER, **{f"logging.{name}": "critical" for name in _LOGGERS}}
    return [f"export {_variable(key)}={value}" for key, value in settings.items()]


def _variable(key: str) -> str:
    return "DASK_" + key.replace(".", "__").replace("-", "_").upper()
