"""Where a run keeps what its workers' jobs read and write: certificates, script, logs, and which jobs they are.

`workers-HOST-PID/`, mode 0700, on the shared file system. It goes with the run; what a killed one left goes at the next.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from cluster import certificates, registry
from cluster.queues import QUEUES
from schemas.errors import RadforgeError
from schemas.job import OVER
from schemas.site import Kind

SECONDS_TO_OUTLIVE = 86400.0  # a run touches its folder; of one on another host nothing else is known
_PREFIX = "workers-"
_JOBS = "jobs"
_KIND = "kind"


@dataclass(frozen=True)
class WorkerFolder:
    """One run's."""

    path: Path

    @property
    def logs(self) -> Path:
        """One file a job."""
        return self.path / "logs"

    def log(self, job: str) -> Path:
        """What a job wrote."""
        return self.logs / f"{job}.log"

    def jobs(self) -> list[str]:
        """The ids of all jobs of the run so far."""
        try:
            return (self.path / _JOBS).read_text("utf-8").split()
        except OSError:
            return []

    def remember(self, id_: str) -> None:
        """Note the id of a job, so that the next run can cancel it if this one cannot."""
        with (self.path / _JOBS).open("a") as file:
            file.write(f"{id_}\n")

    def touch(self) -> None:
        """Say that the run lives."""
        with suppress(OSError):
            os.utime(self.path)


@contextmanager
def worker_folder(beside: Path, kind: Kind) -> Iterator[WorkerFolder]:
    """A new folder in `beside`; afterwards only the logs are left, and those only when the block was left by an error.

    Raises RadforgeError when it cannot be made.
    """
    folder = WorkerFolder(beside / f"{_PREFIX}{socket.gethostname()}-{os.getpid()}")
    try:
        beside.mkdir(parents=True, exist_ok=True)
        _sweep(beside)
        shutil.rmtree(folder.path, ignore_errors=True)
        folder.path.mkdir(mode=0o700)
        (folder.path / _KIND).write_text(kind, "utf-8")
        folder.logs.mkdir(mode=0o700)
    except OSError as error:
        raise RadforgeError("cannot be written", str(beside), error.strerror or "I/O error") from None
    note = registry.announce(kind, folder.path)
    try:
        yield folder
    except BaseException:
        for path in folder.path.iterdir():
            if path != folder.logs:
                path.unlink(missing_ok=True)
        raise
    finally:
        note.unlink(missing_ok=True)
    shutil.rmtree(folder.path, ignore_errors=True)


def _sweep(beside: Path) -> None:
    """Remove what runs of ours have left that were killed, and cancel their jobs. Others may share the folder."""
    for path in beside.glob(f"{_PREFIX}*"):
        if path.stat().st_uid != os.getuid():
            continue
        host, _, pid = path.name.removeprefix(_PREFIX).rpartition("-")
        if host == socket.gethostname():
            alive = Path(f"/proc/{pid}").exists() or not Path("/proc/self").exists()
        else:
            alive = time.time() - path.stat().st_mtime < SECONDS_TO_OUTLIVE
        if not alive:
            for file in (path / certificates.KEY, path / certificates.CERTIFICATE):
                file.unlink(missing_ok=True)
            with suppress(RadforgeError, OSError):
                _cancel(_kind(path), WorkerFolder(path).jobs())
            shutil.rmtree(path, ignore_errors=True)


def _kind(path: Path) -> Kind:
    """The queue that the jobs of a folder went to: ids of two queues may be equal. Raises OSError, RadforgeError."""
    kind = (path / _KIND).read_text("utf-8")
    if kind not in get_args(Kind):
        raise RadforgeError("not a queue", str(path), kind)
    return cast(Kind, kind)


def _cancel(kind: Kind, ids: list[str]) -> None:
    """Cancel those that are not over. Raises RadforgeError when the queue does not answer."""
    queue = QUEUES[kind]
    for id_, seen in queue.states(ids).items() if ids else ():
        if any(one.state not in OVER for one in seen):
            with suppress(RadforgeError):  # it ended meanwhile
                queue.cancel(id_, ())
