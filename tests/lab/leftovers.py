"""Folders for labs of test runs: named after the process that owns them, so that what a killed run left can be ended later."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from tests.lab import processes, slurm
from tests.lab.lsf import folder as lsf

PREFIX = "radforge-lab-"
_NAME = re.compile(rf"{PREFIX}(?P<pid>\d+)-(?P<start>\d+)-.*")


def new_folder() -> Path:
    """A new folder of this process. Short: sockets will lie in it."""
    pid = os.getpid()
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{pid}-{processes.started_at(pid)}-")).resolve()


def sweep() -> list[Path]:
    """End and remove our labs whose process is gone; returns their folders."""
    swept = []
    for folder in Path(tempfile.gettempdir()).resolve().glob(f"{PREFIX}*"):
        match = _NAME.fullmatch(folder.name)
        if match and folder.stat().st_uid == os.getuid() and processes.started_at(int(match["pid"])) != match["start"]:
            remove(folder)
            swept.append(folder)
    return swept


def remove(folder: Path) -> None:
    """End whatever lab is in that folder, and remove the folder."""
    if (folder / "slurm.conf").exists():
        slurm.down(folder)
    if (folder / "conf/lsf.conf").exists():
        lsf.down(folder)
    shutil.rmtree(folder, ignore_errors=True)
