"""One lab, whichever its queue: what tests do with it."""

from __future__ import annotations

import atexit
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import hosts, leftovers, processes, site_file, slurm
from tests.lab.lsf import folder as lsf
from tests.lab.site_file import Kind
from tests.lab.slurm_conf import NODES

QUEUES = {"slurm": slurm, "lsf": lsf}


@dataclass(frozen=True)
class Lab:
    """A queue of two nodes (lab1, lab2; each 4 cores, 6000 MB and 2 GPUs that need not be there) on this machine."""

    kind: Kind
    folder: Path
    """Everything of the lab lies here."""

    @property
    def env(self) -> dict[str, str]:
        """Variables that a program needs to talk to this lab."""
        variables: dict[str, str] = QUEUES[self.kind].environment(self.folder)
        return variables

    @contextmanager
    def entered(self) -> Iterator[None]:
        """os.environ talks to this lab meanwhile."""
        before = dict(os.environ)
        os.environ.update(self.env)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def site(self, **changes: Any) -> Path:
        """Write a new site file for this lab: `site(tls=False, cpu={"walltime": "00:02"})`; None takes a key out."""
        (self.folder / "shared").mkdir(exist_ok=True)
        (self.folder / "sites").mkdir(exist_ok=True)
        path = self.folder / f"sites/site{len(list((self.folder / 'sites').iterdir()))}.toml"
        path.write_text(site_file.toml(site_file.changed(site_file.settings(self.kind, self.folder), changes)))
        return path

    def run(
        self, *command: str | Path, stdin: str | None = None, timeout: float = 60, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in this lab to its end, with more variables if wanted; its code, stdout and stderr as text."""
        env = {**os.environ, **self.env, **changes}
        words = [str(word) for word in command]
        return subprocess.run(words, input=stdin, env=env, capture_output=True, text=True, check=False, timeout=timeout)

    def jobs(self) -> list[str]:
        """Ids of the jobs that are not over, `12_3` or `12[3]` for elements of an array."""
        if self.kind == "slurm":
            return self.run("squeue", "-h", "-r", "-o", "%i").stdout.split()
        rows = self.run("bjobs", "-noheader", "-o", "jobid jobindex").stdout.splitlines()
        return [number if index == "0" else f"{number}[{index}]" for number, index in map(str.split, rows)]

    def states(self) -> Mapping[str, str]:
        """The queue's own word for each job that is not over: RUNNING or RUN, PENDING or PEND, ..."""
        if self.kind == "slurm":
            rows = self.run("squeue", "-h", "-r", "-o", "%i %T").stdout.splitlines()
        else:
            rows = self.run("bjobs", "-noheader", "-o", "jobid stat").stdout.splitlines()
        return dict(row.split() for row in rows)

    def kill(self, job: str) -> None:
        """Cancel a job with the queue's own command; returns before it is gone."""
        self.run("scancel" if self.kind == "slurm" else "bkill", job)

    def wait_until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        """Returns when the condition is true. Raises AssertionError, with what the queue holds, when it is not in time."""
        if not processes.true_within(seconds, condition):
            queue = self.run("squeue", "-o", "%i %P %j %T %M %N %r") if self.kind == "slurm" else self.run("bjobs", "-a")
            raise AssertionError(f"not so after {seconds} s; the queue:\n{queue.stdout}{queue.stderr}")

    def free(self, seconds: float = 30) -> None:
        """Empty the queue; returns when nothing of any job is left, every node has power and takes jobs."""
        for node in NODES:
            self.power_on(node)
        if self.kind == "slurm":
            slurm.cancel_all(self.folder)
        elif self.jobs():
            self.run("bkill", "-s", "KILL", "0")
        self.wait_until(lambda: not self.jobs(), seconds)

    def power_cut(self, node: str, noticed: bool = True) -> None:
        """The node is gone with all that ran on it. SLURM sees it after about 30 s, or at once: `noticed`."""
        if self.kind == "slurm":
            slurm.power_cut(self.folder, node, noticed)
        else:
            lsf.power_cut(self.folder, node)

    def power_on(self, node: str) -> None:
        """The node is back and takes jobs."""
        QUEUES[self.kind].power_on(self.folder, node)

    def forget(self) -> None:
        """The queue forgets the jobs that are over (SLURM's MinJobAge, LSF's CLEAN_PERIOD); none may be left."""
        QUEUES[self.kind].forget(self.folder)

    def down(self) -> None:
        """End the lab and remove its folder. A second time does nothing."""
        leftovers.remove(self.folder)
        hosts.remove(self.folder)


def up(kind: Kind) -> Lab:
    """A new lab for this process, taken down with it at the latest; first ends what killed runs have left."""
    leftovers.sweep()
    lab = Lab(kind, leftovers.new_folder())
    # Before it is up: it may be interrupted half-way.
    atexit.register(lab.down)
    QUEUES[kind].up(lab.folder)
    return lab
