"""Ctrl-C is for the driver alone."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def kept_for_later() -> Iterator[None]:
    """A terminal sends Ctrl-C to every process. Threads and processes started in this block never see it, nor do theirs;
    one that arrives meanwhile is kept for the end of the block."""
    resource_tracker.ensure_running()  # its own start would take SIGINT out of the mask again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
