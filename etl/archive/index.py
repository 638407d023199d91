"""What the headers said, kept beside the dataset, so that an unchanged file is not opened again.

A zstd Parquet file, one row per instance, sorted by the name of the file it came from: so it can be gone through beside a
listing, a few thousand rows in memory at a time. It holds names and identifiers: its place is DATASET.private.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from etl.archive.files import OF_THE_MOMENT
from etl.archive.headers import source_of
from etl.archive.walk import Found
from etl.scratch import private_file
from etl.spill import rechunked
from etl.study import Drop, Failure, Instance

FORMAT = "2"  # of this file and of what etl.archive.headers reads: raise it when either changes
ROWS_PER_GROUP = 10_000

_FOUND = tuple(f"found_{name}" for name in Found._fields)
_FATE = ("member", "member_size", "fate", "reason", "detail", "header_problems")
_FACTS = tuple(name for name in Instance._fields if name not in {"source", "fate", "metadata", "header_problems"})
_INTEGERS = {
    "found_size",
    "found_mtime_ns",
    "member_size",
    *(name for name, kind in get_type_hints(Instance).items() if kind is int),
}
_BYTES = {"found_path", "member"}  # file names need not be text
_METADATA = "metadata:"

Row = tuple[Any, ...]


class Index:
    """A stored index. `keep`: the metadata that its headers were asked for."""

    def __init__(self, path: Path, keep: tuple[str, ...]) -> None:
        self._path = path
        self.keep = keep

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows in their order, ROWS_PER_GROUP at a time. Raises OSError or pa.ArrowException when the file is damaged."""
        with pq.ParquetFile(self._path, page_checksum_verification=True) as file:
            names = list(columns) if columns is not None else file.schema_arrow.names
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, names, use_threads=False).select(names)


def load(path: Path) -> Index | None:
    """The index at `path`; None where there is none, or a damaged one, or one of another format."""
    try:
        with pq.ParquetFile(path) as file:
            notes = file.schema_arrow.metadata or {}
            keep = tuple(json.loads(notes[b"radforge.keep"]))
            if notes[b"radforge.index"] != FORMAT.encode() or file.schema_arrow.names != schema_of(keep).names:
                return None
        index = Index(path, keep)
        for _ in index.tables():  # every page against its checksum: damage is not to be met later
            pass
        return index
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException):
        return None


def save(path: Path, tables: Iterable[pa.Table], keep: tuple[str, ...] = ()) -> None:
    """Write the index in one rename, mode 0600. `tables` are sorted by name. Raises OSError when the disk fails."""
    schema = schema_of(keep)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(private_file(partial), "wb") as file:
            with pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer:
                for table in rechunked(tables, ROWS_PER_GROUP):
                    writer.write_table(table.replace_schema_metadata(schema.metadata))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def schema_of(keep: tuple[str, ...]) -> pa.Schema:
    """The columns of an index whose headers were asked for `keep`."""
    names = [*_FOUND, *_FATE, *_FACTS, *(_METADATA + keyword for keyword in keep)]
    notes = {"radforge.index": FORMAT, "radforge.keep": json.dumps(keep)}
    return pa.schema([(name, _type(name)) for name in names], metadata=notes)


def rows_of(entries: Iterable[tuple[Found, Sequence[Instance]]], keep: tuple[str, ...] = ()) -> pa.Table:
    """Files and their instances as rows of an index."""
    schema = schema_of(keep)
    rows = [_row(found, instance, keep) for found, instances in entries for instance in instances]
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema)


def instances_in(table: pa.Table, keep: tuple[str, ...] = ()) -> list[Instance]:
    """The instances of an index' rows, in their order."""
    columns = [_values(table[name], name) for name in schema_of(keep).names]
    return [_instance(keep, *row) for row in zip(*columns, strict=True)]


KEY_COLUMNS = (*_FOUND, "fate", "reason", "detail")


def files_in(table: pa.Table) -> Iterator[tuple[Found, int, bool]]:
    """The files of an index' KEY_COLUMNS: (file, its rows in this table, whether it is worth another try).

    Failures of the moment (gone, denied, a worker lost) are; what the listing itself found to be unreadable is not.
    """
    columns = [_values(table[name], name) for name in KEY_COLUMNS]
    last: Found | None = None
    count, again = 0, False
    for *listed, fate, reason, detail in zip(*columns, strict=True):
        found = Found(*listed)
        if found != last:
            if last is not None:
                yield last, count, again
            last, count, again = found, 0, False
        count += 1
        again |= fate == "failure" and not found.problem and (detail in OF_THE_MOMENT or reason in _LOST)
    if last is not None:
        yield last, count, again


_LOST = frozenset({"crash", "memory", "timeout"})


def _row(found: Found, instance: Instance, keep: tuple[str, ...]) -> Row:
    match instance.fate:
        case Drop(reason, detail):
            fate = ("drop", reason, detail)
        case Failure(stage, error):
            fate = ("failure", stage, error)
        case None:
            fate = ("", "", "")
    return (
        *found._replace(path=_encoded(found.path)),  # type: ignore[arg-type]
        _encoded(instance.source.member),
        instance.source.size,
        *fate,
        " ".join(instance.header_problems),
        *(getattr(instance, name) for name in _FACTS),
        *(instance.metadata.get(keyword, "") for keyword in keep),
    )


def _instance(
    keep: tuple[str, ...],
    name: str,
    path: str,
    size: int,
    mtime_ns: int,
    problem: str,
    member: str,
    member_size: int,
    fate: str,
    reason: str,
    detail: str,
    header_problems: str,
    *facts: Any,
) -> Instance:
    """An instance from its row; the facts stand in the order of Instance, the metadata behind them."""
    source = source_of(Found(name, path, size, mtime_ns, problem), member, member_size)
    settled = Drop(reason, detail) if fate == "drop" else Failure(reason, detail) if fate else None
    if not keep:
        return Instance._make((source, settled, *facts, {}, tuple(header_problems.split())))
    metadata = {keyword: text for keyword, text in zip(keep, facts[len(_FACTS) :], strict=True) if text}
    return Instance._make((source, settled, *facts[: len(_FACTS)], metadata, tuple(header_problems.split())))


def _type(name: str) -> pa.DataType:
    if name in _INTEGERS:
        return pa.int64()
    return pa.binary() if name in _BYTES else pa.string()


def _values(column: pa.ChunkedArray, name: str) -> list[Any]:
    """A column as Python objects."""
    values: list[Any] = column.to_numpy(zero_copy_only=False).tolist()  # a third of the time of to_pylist
    return [value.decode("utf-8", "surrogatepass") for value in values] if name in _BYTES else values


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
