"""What sbatchd does for one job: dispatch it, watch over it, write its report, run it again when that was asked for."""

from __future__ import annotations

from typing import Any

from tests.lab.lsf.dispatch import place
from tests.lab.lsf.options import requeues
from tests.lab.lsf.report import Output
from tests.lab.lsf.run import Run, wait_for_a_change, written
from tests.lab.lsf.state import Job, Lab, now


def watch(lab: Lab, key: str) -> None:
    """From the submission to the job's end."""
    while True:
        seen = written(lab)
        stat = lab.load(key)["stat"]
        if stat == "EXIT":  # bkill before it ever ran
            return
        if stat == "PSUSP" or (stat == "PEND" and not _dispatched(lab, key)):
            wait_for_a_change(lab, seen)
        elif _once(lab, lab.load(key)):
            return


def _dispatched(lab: Lab, key: str) -> bool:
    with lab.lock():
        job = lab.load(key)
        if job["stat"] != "PEND":
            return False
        hosts = place(lab, job)
        if isinstance(hosts, dict):
            lab.save(job | {"stat": "RUN", "hosts": hosts, "started": now(), "pending": ""})
        elif hosts != job["pending"]:
            lab.save(job | {"pending": hosts})
        return isinstance(hosts, dict)


def _once(lab: Lab, job: Job) -> bool:
    """Run a dispatched job; returns whether it is over for good."""
    output = Output(lab, job)
    run = Run(lab, job, output)
    code, reason, host_died = run.to_its_end()
    asked = lab.load(job["key"])["requeue"]
    # bsub -Q; "a job terminated by a signal is not re-queued" (Automatic job re-queuing) but by brequeue.
    again = asked or (host_died and "-r" in job["options"]) or (not reason and requeues(job["options"].get("-Q", ""), code))
    ran = {"start": job["started"], "end": now(), "code": code, "reason": reason}
    fields: dict[str, Any] = {"runs": [*job["runs"], ran], "signals": []}
    if again:
        # bsub -r and brequeue: same id, same queue, from the beginning. LSB_RESTART tells of a host failure only.
        fields |= {"stat": "PEND", "hosts": {}, "requeue": False, "restarted": job["restarted"] or host_died}
        lab.change(job["key"], **fields, pending="Job was requeued" if not host_died else "Execution host failed; job is rerun")
        return False
    # "When a job is re-queued, LSF does not save the output from the failed run" (Automatic job re-queuing).
    output.write(code, reason)
    lab.change(job["key"], **fields, stat="EXIT" if code else "DONE", ended=now(), code=code, reason=reason)
    return True
