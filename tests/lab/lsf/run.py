"""One run of a job: its processes, its limits, and the signals that LSF sends."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
from pathlib import Path

from tests.lab import processes
from tests.lab.lsf.environment import job_environment
from tests.lab.lsf.report import Output
from tests.lab.lsf.state import Job, Lab, now

TICK_S = 0.2
"""How often a job is looked at, whether it runs or waits."""


def written(lab: Lab) -> int:
    """When any job's file was last written: the time of their folder, which is cheap to ask for however many jobs wait."""
    return (lab.folder / "jobs").stat().st_mtime_ns


def wait_for_a_change(lab: Lab, seen: int) -> None:
    """Until a job's file was written after `seen`, two seconds at most."""
    processes.true_within(2.0, lambda: written(lab) != seen, every_s=TICK_S)


class Run:
    """One run of a job: its processes, and the signals that are still to come."""

    def __init__(self, lab: Lab, job: Job, output: Output) -> None:
        self.lab, self.job, self.reason = lab, job, ""
        self.plan: list[tuple[float, int]] = []
        script = lab.spool(str(job["jobid"]), "sh")
        first = script.read_text().split("\n", 1)[0]
        shell = shlex.split(first[2:]) if first.startswith("#!") else ["/bin/sh"]
        cwd = job["cwd"] if Path(job["cwd"]).is_dir() else "/tmp"  # bsub -cwd: "runs in /tmp" where there is no such folder
        with output.opened() as (stdout, stderr):
            self.process = subprocess.Popen(
                [*shell, str(script)],
                cwd=cwd,
                env=job_environment(lab, job),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    def to_its_end(self) -> tuple[int, str, bool]:
        """Exit code (128 + signal), why LSF ended it, whether it died with its host."""
        ended = os.pidfd_open(self.process.pid)
        read, sampled, warned, died = 0, now(), False, False
        begun, limit, warning = self.job["started"], self.job["limit_s"], self.job["warning_s"]
        while not select.select([ended], [], [], TICK_S)[0]:
            time = now()
            if (changed := self.lab.path(self.job["key"]).stat().st_mtime_ns) != read:
                read = changed
                self._asked()
            if any(map(self.lab.is_down, self.job["hosts"])):
                died = True
                self.signal(signal.SIGKILL)
                continue
            if warning is not None and limit is not None and not warned and time - begun > limit - warning:
                warned = True
                self.signal(signal.Signals[f"SIG{self.job['options']['-wa']}"])
            if limit is not None and time - begun > limit:
                # bsub -W: SIGUSR2, and killed "if it does not terminate within ten minutes" (here: one interval).
                self._terminate("TERM_RUNLIMIT", signal.SIGUSR2)
            if self.job["memory_kb"] is not None and time - sampled > 0.5:
                sampled = time
                if sum(map(processes.resident_kb, self.pids())) > self.job["memory_kb"]:
                    self._terminate("TERM_MEMLIMIT")
            while self.plan and self.plan[0][0] <= time:
                self.signal(self.plan.pop(0)[1])
        os.close(ended)
        code = self.process.wait()
        self.signal(signal.SIGKILL)  # nothing of a job outlives it
        if died:
            return self._host_died()
        return (code if code >= 0 else 128 - code), self.reason, False

    def _host_died(self) -> tuple[int, str, bool]:
        if "-r" not in self.job["options"]:
            # bjobs, job state UNKWN: "mbatchd has lost contact with the sbatchd on the host on which the job runs".
            self.lab.change(self.job["key"], stat="UNKWN")
            while any(map(self.lab.is_down, self.job["hosts"])) and not self.lab.load(self.job["key"])["signals"]:
                wait_for_a_change(self.lab, written(self.lab))
        # LSF 7.3 configuration reference, job exit information, example "Regular job exits when host crashes".
        return 143, "TERM_ZOMBIE", True

    def pids(self) -> set[int]:
        """Every process of the job."""
        mine = {pid for pid in processes.all_pids() if processes.session(pid) == self.process.pid}
        return (mine | processes.descendants([self.process.pid])) if mine else mine

    def signal(self, number: int) -> None:
        """To every process of the job."""
        for pid in self.pids():
            processes.send(pid, number)

    def _asked(self) -> None:
        """bkill -s, bstop, bresume and brequeue leave their word in the job's file."""
        with self.lab.lock():
            job = self.lab.load(self.job["key"])
            asked = job["signals"]
            if asked:
                self.lab.save(job | {"signals": []})
        for name in asked:
            if name == "TERMINATE":
                self._terminate("TERM_REQUEUE_OWNER" if job["requeue"] else "TERM_OWNER")
            else:
                self.signal(signal.Signals[f"SIG{name}"])

    def _terminate(self, why: str, *first: int) -> None:
        """bkill: SIGINT, SIGTERM and SIGKILL, JOB_TERMINATE_INTERVAL apart.

        A parallel job is only sent SIGKILL, unless lsf.conf has LSB_USE_SEQUENTIAL_SIGNAL=Y (N by default).
        """
        if self.reason:
            return
        self.reason = why
        slots = sum(number for number, _ in self.job["hosts"].values())
        gently = slots == 1 or self.lab.conf.get("LSB_USE_SEQUENTIAL_SIGNAL", "N").upper() == "Y"
        signals = [*first, *([signal.SIGINT, signal.SIGTERM] if gently else []), signal.SIGKILL]
        self.plan = [(now() + step * self.lab.terminate_interval, number) for step, number in enumerate(signals)]
