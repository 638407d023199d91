"""Shards of an archive, built apart and merged, are the archive built at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.merge import merge
from etl.order import Built
from etl.private import Private
from etl.shards import Shard
from etl.verify import verify
from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.manifest import TABLES
from tests.end_to_end.conftest import QUIET


@pytest.fixture(scope="module")
def shards(build: Callable[..., Built], tmp_path_factory: pytest.TempPathFactory) -> list[DatasetVersion]:
    """The archive in three parts, the headers read once."""
    folder = tmp_path_factory.mktemp("shards")
    built = [build(folder / f"part{i}", private=folder / "private", shard=Shard(i, 3)) for i in (1, 2, 3)]
    return [DatasetVersion.open(one.folder) for one in built]


@pytest.fixture(scope="module")
def whole(built: Built) -> DatasetVersion:
    """The archive at once."""
    return DatasetVersion.open(built.folder)


def rows(version: DatasetVersion, table: Any) -> pa.Table:
    return version.table(table)


def test_merged_shards_have_the_rows_of_the_whole(shards: list[DatasetVersion], whole: DatasetVersion, tmp_path: Path) -> None:
    merged = merge(shards, tmp_path / "merged", None, QUIET)

    version = DatasetVersion.open(merged.folder)
    assert all(rows(version, name).equals(rows(whole, name)) for name in TABLES)
    assert merged.warnings == ()
    assert verify(version) == []


def test_every_shard_has_work_and_no_patient_is_in_two(shards: list[DatasetVersion]) -> None:
    patients = [set(rows(shard, "manifest")["patient_id"].to_pylist()) for shard in shards]

    assert all(patients)
    assert sum(map(len, patients)) == len(set().union(*patients))


def test_the_order_of_the_versions_is_part_of_the_name_and_the_same_merge_has_the_same(
    shards: list[DatasetVersion], tmp_path: Path
) -> None:
    first, again, other = (
        merge(order, tmp_path / name, None, QUIET).version
        for name, order in (("a", shards), ("b", shards), ("c", shards[::-1]))
    )

    assert first == again != other


def test_a_missing_shard_is_told_and_nothing_is_written(shards: list[DatasetVersion], tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match=r"found 1/3, 3/3; missing 2/3; expected 1/3 to 3/3"):
        merge([shards[0], shards[2]], tmp_path / "merged", None, QUIET)
    assert not (tmp_path / "merged").exists()


def test_a_damaged_version_is_not_given_a_new_name(shards: list[DatasetVersion], tmp_path: Path) -> None:
    copy = tmp_path / "copy" / shards[1].version
    shutil.copytree(shards[1].folder, copy)
    part = next((copy / "drops").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-9] + b"x" * 9)

    with pytest.raises(RadforgeError, match=r"is damaged; found drops/part-00000\.parquet"):
        merge([shards[0], DatasetVersion(copy, copy.name), shards[2]], tmp_path / "merged", None, QUIET)


def test_pictures_are_linked_not_copied(shards: list[DatasetVersion], tmp_path: Path) -> None:
    merged = DatasetVersion.open(merge(shards, tmp_path / "merged", None, QUIET).folder)

    path = rows(shards[0], "manifest")["image_path"][0].as_py()
    assert (merged.folder / path).samefile(shards[0].folder / path)


def test_the_same_version_twice_is_nothing_to_merge(shards: list[DatasetVersion], tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match="nothing to merge"):
        merge([shards[0], shards[0]], tmp_path / "merged", None, QUIET)


def test_other_keys_and_recipes_are_refused_before_anything_is_written(
    shards: list[DatasetVersion], build: Callable[..., Built], tmp_path: Path
) -> None:
    key = tmp_path / "other-key"
    key.write_text("another key that is no secret")
    other = DatasetVersion.open(build(tmp_path / "other", key=key, shard=Shard(2, 3)).folder)

    with pytest.raises(RadforgeError, match="differ in `key_fingerprint`"):
        merge([shards[0], other], tmp_path / "merged", None, QUIET)
    assert not (tmp_path / "merged").exists()


def test_a_file_that_two_versions_tell_differently_is_refused(
    shards: list[DatasetVersion], drawn: Path, build: Callable[..., Built], tmp_path: Path
) -> None:
    # The folder of one shard's film as an archive of its own: names are as in the whole, the file is another one.
    built = build(tmp_path / "moved", archives=[_shifted(drawn / "archive", tmp_path / "archive")])

    with pytest.raises(RadforgeError, match="different rows for files of the same name"):
        merge([*shards, DatasetVersion.open(built.folder)], tmp_path / "merged", None, QUIET)


def test_of_a_doubled_image_the_first_version_keeps_it(
    build: Callable[..., Built], whole: DatasetVersion, drawn: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "elsewhere").symlink_to(drawn / "archive")
    twin = DatasetVersion.open(build(tmp_path / "twin", archives=[copy]).folder)

    merged = DatasetVersion.open(merge([whole, twin], tmp_path / "merged", None, QUIET).folder)

    records, drops = rows(merged, "manifest"), rows(merged, "drops")
    assert sorted(records["image_id"].to_pylist()) == sorted(rows(whole, "manifest")["image_id"].to_pylist())
    twins = len(rows(whole, "manifest").group_by(["source_id", "frame_index"]).aggregate([]))
    before = [*rows(whole, "drops")["reason"].to_pylist(), *rows(twin, "drops")["reason"].to_pylist()]
    assert drops["reason"].to_pylist().count("duplicate") == before.count("duplicate") + twins
    assert set(records["acquired_order"].to_pylist()) == {None}
    assert verify(merged) == []


def test_the_way_back_comes_along(build: Callable[..., Built], tmp_path: Path) -> None:
    parts = [build(tmp_path / f"p{i}", shard=Shard(i, 2)) for i in (1, 2)]
    versions = [DatasetVersion.open(part.folder) for part in parts]

    merged = merge(versions, tmp_path / "merged", None, QUIET)

    kept = Private.beside(tmp_path / "merged").crosswalk_file(merged.version)
    assert sorted(set(pq.read_table(kept)["fate"].to_pylist())) == ["drop", "failure", "record"]
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RadforgeError, match="expected I/N"):
        Shard.parse(text)


def _shifted(archive: Path, target: Path) -> Path:
    """Two files of the archive, each under the other's name."""
    dicom = [p for p in sorted(archive.rglob("*")) if p.is_file() and p.stat().st_size > 100_000][:2]
    for ours, theirs in zip(dicom, reversed(dicom), strict=True):
        path = target / ours.relative_to(archive)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(theirs.read_bytes())
    return target
