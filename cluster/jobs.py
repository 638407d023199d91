"""Submit a job, and all that can be asked of it afterwards. Effects are here; the script is `cluster.script`'s."""

from __future__ import annotations

import getpass
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from cluster import registry, snapshot
from cluster.events import Story, read_story
from cluster.queues import QUEUES
from cluster.queues.words import ADVICE, Seen
from cluster.script import render
from cluster.worker_folder import WorkerFolder
from schemas.errors import RadforgeError
from schemas.job import OVER, JobRecord, JobSpec, State, Status
from schemas.site import Site
from schemas.training_run import write_bytes


@dataclass(frozen=True)
class Origin:
    """Where a job comes from: what only who submits it knows."""

    site_file: str = ""
    dataset: str | None = None
    continues: str | None = None


def submit(spec: JobSpec, site: Site, origin: Origin = Origin(), files: Mapping[str, str] = MappingProxyType({})) -> JobRecord:
    """Write the script and all it runs, hand it to the queue, remember it. `files`: texts by their place in the folder.

    Raises RadforgeError for a folder whose job is not over, for a disk that refuses, and with the queue's own words.
    """
    _free(spec.folder)
    script = render(spec, site)  # what the queue cannot do is told before anything is written
    try:
        (spec.folder / "job").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RadforgeError("cannot be written", str(spec.folder), error.strerror or "I/O error") from None
    snapshot.keep(spec)
    for name, text in files.items():
        write_bytes(spec.folder / name, text.encode())
    write_bytes(spec.folder / "job.sh", script.encode())
    return _hand_over(spec, site, origin)


def rerun(record: JobRecord) -> JobRecord:
    """Submit exactly that again: the same script, code and recipe. Raises RadforgeError when it is not over, or gone."""
    script = record.spec.folder / "job.sh"
    if not script.is_file():
        raise RadforgeError("the job's script is gone", str(script), expected="the folder as it was when it was submitted")
    _free(record.spec.folder)
    return _hand_over(record.spec, record.site, Origin(record.site_file, record.dataset, f"{record.kind}-{record.id}"))


def _hand_over(spec: JobSpec, site: Site, origin: Origin) -> JobRecord:
    job = spec.folder / "job"
    before = registry.of_folder(spec.folder)
    for pattern in ("cancelled*", "began*", "events*"):
        for leftover in job.glob(pattern):
            leftover.unlink()
    try:
        id_ = QUEUES[site.kind].submit(spec.folder / "job.sh", len(spec.members))
    except RadforgeError as error:
        (problem,) = error.problems
        where = f"[{spec.resource if site.gpu else 'cpu'}] of {origin.site_file or 'site ' + site.name}"
        raise RadforgeError(problem.what, problem.where, problem.found, problem.expected or f"another {where}") from None
    record = JobRecord(
        id=id_,
        kind=site.kind,
        spec=spec,
        site=site,
        site_file=origin.site_file,
        submitted_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        user=getpass.getuser(),
        host=socket.gethostname(),
        command=(Path(sys.argv[0]).name, *sys.argv[1:]),
        dataset=origin.dataset,
        continues=origin.continues or (f"{before[-1].kind}-{before[-1].id}" if before else None),
    )
    try:
        registry.save(record)
    except RadforgeError:
        # A job that nobody knows of would be submitted again beside itself.
        with suppress(RadforgeError):
            QUEUES[site.kind].cancel(id_, ())
        raise
    return record


def _free(folder: Path) -> None:
    """One job at a time in a folder. Raises RadforgeError."""
    there = registry.of_folder(folder)
    told = statuses([there[-1]]) if there else []
    if any(status.state not in OVER for status in told):
        raise RadforgeError(
            "its job is not over", str(folder), f"job {there[-1].id}", "to wait, rjobs cancel, or another folder"
        )
    if there and not registry.remembered(there[-1]):
        registry.remember(there[-1], told)  # its events make way for the next one's


def statuses(records: Sequence[JobRecord], unanswered: Callable[[RadforgeError], None] | None = None) -> list[Status]:
    """One a job, or a member of an array; each queue is asked once, and only for jobs that were not seen to end.

    A queue that does not answer is `unanswered`, and its jobs are told from what they wrote; raises RadforgeError without it.
    """
    ended = {record: ends for record in records if (ends := registry.remembered(record))}
    seen: dict[tuple[str, str], list[Seen]] = {}
    silent = set()
    for kind in sorted({record.kind for record in records if record not in ended}):
        ids = [record.id for record in records if record.kind == kind and record not in ended]
        try:
            seen |= {(kind, id_): found for id_, found in QUEUES[kind].states(ids).items()}
        except RadforgeError as error:
            if unanswered is None:
                raise
            unanswered(error)
            silent.add(kind)
    told = []
    for record in records:
        own = ended.get(record) or [*_statuses(record, seen.get((record.kind, record.id), []))]
        if record.kind in silent and record not in ended:
            unasked = {"reason": "the queue does not answer"}
            own = [status.model_copy(update=unasked) if status.state == "UNKNOWN" else status for status in own]
        elif record not in ended and all(status.state in OVER - {"UNKNOWN"} for status in own):
            registry.remember(record, own)
        told += own
    return told


def _statuses(record: JobRecord, seen: Sequence[Seen]) -> Iterator[Status]:
    members = record.spec.members
    for place, member in enumerate(members):
        task = place if len(members) > 1 else None
        own = next((one for one in seen if one.task == task), None) or next((one for one in seen if one.task is None), None)
        story = read_story(record.spec.folder / "job", task)
        state, reason = _state(record, own, story, task)
        yield Status(
            id=record.id if task is None else f"{record.id}_{task}",
            name=record.spec.name,
            label=member.label,
            state=state,
            reason=reason,
            elapsed_s=story.elapsed_s if state in OVER and story.elapsed_s is not None else own.elapsed_s if own else None,
            node=(own.node if own else "") or story.node,
            exit_code=story.code if story.code is not None else own.exit_code if own else None,
            restarts=max(0, story.starts - 1),
            folder=member.run or record.spec.folder,
        )


def _state(record: JobRecord, seen: Seen | None, story: Story, task: int | None) -> tuple[State, str]:
    """The job's own last word goes before the queue's, where it has one: it knows why it ended."""
    suffix = "" if task is None else f"-{task}"
    ended = story.code is not None and not story.requeued
    # The queue may speak of an array as a whole; what a member wrote is its own.
    if seen is not None and seen.state not in OVER and not (ended and task is not None and seen.task is None):
        return seen.state, seen.reason
    if ended and story.code == 0:
        return "DONE", ""
    if (record.spec.folder / "job" / f"cancelled{suffix}").exists():
        return "CANCELLED", "rjobs cancel"
    if seen is not None and seen.state not in {"FAILED", "DONE", "UNKNOWN"}:
        return seen.state, "; ".join(filter(None, [seen.reason, ADVICE.get(seen.state, "")]))
    if ended:
        stuck = "given up: it began again and again without getting further"
        killed = "exit code 137: killed; often for its memory: more of it in the site file"
        return "FAILED", {70: stuck, 137: killed}.get(story.code or 0, f"exit code {story.code}")
    if seen is not None:
        return seen.state, seen.reason
    return "UNKNOWN", "the queue has forgotten it, and it left no last word" if story.starts else "the queue does not know it"


def workers(unanswered: Callable[[RadforgeError], None]) -> list[Status]:
    """The jobs of the workers of every `etl run --site` that goes on now."""
    told = []
    for kind, path in registry.announced():
        try:
            seen = QUEUES[kind].states(WorkerFolder(path).jobs())
        except RadforgeError as error:
            unanswered(error)
            continue
        for id_, found in seen.items():
            one = found[0]
            told.append(
                Status(
                    id=id_,
                    name="etl worker",
                    state=one.state,
                    reason=one.reason,
                    elapsed_s=one.elapsed_s,
                    node=one.node,
                    folder=path,
                )
            )
    return told


def cancel(record: JobRecord, members: Sequence[int]) -> None:
    """End a job, or members of it; it does not ask to go on. Raises RadforgeError with the queue's words."""
    job = record.spec.folder / "job"
    marks = []
    for place in members or range(len(record.spec.members)):
        suffix = f"-{place}" if len(record.spec.members) > 1 else ""
        story = read_story(job, place if suffix else None)
        if story.code is None or story.requeued:
            marks.append(job / f"cancelled{suffix}")
    for mark in marks:
        with suppress(OSError):  # a full disk must not keep a job running; it could only ask to be run again
            mark.touch()
    try:
        QUEUES[record.kind].cancel(record.id, members)
    except RadforgeError:
        for mark in marks:
            mark.unlink(missing_ok=True)
        raise


def log_files(record: JobRecord, members: Sequence[int]) -> list[Path]:
    """The logs of a job or of members of it, those that are there."""
    job = record.spec.folder / "job"
    if len(record.spec.members) == 1:
        return [path for path in [job / "log.txt"] if path.exists()]
    return [path for place in members or range(len(record.spec.members)) if (path := job / f"log-{place}.txt").exists()]


def queue_files(record: JobRecord) -> list[Path]:
    """What the queue itself wrote, where it is not empty: why a job never began, or was killed."""
    files = sorted((record.spec.folder / "job").glob(f"queue-{record.id}*.txt"))
    return [path for path in files if path.stat().st_size]
