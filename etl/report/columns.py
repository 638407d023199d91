"""The columns of a version's tables that the page may speak of, whichever radforge wrote them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.manifest import FIXED, Table

LABEL = "label_"
_UNUSED = {"sha256", "preview_sha256", "model", "window_center", "window_width", "decoder"}


def read(version: DatasetVersion, name: Table) -> tuple[pa.Table, list[str]]:
    """A table, and the columns it does not have. One of the first schema that may be null is filled with null.

    Raises RadforgeError: the table cannot be read, or has not the columns that say which film a row is.
    """
    columns = [column for column in FIXED[name] if column.name not in _UNUSED]
    parts = sorted((version.folder / name).glob("part-*.parquet"))
    try:
        there = pq.read_schema(parts[0]).names if parts else []
    except (OSError, pa.ArrowInvalid):
        there = []  # the next line says what is wrong
    known = {column.name for column in columns}
    table = version.table(name, [each for each in there if each in known or each.startswith(LABEL)])
    missing = [column for column in columns if column.name not in there]
    needed = [column.name for column in missing if not column.nullable]
    if needed:
        raise RadforgeError("columns are missing", f"{version.folder.name}/{name}", expected=", ".join(needed))
    for column in missing:
        if column.since == 1:
            table = table.append_column(column.name, pa.nulls(len(table), column.type))
    types = {column.name: column.type for column in columns}
    return _typed(table, types), [column.name for column in missing]


def _typed(table: pa.Table, types: dict[str, pa.DataType]) -> pa.Table:
    """Columns without a type (all null) get the one they should have, coded ones their values'; NaN is null; 0 has no sign."""
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if pa.types.is_null(field.type):
            column = column.cast(types.get(field.name, pa.string()))
        elif pa.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
        elif pa.types.is_floating(field.type):
            number = pc.if_else(pc.is_nan(column), pa.scalar(None, field.type), column)
            column = pc.add(number, pa.scalar(0.0, pa.float64()).cast(field.type))
        else:
            continue
        table = table.set_column(index, field.name, column)
    return table
