"""Which job may start, and where: first come, first served."""

from __future__ import annotations

import re

from tests.lab.lsf.options import gpus_per_host, slots, slots_per_host
from tests.lab.lsf.state import FINISHED, Job, Lab, matching

Hosts = dict[str, tuple[int, list[int]]]
"""Slots and GPUs on each host of a job."""

_CONDITION = re.compile(r"(done|ended|exit|started)\(([^)]*)\)|(\w+)")
_HOLDS = {
    "done": ("DONE",),
    "ended": FINISHED,
    "exit": ("EXIT",),
    "started": ("RUN", "USUSP", *FINISHED),
}


def place(lab: Lab, job: Job) -> Hosts | str:
    """Hosts and GPUs for the job now, or why it must wait (bjobs -p). bsub -n, -R span[], -m, -gpu."""
    if not ready(lab.jobs(), job["options"].get("-w", "")):
        return "Job dependency condition not satisfied"
    free = {host: has for host, has in lab.hosts.items() if not lab.is_down(host)}
    running = 0
    for other in lab.jobs():
        if other["stat"] in ("RUN", "USUSP", "UNKWN"):
            running += other["jobid"] == job["jobid"]
            for host, (taken, _) in other["hosts"].items():
                if host in free:
                    free[host] = (free[host][0] - taken, free[host][1])
    if job["together"] and running >= job["together"]:
        return "The job array has reached its running element limit"
    options = job["options"]
    need, per, gpus = slots(options), slots_per_host(options), gpus_per_host(options)
    chosen: Hosts = {}
    for host in options.get("-m", " ".join(lab.hosts)).split():
        if host not in free:
            continue
        idle = _idle_gpus(lab, host)
        take = min(per or free[host][0], need)
        if take and free[host][0] >= take and len(idle) >= gpus:
            chosen[host] = (take, idle[:gpus])
            need -= take
    return "Job slot limit or resource requirements (slots, GPUs) not satisfied" if need else chosen


def _idle_gpus(lab: Lab, host: str) -> list[int]:
    used = [gpu for job in lab.jobs() if job["stat"] in ("RUN", "USUSP", "UNKWN") for gpu in job["hosts"].get(host, (0, []))[1]]
    return [gpu for gpu in range(lab.hosts[host][1]) if gpu not in used]


def ready(jobs: list[Job], condition: str) -> bool:
    """bsub -w: done(), ended(), exit() and started() of ids or names, with && || ! and brackets; a bare id means done.

    "An argument that is an array means all its elements". A condition that can no longer come true leaves the job pending.
    """
    if not condition:
        return True

    def holds(match: re.Match[str]) -> str:
        found = matching(jobs, (match[2] or match[3]).strip("\"' "))
        states = _HOLDS[match[1] or "done"]
        return str(bool(found) and all(job["stat"] in states for job in found))

    text = _CONDITION.sub(holds, condition)
    text = text.replace("&&", " and ").replace("||", " or ").replace("!", " not ")
    return bool(eval(text, {"__builtins__": {}}))  # True, False, and, or, not and brackets: all else was replaced
