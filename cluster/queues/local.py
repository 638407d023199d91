"""This machine as a queue: a job runs in the background from the moment it is submitted, the members of an array in turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cluster import header as headers
from cluster import registry
from cluster.queues.words import Seen
from cluster.shell import detach
from schemas.errors import RadforgeError
from schemas.job import JobSpec
from schemas.site import Site

COMMENT = "#"
JOB_ID = "$RADFORGE_LOCAL_ID"
TASK = "${RADFORGE_LOCAL_TASK:-}"
REQUEUE = 'cd "$RADFORGE_JOB/.." && exec bash job.sh'


def header(spec: JobSpec, site: Site) -> str:
    """Nothing is asked for. Raises RadforgeError for what one machine cannot do."""
    if spec.nodes > 1:
        raise RadforgeError("one machine is one node", "--nodes", str(spec.nodes), "1, or a site of kind slurm or lsf")
    if spec.after:
        raise RadforgeError("jobs of this machine do not wait for others", "--after", expected="a site of kind slurm or lsf")
    return "# On this machine, in the background."


def launch(spec: JobSpec, site: Site) -> str:
    """The launcher."""
    # A signal that is meant for the training reaches this shell too, and ends `wait` before the training has ended.
    return (
        "export MASTER_ADDR=127.0.0.1\n"
        "trap woken=yes USR1 TERM INT HUP\n"
        f'{headers.python(site)} -P -m cluster.launch {spec.processes} -- "$@" & pid=$!\n'
        'while woken=; wait "$pid"; code=$?; [ "$woken" ]; do :; done\n'
        "trap - USR1 TERM INT HUP"
    )


def submit(script: Path, members: int = 1) -> str:
    """The id: L1, L2, …"""
    id_ = registry.next_local()
    tasks = " ".join(str(place) for place in range(members)) if members > 1 else ""
    each = f"for t in {tasks}; do RADFORGE_LOCAL_TASK=$t bash job.sh; done" if tasks else "bash job.sh"
    pid = detach(["bash", "-c", f"export RADFORGE_LOCAL_ID={id_}; {each}; :"], script.parent)
    (registry.folder() / f"{id_}.pid").write_text(f"{pid} {_began(pid)}\n")
    return id_


def states(ids: Sequence[str]) -> dict[str, list[Seen]]:
    """Those that still run; how the others ended is in their events."""
    return {id_: [Seen(None, "RUNNING", node=os.uname().nodename)] for id_ in ids if _pid(id_) is not None}


def cancel(id_: str, members: Sequence[int]) -> None:
    """Ends the job's processes. Raises RadforgeError for a single member."""
    if members:
        raise RadforgeError("the members of a job on this machine are cancelled together", id_)
    pid = _pid(id_)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)


def _pid(id_: str) -> int | None:
    try:
        pid, began = (registry.folder() / f"{id_}.pid").read_text().split(" ", 1)
    except (OSError, ValueError):
        return None
    return int(pid) if _began(int(pid)) == began.strip() else None


def _began(pid: int) -> str:
    """When a process began, in clock ticks since the machine did: proc(5). Another process of that number began later."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
