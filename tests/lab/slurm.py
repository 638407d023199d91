"""A private SLURM on this machine: munged, slurmctld and one slurmd per node, all in one folder and on loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from shutil import which

from tests.lab import hosts, processes
from tests.lab.slurm_conf import NODES, configure

ANSWERING = {"idle", "mix", "alloc", "comp"}
"""States of a node that takes jobs. `idle*` is one that has not answered yet."""
SECONDS_TO_START = 20
LONGEST_FOLDER = 80
"""A socket's path has 108 characters at most, unix(7)."""


class LabError(RuntimeError):
    """The lab did not come up; says where its logs are."""


def up(folder: Path) -> None:
    """Start what is missing of the lab in `folder`; returns when every node takes jobs. Raises LabError."""
    if len(str(folder)) > LONGEST_FOLDER:
        raise LabError(f"a socket's path must be short: {folder} has more than {LONGEST_FOLDER} characters")
    configure(folder)
    hosts.add(folder, NODES)
    _start_munged(folder)
    if not _pid(folder, "slurmctld"):
        _start(folder, "slurmctld")
    for node in NODES:
        _start_node(folder, node)
    if not processes.true_within(SECONDS_TO_START, lambda: _states(folder) <= ANSWERING):
        raise LabError(f"nodes are {sorted(_states(folder))} after {SECONDS_TO_START} s; see {folder / 'log'}")


def down(folder: Path) -> None:
    """Cancel the lab's jobs and end exactly its own processes. Nothing to do is no error."""
    if _pid(folder, "slurmctld"):
        cancel_all(folder)
        processes.true_within(10, lambda: not call(folder, "squeue", "-h", "-o", "%A"))
    daemons = [pid for name in ("slurmd.*", "slurmctld", "munged") for pid in _pids(folder, name)]
    processes.end(daemons, seconds=6)
    mine = os.fsencode(f"SLURM_CONF={folder / 'slurm.conf'}")
    processes.end([pid for pid in processes.all_pids() if _is_of_a_job(mine, processes.environment(pid))], 1)
    hosts.remove(folder)


def _is_of_a_job(lab: bytes, env: list[bytes]) -> bool:
    # Not everything with our SLURM_CONF is ours: so is a shell that read env.sh, and whatever was started from it.
    return lab in env and any(name.startswith(b"SLURM_JOB_ID=") for name in env)


def cancel_all(folder: Path) -> None:
    """scancel of everything in the queue."""
    if jobs := call(folder, "squeue", "-h", "-o", "%A").split():
        call(folder, "scancel", *sorted(set(jobs)))


def power_cut(folder: Path, node: str, noticed: bool = False) -> None:
    """What a power cut does: slurmd, its step daemons and the processes of its jobs are gone at once.

    slurmctld sees it after about 30 s (SlurmdTimeout); `noticed`: at once, as if an administrator had told it.
    """
    named = os.fsencode(f"SLURMD_NODENAME={node}")
    mine = os.fsencode(f"SLURM_CONF={folder / 'slurm.conf'}")
    tasks = {pid for pid in processes.all_pids() if {named, mine} <= set(processes.environment(pid))}
    steps = {above for pid in tasks if processes.name(above := processes.parent(pid)) == "slurmstepd"}
    slurmd = _pids(folder, f"slurmd.{node}")
    for pid in [*slurmd, *sorted(processes.descendants(steps | tasks))]:
        processes.send(pid, signal.SIGKILL)
    if noticed:
        call(folder, "scontrol", "update", f"nodename={node}", "state=down", "reason=power")


def power_on(folder: Path, node: str) -> None:
    """Start the node's slurmd again; returns when the node takes jobs. Raises LabError."""
    _start_node(folder, node)
    call(folder, "scontrol", "update", f"nodename={node}", "state=resume")
    if not processes.true_within(SECONDS_TO_START, lambda: _states(folder, node) <= ANSWERING):
        raise LabError(f"{node} is {sorted(_states(folder, node))}; see {folder / 'log'}")


def forget(folder: Path) -> None:
    """Let the queue forget every job that is over, as one does after MinJobAge. The queue must be empty."""
    last = re.search(r"NEXT_JOB_ID\s*=\s*(\d+)", call(folder, "scontrol", "show", "config"))
    processes.end(_pids(folder, "slurmctld"), seconds=6)
    configure(folder, first_job=int(last[1]) if last else 1)
    _start(folder, "slurmctld", "-c")
    up(folder)


def environment(folder: Path) -> dict[str, str]:
    """What a process needs to talk to this lab."""
    return {"SLURM_CONF": str(folder / "slurm.conf")}


def call(folder: Path, *command: str) -> str:
    """stdout of one of SLURM's commands; "" when it fails."""
    env = {**os.environ, **environment(folder)}
    try:
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=10).stdout.strip()
    except subprocess.TimeoutExpired:
        return ""


def _states(folder: Path, node: str = ",".join(NODES)) -> set[str]:
    return set(call(folder, "sinfo", "-h", "-N", "-p", "cpu", "-n", node, "-o", "%t").split()) or {"unknown"}


def _pids(folder: Path, name: str) -> list[int]:
    files = (folder / "run").glob(f"{name}.pid")
    return [pid for file in files if (pid := processes.pid_in(file, file.name.split(".")[0]))]


def _pid(folder: Path, name: str) -> int | None:
    return next(iter(_pids(folder, name)), None)


def _start_node(folder: Path, node: str) -> None:
    if not _pid(folder, f"slurmd.{node}"):
        _start(folder, "slurmd", "-N", node)


def _start_munged(folder: Path) -> None:
    if _pid(folder, "munged"):
        return
    munge = folder / "munge"
    for left in munge.glob("socket*"):
        left.unlink()
    files = (f"--key-file={munge}/key", f"--socket={munge}/socket", f"--seed-file={munge}/seed")
    _start(folder, "munged", *files, f"--pid-file={folder}/run/munged.pid", f"--log-file={folder}/log/munged.log",
           "--num-threads=2", "--force")  # fmt: skip


def program(name: str) -> str | None:
    """Where a daemon is: an ordinary user's PATH has no sbin."""
    return which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


def _start(folder: Path, name: str, *arguments: str) -> None:
    path = program(name)
    if path is None:
        raise LabError(f"{name} is not installed: it comes with slurm-wlm and munge")
    # Into a file: a daemon would hold a pipe open for ever.
    with (folder / f"log/{name}.err").open("a") as errors:
        env = {**os.environ, **environment(folder)}
        command = [path, *arguments]
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, check=False, cwd="/")
    if done.returncode:
        raise LabError(f"{name} ended with {done.returncode}; see {folder / 'log'}")
