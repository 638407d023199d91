"""The stand-in's folder: its commands, its lsf.conf, and what ends it."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from pathlib import Path

from tests.lab import hosts, processes
from tests.lab.lsf.program import COMMANDS
from tests.lab.slurm_conf import NODES

CONF = """\
# Read by the stand-in, and by dask-jobqueue's LSFCluster through LSF_ENVDIR.
LSF_UNIT_FOR_LIMITS=KB
LSB_STDOUT_DIRECT=N
# The lab's own: host:slots:GPUs; queues, the first is the default one; seconds that a minute of -W and -wt lasts;
# seconds between bkill's signals.
LSF_LAB_HOSTS=lab1:4:2 lab2:4:2
LSF_LAB_QUEUES=normal cpu gpu
LSF_LAB_MINUTE=60
LSF_LAB_TERMINATE_INTERVAL=2
"""
# -I and -S: nothing of the caller's environment, and no site-packages, which would cost more than the command itself.
COMMAND = """\
#!{python} -IS
import sys

sys.path.insert(0, {root!r})
from tests.lab.lsf.program import main

sys.exit(main({name!r}, sys.argv[1:]))
"""


def up(folder: Path) -> None:
    """Write what is missing; there is nothing to start."""
    for part in ("bin", "conf", "jobs", "spool", "log", "down"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    conf = folder / "conf/lsf.conf"
    if not conf.exists():
        conf.write_text(CONF)
    root = str(Path(__file__).resolve().parents[3])
    for name in (*COMMANDS, ".watch"):
        command = folder / "bin" / name
        command.write_text(COMMAND.format(python=sys.executable, root=root, name=name))
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
    hosts.add(folder, NODES)


def down(folder: Path) -> None:
    """End the lab's jobs and their watchers, and nothing else."""
    mine = os.fsencode(f"LSF_ENVDIR={folder / 'conf'}")
    watcher = os.fsencode(folder / "bin/.watch")
    for pid in processes.all_pids():
        env = processes.environment(pid)
        if mine in env and (any(name.startswith(b"LSF_LAB_KEY=") for name in env) or watcher in processes.command(pid)):
            processes.send(pid, signal.SIGKILL)
    hosts.remove(folder)


def power_cut(folder: Path, host: str) -> None:
    """The host is gone with all that ran on it (bsub -r: "if the execution host becomes unavailable")."""
    (folder / "down" / host).touch()


def power_on(folder: Path, host: str) -> None:
    """It is back."""
    (folder / "down" / host).unlink(missing_ok=True)
    (folder / "jobs").touch()  # its watchers look again


def forget(folder: Path) -> None:
    """Drop the jobs that are over, as LSF does CLEAN_PERIOD (an hour) after their end."""
    for file in (folder / "jobs").glob("*.json"):
        if json.loads(file.read_text())["stat"] in ("DONE", "EXIT"):
            file.unlink()


def environment(folder: Path) -> dict[str, str]:
    """What a process needs to talk to this lab."""
    paths = [p for p in os.environ.get("PATH", "").split(os.pathsep) if p != str(folder / "bin")]
    return {"LSF_ENVDIR": str(folder / "conf"), "PATH": os.pathsep.join([str(folder / "bin"), *paths])}
