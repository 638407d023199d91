"""What /proc says about processes: which live, whose children they are, what their environment holds."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic, sleep


def _fields(pid: int) -> list[str]:
    """/proc/PID/stat after the name, proc(5): state, parent, group, session, ...; [] when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether that process runs. A zombie does not: where process 1 reaps late, a stopped daemon stays as one."""
    fields = _fields(pid)
    return bool(fields) and fields[0] != "Z"


def started_at(pid: int) -> str:
    """Clock ticks since boot when it started, which tells it from a later process of the same number; "" when gone."""
    fields = _fields(pid)
    return fields[19] if fields else ""


def name(pid: int) -> str:
    """Its program's name, at most 15 characters; "" when gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def pid_in(file: Path, program: str) -> int | None:
    """The process that a pid file names, if it lives and is that program."""
    try:
        pid = int(file.read_text())
    except (OSError, ValueError):
        return None
    return pid if alive(pid) and name(pid) == program else None


def all_pids() -> list[int]:
    """Every process but zombies."""
    return [pid for pid in (int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()) if alive(pid)]


def parent(pid: int) -> int:
    """Its parent, 0 when it is gone."""
    fields = _fields(pid)
    return int(fields[1]) if fields else 0


def session(pid: int) -> int:
    """Its session, 0 when it is gone."""
    fields = _fields(pid)
    return int(fields[3]) if fields else 0


def environment(pid: int) -> list[bytes]:
    """What it was started with, as NAME=VALUE; [] when it is gone or another's."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def command(pid: int) -> list[bytes]:
    """Its command line; [] when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def resident_kb(pid: int) -> int:
    """Memory it holds, 0 when it is gone."""
    fields = _fields(pid)
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") // 1024 if fields else 0


def descendants(roots: Iterable[int]) -> set[int]:
    """Those processes and all that came from them."""
    found = set(roots)
    parents = {pid: parent(pid) for pid in all_pids()}
    while more := {pid for pid, above in parents.items() if above in found} - found:
        found |= more
    return found


def send(pid: int, number: int) -> None:
    """Signal a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def end(pids: Iterable[int], seconds: float) -> None:
    """SIGTERM to all, SIGKILL to what is left after `seconds`; returns when none lives."""
    pids = list(pids)
    for pid in pids:
        send(pid, signal.SIGTERM)
    if not true_within(seconds, lambda: not any(map(alive, pids))):
        for pid in pids:
            send(pid, signal.SIGKILL)
        true_within(5, lambda: not any(map(alive, pids)))


def true_within(seconds: float, condition: Callable[[], object], every_s: float = 0.05) -> bool:
    """Whether the condition came true in that time."""
    until = monotonic() + seconds
    while not condition():
        if monotonic() > until:
            return False
        sleep(every_s)
    return True
