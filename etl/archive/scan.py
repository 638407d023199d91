"""The archive's headers, through the index: a file that has not changed is not opened again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from cluster.pool import Lost, Pool
from etl.archive import headers
from etl.archive.index import load, save
from etl.archive.walk import Found
from etl.picture_store import disk_error
from etl.study import Failure, Instance, Source

FILES_PER_BATCH = 64
BATCH_SECONDS = 300.0  # a header takes a millisecond; a container may hold a million of them

_LOST = {
    "crash": "reading the header ended its worker",
    "memory": "reading the header needs more memory than a worker has",
    "timeout": "reading the header takes too long",
}

Batch = tuple[Found, ...]
Read = list[tuple[Found, list[Instance]]]


def scan(
    found: Sequence[Found],
    index_file: Path,
    keep: tuple[str, ...],
    pool: Callable[[], Pool[Batch, Read]],
    advance: Callable[[int], None],
) -> list[Instance]:
    """Instances of all files. `pool` is called only when something is new; `advance` gets the number of files done.

    What was read so far is kept in the index also when the scan is interrupted.
    """
    index = load(index_file)
    entries: dict[Found, list[Instance]] = {}
    fresh: list[Found] = []
    for file in found:
        known = index.known(file, keep)
        if known is None:
            fresh.append(file)
        else:
            entries[file] = known
    advance(len(entries))
    if fresh:
        try:
            for batch, read in _through(pool(), fresh, keep):
                entries.update(read)
                advance(len(batch))
        finally:
            _save(index_file, entries, keep)
    elif len(entries) != len(index):
        _save(index_file, entries, keep)
    return [instance for file in found for instance in entries[file]]


def _save(path: Path, entries: dict[Found, list[Instance]], keep: tuple[str, ...]) -> None:
    try:
        save(path, entries, keep)
    except OSError as error:
        raise disk_error(error, "the private folder") from None


def read_headers(batch: Batch, keep: tuple[str, ...]) -> Read:
    """One worker's share of the scan."""
    return [(file, headers.read(file, keep)) for file in batch]


def _through(pool: Pool[Batch, Read], files: Sequence[Found], keep: tuple[str, ...]) -> Iterator[tuple[Batch, Read]]:
    queue = _Queue(_batches(files))
    for batch, read in pool.map(partial(read_headers, keep=keep), queue, lambda _: BATCH_SECONDS):
        if not isinstance(read, Lost):
            yield batch, read
        elif len(batch) > 1:
            queue.again((file,) for file in batch)
        else:
            file = batch[0]
            source = Source(file.name, file.path, "", file.size, file.mtime_ns)
            yield batch, [(file, [Instance(source=source, fate=Failure(read.reason, _LOST[read.reason]))])]


def _batches(files: Sequence[Found]) -> Iterator[Batch]:
    for start in range(0, len(files), FILES_PER_BATCH):
        yield tuple(files[start : start + FILES_PER_BATCH])


class _Queue(Iterator[Batch]):
    """Batches, and those that are tried again. Unlike a generator it can go on after it was empty."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = iter(batches)
        self._again: list[Batch] = []

    def again(self, batches: Iterable[Batch]) -> None:
        self._again.extend(batches)

    def __next__(self) -> Batch:
        return self._again.pop() if self._again else next(self._batches)
