"""The names of make-believe nodes in /etc/hosts: one marked line per lab.

A job's usual `MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)` must resolve.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

HOSTS = Path("/etc/hosts")
MARK = "# radforge lab in "


def add(folder: Path, nodes: Sequence[str]) -> None:
    """Give the nodes of the lab in `folder` this machine's address; nothing where the file is not ours to write."""
    _rewrite(folder, f"127.0.0.1 {' '.join(nodes)} {MARK}{folder}\n")


def remove(folder: Path) -> None:
    """Take that lab's line out, and those of labs whose folder is gone."""
    _rewrite(folder, "")


def _rewrite(folder: Path, line: str) -> None:
    if not os.access(HOSTS, os.W_OK):
        return
    # In place, not by renaming: a container's hosts file is often a mount.
    with HOSTS.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = file.read()
        kept = [text for text in before.splitlines(keepends=True) if not _stale(text, folder)]
        after = "".join(kept) + line
        if after != before:
            file.seek(0)
            file.write(after)
            file.truncate()


def _stale(text: str, folder: Path) -> bool:
    _, mark, where = text.strip().partition(MARK)
    return bool(mark) and (Path(where) == folder or not Path(where).is_dir())
