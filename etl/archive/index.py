"""What the headers said, kept beside the dataset, so that an unchanged file is not opened again.

A zstd Parquet file, one row per instance. It holds names and identifiers: its place is DATASET.private.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from etl.archive.files import OF_THE_MOMENT
from etl.archive.headers import source_of
from etl.archive.walk import Found
from etl.study import Drop, Failure, Instance

FORMAT = "1"  # of this file and of what etl.archive.headers reads: raise it when either changes
ROWS_PER_GROUP = 50_000

_FOUND = tuple(f"found_{name}" for name in Found._fields)
_FATE = ("member", "member_size", "fate", "reason", "detail", "header_problems")
_FACTS = tuple(f.name for f in fields(Instance) if f.name not in {"source", "fate", "metadata", "header_problems"})
_INTEGERS = {
    "found_size",
    "found_mtime_ns",
    "member_size",
    *(f.name for f in fields(Instance) if f.type == "int"),
}
_BYTES = {"found_path", "member"}  # file names need not be text
_METADATA = "metadata:"

Row = tuple[Any, ...]


class Index:
    """Instances by the file they came from, as it was listed then, and by the metadata asked for."""

    def __init__(self, keep: tuple[str, ...] = (), columns: Sequence[list[Any]] = ()) -> None:
        self._keep = keep
        self._columns = columns[len(_FOUND) :]
        files = enumerate(map(Found._make, zip(*columns[: len(_FOUND)], strict=True)))
        self._rows: dict[Found, list[int]] = {}
        for found, rows in groupby(files, key=lambda one: one[1]):
            self._rows[found] = [row for row, _ in rows]

    def __len__(self) -> int:
        """The number of files."""
        return len(self._rows)

    def known(self, found: Found, keep: tuple[str, ...] = ()) -> list[Instance] | None:
        """The instances of a file listed exactly as then; None when it is new, changed or asked for more."""
        rows = self._rows.get(found)
        if rows is None or keep != self._keep:
            return None
        return [_instance(found, keep, tuple(column[row] for column in self._columns)) for row in rows]


def load(path: Path) -> Index:
    """The index at `path`; an empty one where there is none, or a damaged one, or one of another format."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            notes = file.schema_arrow.metadata or {}
            keep = tuple(json.loads(notes[b"radforge.keep"]))
            if notes[b"radforge.index"] != FORMAT.encode() or file.schema_arrow.names != _names(keep):
                return Index()
            return Index(keep, [_values(file, name) for name in _names(keep)])  # one at a time: half the memory
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException):
        return Index()


def save(path: Path, entries: Mapping[Found, Sequence[Instance]], keep: tuple[str, ...] = ()) -> None:
    """Write the index in one rename, mode 0600; failures of the moment are left out, to be tried again.

    Raises OSError when the disk is full or read-only.
    """
    names = _names(keep)
    notes = {"radforge.index": FORMAT, "radforge.keep": json.dumps(keep)}
    schema = pa.schema([(name, _type(name)) for name in names], metadata=notes)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            with pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer:
                for rows in _row_groups(entries, keep):
                    columns = zip(*rows, strict=True)
                    arrays = [pa.array(column, _type(name)) for name, column in zip(names, columns, strict=True)]
                    writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _row_groups(entries: Mapping[Found, Sequence[Instance]], keep: tuple[str, ...]) -> Iterator[list[Row]]:
    rows: list[Row] = []
    for found, instances in entries.items():
        if found.problem or not any(_of_the_moment(instance) for instance in instances):
            rows += [_row(found, instance, keep) for instance in instances]
        if len(rows) >= ROWS_PER_GROUP:
            yield rows
            rows = []
    if rows:
        yield rows


def _of_the_moment(instance: Instance) -> bool:
    fate = instance.fate
    return isinstance(fate, Failure) and (fate.error in OF_THE_MOMENT or fate.stage in {"crash", "memory", "timeout"})


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


def _instance(found: Found, keep: tuple[str, ...], row: Row) -> Instance:
    member, size, fate, reason, detail, problems, *facts = row
    return Instance(
        source=source_of(found, member, size),
        fate=Drop(reason, detail) if fate == "drop" else Failure(reason, detail) if fate else None,
        metadata={keyword: text for keyword, text in zip(keep, facts[len(_FACTS) :], strict=True) if text},
        header_problems=tuple(problems.split()),
        **dict(zip(_FACTS, facts, strict=False)),
    )


def _names(keep: tuple[str, ...]) -> list[str]:
    return [*_FOUND, *_FATE, *_FACTS, *(_METADATA + keyword for keyword in keep)]


def _type(name: str) -> pa.DataType:
    if name in _INTEGERS:
        return pa.int64()
    return pa.binary() if name in _BYTES else pa.string()


def _values(file: pq.ParquetFile, name: str) -> list[Any]:
    """A column as Python objects; equal texts are one object, or 100,000 films would take a gigabyte."""
    column = file.read(columns=[name], use_threads=False).column(0).combine_chunks()
    if name in _INTEGERS:
        return list(column.to_pylist())
    encoded = column.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    if name in _BYTES:
        texts = [text.decode("utf-8", "surrogatepass") for text in texts]
    return [texts[index] for index in encoded.indices.to_pylist()]


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
