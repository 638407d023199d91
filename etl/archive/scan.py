"""The archive's headers, through the index: a file that has not changed is not opened again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cluster.pool import Lost, Pool
from etl.archive import headers
from etl.archive.index import KEY_COLUMNS, Index, files_in, load, rows_of, save, schema_of
from etl.archive.listing import Listing
from etl.archive.walk import Found
from etl.picture_store import disk_error
from etl.scratch import Scratch
from etl.spill import Spill
from etl.study import Failure, Instance

FILES_PER_BATCH = 64
BATCH_SECONDS = 300.0  # a header takes a millisecond; a container may hold a million of them

_LOST = {
    "crash": "reading the header ended its worker",
    "memory": "reading the header needs more memory than a worker has",
    "timeout": "reading the header takes too long",
}

Batch = tuple[Found, ...]


def scan(
    listing: Listing,
    index_file: Path,
    keep: tuple[str, ...],
    pool: Callable[[], Pool[Batch, pa.Table]],
    advance: Callable[[int], None],
    scratch: Scratch,
) -> Index:
    """The index of all files of the listing. `pool` is called only when something is new; `advance` gets the files done.

    What was read so far is kept in the index also when the scan is interrupted. Raises RadforgeError when the
    disk fails.
    """
    old = load(index_file)
    old = old if old is not None and old.keep == keep else None
    known, others = _known(listing, old)
    advance(int(known.sum()))
    if old is not None and known.all() and not others:
        return old
    fresh = _Fresh(Spill(scratch.file("headers"), schema_of(keep)))
    try:
        if not known.all():
            for batch, rows in _through(pool(), listing.rows(~known), keep):
                fresh.put(batch[0].name, rows)
                advance(len(batch))
    finally:
        _save(index_file, _merged(_rows_of_known(listing, old, known), fresh.tables()), keep)
    return Index(index_file, keep)


def _known(listing: Listing, index: Index | None) -> tuple[NDArray[np.bool_], bool]:
    """Which files the index answers for (files,), and whether it has others. What is worth another try is not known."""
    known = np.zeros(len(listing), bool)
    retry = np.zeros(len(listing), bool)
    others = False
    for _, files, _, again in _beside(listing, index, KEY_COLUMNS):
        others |= bool((files < 0).any())
        known[files[files >= 0]] = True
        retry[files[(files >= 0) & again]] = True
    return known & ~retry, others


def _rows_of_known(listing: Listing, index: Index | None, known: NDArray[np.bool_]) -> Iterator[pa.Table]:
    for table, files, counts, _ in _beside(listing, index, None):
        wanted = (files >= 0) & known[files]
        yield table if wanted.all() else table.filter(pa.array(np.repeat(wanted, counts)))


def _beside(
    listing: Listing, index: Index | None, columns: Sequence[str] | None
) -> Iterator[tuple[pa.Table, NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
    """Listing and index gone through together, both by name: the index' tables, and of the files in each the place in the
    listing (-1: not listed as it was then), the number of rows, and whether it is worth another try."""
    here = enumerate(listing)
    place, listed = next(here, (-1, None))
    for table in index.tables(columns) if index else ():
        files = []
        for found, count, again in files_in(table):
            while listed is not None and listed.name < found.name:
                place, listed = next(here, (-1, None))
            files.append((place if listed == found else -1, count, again))
        places, counts, again_ = zip(*files, strict=True)
        yield table, np.array(places, np.int64), np.array(counts, np.int64), np.array(again_, bool)


class _Fresh:
    """What the workers have read, in whatever order it came; handed out by name."""

    def __init__(self, spill: Spill) -> None:
        self._spill = spill
        self._numbers: list[tuple[str, int]] = []

    def put(self, first: str, rows: pa.Table) -> None:
        """Rows of a batch whose first file is `first`: no other batch has a name within its own."""
        self._numbers.append((first, self._spill.put(rows)))

    def tables(self) -> Iterator[pa.Table]:
        return (self._spill.get([number]) for _, number in sorted(self._numbers))


def _merged(one: Iterator[pa.Table], other: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Two streams that are sorted by name as one. No name is in both."""
    streams = (filter(len, one), filter(len, other))
    heads = [next(stream, None) for stream in streams]
    while (live := [head for head in heads if head is not None]) and len(live) == len(heads):
        last = min(head["found_name"][-1].as_py() for head in live)
        parts = []
        for place, (head, stream) in enumerate(zip(live, streams, strict=True)):
            count = pc.sum(pc.less_equal(head["found_name"], last)).as_py()
            parts.append(head.slice(0, count))
            heads[place] = head.slice(count) if count < len(head) else next(stream, None)
        both = pa.concat_tables(parts)
        yield both.take(pc.sort_indices(both["found_name"]))
    yield from live
    for stream in streams:
        yield from stream


def _save(path: Path, tables: Iterator[pa.Table], keep: tuple[str, ...]) -> None:
    try:
        save(path, tables, keep)
    except OSError as error:
        raise disk_error(error, "the private folder") from None


def read_headers(batch: Batch, keep: tuple[str, ...]) -> pa.Table:
    """One worker's share of the scan, as rows of an index: the driver takes them as they are."""
    return rows_of(((file, headers.read(file, keep)) for file in batch), keep)


def _through(pool: Pool[Batch, pa.Table], files: Iterator[Found], keep: tuple[str, ...]) -> Iterator[tuple[Batch, pa.Table]]:
    queue = _Queue(_batches(files))
    for batch, read in pool.map(partial(read_headers, keep=keep), queue, lambda _: BATCH_SECONDS):
        if not isinstance(read, Lost):
            yield batch, read
        elif len(batch) > 1:
            queue.again((file,) for file in batch)
        else:
            file = batch[0]
            lost = Instance(source=headers.source_of(file), fate=Failure(read.reason, _LOST[read.reason]))
            yield batch, rows_of([(file, [lost])], keep)


def _batches(files: Iterator[Found]) -> Iterator[Batch]:
    while batch := tuple(islice(files, FILES_PER_BATCH)):
        yield batch


class _Queue(Iterator[Batch]):
    """Batches, and those that are tried again. Unlike a generator it can go on after it was empty."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = iter(batches)
        self._again: list[Batch] = []

    def again(self, batches: Iterable[Batch]) -> None:
        self._again.extend(batches)

    def __next__(self) -> Batch:
        return self._again.pop() if self._again else next(self._batches)
