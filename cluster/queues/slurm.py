"""SLURM: sbatch, squeue, scancel. Nothing needs accounting; where there is sacct, it is asked for what squeue has forgotten."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from cluster import header as headers
from cluster.queues.words import SLURM, Seen, clock_s, refusal
from cluster.shell import call
from schemas.job import JobSpec
from schemas.site import Site

COMMENT = "#SBATCH"
JOB_ID = "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}"
TASK = "${SLURM_ARRAY_TASK_ID:-}"
# The requeue ends the script; a site that refuses it leaves the job as it is, with `again` beside it.
REQUEUE = 'scontrol requeue "$SLURM_JOB_ID" && sleep 600'


def header(spec: JobSpec, site: Site) -> str:
    """The #SBATCH lines."""
    resource = site.resource(spec.resource)
    array = len(spec.members) > 1
    throttle = f"%{spec.together}" if spec.together else ""
    directives = [
        f"-N {spec.nodes}",
        "--ntasks-per-node=1",
        *headers.gpu_directives(site, resource, spec.gpus, spec.nodes),
        *([f"--array=0-{len(spec.members) - 1}{throttle}"] if array else []),
        *([f"--dependency=afterok:{':'.join(spec.after)}", "--kill-on-invalid-dep=yes"] if spec.after else []),
        # The warning goes to the processes that srun started; without append a requeue would empty the log.
        *(["--requeue", "--open-mode=append", f"--signal=USR1@{resource.warn_s}"] if spec.resumable else ["--no-requeue"]),
        f"-o {spec.folder}/job/queue-{'%A_%a' if array else '%j'}.txt",
    ]
    return headers.header(site, resource, spec.name, directives=directives, skip=["#SBATCH -n 1"])


def launch(spec: JobSpec, site: Site) -> str:
    """One launcher a node through srun, which hands on the warning and ends all when one fails."""
    address = (
        'MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)'
        if spec.nodes > 1
        else "MASTER_ADDR=127.0.0.1"
    )
    # srun no longer takes the cores from sbatch's line by itself: srun(1), --cpus-per-task, since 22.05.
    cores = headers.cores(site, site.resource(spec.resource))
    return (
        f"export {address}\n"
        f"srun --kill-on-bad-exit=1 --cpus-per-task={cores} {headers.python(site)} "
        f'-P -m cluster.launch {spec.processes} -- "$@"\n'
        "code=$?"
    )


def submit(script: Path, members: int = 1) -> str:
    """The id. Raises RadforgeError with sbatch's own words."""
    answer = call(["sbatch", "--parsable", str(script)], script.parent)
    found = re.match(r"(\d+)", answer.stdout)
    if answer.code or found is None:
        raise refusal("the queue refused the job", "sbatch", answer)
    return found[1]


def states(ids: Sequence[str]) -> dict[str, list[Seen]]:
    """By id. One squeue, and one sacct for those that squeue does not know any more."""
    seen = _squeue(ids)
    missing = [id_ for id_ in ids if id_ not in seen]
    return seen | (_sacct(missing) if missing else {})


def cancel(id_: str, members: Sequence[int]) -> None:
    """scancel. Raises RadforgeError with its words."""
    answer = call(["scancel", *([f"{id_}_{member}" for member in members] or [id_])])
    if answer.code:
        raise refusal("the queue did not cancel the job", "scancel", answer)


def _squeue(ids: Sequence[str]) -> dict[str, list[Seen]]:
    user = os.environ.get("USER") or str(os.getuid())
    answer = call(["squeue", "--noheader", "--array", "--states=all", f"--user={user}", "--format=%F|%K|%T|%r|%M|%N"])
    if answer.code:
        # With a user that squeue does not know the ids are asked for one by one; an id that is forgotten is an error then.
        raise refusal("the queue does not answer", "squeue", answer)
    seen: dict[str, list[Seen]] = defaultdict(list)
    wanted = set(ids)
    for line in answer.stdout.splitlines():
        id_, task, state, reason, elapsed, node = [*line.strip().split("|"), *[""] * 6][:6]
        if id_ not in wanted:
            continue
        own = SLURM.get(state, "UNKNOWN")
        told = "" if reason in {"None", "NonZeroExitCode"} else reason
        place = int(task) if task.isdigit() else None
        seen[id_].append(Seen(place, own, told, clock_s(elapsed), node.strip("()") if node != "(null)" else ""))
    return dict(seen)


def _sacct(ids: Sequence[str]) -> dict[str, list[Seen]]:
    """What accounting remembers; nothing where there is none."""
    fields = "--format=JobID,State,ElapsedRaw,NodeList,ExitCode"
    answer = call(["sacct", "--noheader", "--parsable2", "--allocations", "--jobs", ",".join(ids), fields])
    seen: dict[str, list[Seen]] = defaultdict(list)
    for line in answer.stdout.splitlines() if not answer.code else []:
        id_, state, elapsed, node, code = [*line.split("|"), *[""] * 5][:5]
        name, _, task = id_.partition("_")
        own = SLURM.get(state.split()[0] if state else "", "UNKNOWN")
        ended = int(code.split(":")[0]) if code.split(":")[0].isdigit() else None
        seen[name].append(
            Seen(int(task) if task.isdigit() else None, own, "", float(elapsed) if elapsed.isdigit() else None, node, ended)
        )
    return dict(seen)
