"""One builder at a time, also between processes; a killed one holds nobody up: the kernel takes its lock away."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cluster.progress import Reporter


@contextmanager
def alone_at(path: Path, say: Reporter) -> Iterator[bool]:
    """Wait until nobody else builds this file. False where the disk knows no locks: two may build then, and both succeed."""
    while True:
        with path.open("w") as lock:
            try:
                _wait(lock, say)
            except OSError:
                yield False
                return
            if not _names(path, lock):
                continue  # whoever was here before took the file away, and another may hold the new one
            try:
                yield True
            finally:
                path.unlink(missing_ok=True)
            return


def _names(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _wait(lock: IO[str], say: Reporter) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say.say("another process is decoding the pictures: waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)
