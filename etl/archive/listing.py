"""What a run looks at: every file of its archives once, sorted by name, at about a hundred bytes a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl.archive.walk import Found, unicode_name, walk

ROWS_PER_CHUNK = 10_000

_SCHEMA = pa.schema(
    [
        ("archive", pa.int32()),  # which of the arguments
        ("name", pa.string()),
        ("tail", pa.binary()),  # the path below the argument's folder where it is not the name, else null
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("problem", pa.string()),
        ("real", pa.binary(16)),  # digest of the real path: only for finding a file again
    ]
)
_KEPT = _SCHEMA.names[:-1]


class Listing:
    """The files of a run, sorted by name (by code points, as Python sorts text)."""

    def __init__(self, table: pa.Table, roots: Sequence[str]) -> None:
        self._table, self._roots = table, roots

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[Found]:
        return self.rows(None)

    @classmethod
    def empty(cls) -> Listing:
        """No files."""
        return cls(_SCHEMA.empty_table().select(_KEPT), ())

    def forget(self) -> None:
        """Let go of the files: 100 bytes each, which nobody needs once the index has them."""
        self._table = self._table.schema.empty_table()

    @property
    def bytes(self) -> int:
        """What the files hold together."""
        return int(pc.sum(self._table["size"]).as_py() or 0)

    def rows(self, wanted: NDArray[np.bool_] | None) -> Iterator[Found]:
        """The files, or those that the mask (files,) wants, a few thousand in memory at a time."""
        for start in range(0, len(self), ROWS_PER_CHUNK):
            part = self._table.slice(start, ROWS_PER_CHUNK)
            if wanted is not None:
                part = part.filter(pa.array(wanted[start : start + ROWS_PER_CHUNK]))
            for archive, name, tail, *rest in zip(*(column.to_pylist() for column in part.columns), strict=True):
                own = name if tail is None else tail.decode("utf-8", "surrogatepass")
                yield Found(name, self._roots[archive] + own, *rest)


def list_files(archives: Sequence[Path]) -> Listing:
    """Every file of the archives. A file that two arguments reach is listed once, under the first.

    A name that an earlier file has already becomes "<n>:<folder>/<name>" in the n-th archive. Raises RadforgeError as
    `walk` does.
    """
    roots = [_folder(archive) for archive in archives]
    table = _renamed(_once(pa.concat_tables(_chunks(archives, roots))), archives)
    order = pc.sort_indices(table["name"])
    return Listing(table.select(_KEPT).take(order).combine_chunks(), roots)


def _chunks(archives: Sequence[Path], roots: Sequence[str]) -> Iterator[pa.Table]:
    folders: set[tuple[int, int]] = set()
    rows: list[tuple[object, ...]] = []
    for number, (archive, root) in enumerate(zip(archives, roots, strict=True)):
        for found, real in walk(archive, folders):
            own = found.path[len(root) :]
            tail = None if own == found.name else own.encode("utf-8", "surrogatepass")
            digest = blake2b(os.fsencode(real), digest_size=16).digest()
            rows.append((number, found.name, tail, found.size, found.mtime_ns, found.problem, digest))
            if len(rows) >= ROWS_PER_CHUNK:
                yield _table(rows)
                rows = []
    yield _table(rows)


def _table(rows: Sequence[tuple[object, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([] for _ in _SCHEMA)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, _SCHEMA.types, strict=True)], schema=_SCHEMA)


def _once(table: pa.Table) -> pa.Table:
    """Without the files that were reached before."""
    if pc.count_distinct(table["real"]).as_py() == table.num_rows:
        return table
    numbered = table.select(["real"]).append_column("row", pa.array(np.arange(table.num_rows)))
    first = numbered.group_by("real").aggregate([("row", "min")])["row_min"]
    return table.take(first.take(pc.sort_indices(first)))


def _renamed(table: pa.Table, archives: Sequence[Path]) -> pa.Table:
    """With names that are unique; the paths stay what they were."""
    if pc.count_distinct(table["name"]).as_py() == table.num_rows:
        return table
    taken: set[str] = set()
    names, tails = [], []
    columns = (table[name].to_pylist() for name in ("archive", "name", "tail"))
    for number, old, own in zip(*columns, strict=True):
        name, tail = old, own
        while name in taken:
            name = f"{number + 1}:{unicode_name(_name_of(archives[number]))}/{name}"
            tail = old.encode() if own is None else own
        taken.add(name)
        names.append(name)
        tails.append(tail)
    table = table.set_column(1, "name", pa.array(names, pa.string()))
    return table.set_column(2, "tail", pa.array(tails, pa.binary()))


def _folder(archive: Path) -> str:
    """The folder that an archive's names are relative to, with its slash."""
    path = os.path.abspath(archive)  # noqa: PTH100 - links stay
    folder = path if archive.is_dir() else os.path.dirname(path)  # noqa: PTH120
    return folder.rstrip("/") + "/"


def _name_of(archive: Path) -> str:
    resolved = archive.resolve()
    return resolved.name if resolved.is_dir() else resolved.parent.name
