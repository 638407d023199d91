"""A new version links what its parent has, by what the manifests say: not one picture is read."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.share import share
from etl.tables import StoredTable

NAMES = ("source_id", "image_path", "preview_path", "sha256", "preview_sha256")


def manifest(folder: Path, rows: list[tuple[str, str, str]]) -> StoredTable:
    """Rows of (source_id, picture, its SHA-256); the picture's file holds the text of the SHA-256."""
    folder.mkdir()
    for _, picture, digest in rows:
        (folder / picture).write_text(digest)
    columns = [
        [row[0] for row in rows],
        [row[1] for row in rows],
        [None] * len(rows),
        [row[2] for row in rows],
        [None] * len(rows),
    ]
    table = pa.table([pa.array(column, pa.string()) for column in columns], names=NAMES)
    pq.write_table(table, folder / "part-00000.parquet")
    return StoredTable((folder / "part-00000.parquet",))


def test_equal_pictures_of_a_film_become_links_and_nothing_else_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = manifest(tmp_path / "theirs", [("a", "1", "x1"), ("b", "2", "x2"), ("c", "3", "x3"), ("e", "5", "x5")])
    ours = manifest(tmp_path / "ours", [("b", "2", "x2"), ("c", "3", "other"), ("d", "4", "x4"), ("e", "5", "x5")])
    (tmp_path / "theirs" / "5").write_text("cut")
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("a picture was read"))

    share(tmp_path / "ours", ours, tmp_path / "theirs", theirs)

    assert {name: (tmp_path / "ours" / name).stat().st_nlink for name in "2345"} == {"2": 2, "3": 1, "4": 1, "5": 1}
    assert (tmp_path / "ours" / "3").read_text() == "other"
    assert (tmp_path / "ours" / "5").read_text() == "x5"
    assert not [name for name in os.listdir(tmp_path / "ours") if name.endswith(".link")]  # noqa: PTH208
