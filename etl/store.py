"""From finished rows to a published version: sort, name, write the tables, card last, one rename.

A version either exists whole or not at all, and is never changed afterwards.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from etl import card as cards
from etl.picture_store import FOLDERS, disk_error
from schemas import manifest
from schemas.errors import RadforgeError
from schemas.manifest import Column, Table

CONTENT = "version"
ROWS_PER_PART = 500_000

ROWS_PER_CHUNK = 20_000

Row = Mapping[str, Any]
Tables = Mapping[Table, pa.Table]


def building_folder(dataset: Path, request: str) -> Path:
    """Where a version lies while it is made: its journal, and in CONTENT what will be renamed to the version."""
    return dataset / f".building-{request}"


def collect(rows: Iterable[tuple[Table, Row]], extra: Sequence[Column]) -> Tables:
    """All rows as Arrow tables in the order of file, frame and region (a whole film first): every column, nothing else."""
    schemas = {name: manifest.schema(name, extra) for name in manifest.TABLES}
    waiting: dict[Table, list[Row]] = {name: [] for name in manifest.TABLES}
    chunks: dict[Table, list[pa.Table]] = {name: [schemas[name].empty_table()] for name in manifest.TABLES}
    for table, row in rows:
        waiting[table].append(row)
        if len(waiting[table]) >= ROWS_PER_CHUNK:  # rows as Python objects cost ten times their Arrow form
            chunks[table].append(pa.Table.from_pylist(waiting.pop(table), schema=schemas[table]))
            waiting[table] = []
    for table, left in waiting.items():
        chunks[table].append(pa.Table.from_pylist(left, schema=schemas[table]))
    order = [(name, "ascending", "at_start") for name in ("source_id", "frame_index", "region_index")]
    return {
        name: whole.take(pc.sort_indices(whole, sort_keys=order))
        for name, parts in chunks.items()
        for whole in [pa.concat_tables(parts)]
    }


def check_accounting(tables: Tables) -> None:
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


def commit(
    building: Path,
    dataset: Path,
    identity: Mapping[str, Any],
    tables: Tables,
    parent: Path | None,
) -> str:
    """Publish the version and return its name. Raises RadforgeError when the disk is full, read-only or failing."""
    check_accounting(tables)
    version = cards.version_name(identity, tables)
    content, target = building / CONTENT, dataset / version
    try:
        if target.exists() and not (target / "card.json").exists():
            shutil.rmtree(target)  # without its card it is no version any more, and here is the whole one
        if not target.exists():
            _sweep(content, tables["manifest"])
            _share(content, parent, tables["manifest"])
            files = _write_tables(content, tables)
            _write_json(content / "card.json", cards.build_card(identity, tables, files, version))
            _sync_folders(content)
            content.rename(target)
            _sync(dataset)
    except OSError as error:
        raise disk_error(error) from None
    return version


def _sweep(content: Path, records: pa.Table) -> None:
    """Remove pictures no row speaks of: left by a film that killed its worker, or by a run that was cut off."""
    known = set(picture_paths(records))
    for kind in ("images", "previews"):
        for folder in (content / kind).iterdir():
            for path in folder.iterdir():
                if f"{kind}/{folder.name}/{path.name}" not in known:
                    path.unlink()
            if folder.name in FOLDERS and not any(folder.iterdir()):
                folder.rmdir()
    for leftover in ("manifest", "drops", "failures"):
        shutil.rmtree(content / leftover, ignore_errors=True)


def _share(content: Path, parent: Path | None, records: pa.Table) -> None:
    """Hard-link what the parent has in the same place with the same bytes: a new version costs only what is new."""
    if parent is None:
        return
    for path in picture_paths(records):
        theirs, ours = parent / path, content / path
        try:
            if theirs.stat().st_size != ours.stat().st_size or theirs.read_bytes() != ours.read_bytes():
                continue
            link = ours.with_suffix(".link")
            os.link(theirs, link)
            link.replace(ours)
        except OSError:
            continue  # not there, or a file system without links: a copy is as good


def picture_paths(records: pa.Table) -> list[str]:
    """Every picture and preview that a manifest names, each once."""
    paths: list[str] = pc.unique(
        pa.chunked_array([*records["image_path"].chunks, *pc.drop_null(records["preview_path"]).chunks], pa.string())
    ).to_pylist()
    return paths


def _write_tables(content: Path, tables: Tables) -> dict[str, str]:
    files = {}
    for name, table in tables.items():
        folder = content / name
        folder.mkdir()
        for part in range(max(1, -(-table.num_rows // ROWS_PER_PART))):
            path = folder / f"part-{part:05d}.parquet"
            pq.write_table(table.slice(part * ROWS_PER_PART, ROWS_PER_PART), path, compression="zstd")
            _sync(path)
            files[f"{name}/{path.name}"] = cards.file_sha256(path)
    return files


def _write_json(path: Path, value: Mapping[str, Any]) -> None:

    path.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    _sync(path)


def _sync_folders(content: Path) -> None:
    for path in content.rglob("*"):
        if path.is_dir():
            _sync(path)
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


def write_last_run(dataset: Path, tables: Tables) -> None:
    """The rows of a run that made nothing, for a look at the reasons: DATASET/.last-run/drops and /failures."""
    folder = dataset / ".last-run"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, table in tables.items():
            (folder / name).mkdir()
            pq.write_table(table, folder / name / "part-00000.parquet", compression="zstd")
    except OSError as error:
        raise disk_error(error) from None


def unfinished(dataset: Path) -> list[Path]:
    """What runs of other requests have left to go on from."""
    return sorted(dataset.glob(".building-*"))


def discard(building: Path) -> None:
    """Remove the journal and what is left of a build."""
    shutil.rmtree(building, ignore_errors=True)
