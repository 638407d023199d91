"""The three tables of a version on the way to the disk and from it, never whole in memory.

Rows come in any order and are put into 256 buckets by the first two hex digits of their source_id: a bucket after the other,
each sorted, is the order of the whole. What is written depends on the rows alone: row groups and parts are cut by number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from etl.scratch import Scratch
from etl.spill import Buckets, Rechunker
from schemas import manifest
from schemas.manifest import TABLES, Column, Table

BUCKETS = 256
ROWS_PER_PART = 500_000
ROWS_PER_GROUP = 10_000
ROWS_AT_ONCE = 1_000  # a row of Python objects costs ten times its Arrow form

_ORDER = [(name, "ascending", "at_start") for name in ("source_id", "frame_index", "region_index")]

Row = Mapping[str, Any]


def bucket_of(source_ids: Sequence[str]) -> NDArray[np.int64]:
    """The bucket of each file (files,)."""
    return np.array([int(source_id[:2], 16) for source_id in source_ids], np.int64)


class RowFile:
    """Rows of a version that is being made, on disk."""

    def __init__(self, scratch: Scratch, extra: Sequence[Column] = ()) -> None:
        self.schemas = {name: manifest.schema(name, extra) for name in TABLES}
        self._buckets = {name: Buckets(scratch.file(name), schema, BUCKETS) for name, schema in self.schemas.items()}
        self._waiting: dict[Table, list[Row]] = {name: [] for name in TABLES}

    def add(self, table: Table, rows: Sequence[Row]) -> None:
        """Put rows in: every column of the table, nothing else. Raises RadforgeError when the disk fails."""
        self._waiting[table] += rows
        if len(self._waiting[table]) >= ROWS_AT_ONCE:
            self._write(table)

    def by_source(self) -> Iterator[Mapping[Table, pa.Table]]:
        """All rows, a bucket at a time, sorted by file, frame and region (a whole film first)."""
        for name in TABLES:
            self._write(name)
        for bucket in range(BUCKETS):
            tables = {name: buckets.take(bucket) for name, buckets in self._buckets.items()}
            yield {name: table.take(pc.sort_indices(table, sort_keys=_ORDER)) for name, table in tables.items()}

    def _write(self, table: Table) -> None:
        rows, self._waiting[table] = self._waiting[table], []
        if rows:
            arrow = pa.Table.from_pylist(rows, schema=self.schemas[table])
            self._buckets[table].put(arrow, bucket_of([row["source_id"] for row in rows]))


class PartWriter:
    """Writes `part-00000.parquet` and so on into a new folder."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        folder.mkdir()
        self.paths: list[Path] = []
        self._folder, self._schema = folder, schema
        self._chunks = Rechunker(ROWS_PER_GROUP)
        self._groups = 0
        self._writer: pq.ParquetWriter | None = None

    def put(self, table: pa.Table) -> None:
        """Add sorted rows. Raises OSError when the disk fails."""
        for chunk in self._chunks.put(table):
            self._write(chunk)

    def close(self) -> None:
        """Write what is left; a table without rows has one part too."""
        for chunk in self._chunks.rest():
            self._write(chunk)
        if not self.paths:
            self._write(self._schema.empty_table())
        if self._writer is not None:
            self._writer.close()

    def _write(self, chunk: pa.Table) -> None:
        if self._writer is None or self._groups * ROWS_PER_GROUP >= ROWS_PER_PART:
            if self._writer is not None:
                self._writer.close()
            self.paths.append(self._folder / f"part-{len(self.paths):05d}.parquet")
            self._writer = pq.ParquetWriter(self.paths[-1], self._schema, compression="zstd")
            self._groups = 0
        self._writer.write_table(chunk)
        self._groups += 1


@dataclass(frozen=True)
class StoredTable:
    """A table as it lies on the disk: some columns of all rows, or all columns of some rows."""

    parts: tuple[Path, ...]

    @cached_property
    def num_rows(self) -> int:
        """Rows of all parts."""
        return sum(pq.read_metadata(part).num_rows for part in self.parts)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns, labels and metadata included."""
        return pq.read_schema(self.parts[0])

    def read(self, columns: Sequence[str]) -> pa.Table:
        """These columns of all rows."""
        return pa.concat_tables(self.groups(columns)) if self.parts else self.schema.empty_table().select(columns)

    def groups(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """A row group at a time, in order. Raises OSError or pa.ArrowInvalid when a part is damaged."""
        for part in self.parts:
            with pq.ParquetFile(part) as file:
                names = list(columns) if columns is not None else file.schema_arrow.names
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group, names, use_threads=False).select(names)
                if not file.num_row_groups:
                    yield file.schema_arrow.empty_table().select(names)


Tables = Mapping[Table, StoredTable]


def tables_in(folder: Path) -> Tables:
    """The tables of a version's folder."""
    return {name: StoredTable(tuple(sorted((folder / name).glob("part-*.parquet")))) for name in TABLES}


def by_source(tables: Tables, columns: Mapping[Table, Sequence[str]]) -> Iterator[Mapping[Table, pa.Table]]:
    """The rows of some columns (source_id among them), the three tables side by side, a bucket at a time.

    Raises AssertionError when a table is not sorted by source_id.
    """
    streams = {name: _cut(table, columns[name]) for name, table in tables.items()}
    heads = {name: next(stream, None) for name, stream in streams.items()}
    empty = {name: table.schema.empty_table().select(list(columns[name])) for name, table in tables.items()}
    for bucket in range(BUCKETS):
        found: dict[Table, list[pa.Table]] = {name: [empty[name]] for name in tables}
        for name, stream in streams.items():
            while (head := heads[name]) is not None and head[0] <= bucket:
                if head[0] < bucket:
                    raise AssertionError("the rows are not sorted by source_id")
                found[name].append(head[1])
                heads[name] = next(stream, None)
        yield {name: pa.concat_tables(parts) for name, parts in found.items()}


def _cut(table: StoredTable, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
    """Row groups cut where the bucket changes."""
    for group in table.groups(list(columns)):
        if not len(group):
            continue
        buckets = bucket_of(group["source_id"].to_pylist())
        edges = [0, *(np.flatnonzero(np.diff(buckets)) + 1).tolist(), len(buckets)]
        for start, end in pairwise(edges):
            yield int(buckets[start]), group.slice(start, end - start)
