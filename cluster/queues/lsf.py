"""IBM Spectrum LSF: bsub, bjobs, bkill. After the LSF 10.1 command reference; never run on a commercial LSF."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster import header as headers
from cluster.queues.words import LSF, LSF_ENDS, Seen, refusal
from cluster.shell import call
from schemas.job import JobSpec
from schemas.site import Site

AGAIN = 75  # EX_TEMPFAIL of sysexits: `bsub -Q` makes this exit code a requeue under the same id
COMMENT = "#BSUB"
JOB_ID = "$LSB_JOBID"
# LSB_JOBINDEX is 0 without an array, and arrays begin at 1.
TASK = '$([ "${LSB_JOBINDEX:-0}" -gt 0 ] && echo $((LSB_JOBINDEX - 1)))'
REQUEUE = f"exit {AGAIN}"


def header(spec: JobSpec, site: Site) -> str:
    """The #BSUB lines."""
    resource = site.resource(spec.resource)
    cores = headers.cores(site, resource)
    array = len(spec.members) > 1
    name = f"{spec.name}[1-{len(spec.members)}]" + (f"%{spec.together}" if spec.together else "") if array else spec.name
    directives = [
        f"-n {spec.nodes * cores}",
        f'-R "span[ptile={cores}]"',
        *headers.gpu_directives(site, resource, spec.gpus, spec.nodes),
        *([f'-w "{" && ".join(f"done({id_})" for id_ in spec.after)}"'] if spec.after else []),
        # -wt counts whole minutes; -r: run again when the host fails.
        *([f'-Q "{AGAIN}"', f"-wt {math.ceil(resource.warn_s / 60)} -wa USR1", "-r"] if spec.resumable else ["-rn"]),
        f"-o {spec.folder}/job/queue-{'%J_%I' if array else '%J'}.txt",
    ]
    # The class writes `-n CORES` and, for more than one, that they lie on one host; ours is the one for several nodes.
    return headers.header(site, resource, name, directives=directives, skip=["#BSUB -n ", "span[hosts=1]"])


def launch(spec: JobSpec, site: Site) -> str:
    """One launcher a host through blaunch; on a single host the launcher itself."""
    start = f'{headers.python(site)} -P -m cluster.launch {spec.processes} -- "$@"'
    # LSF sends the warning to every process of the job, and a signal ends `wait`: it waits for sleeps, and looks. The first
    # launcher that fails ends the job; the queue ends the others with it.
    wait = (
        "trap : USR1; code=0\n"
        'while [ "$pids" ] && [ "$code" -eq 0 ]; do\n'
        "    sleep 1 & wait $!; left=\n"
        "    for pid in $pids; do\n"
        '        if kill -0 "$pid" 2>/dev/null; then left="$left $pid"; else wait "$pid" || code=$?; fi\n'
        "    done\n"
        "    pids=$left\n"
        "done"
    )
    if spec.nodes == 1:
        return f"export MASTER_ADDR=127.0.0.1\n{start} & pids=$!\n{wait}"
    return (
        'hosts=$(sort -u "$LSB_DJOB_HOSTFILE"); pids=; rank=0\n'
        'export MASTER_ADDR=$(echo "$hosts" | head -n 1)\n'
        "for host in $hosts; do\n"
        f'    NODE_RANK=$rank blaunch -z "$host" {start} & pids="$pids $!"; rank=$((rank + 1))\n'
        f"done\n{wait}"
    )


def submit(script: Path, members: int = 1) -> str:
    """The id. Raises RadforgeError with bsub's own words."""
    # `bsub FILE` would not read the #BSUB lines of the file; on stdin it does.
    answer = call(["bsub"], script.parent, stdin=script.read_text("utf-8"))
    found = re.search(r"Job <(\d+)>", answer.stdout)
    if answer.code or found is None:
        raise refusal("the queue refused the job", "bsub", answer)
    return found[1]


def states(ids: Sequence[str]) -> dict[str, list[Seen]]:
    """By id, from one bjobs; LSF forgets a job an hour after its end (CLEAN_PERIOD)."""
    fields = "jobid jobindex stat exit_code exit_reason exec_host pend_reason run_time"
    answer = call(["bjobs", "-a", "-json", "-o", fields])
    try:
        records = json.loads(answer.stdout).get("RECORDS", []) if answer.stdout.strip() else []
    except ValueError:
        raise refusal("the queue's answer is not understood", "bjobs", answer) from None
    if answer.code and not records and not re.match(r"no .*job", answer.stderr, re.IGNORECASE):
        raise refusal("the queue does not answer", "bjobs", answer)
    seen: dict[str, list[Seen]] = defaultdict(list)
    wanted = set(ids)
    for record in records:
        if str(record.get("JOBID")) in wanted:
            seen[str(record["JOBID"])].append(_seen(record))
    return dict(seen)


def _seen(record: Mapping[str, str]) -> Seen:
    state = LSF.get(record.get("STAT", ""), "UNKNOWN")
    why = record.get("EXIT_REASON") or ""
    if state == "FAILED":
        state = next((ours for term, ours in LSF_ENDS.items() if term in why), state)
    if record.get("STAT") == "UNKWN":
        why = "the queue has lost contact with its node"
    index, code = str(record.get("JOBINDEX") or "0"), str(record.get("EXIT_CODE") or "")
    elapsed = re.match(r"(\d+)", str(record.get("RUN_TIME") or ""))
    return Seen(
        task=int(index) - 1 if index.isdigit() and int(index) else None,
        state=state,
        reason=(record.get("PEND_REASON") or "") if state in {"PENDING", "SUSPENDED"} else why,
        elapsed_s=float(elapsed[1]) if elapsed else None,
        node=" ".join(dict.fromkeys(host.split("*")[-1] for host in str(record.get("EXEC_HOST") or "").split(":") if host)),
        exit_code=int(code) if code.isdigit() else None,
    )


def cancel(id_: str, members: Sequence[int]) -> None:
    """bkill. Raises RadforgeError with its words."""
    answer = call(["bkill", *([f"{id_}[{member + 1}]" for member in members] or [id_])])
    if answer.code and "already finished" not in answer.stderr:
        raise refusal("the queue did not cancel the job", "bkill", answer)
