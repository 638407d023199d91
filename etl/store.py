"""From finished rows to a published version: sort, name, write the tables, card last, one rename.

A version either exists whole or not at all, and is never changed afterwards.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl import card as cards
from etl.picture_store import FOLDERS, disk_error
from etl.share import share
from etl.spill import give_back
from etl.tables import PartWriter, RowFile, StoredTable, Tables, tables_in
from schemas import manifest
from schemas.errors import RadforgeError
from schemas.manifest import Table

CONTENT = "version"


def building_folder(dataset: Path, request: str) -> Path:
    """Where a version lies while it is made: its journal, and in CONTENT what will be renamed to the version."""
    return dataset / f".building-{request}"


def write_tables(building: Path, rows: RowFile, sources: Sequence[int]) -> Tables:
    """Sort, check and write all rows. Raises RadforgeError when the disk fails.

    `sources`: the files that the plan knows, source_id as a number. Raises AssertionError when one has no row, or when the
    rows of a film do not add up: mistakes of ours.
    """
    known = np.sort(np.array(sources, np.uint64))
    content = building / CONTENT
    written = 0
    try:
        for name in manifest.TABLES:
            shutil.rmtree(content / name, ignore_errors=True)  # of a run that was cut off here
        writers = {name: PartWriter(content / name, schema) for name, schema in rows.schemas.items()}
        for tables in rows.by_source():
            check_accounting(tables)
            written += _check_sources(tables, known)
            for name, table in tables.items():
                writers[name].put(table)
        for writer in writers.values():
            writer.close()
            for path in writer.paths:
                _sync(path)
    except OSError as error:
        raise disk_error(error) from None
    if written != len(np.unique(known)):
        raise AssertionError(f"{len(np.unique(known)) - written} files have no row")
    return tables_in(content)


def _check_sources(tables: Mapping[Table, pa.Table], known: NDArray[np.uint64]) -> int:
    """The number of files that the rows speak of, each of them one of the plan's."""
    there = {source for table in tables.values() for source in pc.unique(table["source_id"]).to_pylist()}
    unknown = np.setdiff1d(np.array([int(source, 16) for source in there], np.uint64), known)
    if len(unknown):
        raise AssertionError(f"{len(unknown)} rows have no file")
    return len(there)


def check_accounting(tables: Mapping[Table, pa.Table]) -> None:
    """Nothing vanishes: per (source_id, frame_index) one failure, or one drop, or region_count = records + region drops.

    Raises AssertionError, because a sum that does not close is a mistake of ours.
    """
    whole: dict[tuple[str, int], int] = defaultdict(int)
    regions: dict[tuple[str, int], list[int]] = defaultdict(list)
    counts: dict[tuple[str, int], set[int]] = defaultdict(set)
    for name, table in tables.items():
        columns = ["source_id", "frame_index", "region_index"] + (["region_count"] if name == "manifest" else [])
        for source_id, frame_index, region, *count in zip(*(table[c].to_pylist() for c in columns), strict=True):
            frame = (source_id, frame_index)
            if region is None:
                whole[frame] += 1
            else:
                regions[frame].append(region)
            counts[frame].update(count)
    for frame in {*whole, *regions}:
        alone = whole[frame] == 1 and not regions[frame]
        together = not whole[frame] and sorted(regions[frame]) == list(range(len(regions[frame])))
        closed = alone or (together and counts[frame] <= {len(regions[frame])})
        if not closed:
            raise AssertionError(f"the rows of film {frame[0]}, frame {frame[1]} do not add up")


ACCOUNTED: Mapping[Table, Sequence[str]] = {
    "manifest": ("source_id", "frame_index", "region_index", "region_count"),
    "drops": ("source_id", "frame_index", "region_index"),
    "failures": ("source_id", "frame_index", "region_index"),
}


def commit(building: Path, dataset: Path, identity: Mapping[str, Any], tables: Tables, parent: Path | None) -> str:
    """Publish what `write_tables` wrote and return the version's name. Raises RadforgeError when the disk fails."""
    version = cards.version_name(identity, tables)
    give_back()
    content, target = building / CONTENT, dataset / version
    try:
        if target.exists() and not (target / "card.json").exists():
            shutil.rmtree(target)  # without its card it is no version any more, and here is the whole one
        if not target.exists():
            _sweep(content, tables["manifest"])
            if parent is not None:
                share(content, tables["manifest"], parent, tables_in(parent)["manifest"])
            give_back()
            files = {f"{name}/{part.name}": cards.file_sha256(part) for name, table in tables.items() for part in table.parts}
            _write_json(content / "card.json", cards.build_card(identity, tables, files, version))
            _sync_folders(content)
            content.rename(target)
            _sync(dataset)
    except OSError as error:
        raise disk_error(error) from None
    return version


def _sweep(content: Path, records: StoredTable) -> None:
    """Remove pictures no row speaks of: left by a film that killed its worker, or by a run that was cut off."""
    for kind, column in (("images", "image_path"), ("previews", "preview_path")):
        known = _sorted(records, column)
        for folder in (content / kind).iterdir():
            for path in folder.iterdir():
                name = f"{kind}/{folder.name}/{path.name}".encode()
                at = int(np.searchsorted(known, name))
                if at == len(known) or known[at] != name:
                    path.unlink()
            if folder.name in FOLDERS and not any(folder.iterdir()):
                folder.rmdir()


def _sorted(records: StoredTable, column: str) -> NDArray[np.bytes_]:
    """The paths of a column, as bytes: half of what text takes."""
    parts = [np.array(group[column].drop_null().to_pylist(), np.bytes_) for group in records.groups([column])]
    paths = np.concatenate(parts)
    paths.sort()
    return paths


def _write_json(path: Path, value: Mapping[str, Any]) -> None:

    path.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    _sync(path)


def _sync_folders(content: Path) -> None:
    for folder in content.iterdir():
        if folder.is_dir():
            for inside in folder.iterdir() if folder.name in {"images", "previews"} else ():
                _sync(inside)
            _sync(folder)
    _sync(content)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock(dataset: Path) -> Iterator[None]:
    """One run at a time builds in a dataset. The lock dies with its process, even by kill -9."""
    descriptor = os.open(dataset / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RadforgeError("another run is building this dataset", expected="to wait until it has ended") from None
        yield
    finally:
        os.close(descriptor)


def writable(folder: Path, flag: str) -> None:
    """Make a folder and try it. Raises RadforgeError with the flag and the reason."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"radforge")
        probe.unlink()
    except OSError as error:
        with suppress(OSError):
            probe.unlink()
        raise RadforgeError("cannot be written", f"{flag} {folder}", found=error.strerror or "I/O error") from None


def write_last_run(dataset: Path, building: Path) -> None:
    """Keep the rows of a run that made nothing, for a look at the reasons: DATASET/.last-run/drops and /failures."""
    folder = dataset / ".last-run"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in manifest.TABLES:
            (building / CONTENT / name).rename(folder / name)
    except OSError as error:
        raise disk_error(error) from None


def unfinished(dataset: Path) -> list[Path]:
    """What runs of other requests have left to go on from."""
    return sorted(dataset.glob(".building-*"))


def discard(building: Path) -> None:
    """Remove the journal and what is left of a build."""
    shutil.rmtree(building, ignore_errors=True)
