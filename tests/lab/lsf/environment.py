"""What a job's processes are told."""

from __future__ import annotations

import os

from tests.lab.lsf.state import Job, Lab


def job_environment(lab: Lab, job: Job) -> dict[str, str]:
    """Page "Environment variables set for job execution", on top of what the job was submitted with."""
    slots = [host for host, (number, _) in job["hosts"].items() for _ in range(number)]
    hostfile = lab.spool(job["key"], "hosts")
    hostfile.write_text("".join(host + "\n" for host in slots))
    first = next(iter(job["hosts"].values()))[1]
    env = lab.environment(job) | {
        "LSB_JOBID": str(job["jobid"]),
        "LSB_JOBINDEX": str(job["jobindex"]),
        "LSB_JOBNAME": job["name"] + (f"[{job['jobindex']}]" if job["jobindex"] else ""),
        "LSB_BATCH_JID": f"{job['jobid']}[{job['jobindex']}]" if job["jobindex"] else str(job["jobid"]),
        "LSB_QUEUE": job["queue"],
        "LSB_HOSTS": " ".join(slots),
        "LSB_MCPU_HOSTS": " ".join(f"{host} {number}" for host, (number, _) in job["hosts"].items()),
        "LSB_DJOB_HOSTFILE": str(hostfile),
        "LSB_DJOB_NUMPROC": str(len(slots)),
        "LSB_MAX_NUM_PROCESSORS": str(len(slots)),
        "LSB_SUB_HOST": os.uname().nodename,
        "LSB_JOBFILENAME": str(lab.spool(str(job["jobid"]), "sh")),
        "LS_SUBCWD": job["cwd"],
        "LSF_LAB_KEY": job["key"],
    }
    if "-Q" in job["options"]:
        env["LSB_EXIT_REQUEUE"] = job["options"]["-Q"]
    if job["restarted"]:
        env["LSB_RESTART"] = "Y"
    if first:
        # bsub -gpu: "CUDA_VISIBLE_DEVICES is set" to the GPUs of the host.
        env["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, first))
    return env
