"""bkill, brequeue, bstop, bresume: they leave their word in the job's file, and its watcher acts on it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tests.lab.lsf.state import FINISHED, Job, Lab, matching, now, say


def bkill(lab: Lab, words: list[str]) -> int:
    """bkill [-s signal] job_ID ...: without -s the job is ended. 255 when one was not there or was over already."""
    name, ids = "TERMINATE", []
    rest = iter(words)
    for word in rest:
        if word == "-s":
            name = next(rest).upper().removeprefix("SIG")
        elif word == "-r":  # bkill -r: removes it without waiting
            name = "KILL"
        else:
            ids.append(word)
    return _each(lab, ids, lambda job: _kill(job, name), "signaled" if name not in ("TERMINATE", "KILL") else "terminated")


def brequeue(lab: Lab, words: list[str]) -> int:
    """brequeue job_ID ...: "kills the job, and places it in the queue as PEND" under its own id."""

    def again(job: Job) -> Job:
        return job | ({"signals": [*job["signals"], "TERMINATE"], "requeue": True} if job["stat"] == "RUN" else {})

    return _each(lab, words, again, "requeued")


def bstop(lab: Lab, words: list[str]) -> int:
    """bstop job_ID ...: a pending job is PSUSP, a running one is sent SIGSTOP and is USUSP."""

    def stop(job: Job) -> Job:
        if job["stat"] == "PEND":
            return job | {"stat": "PSUSP"}
        return job | {"stat": "USUSP", "signals": [*job["signals"], "STOP"]}

    return _each(lab, words, stop, "stopped")


def bresume(lab: Lab, words: list[str]) -> int:
    """bresume job_ID ...: what bstop and bsub -H held goes on."""

    def resume(job: Job) -> Job:
        if job["stat"] == "PSUSP":
            return job | {"stat": "PEND"}
        return job | {"stat": "RUN", "signals": [*job["signals"], "CONT"]}

    return _each(lab, words, resume, "resumed")


def _kill(job: Job, name: str) -> Job:
    if job["stat"] in ("RUN", "USUSP", "UNKWN"):
        return job | {"signals": [*job["signals"], name]}
    if name in ("TERMINATE", "KILL", "TERM", "INT"):
        return job | {"stat": "EXIT", "ended": now(), "reason": "TERM_OWNER"}
    return job


def _each(lab: Lab, ids: list[str], changed: Callable[[Job], Job], word: str) -> int:
    failed = False
    for name in ids:
        with lab.lock():
            found = matching(lab.jobs(), name)
            live = [job for job in found if job["stat"] not in FINISHED]
            for job in live:
                lab.save(changed(job))
        if live:
            say(f"Job <{name}> is being {word}")
        else:
            failed = True
            problem = "Job has already finished" if found else "No matching job found"
            sys.stderr.write(f"Job <{name}>: {problem}\n")
    return 255 if failed else 0
