"""The lab's folder: its lsf.conf, and the jobs in it. One lock for all who write."""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

FINISHED = ("DONE", "EXIT")

Job = dict[str, Any]
"""A job, or one element of an array, as it lies in jobs/KEY.json."""


def fail(text: str, code: int = 255) -> NoReturn:
    """One line on stderr; LSF's commands end with 255 when they refuse (seen in their pages as a negative value)."""
    sys.stderr.write(text + "\n")
    sys.exit(code)


def say(text: str) -> None:
    """One line on stdout, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Lab:
    """Where things are, and lsf.conf: lines NAME=VALUE. LSF_LAB_* are the lab's own and may come from the environment too."""

    def __init__(self) -> None:
        where = os.environ.get("LSF_ENVDIR") or fail("LSF_ENVDIR is not set: read the lab's env.sh first")
        self.folder = Path(where).parent
        text = (self.folder / "conf/lsf.conf").read_text()
        self.conf = dict(re.findall(r"^\s*(\w+)\s*=\s*(.*?)\s*$", text, re.MULTILINE))
        self.conf |= {name: value for name, value in os.environ.items() if name.startswith("LSF_LAB_")}
        self.queues: list[str] = self.conf["LSF_LAB_QUEUES"].split()
        """The first is the default queue."""
        hosts = (item.split(":") for item in self.conf["LSF_LAB_HOSTS"].split())
        self.hosts = {name: (int(slots), int(gpus)) for name, slots, gpus in hosts}
        """Slots and GPUs of each host."""
        self.minute = float(self.conf["LSF_LAB_MINUTE"])
        """Seconds that a minute of -W and -wt lasts."""
        self.terminate_interval = float(self.conf["LSF_LAB_TERMINATE_INTERVAL"])
        """lsb.params JOB_TERMINATE_INTERVAL: seconds between SIGINT, SIGTERM and SIGKILL, 10 by default."""

    def spool(self, key: str, what: str) -> Path:
        """A file of a job: its script, its output so far, its environment, its hosts."""
        return self.folder / "spool" / f"{key}.{what}"

    def is_down(self, host: str) -> bool:
        """Whether its power was cut."""
        return (self.folder / "down" / host).exists()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Nobody else reads and writes meanwhile."""
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def path(self, key: str) -> Path:
        """The job's own file; its time changes with it."""
        return self.folder / "jobs" / f"{key}.json"

    def load(self, key: str) -> Job:
        """One job."""
        loaded: Job = json.loads(self.path(key).read_text())
        return loaded

    def save(self, job: Job) -> None:
        """Write a job whole."""
        new = self.path(job["key"]).with_suffix(".new")
        new.write_text(json.dumps(job, indent=1))
        new.replace(self.path(job["key"]))

    def change(self, key: str, **fields: Any) -> None:
        """Set fields of a job."""
        with self.lock():
            self.save(self.load(key) | fields)

    def jobs(self) -> list[Job]:
        """All, in order of id and index."""
        found = [self.load(file.stem) for file in (self.folder / "jobs").glob("*.json")]
        return sorted(found, key=lambda job: (job["jobid"], job["jobindex"]))

    def next_id(self) -> int:
        """A new job's id; call it under the lock."""
        counter = self.folder / "lastid"
        number = int(counter.read_text()) + 1 if counter.exists() else 101
        counter.write_text(str(number))
        return number

    def environment(self, job: Job) -> dict[str, str]:
        """What the job was submitted with."""
        loaded: dict[str, str] = json.loads(self.spool(job["key"].split(".")[0], "env").read_text())
        return loaded


def matching(jobs: list[Job], word: str) -> list[Job]:
    """Jobs that `12`, `12[3]` or a name means; `0` means every unfinished one (bkill, bjobs: job_ID)."""
    if word == "0":
        return [job for job in jobs if job["stat"] not in FINISHED]
    if match := re.fullmatch(r"(\d+)(?:\[(\d+)\])?", word):
        number, index = int(match[1]), int(match[2] or 0)
        return [job for job in jobs if job["jobid"] == number and index in (0, job["jobindex"])]
    return [job for job in jobs if job["name"] == word]


def now() -> float:
    """Seconds since 1970."""
    return time.time()
