"""dask-jobqueue's job classes.

Importing dask_jobqueue 0.9 gives SIGINT to a handler of its own (dask_jobqueue/runner.py) that ends the process with code 0:
whoever had the signal before gets it back.
"""

from __future__ import annotations

import signal
import threading

_before = signal.getsignal(signal.SIGINT)

from dask_jobqueue.lsf import LSFJob  # noqa: E402 - between the two lines about the signal
from dask_jobqueue.slurm import SLURMJob  # noqa: E402

if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, _before)

__all__ = ["LSFJob", "SLURMJob"]
