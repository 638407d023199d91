"""A training in small: a counter that writes checkpoints, answers the queue's warning, and waits where a test wants it to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster import jobs
from schemas.job import OVER, JobRecord, JobSpec, Member, Status
from schemas.site import Site, load_site
from tests.lab.lab import Lab
from tests.lab.processes import true_within

RJOBS = str(Path(sys.executable).parent / "rjobs")
COUNTER = """
import json, os, pathlib, signal, sys, time
folder, steps, hold = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
last, asked = folder / "checkpoint.json", []
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, lambda number, frame: asked.append(signal.Signals(number).name))
signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR1, signal.SIGTERM))
def save():
    draft = last.with_suffix(".tmp")
    draft.write_text(json.dumps([at, total]))
    draft.replace(last)
at, total = json.loads(last.read_text()) if last.exists() else (0, 0)
print("from", at)
while at < steps:
    if asked:
        save()
        pathlib.Path(os.environ["RADFORGE_AGAIN"]).touch()
        sys.exit(print("warned by", asked[0], "at", at))
    if at == hold and not (folder / "go").exists():
        (folder / "holding").write_text(str(os.getpid()))
        time.sleep(0.02)
        continue
    at, total = at + 1, total + at + 1
    if at % 10 == 0:
        save()
(folder / "sum").write_text(str(total))
print("sum", total)
"""
SUM = str(sum(range(51)))


def counter(folder: Path, hold: int = 25, code: str = COUNTER, **fields: Any) -> JobSpec:
    """Counts to 50, with a checkpoint every 10; at `hold` it waits for FOLDER/go."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "counter.py").write_text(code)
    member = Member(
        command=("python", str(folder / "counter.py"), str(folder), "50", str(hold)),
        again=folder / "again",
        progress=str(folder / "checkpoint.json"),
    )
    given = {"name": "counter", "members": (member,), "folder": folder, "cwd": folder, "resumable": True}
    return JobSpec.model_validate(given | fields)


def plain(folder: Path, *command: str, **fields: Any) -> JobSpec:
    """Any command line; with `members`, an array."""
    given = {"name": "plain", "members": (Member(command=command),), "folder": folder, "cwd": folder.parent}
    return JobSpec.model_validate(given | fields)


def site_of(lab: Lab, **changes: Any) -> Site:
    """The lab's site."""
    return load_site(str(lab.site(**changes)))


def log(record: JobRecord, place: int | None = None) -> str:
    """What the job said; "" when nothing."""
    path = record.spec.folder / "job" / f"log{'' if place is None else f'-{place}'}.txt"
    return path.read_text() if path.exists() else ""


def begun(record: JobRecord) -> Sequence[str]:
    """Where each of its runs began to count."""
    return [line.removeprefix("from ") for line in log(record).splitlines() if line.startswith("from ")]


def holds(record: JobRecord) -> bool:
    """Whether the counter waits."""
    path = record.spec.folder / "holding"
    return path.exists() and path.read_text() != ""


def now(record: JobRecord) -> Status:
    """How a job without members stands."""
    (status,) = jobs.statuses([record])
    return status


def all_ended(record: JobRecord, seconds: float = 60) -> list[Status]:
    """How its members ended; looks more often than `rjobs wait`, and not for ever."""
    told: list[Status] = []

    def over() -> bool:
        told[:] = jobs.statuses([record])
        return all(status.state in OVER for status in told)

    assert true_within(seconds, over, every_s=0.2), f"not over after {seconds} s: {told}\n{log(record)}"
    return told


def ended(record: JobRecord, seconds: float = 60) -> Status:
    """How it ended."""
    (status,) = all_ended(record, seconds)
    return status


def rjobs(lab: Lab, *words: object, folder: Path | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """The command as a person types it."""
    environment = {**os.environ, **lab.env, "NO_COLOR": "1", "COLUMNS": "300"}
    command = [RJOBS, *map(str, words)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=timeout)


def rows(lab: Lab, *words: object) -> list[dict[str, Any]]:
    """What it answers as JSON."""
    told = rjobs(lab, *words, "--json")
    assert told.returncode in {0, 5}, told.stderr
    answer: list[dict[str, Any]] = json.loads(told.stdout)
    return answer


def warn(lab: Lab, id_: str) -> None:
    """SIGUSR1 from the queue, as before a time limit."""
    lab.run("scancel" if lab.kind == "slurm" else "bkill", "-s", "USR1", id_)
