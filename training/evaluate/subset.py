"""Which studies are evaluated, and by which label: SQL over the manifest, a file of study ids, a revised label."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from training.data.label import named_label, targets
from training.evaluate.cases import strings


def studies_where(version: DatasetVersion, condition: str) -> dict[str, bool]:
    """The studies with at least one picture whose manifest row satisfies the SQL condition, and whether all of theirs do.

    The condition may ask the manifest anything; it can open no file, no network and no other table, and change nothing.
    Raises RadforgeError when it cannot be run.
    """
    # The closing bracket stands on a line of its own, or a comment in the condition would swallow it.
    if not condition.strip():
        raise RadforgeError("an empty condition", "--where", expected="one SQL condition, e.g. \"sex = 'F'\"")
    holds = f"SELECT study_id, CASE WHEN (\n{condition}\n) THEN true ELSE false END AS holds FROM manifest"
    query = (
        f"SELECT study_id, bool_and(holds) FROM ({holds}) WHERE study_id IS NOT NULL GROUP BY study_id HAVING bool_or(holds)"
    )
    connection = duckdb.connect(":memory:")
    try:
        connection.register("manifest", version.table("manifest"))
        for setting in ("enable_external_access = false", "lock_configuration = true"):
            connection.execute(f"SET {setting}")
        if len(connection.extract_statements(query)) != 1:
            raise RadforgeError("more than one statement", f"--where {condition}", expected="one SQL condition")
        return {str(study): bool(all_of_it) for study, all_of_it in connection.execute(query).fetchall()}
    except duckdb.Error as error:
        raise RadforgeError("the condition cannot be run", f"--where {condition}", found=str(error).splitlines()[0]) from None
    finally:
        connection.close()


def studies_in(path: Path) -> set[str]:
    """Study ids of a file: the column `study_id` of a CSV or Parquet file, or the lines of a text file.

    Raises RadforgeError when it cannot be read, or names none.
    """
    expected = "a CSV or Parquet file with a column study_id, or a text file with one study id a line"
    try:
        if path.suffix == ".parquet":
            found = set(strings(pq.read_table(path, columns=["study_id"])["study_id"]).tolist())
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                found = {(row["study_id"] or "").strip() for row in csv.DictReader(file)}
        else:
            found = {line.strip() for line in path.read_text("utf-8-sig").splitlines()}
    except (OSError, ValueError, KeyError, csv.Error, pa.ArrowException):
        raise RadforgeError("cannot be read", f"--studies {path}", expected=expected) from None
    if not found - {""}:
        raise RadforgeError("names no study", f"--studies {path}", expected=expected)
    return found - {""}


def keep_studies(rows: pa.Table, studies: Collection[str], where: str) -> pa.Table:
    """The rows of PREDICTIONS of these studies. Raises RadforgeError when none is left."""
    kept = rows.filter(pc.is_in(rows["study_id"], value_set=pa.array(sorted(studies), pa.string())))
    if not kept.num_rows:
        raise RadforgeError("no study is left to evaluate", where, expected="at least one study of the evaluated split")
    return kept


def known_studies(rows: pa.Table, studies: Collection[str], split: str, where: str) -> None:
    """Raises RadforgeError when a study has no row."""
    unknown = sorted(set(studies) - set(strings(rows["study_id"]).tolist()))
    if unknown:
        raise RadforgeError(
            f"{len(unknown)} of {len(set(studies))} studies have no prediction",
            where,
            found=", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else ""),
            expected=f"study ids of the run's `{split}` studies",
        )


def with_label(rows: pa.Table, version: DatasetVersion, label: str, positive: str = "") -> pa.Table:
    """The rows with targets from another label column of the manifest (with or without `label_`); null stays unlabelled.

    `positive` is the value that counts as positive; empty: true, 1 or "1". Raises RadforgeError when there is no such
    column, it is not one of two values a study, it does not know `positive`, or it says nothing of these studies.
    """
    flag = f"--label {label}"
    columns = version.table("manifest").column_names
    name = named_label(columns, label.removeprefix("label_"), flag)
    manifest = version.table("manifest", ["study_id", f"label_{name}"])
    values = manifest[f"label_{name}"].to_pylist()
    studies = strings(manifest["study_id"]).tolist()
    target_of = dict(zip(studies, targets(studies, values, name, positive, flag).tolist(), strict=True))
    found = [target_of.get(study) for study in strings(rows["study_id"]).tolist()]
    revised = pa.array([None if each is None or math.isnan(each) else each for each in found], pa.float32())
    if revised.null_count == len(revised):
        raise RadforgeError("the label says nothing of the evaluated studies", flag)
    index = rows.column_names.index("target")
    return rows.set_column(index, rows.schema.field("target"), revised)
