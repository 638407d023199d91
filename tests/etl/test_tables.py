"""Rows on their way to a version: whatever order they come in, the same bytes are written, and nothing is lost."""

from __future__ import annotations

import hashlib
import random
from array import array
from pathlib import Path
from typing import Any

import pytest

from etl import store, tables
from etl.scratch import Scratch
from etl.tables import RowFile, Tables, by_source
from etl.work import Work
from schemas.manifest import TABLES

Row = dict[str, Any]


def drop(number: int, frame: int = 0) -> Row:
    source = hashlib.sha256(str(number).encode()).hexdigest()[:16]
    return {"source_id": source, "frame_index": frame, "region_index": None, "reason": "modality", "detail": "CT"}


def written(folder: Path, rows: list[Row], known: list[Row] | None = None) -> Tables:
    folder.mkdir()
    (folder / store.CONTENT).mkdir()
    with Scratch(folder / "work") as scratch:
        file = RowFile(scratch)
        for row in rows:
            file.add("drops", [row])
        sources = array("Q", {int(row["source_id"], 16) for row in (rows if known is None else known)})
        return store.write_tables(folder, file, sources)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / store.CONTENT / "drops").iterdir())}


def test_rows_come_out_sorted_and_their_bytes_do_not_tell_how_they_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [drop(number, frame) for number in range(700) for frame in range(2)]
    first = written(tmp_path / "a", rows)
    monkeypatch.setattr("etl.spill.ROWS_AT_ONCE", 50)
    monkeypatch.setattr("etl.tables.ROWS_AT_ONCE", 7)
    random.Random(0).shuffle(rows)

    written(tmp_path / "b", rows)

    out = [(row["source_id"], row["frame_index"]) for row in first["drops"].read(["source_id", "frame_index"]).to_pylist()]
    assert out == sorted((row["source_id"], row["frame_index"]) for row in rows)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    assert first["manifest"].num_rows == 0


def test_parts_and_row_groups_are_cut_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS_PER_GROUP", 10)
    monkeypatch.setattr(tables, "ROWS_PER_PART", 30)

    drops = written(tmp_path / "a", [drop(number) for number in range(75)])["drops"]

    assert [part.name for part in drops.parts] == [f"part-0000{n}.parquet" for n in range(3)]
    assert [len(group) for group in drops.groups()] == [10] * 7 + [5]
    assert drops.num_rows == 75


def test_the_tables_go_side_by_side_bucket_by_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS_PER_GROUP", 10)
    stored = written(tmp_path / "a", [drop(number) for number in range(400)])

    buckets = list(by_source(stored, dict.fromkeys(TABLES, ("source_id",))))

    sources = [own["drops"]["source_id"].to_pylist() for own in buckets]
    assert len(buckets) == 256
    assert sum(map(len, sources)) == 400
    assert all(source.startswith(f"{bucket:02x}") for bucket, own in enumerate(sources) for source in own)


def test_a_file_without_a_row_and_a_row_without_a_file_are_mistakes(tmp_path: Path) -> None:
    rows = [drop(1), drop(2)]

    with pytest.raises(AssertionError, match="1 files have no row"):
        written(tmp_path / "a", rows[:1], known=rows)
    with pytest.raises(AssertionError, match="1 rows have no file"):
        written(tmp_path / "b", rows, known=rows[:1])


def test_rows_that_do_not_add_up_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="do not add up"):
        written(tmp_path / "a", [drop(1), drop(1)])


def test_settled_rows_are_counted_by_reason_and_files_worth_another_try_are_named(tmp_path: Path) -> None:
    from etl.archive.files import DENIED

    failure = {**drop(3), "stage": "read", "error": DENIED}

    with Scratch(tmp_path / "work") as scratch:
        work: Work[Any] = Work(scratch)
        work.add((), [drop(1), drop(1, 1), drop(2)], [failure])

    assert work.reasons == {"modality": 3, "read (failure)": 1}
    assert work.unread == {failure["source_id"]}
    assert len(work.sources) == 3
