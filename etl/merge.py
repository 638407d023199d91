"""`etl merge`: versions that several runs made of parts of an archive become one. No film is opened; pictures are linked."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from cluster import interrupt
from cluster.progress import Reporter
from etl import merge_rows, store
from etl.card import IDENTITY, canonical, file_sha256, identity_in
from etl.crosswalk import SCHEMA, CrosswalkFile, save_private
from etl.deidentify import read_key
from etl.order import Built
from etl.picture_store import disk_error, make_folders
from etl.private import Private
from etl.scratch import Scratch, private_file
from etl.tables import RowFile, StoredTable, Tables, tables_in
from schemas.dataset import DatasetVersion, newest_version, versions
from schemas.errors import Problem, RadforgeError
from schemas.manifest import FIXED, TABLES, Column
from schemas.runs import RunRecord, now_after, runs_of, write_run

_MUST_AGREE = {
    "recipe": "the same recipe",
    "key_fingerprint": "the same key: `etl run --key FILE`, or no id can be compared",
    "schema_version": "versions of one radforge",
}
_MAY_DIFFER = ("software", "code", "machine")


def merge(sources: Sequence[DatasetVersion], out: Path, private: Path | None, say: Reporter) -> Built:
    """Commit one version with the rows of all. Raises RadforgeError when they do not belong together, or the disk fails.

    Where two versions have the same image, the first named keeps it and the other's becomes a drop.
    """
    try:
        return _merge(sources, out, private, say)
    except OSError as error:
        raise disk_error(error) from None


def _merge(sources: Sequence[DatasetVersion], out: Path, private: Path | None, say: Reporter) -> Built:
    started = time.monotonic()
    sources = list({source.folder.resolve(): source for source in sources}.values())
    if len(sources) < 2:
        raise RadforgeError("nothing to merge", "DATASET@VERSION...", f"{len(sources)} version", "two or more")
    identity, warnings = _identity(sources)
    _all_shards(identity["merged"])
    for source in sources:
        _whole(source)
    tables = [tables_in(source.folder) for source in sources]
    extra = _extra(sources, tables)
    kept = Private.beside(out, private)
    store.writable(out, "--out")
    kept.make()
    request = hashlib.sha256(canonical(identity)).hexdigest()[:16]
    with store.lock(out), ExitStack() as stack:
        building = store.building_folder(out, request)
        scratch = stack.enter_context(Scratch.beside(kept, out))
        known = merge_rows.links(tables)
        if known.patients:
            warnings += (f"{len(known.patients):,} patients are in more than one version: their acquired_order is not known",)
        rows, files = RowFile(scratch, extra), list[int]()
        for bucket in merge_rows.joined(tables, known):
            interrupt.check()
            for name in TABLES:
                rows.add(name, bucket[name])
            files += {int(row["source_id"], 16) for name in TABLES for row in bucket[name]}
        try:
            make_folders(building / store.CONTENT)
        except OSError as error:
            raise disk_error(error) from None
        written = store.write_tables(building, rows, files)
        _link_pictures(sources, tables, building / store.CONTENT, written, say)
        say.say("publishing")
        parent = newest_version(out)
        version = store.commit(building, out, identity, written, None)
        final = tables_in(out / version)
        _keep_private(sources, kept, version, final, scratch)
        counts = {"records" if name == "manifest" else name: final[name].num_rows for name in TABLES}
        elapsed = time.monotonic() - started
        write_run(
            out,
            RunRecord(
                request=request,
                version=version,
                parent=parent,
                committed_at=now_after(runs_of(out)),
                elapsed_s=round(elapsed, 3),
                counts=counts,
            ),
        )
        store.discard(building)
    return Built(version, out / version, counts=counts, elapsed_s=elapsed, warnings=warnings)


def _identity(sources: Sequence[DatasetVersion]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the merged version is: what all are, and of which versions it is made, in their order."""
    all_ = [identity_in(source.card) for source in sources]
    problems = [
        Problem(f"the versions differ in `{name}`", f"{source.dataset}@{source.version}", expected=wanted)
        for name, wanted in _MUST_AGREE.items()
        for source, own in zip(sources, all_, strict=True)
        if own[name] != all_[0][name]
    ]
    corrections = [own["corrections"] for own in all_]
    corrected_alike = all(own == corrections[0] for own in corrections)
    if not corrected_alike and all(own["shard"] for own in all_):
        problems.append(Problem("the shards differ in `corrections`", "DATASET@VERSION...", expected="--corrections for each"))
    if problems:
        raise RadforgeError.of(problems)
    differ = [name for name in _MAY_DIFFER if any(own[name] != all_[0][name] for own in all_)]
    labels = sorted({str(own["labels"]) for own in all_})
    merged = [
        {"version": source.version, "shard": own["shard"]} | {name: own[name] for name in differ}
        for source, own in zip(sources, all_, strict=True)
    ]
    identity = {name: all_[0][name] for name in IDENTITY} | dict.fromkeys(differ, "differs, see merged")
    identity |= {"labels": all_[0]["labels"] if len(labels) == 1 else labels, "parent": None, "shard": None, "merged": merged}
    identity["corrections"] = corrections[0] if corrected_alike else corrections
    told = (f"the versions were made with different {', '.join(differ)}: the card says which",) if differ else ()
    return identity, told


def _all_shards(merged: Sequence[Mapping[str, Any]]) -> None:
    """Raises RadforgeError when one of the shards is missing: its films would be lost without a word."""
    shards = [str(one["shard"]) for one in merged if one["shard"]]
    if not shards:
        return
    count = int(shards[0].partition("/")[2])
    wanted = {f"{number}/{count}" for number in range(1, count + 1)}
    missing, odd = sorted(wanted - set(shards)), sorted(set(shards) - wanted)
    if missing or odd or len(set(shards)) < len(shards):
        raise RadforgeError(
            "not the shards of one archive, each once",
            "DATASET@VERSION...",
            f"{', '.join(str(one['shard'] or 'no shard') for one in merged)}"
            + (f"; missing {', '.join(missing)}" if missing else ""),
            f"1/{count} to {count}/{count}",
        )


def _whole(source: DatasetVersion) -> None:
    """Raises RadforgeError when a table is not what the card says: a merge would give the damage a new name."""
    for name, digest in source.card.get("files_sha256", {}).items():
        path = source.folder / name
        if not path.is_file() or file_sha256(path) != digest:
            raise RadforgeError(
                "is damaged", f"{source.dataset}@{source.version}", name, "a whole version: etl verify says more"
            )


def _extra(sources: Sequence[DatasetVersion], tables: Sequence[Tables]) -> tuple[Column, ...]:
    """The columns of labels and metadata, which must be the same in all. Raises RadforgeError."""
    fixed = {column.name for column in FIXED["manifest"]}
    found = [{field.name: field.type for field in own["manifest"].schema if field.name not in fixed} for own in tables]
    for source, own in zip(sources, found, strict=True):
        odd = sorted({name for name, _ in own.items() ^ found[0].items()})
        if odd:
            raise RadforgeError(
                "the versions differ in their columns", f"{source.dataset}@{source.version}", ", ".join(odd), "the same labels"
            )
    return tuple(Column(name, type_, "Carried over.") for name, type_ in found[0].items())


def _link_pictures(
    sources: Sequence[DatasetVersion], tables: Sequence[Tables], content: Path, written: Tables, say: Reporter
) -> None:
    """Hard links, or copies where the file system has none. A picture that two versions have is the first's."""
    try:
        with say.stage("pictures", written["manifest"].num_rows, "pictures") as stage:
            for source, own in zip(sources, tables, strict=True):
                for group in own["manifest"].groups(["image_path", "preview_path"]):
                    interrupt.check()
                    for path in {*group["image_path"].to_pylist(), *group["preview_path"].drop_null().to_pylist()}:
                        _link(source.folder / path, content / path)
                    stage.advance(len(group))
    except OSError as error:
        raise disk_error(error) from None


def _link(theirs: Path, ours: Path) -> None:
    try:
        os.link(theirs, ours)
    except FileExistsError:
        return
    except OSError:
        if not theirs.is_file():
            raise RadforgeError("a picture is missing", theirs.name, expected="a whole version: etl verify says more") from None
        draft = ours.with_suffix(".copy")
        shutil.copyfile(theirs, draft)
        draft.replace(ours)


def _keep_private(sources: Sequence[DatasetVersion], private: Private, version: str, tables: Tables, scratch: Scratch) -> None:
    """The way back and the key, as far as they lie beside the sources: a version may have come without them."""
    theirs = [Private.beside(source.dataset) for source in sources]
    files = [own.crosswalk_file(source.version) for own, source in zip(theirs, sources, strict=True)]
    if all(file.exists() for file in files):
        ways, seen = CrosswalkFile(scratch), set[str]()
        for rows in (rows for file in files for rows in _files(file)):
            new = [row for row in rows if row["source_id"] not in seen]
            seen |= {row["source_id"] for row in new}
            ways.add(
                [{name: row[name] for name in SCHEMA.names if name not in {"frame_index", "fate", "reason"}} for row in new]
            )
        save_private(private.crosswalk_file(version), ways.with_fates(tables), SCHEMA)
    if versions(private.folder) or private.key_file.exists():
        return
    for own, source in zip(theirs, sources, strict=True):
        with suppress(RadforgeError, OSError):
            if read_key(own.key_file).fingerprint == source.card.get("key_fingerprint"):
                with os.fdopen(private_file(private.key_file), "wb") as file:
                    file.write(own.key_file.read_bytes())
                return


def _files(crosswalk: Path) -> Iterator[list[dict[str, Any]]]:
    """What a crosswalk knows of each file, whatever became of its frames."""
    for group in StoredTable((crosswalk,)).groups():
        yield list({row["source_id"]: row for row in group.to_pylist()}.values())
