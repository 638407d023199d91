"""Where a run ran: hardware, packages, commit."""

from __future__ import annotations

import os
import platform
import socket
from importlib import metadata
from pathlib import Path

import torch

from cluster.pool import cores
from cluster.shell import git_commit

_PACKAGES = ("radforge", "torch", "torchvision", "timm", "numpy", "opencv-python-headless", "scikit-learn", "pyarrow")


def hardware(device: torch.device, processes: int) -> str:
    """`2 x NVIDIA H200` or `AMD EPYC, 2 cores`."""
    if device.type == "cuda":
        return f"{processes} x {torch.cuda.get_device_name(device)}"
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {cores()} cores" + (f", {processes} processes" if processes > 1 else "")


def host() -> str:
    """This machine's name."""
    return socket.gethostname()


def packages() -> dict[str, str]:
    """Versions of what shapes a model."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> str | None:
    """Commit of the checkout that radforge runs from; None when it is installed."""
    return git_commit(Path(__file__).resolve().parent.parent)


def gpus_of_job() -> int:
    """GPUs of a node that the job asked its queue for; 0 outside a job."""
    return int(os.environ.get("RADFORGE_GPUS", "0"))
