"""How jobs are shown, and how every command that submits one ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

from cluster import show
from cluster.jobs import Origin, log_files, queue_files, submit
from cluster.progress import Reporter
from cluster.script import render
from schemas.job import JobRecord, JobSpec, Status
from schemas.site import Site

LAST_WORDS = 8  # lines of a log


def listed(statuses: Sequence[Status], json: bool) -> None:
    """One row a job or array member."""
    if json:
        show.as_json([status.model_dump(mode="json") for status in statuses])
        return
    if not statuses:
        show.line("no jobs yet")
        return
    rows = [
        [
            status.id,
            status.name + (f" {status.label}" if status.label else ""),
            status.state,
            status.restarts + 1 if status.restarts else "-",
            status.reason or "-",
            _clock(status.elapsed_s),
            status.node or "-",
            str(status.folder),
        ]
        for status in statuses
    ]
    show.table(["id", "name", "state", "starts", "reason", "elapsed", "node", "folder"], rows)


def sentence(status: Status) -> str:
    """`job 7: FAILED, exit code 3`."""
    return f"job {status.id}: {status.state}" + (f", {status.reason}" if status.reason else "")


def one(record: JobRecord, statuses: Sequence[Status], json: bool) -> None:
    """A job in full."""
    if json:
        show.as_json(
            {"record": record.model_dump(mode="json"), "members": [status.model_dump(mode="json") for status in statuses]}
        )
        return
    listed(statuses, False)
    spec = record.spec
    facts = {
        "submitted": f"{record.submitted_at[:19]} by {record.user} on {record.host}",
        "site": f"{record.site.name} ({record.kind}), resource {spec.resource}",
        "asked for": f"{show.many(spec.nodes, 'node')}, {show.many(spec.gpus, 'GPU')} a node, "
        + f"{show.many(spec.processes, 'process')} a node".replace("processs", "processes"),
        "command": " ".join(record.command),
        "dataset": record.dataset or "-",
        "git commit": spec.git_commit or "-",
        "runs the copy": str(spec.code),
        "continues": record.continues or "-",
        "script": str(spec.folder / "job.sh"),
    }
    for name, value in facts.items():
        show.line(f"{name}: {value}")
    if any(status.state in {"FAILED", "UNKNOWN"} for status in statuses):
        for path in [*log_files(record, ()), *queue_files(record)]:
            last = [line for line in path.read_text("utf-8", "replace").splitlines() if line.strip()][-LAST_WORDS:]
            show.line(f"last words in {path}:")
            for line in last:
                show.line(f"    {line}")


def submitted(record: JobRecord, json: bool, say: Reporter) -> None:
    """The id, and what to do next."""
    if json:
        show.as_json({"id": record.id, "kind": record.kind, "folder": str(record.spec.folder)})
        return
    show.line(record.id)
    say.say(f"job {record.id} ({record.spec.name}) is in {record.spec.folder}; rjobs logs {record.id} -f follows it")


def hand_over(
    spec: JobSpec,
    site: Site,
    site_file: str,
    dry_run: bool,
    json: bool,
    say: Reporter,
    *,
    dataset: str | None = None,
    files: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Print the script (`--dry-run`), or submit it and say its id. Raises RadforgeError."""
    if dry_run:
        show.line(render(spec, site).rstrip())
        return
    submitted(submit(spec, site, Origin(site_file, dataset), files), json, say)


def _clock(seconds: float | None) -> str:
    return "-" if seconds is None else str(timedelta(seconds=round(seconds)))
