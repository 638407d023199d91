"""blaunch."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.lab.lsf.state import Lab, fail


def blaunch(lab: Lab, words: list[str]) -> int:
    """blaunch [-u host_file | -z "host ..." | host] command ...: one task per host named, or one per slot of the job.

    Page "blaunch": "works only under LSF", on hosts of the job's own allocation; stdin is /dev/null. "On success, exits
    with 0"; else with the largest code of a task, which the page does not say. Each task is told the GPUs of its own host.
    """
    given = os.environ.get("LSB_HOSTS", "").split() or fail("blaunch: works only under LSF")
    hosts = given
    if words[:1] == ["-z"]:
        hosts, words = words[1].split(), words[2:]
    elif words[:1] == ["-u"]:
        hosts, words = Path(words[1]).read_text().split(), words[2:]
    elif words and words[0] in given:
        hosts, words = [words[0]], words[1:]
    if strange := [host for host in hosts if host not in given]:
        fail(f"blaunch: {strange[0]} is not a host of this job")
    job = lab.load(os.environ["LSF_LAB_KEY"])
    tasks = [_start(words, host, number, job["hosts"][host][1]) for number, host in enumerate(hosts, start=1)]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)  # the tasks are sent them too, and decide
    return max((128 - code if code < 0 else code) for code in (task.wait() for task in tasks))


def _start(words: list[str], host: str, number: int, gpus: list[int]) -> subprocess.Popen[bytes]:
    env = os.environ | {"LSF_LAB_HOST": host, "LSF_PM_TASKID": str(number)}
    if gpus:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, gpus))
    return subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL)
