"""`etl inspect`: SQL over the Parquet files of a version, or of any Parquet file or folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from schemas import manifest
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.manifest import Table

DEFAULT_COLUMNS: dict[Table, tuple[str, ...]] = {
    "manifest": (
        "image_id",
        "study_id",
        "modality",
        "body_part",
        "view_position",
        "rows",
        "columns",
        "inverted",
        "rotation_deg",
        "region_index",
        "region_count",
        "split",
    ),
    "drops": ("source_id", "study_id", "frame_index", "reason", "detail"),
    "failures": ("source_id", "study_id", "frame_index", "stage", "error"),
}


@dataclass(frozen=True)
class Answer:
    """What a look into a table gave. `matching` counts all rows that the condition keeps, shown or not."""

    name: str
    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    matching: int
    totals: dict[str, int]


def inspect(
    target: str,
    table: Table = "manifest",
    where: str | None = None,
    columns: Sequence[str] = (),
    limit: int = 20,
) -> Answer:
    """Rows of a version's table (or of a bare Parquet file or folder) that a SQL condition keeps.

    All three tables can be named in the condition. Raises RadforgeError: no such dataset, column, or a wrong condition.
    """
    connection = duckdb.connect(":memory:")
    path = Path(target)
    bare = _bare(path)
    last_run = (path / "drops").is_dir() and not (path / "card.json").exists()
    if bare is not None:
        views, name, shown, heading = {"data": bare}, "data", tuple(columns), target
    else:
        folder = path if last_run else DatasetVersion.open(target).folder
        views = {each: sorted((folder / each).glob("part-*.parquet")) for each in manifest.TABLES}
        name, heading = table, str(folder)
        shown = tuple(columns) or DEFAULT_COLUMNS[table]
    available: list[str] = []
    try:
        for view, files in views.items():
            connection.register(view, ds.dataset(files, format="parquet"))
        # The condition may ask these tables anything, and touch no file, no network and no setting.
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        if len(connection.extract_statements(f"SELECT 1 FROM {name} WHERE {where or 'true'}")) != 1:
            raise RadforgeError("more than one statement", f"--where {where}", expected="one SQL condition")
        available = [row[0] for row in connection.execute(f"DESCRIBE {name}").fetchall()]
        unknown = [column for column in shown if column not in available]
        if bare is None:
            _refuse_newer(unknown, table, available, f"--columns {', '.join(unknown)}")
        if unknown:
            raise RadforgeError("no such column", f"--columns {', '.join(unknown)}", expected=", ".join(available))
        condition = f"WHERE (\n{where}\n)" if where else ""
        picked = ", ".join(f'"{column}"' for column in shown) or "*"
        order = "ORDER BY ALL" if bare is None else ""
        result = connection.execute(f"SELECT {picked} FROM {name} {condition} {order} LIMIT {int(limit)}")
        names = tuple(item[0] for item in result.description)
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        matching = connection.execute(f"SELECT count(*) FROM {name} {condition}").fetchone()[0]
        return Answer(heading, names, rows, matching, {} if bare is not None else _totals(connection))
    except (pa.ArrowInvalid, OSError):
        raise RadforgeError("the table cannot be read", target, expected="whole Parquet files") from None
    except duckdb.Error as error:
        asked = re.search(r'column (?:named )?"(\w+)"', str(error)) if isinstance(error, duckdb.BinderException) else None
        if bare is None and asked:
            _refuse_newer([asked[1].lower()], table, available, f"--where {where}")
        raise RadforgeError(
            "the condition cannot be run" if where else "the table cannot be read",
            f"--where {where}" if where else target,
            found=str(error).splitlines()[0],
        ) from None


def _refuse_newer(asked: Sequence[str], table: Table, available: Sequence[str], where: str) -> None:
    """Raises RadforgeError for a column that radforge writes today and this version does not have."""
    newer = {column.name for column in manifest.FIXED[table] if column.since > 1} - set(available)
    for column in asked:
        if column in newer:
            raise RadforgeError(f"this version has no column `{column}`; it was written by an older radforge", where)


def _bare(path: Path) -> list[Path] | None:
    """The files of a Parquet file or a folder of them; None for a dataset."""
    if path.suffix == ".parquet" and path.is_file():
        return [path]
    return (sorted(path.glob("*.parquet")) if path.is_dir() else []) or None


def _totals(connection: Any) -> dict[str, int]:
    totals = {}
    for table, column in (("manifest", None), ("drops", "reason"), ("failures", "stage")):
        totals[{"manifest": "records"}.get(table, table)] = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        if column:
            counts = connection.execute(f"SELECT {column}, count(*) FROM {table} GROUP BY 1 ORDER BY 2 DESC, 1").fetchall()
            totals |= {f"{table}: {reason}": number for reason, number in counts}
    return totals
