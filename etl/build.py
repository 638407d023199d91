"""The part of a run that workers do and that is published: the same for an archive and for a version as source."""

from __future__ import annotations

import platform
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster import interrupt
from cluster.pool import Lost
from cluster.progress import Reporter
from cluster.shell import git_commit
from etl import journal, store
from etl.archive.files import OF_THE_MOMENT
from etl.batches import Batch, Batches, Task
from etl.order import Built, Order
from etl.picture_store import PictureStore, disk_error, make_folders
from etl.private import Private
from etl.scratch import Scratch
from etl.spill import give_back
from etl.study import Failure, StudyOutcome
from etl.tables import RowFile, StoredTable, Tables, tables_in
from etl.work import Work
from etl.workers import Workers
from schemas.dataset import newest_version
from schemas.errors import NothingUsable
from schemas.recipe import EtlRecipe, Splits
from schemas.runs import RunRecord, now_after, runs_of, write_run

T = TypeVar("T", bound=Task)


@dataclass(frozen=True)
class Job(Generic[T]):
    """A version to be built: its name's part that is known, the work, and what a worker does with a task."""

    request: str
    identity: Mapping[str, Any]
    todo: Work[T]
    process: Callable[[T, EtlRecipe, PictureStore], StudyOutcome]
    give_up: Callable[[T, Failure], StudyOutcome]


@dataclass
class Session:
    """What the stages of one run share."""

    order: Order
    private: Private
    scratch: Scratch
    workers: Workers
    say: Reporter
    started: float = field(default_factory=time.monotonic)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    films: int = 0
    resumed: int = 0


def build(session: Session, job: Job[T], publish: Callable[[str, Tables], None]) -> Built:
    """Process what the journal does not have yet, commit, and record the run.

    `publish(version, tables)` writes what belongs to the version elsewhere (the crosswalk) before the run counts as done.
    Raises NothingUsable when not one record came out, RadforgeError when the disk fails.
    """
    out = session.order.out
    building = store.building_folder(out, job.request)
    began = time.monotonic()
    _process(session, job, building)
    give_back()
    session.seconds["process"] = time.monotonic() - began
    session.workers.close()
    interrupt.check()
    began = time.monotonic()
    session.say.say("publishing")
    tables = store.write_tables(building, _with_the_journal(job, building), job.todo.sources)
    give_back()
    if tables["manifest"].num_rows == 0:
        raise _nothing(out, building, tables)
    parent = newest_version(out)
    version = store.commit(building, out, job.identity, tables, out / parent if parent else None)
    give_back()
    tables = tables_in(out / version)
    session.seconds["commit"] = time.monotonic() - began
    built = Built(
        version=version,
        folder=out / version,
        counts={"records" if name == "manifest" else name: table.num_rows for name, table in tables.items()},
        reasons=_reasons(tables),
        elapsed_s=time.monotonic() - session.started,
        films_per_s=session.films / max(session.seconds["process"], 1e-3),
        warnings=_split_warnings(tables["manifest"], session.order.recipe.splits),
    )
    publish(version, tables)
    _record(session, job, built, parent, _unread_in(tables["failures"]))
    # The journal goes last: killed anywhere before, the same command finds everything done and only publishes.
    store.discard(building)
    for leftover in store.unfinished(out):
        session.say.warn(f"{leftover} holds the unfinished work of another request; remove it if that will not be run again")
    return built


def _unread_in(failures: StoredTable) -> tuple[str, ...]:
    """source_ids of files that could not be read for a reason of the moment (gone, denied, a failing disk)."""
    rows = failures.read(["source_id", "error"])
    unread = rows.filter(pc.is_in(rows["error"], pa.array(sorted(OF_THE_MOMENT))))
    return tuple(sorted(set(unread["source_id"].to_pylist())))


def _with_the_journal(job: Job[T], building: Path) -> RowFile:
    """All rows: those that were settled before, and those that the workers gave."""
    rows = job.todo.rows
    for outcome in journal.read(building, job.todo.tasks.digests):
        rows.add("manifest", outcome.records)
        rows.add("drops", outcome.drops)
        rows.add("failures", outcome.failures)
    return rows


def _record(session: Session, job: Job[T], built: Built, parent: str | None, unread: tuple[str, ...]) -> None:
    write_run(
        session.order.out,
        RunRecord(
            request=job.request,
            version=built.version,
            parent=parent,
            committed_at=now_after(runs_of(session.order.out)),
            elapsed_s=round(built.elapsed_s, 3),
            stages_s={name: round(seconds, 3) for name, seconds in sorted(session.seconds.items())},
            films=session.films,
            films_per_s=round(built.films_per_s, 3),
            workers=session.workers.count,
            resumed_films=session.resumed,
            host=socket.gethostname(),
            cpu=_cpu(),
            git_commit=git_commit(Path(__file__).resolve().parent.parent),
            counts=built.counts,
            unread=unread,
        ),
    )


def _process(session: Session, job: Job[T], building: Path) -> None:
    say, content, tasks = session.say, building / store.CONTENT, job.todo.tasks
    try:
        make_folders(content)
    except OSError as error:
        raise disk_error(error) from None
    total, digests = tasks.frames(), tasks.digests
    with journal.Journal(building) as log, say.stage("films", total, "films") as stage:
        todo = np.ones(len(tasks), bool)
        for outcome in journal.read(building, digests):
            todo[tasks.place(outcome.study_id)] = False
        session.resumed = total - tasks.frames(todo)
        if session.resumed:
            say.say(f"going on where the last run stopped: {session.resumed:,} of {total:,} frames are done")
        stage.skip(session.resumed)
        if not todo.any():
            return
        queue = Batches(tasks.heavy_first(todo), tasks.seconds(todo), session.workers.count, job.give_up)
        limit = session.order.recipe.limits.seconds_per_film
        work = partial(_work, process=job.process, recipe=session.order.recipe, content=content)
        for batch, result in session.workers().map(work, queue, lambda batch: batch.seconds(limit)):
            if isinstance(result, Lost):
                say.warn(f"a worker was lost ({result.reason}) with {batch.frames} films; {_next(batch)}")
            outcomes = queue.settle(batch, result)
            log.append(outcomes, digests)
            for outcome in outcomes:
                stage.advance(outcome.frames)
                session.films += outcome.frames
                for name, seconds in outcome.seconds.items():
                    session.seconds[f"worker:{name}"] += seconds


def _work(batch: Batch[Any], process: Callable[..., StudyOutcome], recipe: EtlRecipe, content: Path) -> list[StudyOutcome]:
    """What a worker does with a batch: one store, so that a study's pictures are written while the next is decoded."""
    with PictureStore(content) as store:
        outcomes = [process(task, recipe, store) for task in batch.tasks]
    for name, seconds in store.seconds.items():
        outcomes[-1].seconds[name] += seconds
    return outcomes


def _next(batch: Batch[Task]) -> str:
    return ("each study is tried alone", "each film is tried alone", "it is given up")[batch.attempt]


def _nothing(out: Path, building: Path, tables: Tables) -> NothingUsable:
    """Not one record: keep the rows in .last-run, commit nothing."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in _reasons(tables).items())
    store.write_last_run(out, building)
    store.discard(building)
    return NothingUsable(
        "nothing usable: not one record came out",
        str(out),
        reasons or "no files",
        f"at least one film; the rows in {out}/.last-run say why each was left out",
    )


def _reasons(tables: Tables) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for name, column, said in (("drops", "reason", ""), ("failures", "stage", " (failure)")):
        for item in pc.value_counts(tables[name].read([column])[column]).to_pylist():  # type: ignore[index]
            counts[item["values"] + said] += item["counts"]
    return dict(counts.most_common())


def _split_warnings(records: StoredTable, wanted: Splits) -> tuple[str, ...]:
    """A split that is empty although it was to have a share, or that shows one class of a label only."""
    splits = records.read(["split"])["split"]
    present = sorted(pc.unique(splits).to_pylist())
    warnings = [f"split {name} is empty" for name, share in wanted if share and name not in present]
    for label in (name for name in records.schema.names if name.startswith("label_")):
        values = records.read([label])[label]
        if not 2 <= len(pc.unique(values).drop_null()) <= 20:
            continue
        for split in present:
            if len(pc.unique(values.filter(pc.equal(splits, split))).drop_null()) == 1:
                warnings.append(f"split {split} has one class of {label} only")
    return tuple(warnings)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
