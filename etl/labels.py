"""The label file: joined during the run, because afterwards the identifiers are gone.

One row per study (StudyInstanceUID or AccessionNumber) or per patient (PatientID, with StudyDate a study of that day). The
other columns are labels; `split` is the user's own division and wins over radforge's.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from pydicom.datadict import dictionary_VR, tag_for_keyword

from etl.splits import NAMES
from etl.study import Instance
from schemas.errors import Problem, RadforgeError

_STUDY_KEYS = ("StudyInstanceUID", "AccessionNumber")
_KEYS = (*_STUDY_KEYS, "PatientID", "StudyDate", "IssuerOfPatientID")
_TEXT_VRS = {"PN", "DA", "DT", "TM", "UI", "LO", "SH", "LT", "ST", "UT", "UC", "AE", "UR"}
_DATE = re.compile(r"(?<!\d)((19|20)\d\d[-/.]?[01]?\d[-/.]?[0-3]?\d|[0-3]?\d[-/.][0-3]?\d[-/.](19|20)?\d\d)(?!\d)")

ROWS_AT_ONCE = 2_000

JoinKey = tuple[str, ...]


@dataclass(frozen=True)
class Labels:
    """A normalised label file. `rows` maps join keys to label values; `types` are the columns' Arrow types."""

    by: tuple[str, ...] = ()
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    rows: Mapping[JoinKey, Mapping[str, Any]] = field(default_factory=dict)
    splits: Mapping[JoinKey, str] = field(default_factory=dict)

    def key_of(self, instance: Instance) -> JoinKey | None:
        """The join key of an instance; None when it lacks a part of it."""
        own = {
            "StudyInstanceUID": instance.study_instance_uid,
            "AccessionNumber": instance.accession_number,
            "PatientID": instance.patient_id,
            "StudyDate": instance.study_date,
            "IssuerOfPatientID": instance.issuer_of_patient_id,
        }
        key = tuple(own[name] for name in self.by)
        return key if key and all(key) else None


def read_labels(path: Path) -> Labels:
    """Read CSV or Parquet. Raises RadforgeError with every problem: no key column, identifying columns, contradictions."""
    where = f"--labels {path}"
    table = _read_table(path, where)
    names = [name.strip() for name in table.column_names]
    table = table.rename_columns(names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RadforgeError(f"column {', '.join(twice)} stands twice", where)
    by = _join_columns(names)
    if not by:
        raise RadforgeError(
            "no column to join by",
            where,
            found=f"{len(names)} columns with other names",  # a file without a header line would show a patient
            expected="StudyInstanceUID, AccessionNumber, or PatientID (with or without StudyDate)",
        )
    label_names = [name for name in names if name not in _KEYS and name != "split"]
    problems = _identifying(table, label_names, where)
    problems += [
        Problem(f"`{name}` cannot be a column name", where, expected="letters, digits and _")
        for name in label_names
        if not re.fullmatch(r"\w+", name, re.ASCII)
    ]
    if problems:
        raise RadforgeError.of(problems)
    labels, splits = _collect(table, by, label_names, where)
    types = {name: _type(table.column(name).type) for name in label_names}
    return Labels(by, types, labels, splits)


def _read_table(path: Path, where: str) -> pa.Table:
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        names = pyarrow.csv.open_csv(path).schema.names
        # Join keys are text whatever they look like: 000123 is not 123, and a UID is no number.
        keys = {name: pa.string() for name in names if name.strip() in (*_KEYS, "split")}
        options = pyarrow.csv.ConvertOptions(column_types=keys, strings_can_be_null=True)
        return pyarrow.csv.read_csv(path, convert_options=options)
    except FileNotFoundError:
        raise RadforgeError("no such file", where) from None
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError):
        # Arrow quotes the offending row, which may hold a name.
        raise RadforgeError(
            "cannot be read as a table", where, expected="CSV with a header line in UTF-8, or Parquet"
        ) from None


def _join_columns(names: Iterable[str]) -> tuple[str, ...]:
    present = set(names)
    for key in _STUDY_KEYS:
        if key in present:
            return (key,)
    if "PatientID" in present:
        return tuple(k for k in ("PatientID", "IssuerOfPatientID", "StudyDate") if k in present)
    return ()


def _identifying(table: pa.Table, names: list[str], where: str) -> list[Problem]:
    """A label must not carry into the dataset what de-identification keeps out."""
    problems = []
    for name in names:
        if tag_for_keyword(name) is not None and dictionary_VR(name) in _TEXT_VRS:
            problems.append(
                Problem(
                    f"column `{name}` would carry identifying text into the dataset",
                    where,
                    expected="labels only",
                )
            )
            continue
        column = table.column(name)
        if pa.types.is_temporal(column.type):
            problems.append(Problem(f"column `{name}` holds dates", where, expected="numbers or classes"))
        elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            classes = [str(v) for v in pc.unique(column).to_pylist() if v is not None]
            if any(len(value) > 40 or _DATE.search(value) for value in classes):
                problems.append(
                    Problem(
                        f"column `{name}` holds long texts or dates",
                        where,
                        expected="numbers or short classes",
                    )
                )
            elif len(classes) > 64:
                problems.append(
                    Problem(
                        f"column `{name}` looks like free text or identifiers",
                        where,
                        f"{len(classes)} different texts",
                        "numbers, or at most 64 classes",
                    )
                )
        elif pa.types.is_floating(column.type) and pc.any(pc.is_inf(column)).as_py():
            problems.append(Problem(f"column `{name}` holds infinite numbers", where, expected="finite ones, or none"))
        elif (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)) and _look_like_days(column):
            problems.append(Problem(f"column `{name}` holds dates", where, expected="numbers or classes"))
        elif pa.types.is_unsigned_integer(column.type) and (pc.max(column).as_py() or 0) >= 2**63:
            problems.append(Problem(f"column `{name}` holds numbers beyond 64 bits", where, expected="smaller numbers"))
        elif not (
            pa.types.is_integer(column.type)
            or pa.types.is_floating(column.type)
            or pa.types.is_boolean(column.type)
            or pa.types.is_null(column.type)
        ):
            problems.append(Problem(f"column `{name}` has the type {column.type}", where, expected="numbers or classes"))
    return problems


def _look_like_days(column: pa.ChunkedArray) -> bool:
    """Whether numbers read as YYYYMMDD, but for those that stand for "unknown"."""
    values = [v for v in pc.unique(column).to_pylist() if v not in {None, 0, -1, 99999999} and not math.isnan(v)]
    return bool(values) and all(
        19000101 <= value <= 20991231 and value == int(value) and 1 <= value // 100 % 100 <= 12 and 1 <= value % 100 <= 31
        for value in values
    )


def _type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind) or pa.types.is_null(kind):
        return pa.float64()
    return pa.bool_() if pa.types.is_boolean(kind) else pa.string()


def _key_text(value: Any) -> str:
    if isinstance(value, datetime.date):
        return value.strftime("%Y%m%d")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    return str(value).strip() if value is not None else ""


def _collect(
    table: pa.Table, by: tuple[str, ...], names: list[str], where: str
) -> tuple[dict[JoinKey, dict[str, Any]], dict[JoinKey, str]]:
    labels: dict[JoinKey, dict[str, Any]] = {}
    splits: dict[JoinKey, str] = {}
    first_line: dict[JoinKey, int] = {}
    problems: list[Problem] = []
    alike: dict[tuple[str, ...], dict[str, Any]] = {}  # 100,000 rows say a few different things
    rows = (row for batch in table.to_batches(max_chunksize=ROWS_AT_ONCE) for row in batch.to_pylist())
    for line, row in enumerate(rows, start=2):
        key = tuple(_key_text(row[name]) for name in by)
        if "StudyDate" in by:
            key = (*key[:-1], key[-1].replace("-", ""))
        if not all(key):
            problems.append(Problem(f"row {line} has no {' + '.join(by)}", where))
            continue
        values = {name: None if row[name] != row[name] else row[name] for name in names}  # NaN is null
        values = alike.setdefault(tuple(map(repr, values.values())), values)
        split = _key_text(row.get("split"))
        if split and split not in NAMES:
            problems.append(Problem(f"row {line}: unknown split", where, repr(split[:20]), f"one of: {', '.join(NAMES)}"))
        if key in labels and (labels[key] != values or splits.get(key, "") != split):
            problems.append(
                Problem(
                    f"rows {first_line[key]} and {line} contradict each other",
                    where,
                    found=f"the same {' + '.join(by)} with different values",
                )
            )
        labels.setdefault(key, values)
        first_line.setdefault(key, line)
        if split:
            splits.setdefault(key, split)
    if problems:
        raise RadforgeError.of(problems[:20])
    return labels, splits
