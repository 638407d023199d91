"""Debian's packages that the tests need: the SLURM lab's, and others by name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from shutil import which

from tests.lab import slurm

PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "sinfo", "scancel")


def missing() -> list[str]:
    """Programs that are not there."""
    return [name for name in PROGRAMS if slurm.program(name) is None]


def install(packages: Sequence[str] = PACKAGES, missing: Callable[[], list[str]] = missing) -> str:
    """Install them where that can be done (root, apt); returns "" or, in one sentence, what is still missing."""
    if not missing():
        return ""
    wanted = f"needs {' and '.join(packages)} ({', '.join(missing())} not found)"
    if os.geteuid() != 0 or which("apt-get") is None:
        return f"{wanted}: install them, or run as root where apt-get is"
    sys.stderr.write(f"\ninstalling {' and '.join(packages)} for the tests ...\n")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    done = subprocess.run(install, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        # The lists of a fresh machine are empty.
        subprocess.run(["apt-get", "update", "-qq"], env=env, capture_output=True, check=False)
        done = subprocess.run(install, env=env, capture_output=True, text=True, check=False)
    return f"{wanted}: apt-get says {done.stderr.strip()[-300:]}" if missing() else ""
