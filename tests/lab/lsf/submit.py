"""bsub."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.lab.lsf import options as told
from tests.lab.lsf.state import FINISHED, Job, Lab, fail, matching, now, say


def bsub(lab: Lab, words: list[str]) -> int:
    """Submit. `bsub < SCRIPT` reads `#BSUB` lines, `bsub SCRIPT` does not; the command line wins ("bsub", Description).

    Unknown queues and dependencies on unknown jobs are refused with 255 and nothing on stdout ("bsub -q", "bsub -w").
    """
    options, command = told.parse(words)
    if command:
        script = "#!/bin/sh\n" + (shlex.join(command) if len(command) > 1 else command[0]) + "\n"
    else:
        script = sys.stdin.read()
        options = told.embedded(script) | options
    job = _checked(lab, options, command)
    with lab.lock():
        number = lab.next_id()
        name, indices, together = told.array(job["name"])
        _check_dependency(lab, options)
        lab.spool(str(number), "sh").write_text(script)
        lab.spool(str(number), "env").write_text(json.dumps(dict(os.environ)))
        keys = [f"{number}.{index}" if index else str(number) for index in indices]
        for key, index in zip(keys, indices, strict=True):
            lab.save(job | {"key": key, "jobid": number, "jobindex": index, "name": name, "together": together})
    for key in keys:
        _watch(lab, key)
    default = "" if "-q" in options else "default "
    say(f"Job <{number}> is submitted to {default}queue <{job['queue']}>.")
    return _wait(lab, keys) if "-K" in options else 0


def _checked(lab: Lab, options: told.Options, command: list[str]) -> Job:
    queue = options.get("-q", lab.queues[0]).split()[0]
    if queue not in lab.queues:
        fail(f"{queue}: No such queue. Job not submitted.")
    if f"SIG{options.get('-wa', 'URG')}" not in signal.Signals.__members__:
        fail(f"{options['-wa']}: Bad warning action. Job not submitted.")
    most, gpus = (max(has[i] for has in lab.hosts.values()) for i in (0, 1))
    if told.slots_per_host(options) > most or told.gpus_per_host(options) > gpus:
        fail("There are no suitable hosts for the job. Job not submitted.")
    unit = lab.conf.get("LSF_UNIT_FOR_LIMITS", "KB")
    return {
        "name": options.get("-J", command[0] if command else "stdin"),
        "queue": queue,
        "options": options,
        "stat": "PSUSP" if "-H" in options else "PEND",  # bsub -H: held until bresume
        "submitted": now(),
        "started": None,
        "ended": None,
        "code": None,
        "reason": "",
        "pending": "New job is waiting for scheduling",
        "memory_kb": told.memory_kb(options["-M"], unit) if "-M" in options else None,
        "limit_s": told.minutes(options["-W"]) * lab.minute if "-W" in options else None,
        # bsub -wt and -wa take effect only together; a signal is named without SIG.
        "warning_s": told.minutes(options["-wt"]) * lab.minute if {"-wt", "-wa"} <= set(options) else None,
        "cwd": options.get("-cwd", str(Path.cwd())),
        "hosts": {},
        "signals": [],
        "requeue": False,
        "restarted": False,
        "runs": [],
    }


def _check_dependency(lab: Lab, options: told.Options) -> None:
    """bsub -w: "if you specify a dependency on a job that LSF cannot find, your job submission fails"."""
    for _, who in re.findall(r"(done|ended|exit|started)\(([^)]*)\)", options.get("-w", "")):
        if not matching(lab.jobs(), who.strip("\"' ")):
            fail(f"{options['-w']}: Dependency condition invalid or never satisfied. Job not submitted.")


def _watch(lab: Lab, key: str) -> None:
    with (lab.folder / "log" / f"{key}.log").open("w") as log:
        watcher = str(lab.folder / "bin/.watch")
        subprocess.Popen([watcher, key], start_new_session=True, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _wait(lab: Lab, keys: list[str]) -> int:
    """bsub -K: waits, and ends with the job's exit code, 126 when it never ran."""
    sys.stderr.write("<<Waiting for dispatch ...>>\n")
    while any(lab.load(key)["stat"] not in FINISHED for key in keys):
        time.sleep(0.1)
    job = lab.load(keys[-1])
    return int(job["code"] or 0) if job["started"] else 126
