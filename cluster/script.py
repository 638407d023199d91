"""From what is to be run and where, to the script that a queue is handed: text that a person can read before and after."""

from __future__ import annotations

import shlex
from pathlib import Path

from cluster import header as headers
from cluster.queues import QUEUES
from schemas.job import JobSpec
from schemas.site import Site

TRIES = 3  # how often a job may begin at the same place before it is given up


def render(spec: JobSpec, site: Site) -> str:
    """The whole script. Pure, but for what a site's jobqueue.yaml and lsf.conf say.

    Raises RadforgeError for what the queue cannot do.
    """
    queue = QUEUES[site.kind]
    job = spec.folder / "job"
    if spec.resumable:
        headers.warned_in_time(site, site.resource(spec.resource))
    parts = [
        headers.shebang(site) if site.kind != "local" else "#!/usr/bin/env bash",
        queue.header(spec, site),
        f"# radforge, {spec.name}: what it runs, its log and its events lie in {job}",
        _begin(spec, site, job),
        # Before the command: a script that is sourced sees our words, and some read them.
        _environment(spec, site),
        _members(spec),
        *([_bound()] if spec.resumable else []),
        "event start",
        queue.launch(spec, site),
        'event "end $code"',
        *([_again(queue.REQUEUE)] if spec.resumable else []),
        'exit "$code"',
    ]
    return "\n\n".join(parts) + "\n"


def _begin(spec: JobSpec, site: Site, job: Path) -> str:
    queue = QUEUES[site.kind]
    return (
        f"export RADFORGE_JOB={shlex.quote(str(job))}\n"
        f"task={queue.TASK}; here=${{task:+-$task}}; id={queue.JOB_ID}\n"
        'exec >> "$RADFORGE_JOB/log$here.txt" 2>&1     # its own log: the queue\'s may come late, be overwritten or dropped\n'
        'event() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $(hostname) $*" >> "$RADFORGE_JOB/events$here"; }\n'
        'echo "--- $(date -u +%Y-%m-%dT%H:%M:%SZ) job $id${task:+_$task} on $(hostname)"\n'
        f'cd {shlex.quote(str(spec.cwd))} || {{ event "end 66"; exit 66; }}'
    )


def _members(spec: JobSpec) -> str:
    """What `"$@"` is, where it asks for a requeue, and by what it is seen to get further."""
    sets = []
    for member in spec.members:
        again = (
            f"export RADFORGE_AGAIN={shlex.quote(str(member.again))}; progress={shlex.quote(member.progress)}; "
            if member.again
            else ""
        )
        sets.append(f"{again}set -- {shlex.join(member.command)}")
    if len(sets) == 1:
        return sets[0]
    cases = [
        f"{place}) {command} ;;     # {member.label}"
        for place, (command, member) in enumerate(zip(sets, spec.members, strict=True))
    ]
    return "\n".join(['case "$task" in', *cases, '*) echo "no member $task"; event "end 64"; exit 64 ;;', "esac"])


def _environment(spec: JobSpec, site: Site) -> str:
    resource = site.resource(spec.resource)
    threads = max(1, headers.cores(site, resource) // spec.processes)
    lines = headers.prologue(site)
    lines.append(f"export PYTHONPATH={shlex.quote(str(spec.code))}${{PYTHONPATH:+:$PYTHONPATH}}")
    lines.append(f"export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{threads}}} NODES={spec.nodes}")
    if spec.nodes > 1:
        # Of all nodes the same and of other jobs another one; on a single node the launcher takes a free one.
        lines.append("export MASTER_PORT=$((20000 + (id * 31 + ${task:-0}) % 12000))")
    if interface := headers.interface(site):
        lines.append(f"export GLOO_SOCKET_IFNAME={interface} NCCL_SOCKET_IFNAME={interface}")
    if site.scratch:
        lines.append(f"export RADFORGE_CACHE={site.scratch}/radforge-cache")
    if spec.gpus:
        lines.append(f"export RADFORGE_GPUS={spec.gpus}")
    if spec.git_commit:
        lines.append(f"export RADFORGE_COMMIT={spec.git_commit}")
    # Unset: a job may have been submitted by a job, whose own request it would write.
    lines.append(f"export RADFORGE_RESUMABLE={int(spec.resumable)}; unset RADFORGE_AGAIN")
    return "\n".join(lines)


def _bound() -> str:
    """A failed node, a preemption or a warning makes it begin again; not one that begins and begins and gets no further."""
    return (
        'times=0; was=; read -r times was 2>/dev/null < "$RADFORGE_JOB/began$here"\n'
        'now=$(cat $progress 2>/dev/null | cksum | tr " " "-")\n'
        '[ "$now" = "$was" ] && times=$((times + 1)) || times=1\n'
        'echo "$times $now" > "$RADFORGE_JOB/began$here"\n'
        f'if [ "$times" -gt {TRIES} ]; then\n'
        f'    echo "began {TRIES} times without getting further: given up; rjobs rerun $id tries again"\n'
        '    event "end 70"; exit 70\n'
        "fi\n"
        'rm -f "$RADFORGE_AGAIN"'
    )


def _again(requeue: str) -> str:
    return (
        '[ "$code" -eq 0 ] && [ -e "$RADFORGE_AGAIN" ] && again=yes || again=\n'
        '[ "$code" -eq 138 ] && again=yes     # SIGUSR1 came before anything could answer it\n'
        'if [ "$again" ] && [ -e "$RADFORGE_JOB/cancelled$here" ]; then\n'
        '    code=143; event "end $code"     # it stopped as it was asked to, and is not done\n'
        'elif [ "$again" ]; then\n'
        '    echo "--- stopped by a warning; asking the queue to go on later"; event requeue\n'
        f"    {requeue}\n"
        '    echo "the queue refuses that: rjobs rerun $id goes on"; code=75; event "end $code"\n'
        "fi"
    )
