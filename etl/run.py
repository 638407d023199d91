"""`etl run`: archive -> plan -> workers -> version. Every effect of a run is ordered here; the parts decide, this does.

walk        names, sizes, times              nothing is opened
request     seen before? -> already built
scan        headers, through the index       workers
plan        fates by header, tasks           partition by partition; `etl plan` prints the sums
build       batches of studies               workers; each finished study goes to the journal
            tables, card, one rename
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pyarrow as pa

from cluster.progress import Reporter
from etl import crosswalk, derive, store
from etl.archive.listing import Listing, list_files
from etl.archive.scan import scan
from etl.build import Job, Session, build
from etl.corrections import Corrections, read_corrections
from etl.crosswalk import save_private, write_crosswalk
from etl.deidentify import Key, read_key
from etl.header_texts import HeaderTexts
from etl.identity import identity_of, labels_digest, request_of
from etl.labels import Labels, read_labels
from etl.order import Built, Order, check, version_source
from etl.planning import Plan, make_plan
from etl.private import Private
from etl.process import failed, process
from etl.scratch import Scratch
from etl.spill import give_back
from etl.tables import Tables, tables_in
from etl.workers import Workers
from schemas.corrections import Correction
from schemas.dataset import DatasetVersion, newest_version, versions
from schemas.errors import RadforgeError
from schemas.runs import RunRecord, now_after, runs_of, write_run

_NAMED = 3  # corrections that could not be followed


def run(order: Order, say: Reporter) -> Built:
    """Build a version, or find that it is built. Raises RadforgeError (exit 2) and NothingUsable (exit 3).

    A run that ends early, for whatever reason, goes on where it stopped when it is started again.
    """
    check(order)
    source = version_source(order.archives)
    private = Private.beside(order.out, order.private)
    labels = read_labels(order.labels) if order.labels else None
    corrections = read_corrections(order.corrections) or None
    found = walk(order, say) if source is None else Listing.empty()
    if order.key is not None:
        read_key(order.key)
    if source is not None:
        _check_source(order)
    # Nothing is made before everything that can be wrong with the order has been looked at.
    store.writable(order.out, "--out")
    private.make()
    with store.lock(order.out), ExitStack() as stack:
        scratch = stack.enter_context(Scratch.beside(private, order.out))
        session = Session(order, private, scratch, Workers(order, stack, say), say)
        if source is None:
            built = _from_archive(session, found, labels, corrections)
        else:
            built = _from_version(session, source, corrections)
        return _with_unmet(built, corrections, session)


def _from_archive(session: Session, found: Listing, labels: Labels | None, corrections: Corrections | None) -> Built:
    order, private = session.order, session.private
    key = private.key(order.key, order.out, bool(versions(order.out)))
    _warn_of_other_key(session, key)
    if corrections is not None:
        corrections.check_key(key.fingerprint)
    said = labels_digest(labels, key)
    identity = identity_of(order.recipe, key.fingerprint, said, shard=order.shard, corrections=corrections)
    _warn_of_other_order(session, identity, corrections)
    request = request_of(identity, ((file.name, file.size, file.mtime_ns) for file in found))
    record = _record_of(session, request)
    kept = private.crosswalk_file(record.version) if record else None
    if record is not None and kept is not None and kept.exists() and not record.unread:
        return _already(session, record)
    plan = plan_archive(session, found, key, labels, corrections)

    def publish(version: str, tables: Tables) -> None:
        kept = private.crosswalk_file(version)
        save_private(kept, plan.crosswalk.with_fates(tables), crosswalk.SCHEMA)
        if order.crosswalk is not None:
            write_crosswalk(order.crosswalk, kept)

    if record is not None and plan.work.unread == set(record.unread):
        # Files that could not be read then cannot be read now; or only the way back was lost.
        publish(record.version, tables_in(order.out / record.version))
        return _already(session, record)
    _report_plan(plan, session.say)
    if labels is not None:
        _report_labels(session, labels, plan)
    return build(session, Job(request, identity, plan.work, process, failed), publish)


def _check_source(order: Order) -> None:
    """What cannot be asked of a dataset version. Raises RadforgeError."""
    flags = (("--labels", order.labels), ("--crosswalk", order.crosswalk), ("--key", order.key), ("--shard", order.shard))
    refused = [flag for flag, value in flags if value]
    if refused:
        raise RadforgeError(
            f"{', '.join(refused)} cannot be used when the source is a dataset version",
            expected="DICOM archives: a version holds no identifiers to join by",
        )
    derive.check_recipe(order.recipe)


def _from_version(session: Session, source: DatasetVersion, corrections: Corrections | None) -> Built:
    order = session.order
    inherited = derive.inherited(source)
    if corrections is not None:
        corrections.check_key(inherited["key_fingerprint"])
    identity = identity_of(
        order.recipe, inherited["key_fingerprint"], inherited["labels"], source.version, corrections=corrections
    )
    _warn_of_other_order(session, identity, corrections)
    request = request_of(identity, [])
    record = _record_of(session, request)
    if record is not None:
        return _already(session, record)
    work = derive.plan_from(source, order.recipe, session.scratch, corrections)
    session.say.say(f"{work.tasks.frames():,} pictures of {len(work.tasks):,} studies from {source.version}")
    job = Job(request, identity, work, derive.process_pictures, derive.failed_pictures)
    return build(session, job, lambda version, tables: None)


def _with_unmet(built: Built, corrections: Corrections | None, session: Session) -> Built:
    """Corrections that a version does not obey are told, or somebody would believe that it does."""
    if corrections is None:
        return built
    unmet, all_ = corrections.unmet(tables_in(built.folder)), len(corrections.lines)
    session.say.say(f"corrections: {all_ - len(unmet.lost) - len(unmet.strange):,} of {all_:,} are followed")
    whys = {
        "their film is not in it, was left out before, or gives another number of pictures": unmet.lost
        if session.order.shard is None
        else [],  # those of other shards are followed there
        "their image_id is not a picture of their source_id": unmet.strange,
    }
    told = [_could_not(lines, all_, why) for why, lines in whys.items() if lines]
    return replace(built, warnings=(*built.warnings, *told))


def _could_not(lines: Sequence[Correction], all_: int, why: str) -> str:
    named = ", ".join(line.image_id for line in lines[:_NAMED]) + (", …" if len(lines) > _NAMED else "")
    return f"{len(lines):,} of {all_:,} corrections could not be followed: {why} (image_id {named})"


def walk(order: Order, say: Reporter) -> Listing:
    """The files of the archives. Raises RadforgeError when there is none."""
    say.say("looking for files")
    found = list_files(order.archives)
    give_back()
    if not len(found):
        raise RadforgeError("no files", ", ".join(map(str, order.archives)), expected="DICOM files")
    say.say(f"{len(found):,} files, {found.bytes / 1e9:.2f} GB")
    return found


def _warn_of_other_key(session: Session, key: Key) -> None:
    newest = newest_version(session.order.out)
    theirs = DatasetVersion.open(session.order.out / newest).card.get("key_fingerprint") if newest else None
    if theirs not in {None, key.fingerprint}:
        session.say.warn(f"the newest version {newest} was made with another key: no id of the two can be compared")


def _warn_of_other_order(session: Session, identity: Mapping[str, Any], corrections: Corrections | None) -> None:
    """A recipe or labels that were forgotten give another version than the one that was looked at, corrected."""
    seen = corrections.looked_at(session.order.out) if corrections else None
    if seen is None or seen.version == identity["parent"]:
        return
    card, other = seen.card, []
    if card.get("recipe") != identity["recipe"]:
        theirs, ours = (str((recipe or {}).get("name", "?")) for recipe in (card.get("recipe"), identity["recipe"]))
        other.append(f"recipe {theirs}, not {ours}" if theirs != ours else f"other settings of recipe {ours}")
    if card.get("labels") != identity["labels"]:
        other.append("no labels" if not card.get("labels") else "labels" if not identity["labels"] else "other labels")
    if other:
        session.say.warn(f"the corrections were made on {seen.version}, which was built with {' and '.join(other)}")


def plan_archive(
    session: Session,
    found: Listing,
    key: Key,
    labels: Labels | None,
    corrections: Corrections | None = None,
    texts: HeaderTexts | None = None,
) -> Plan:
    """Read the headers and decide; `texts` counts their texts where asked for. Raises RadforgeError on contradicting splits."""
    recipe, scratch, began = session.order.recipe, session.scratch, time.monotonic()
    with session.say.stage("headers", len(found), "files") as stage:
        index = scan(found, session.private.index_file, recipe.metadata.keep, session.workers, stage.advance, scratch)
    found.forget()
    give_back()
    session.seconds["scan"] = time.monotonic() - began
    began = time.monotonic()
    plan = make_plan(index, recipe, key, labels, scratch, shard=session.order.shard, corrections=corrections, texts=texts)
    give_back()
    session.seconds["plan"] = time.monotonic() - began
    return plan


def _report_plan(plan: Plan, say: Reporter) -> None:
    """What will happen, before it does."""
    say.say(
        f"{plan.files:,} files of {plan.studies:,} studies and {plan.patients:,} patients; "
        f"{len(plan.work.tasks):,} studies with {plan.work.tasks.frames():,} frames to process"
    )
    if plan.work.reasons:
        say.say("left out by header: " + ", ".join(f"{reason} {n:,}" for reason, n in plan.work.reasons.most_common()))


def _report_labels(session: Session, labels: Labels, plan: Plan) -> None:
    """Count what did not meet, and list it in DATASET.private: label rows are identifiers."""
    say = session.say
    if not plan.studies_labelled and plan.studies_without:
        raise RadforgeError(
            "no row matches any study",
            f"--labels {session.order.labels}",
            expected=f"{' + '.join(labels.by)} as in the archive",
        )
    say.say(f"labels: {plan.studies_labelled:,} studies labelled")
    if session.order.shard is not None:
        plan.unmatched.clear()  # label rows of other shards match nothing here
    unmatched = zip(*sorted(plan.unmatched), strict=True) if plan.unmatched else ([] for _ in labels.by)
    lists = {
        "unmatched_labels.csv": pa.table([pa.array(column, pa.string()) for column in unmatched], names=list(labels.by)),
        "studies_without_label.csv": pa.table({"study_id": pa.array(plan.studies_without, pa.string())}),
    }
    for name, table in lists.items():
        save_private(session.private.folder / name, [table], table.schema)
    if plan.unmatched:
        say.warn(f"{len(plan.unmatched):,} label rows match no study: {session.private.folder}/unmatched_labels.csv")
    if plan.studies_without:
        path = f"{session.private.folder}/studies_without_label.csv"
        say.warn(f"{len(plan.studies_without):,} studies have no label: {path}")


def _record_of(session: Session, request: str) -> RunRecord | None:
    return next((record for record in reversed(runs_of(session.order.out)) if record.request == request), None)


def _already(session: Session, record: RunRecord) -> Built:
    order = session.order
    if order.crosswalk is not None:
        write_crosswalk(order.crosswalk, session.private.crosswalk_file(record.version))
    if newest_version(order.out) != record.version:
        # Asked for again, it is what "newest" means again.
        write_run(order.out, record.model_copy(update={"committed_at": now_after(runs_of(order.out))}))
    return Built(record.version, order.out / record.version, True, record.counts)
