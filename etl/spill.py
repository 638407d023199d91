"""Arrow tables in a file instead of in memory, found again by number or by bucket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from etl.picture_store import disk_error

ROWS_AT_ONCE = 8_000


def give_back() -> None:
    """Hand the memory that a stage of a run has used and left back to the system (glibc keeps it otherwise)."""
    pa.default_memory_pool().release_unused()


class Spill:
    """Tables of one schema, appended to a file. `put` gives the number by which `get` finds a table again."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self.schema = schema
        self._file = file
        self._extents: list[tuple[int, int]] = []
        self._end = 0
        self._moved = False

    def put(self, table: pa.Table) -> int:
        """Write a table. Raises RadforgeError when the disk fails."""
        batches = table.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], schema=self.schema)]
        if len(batches) != 1:
            raise AssertionError("a table of one chunk a column is one batch")
        data = batches[0].serialize()
        try:
            if self._moved:
                self._file.seek(self._end)
                self._moved = False
            self._file.write(data)
        except OSError as error:
            raise disk_error(error, "the private folder") from None
        self._extents.append((self._end, data.size))
        self._end += data.size
        return len(self._extents) - 1

    def get(self, numbers: Iterable[int]) -> pa.Table:
        """The tables of these numbers as one, in the order asked for."""
        batches = []
        for number in numbers:
            start, size = self._extents[number]
            self._moved = True
            self._file.seek(start)
            batches.append(pa.ipc.read_record_batch(pa.py_buffer(self._file.read(size)), self.schema))
        return pa.Table.from_batches(batches, schema=self.schema)


class Buckets:
    """Rows put in by bucket number and taken out bucket by bucket, in the order in which they came."""

    def __init__(self, file: BinaryIO, schema: pa.Schema, count: int) -> None:
        self.count = count
        self._spill = Spill(file, schema)
        self._numbers: list[list[int]] = [[] for _ in range(count)]
        self._waiting: list[tuple[pa.Table, NDArray[np.integer]]] = []
        self._rows = 0

    def put(self, table: pa.Table, buckets: NDArray[np.integer]) -> None:
        """Add rows; `buckets` (rows,) says where each belongs. Raises RadforgeError when the disk fails."""
        if not len(buckets):
            return
        self._waiting.append((table, buckets))
        self._rows += len(buckets)
        if self._rows >= ROWS_AT_ONCE:  # many rows at once, so that the slices are worth their frames
            self._write()

    def take(self, bucket: int) -> pa.Table:
        """The rows of a bucket."""
        self._write()
        return self._spill.get(self._numbers[bucket])

    def _write(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables([one for one, _ in self._waiting])
        buckets = np.concatenate([own for _, own in self._waiting])
        self._waiting, self._rows = [], 0
        order = np.argsort(buckets, kind="stable")
        table = table.take(pa.array(order))
        present, starts, lengths = np.unique(buckets[order], return_index=True, return_counts=True)
        for bucket, start, length in zip(present.tolist(), starts.tolist(), lengths.tolist(), strict=True):
            self._numbers[bucket].append(self._spill.put(table.slice(start, length)))


class Rechunker:
    """Tables in, tables of exactly `rows` out: each in one chunk, so that equal rows are equal bytes however they came."""

    def __init__(self, rows: int) -> None:
        self._size = rows
        self._held: list[pa.Table] = []
        self._count = 0

    def put(self, table: pa.Table) -> Iterator[pa.Table]:
        """Add a table; the tables that are full by it."""
        self._held.append(table)
        self._count += table.num_rows
        if self._count >= self._size:
            whole = pa.concat_tables(self._held)
            left = self._count % self._size
            for start in range(0, self._count - left, self._size):
                yield whole.slice(start, self._size).combine_chunks()
            self._held, self._count = [whole.slice(whole.num_rows - left)], left

    def rest(self) -> Iterator[pa.Table]:
        """The last table, shorter than the others, if there is one."""
        if self._count:
            yield pa.concat_tables(self._held).combine_chunks()


def rechunked(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly `rows`, the last one shorter."""
    chunks = Rechunker(rows)
    for table in tables:
        yield from chunks.put(table)
    yield from chunks.rest()
