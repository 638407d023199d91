"""The SLURM lab's slurm.conf, gres.conf and munge key: written once, so that ports and key of a lab stay."""

from __future__ import annotations

import getpass
import os
import random
import re
import socket
from pathlib import Path
from string import Template

NODES = ("lab1", "lab2")
CPUS, MEMORY_MB, GPUS = 4, 6000, 2
"""What each node claims to have; it need not be true."""


def configure(folder: Path, first_job: int = 1) -> None:
    """Write slurm.conf, gres.conf and munge's key; ports and key of an existing lab stay."""
    for part in ("run", "log", "state", "munge", "gpu", *(f"spool/{node}" for node in NODES)):
        (folder / part).mkdir(parents=True, exist_ok=True)
    conf, key = folder / "slurm.conf", folder / "munge/key"
    if not key.exists():
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
    old = re.search(r"^SlurmctldPort=(\d+)", conf.read_text() if conf.exists() else "", re.MULTILINE)
    port = int(old[1]) if old else free_ports(1 + len(NODES))
    host = socket.gethostname().split(".")[0]
    template = Template(Path(__file__).with_name("slurm.conf").read_text())
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port + number}"
        f" CPUs={CPUS} RealMemory={MEMORY_MB} Gres=gpu:{GPUS} State=UNKNOWN"
        for number, node in enumerate(NODES, start=1)
    )
    settings = {"folder": folder, "host": host, "port": port, "user": getpass.getuser(), "nodes": nodes}
    conf.write_text(template.substitute(settings, first_job=first_job))
    for gpu in range(GPUS):
        # slurmd takes only character devices: with plain files a job gets the GPU but no CUDA_VISIBLE_DEVICES.
        device = folder / f"gpu/nvidia{gpu}"
        if not device.is_symlink():
            device.symlink_to("/dev/null")
    names = f"lab[1-{len(NODES)}]"
    (folder / "gres.conf").write_text(f"NodeName={names} Name=gpu File={folder}/gpu/nvidia[0-{GPUS - 1}]\n")
    (folder / "log/jobcomp.txt").touch()


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that nobody listens on, below those that the system gives out."""
    while True:
        first = random.randrange(20000, 30000)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
