"""`etl run` on a drawn archive: what comes out, that nothing vanishes, and that nothing leaks."""

from __future__ import annotations

import csv
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cluster.span import Span
from etl import run as run_module
from etl.crosswalk import where
from etl.inspect import inspect
from etl.order import Built
from etl.private import Private
from etl.verify import verify
from schemas.dataset import DatasetVersion
from schemas.errors import NothingUsable, RadforgeError
from schemas.recipe import EtlRecipe
from tests.against_truth import compare
from tests.end_to_end.conftest import bytes_of


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_frame_of_every_file_is_a_record_a_drop_or_a_failure(built: Built, drawn: Path) -> None:
    truth = {(row["source_path"], row["frame_index"]) for row in rows(drawn / "truth.csv")}
    ours = {(row["source_path"], row["frame_index"]) for row in rows(built.folder.parent.parent / "x.csv")}

    assert ours == truth
    counts = DatasetVersion.open(built.folder).card["counts"]
    assert counts["frames"] == len(truth)


def test_fates_polarity_parts_and_anatomy_are_those_of_the_truth(built: Built, drawn: Path) -> None:
    result = compare(str(built.folder), drawn / "truth.csv", built.folder.parent.parent / "x.csv")

    assert set(result["fates"]) == {"as in the truth"}
    assert result["anatomy"]["precision"] == 1
    assert result["anatomy"]["recall"] == 1


def test_a_version_verifies_and_the_tables_agree_with_its_card(built: Built) -> None:
    version = DatasetVersion.open(built.folder)

    assert verify(version) == []
    assert version.card["counts"]["records"] == version.table("manifest").num_rows


def test_pictures_are_what_the_manifest_says(built: Built) -> None:
    version = DatasetVersion.open(built.folder)

    for row in version.table("manifest").to_pylist():
        picture = version.picture(row)
        assert picture.shape == (row["rows"], row["columns"])
        assert picture.dtype == np.uint8
        assert b"tEXt" not in (version.folder / row["image_path"]).read_bytes()[:4096]


def test_labels_and_splits_are_joined_and_a_patient_has_one_split(built: Built, drawn: Path) -> None:
    truth = {row["StudyInstanceUID"]: int(row["fracture"]) for row in rows(drawn / "labels.csv")}
    uid = {row["study_id"]: row["study_instance_uid"] for row in rows(built.folder.parent.parent / "x.csv")}
    records = DatasetVersion.open(built.folder).table("manifest").to_pylist()

    splits: dict[str, set[str]] = {}
    for row in records:
        assert row["label_fracture"] == truth[uid[row["study_id"]]]
        splits.setdefault(row["patient_id"], set()).add(row["split"])

    assert all(len(own) == 1 for own in splits.values())


def test_no_word_of_a_patient_is_in_any_byte_of_the_version(built: Built, drawn: Path) -> None:
    secrets = words_of_the_archive(drawn / "archive", rows(drawn / "truth.csv"))
    assert len(secrets) > 60

    haystacks = {path: inflated(data) for path, data in bytes_of(built.folder).items()}
    leaks = [(path, secret) for path, data in haystacks.items() for secret in secrets if secret in data]

    assert leaks == []


def words_of_the_archive(archive: Path, truth: list[dict[str, str]]) -> set[bytes]:
    """Names, ids, dates, UIDs and comments of every film, however they are encoded."""
    import io
    import tarfile
    import zipfile

    import pydicom

    blobs = []
    for path in archive.rglob("*"):
        if path.is_dir():
            continue
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as pack:
                blobs += [pack.read(name) for name in pack.namelist() if not name.endswith("/")]
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as pack:
                blobs += [member.read() for m in pack.getmembers() if m.isfile() and (member := pack.extractfile(m))]
        else:
            blobs.append(path.read_bytes())
    words: set[str] = {row[name] for row in truth for name in ("study_instance_uid", "sop_instance_uid")}
    for blob in blobs:
        try:
            header = pydicom.dcmread(io.BytesIO(blob), stop_before_pixels=True, force=True)
            for element in header.iterall():
                if element.VR in {"PN", "LO", "SH", "LT", "ST", "UT", "DA", "UI", "DT"} or element.tag.is_private:
                    words.update(re.split(r"[\^\\=|;,]+", str(element.value)))
        except Exception:  # noqa: BLE001 - some are broken on purpose
            continue
    # Public words that a dataset may hold: makers, models, UIDs of the standard.
    public = re.compile(r"1\.2\.840\.10008\..*|ISO.*|DICOM.*")
    makers = {
        "AGFA",
        "FUJIFILM",
        "KODAK",
        "CARESTREAM",
        "PHILIPS",
        "SIEMENS",
        "CANON",
        "GE",
        "WRIST",
        "HAND",
        "OTHER",
    }
    kept = {word.strip() for word in words if len(word.strip()) >= 6 and not public.fullmatch(word.strip())}
    from etl import vocabulary

    known = {w for w in kept if vocabulary.manufacturer(w) not in {None, "other"} or vocabulary.model(w, ()) is not None}
    return {
        encoded
        for word in kept - makers - known
        for encoded in (word.encode(), word.encode("latin-1", "ignore"), word.encode("utf-16-le"))
        if len(encoded) >= 6
    }


def inflated(data: bytes) -> bytes:
    """A file and, for a Parquet file, the text of all its cells."""
    if data[:4] == b"PAR1":
        import io

        table = pq.read_table(io.BytesIO(data))
        return data + json.dumps(table.to_pylist(), default=str, ensure_ascii=False).encode()
    if data[:4] == b"\x89PNG":
        return data + zlib.compress(b"")
    return data


def test_two_workers_and_one_give_the_same_bytes(built: Built, build: Callable[..., Built], tmp_path: Path) -> None:
    alone = build(tmp_path / "ds", workers=Span(1, 1))

    assert alone.version == built.version
    assert bytes_of(alone.folder) == bytes_of(built.folder)


def test_the_same_run_again_is_already_built_and_starts_no_worker(
    built: Built, build: Callable[..., Built], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr("etl.workers.local", never)

    again = build(built.folder.parent)

    assert again.already_built
    assert again.version == built.version


def test_another_recipe_makes_another_version_and_shares_equal_pictures(
    build: Callable[..., Built], built: Built, tmp_path: Path
) -> None:
    first = build(tmp_path / "ds")
    recipe = EtlRecipe.model_validate(
        {
            "name": "other",
            "steps": ("anatomy", "inversion", "otsu_split", "pca_rotation"),
            "anatomy": {"keep": ("wrist",), "unknown": "keep"},
        }
    )

    second = build(tmp_path / "ds", recipe=recipe)

    assert second.version != first.version
    shared = [p for p in (second.folder / "images").rglob("*.png") if p.stat().st_nlink > 1]
    assert len(shared) > 10
    assert verify(DatasetVersion.open(first.folder)) == []
    assert verify(DatasetVersion.open(second.folder)) == []


def test_the_private_way_back_leads_to_the_file(built: Built, drawn: Path) -> None:
    source_id = DatasetVersion.open(built.folder).table("manifest")["source_id"][0].as_py()

    found = where(Private.beside(built.folder.parent), source_id)

    path = found[0]["source_path"].split("!/")[0]
    assert (drawn / "archive" / path).is_file()
    assert found[0]["fate"] == "record"


def test_the_crosswalk_is_closed_to_others(built: Built) -> None:
    assert (built.folder.parent.parent / "x.csv").stat().st_mode & 0o777 == 0o600
    for path in (built.folder.parent.with_name("ds.private")).rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_steps_run_on_a_version_without_dicom(built: Built, build: Callable[..., Built], tmp_path: Path) -> None:
    raw = build(
        tmp_path / "raw",
        recipe=EtlRecipe.model_validate(
            {"name": "raw", "steps": ("anatomy",), "anatomy": {"keep": ("wrist",), "unknown": "drop"}}
        ),
    )
    steps = EtlRecipe(name="steps")

    derived = build(tmp_path / "steps", archives=(raw.folder,), recipe=steps, labels=None, key=None)

    ours, direct = (DatasetVersion.open(b.folder).table("manifest").to_pylist() for b in (derived, built))
    assert len(ours) == len(direct)
    for one, other in zip(ours, direct, strict=True):
        for column in (
            "image_id",
            "patient_id",
            "split",
            "label_fracture",
            "inverted",
            "rotation_deg",
            "rows",
            "columns",
        ):
            assert one[column] == other[column], column
        assert one["transform"] == pytest.approx(other["transform"], abs=1e-6)
    assert verify(DatasetVersion.open(derived.folder)) == []
    assert derived.counts["drops"] == built.counts["drops"]


def test_a_folder_without_any_dicom_is_exit_3_and_says_why(build: Callable[..., Built], tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("no film")

    with pytest.raises(NothingUsable, match="not_dicom 1") as error:
        build(tmp_path / "ds", archives=(tmp_path / "texts",), labels=None)

    assert error.value.exit_code == 3
    assert inspect(str(tmp_path / "ds" / ".last-run" / "drops")).matching == 1


def test_sql_looks_into_all_three_tables(built: Built) -> None:
    answer = inspect(str(built.folder.parent), "drops", where="reason = 'study_too_large'", limit=3)

    assert answer.matching == 195
    assert len(answer.rows) == 3
    assert answer.totals["records"] == built.counts["records"]
    with pytest.raises(RadforgeError, match="the condition cannot be run"):
        inspect(str(built.folder.parent), where="no_such_column = 1")


@pytest.mark.parametrize(
    "where",
    ["1=1; COPY (SELECT 42) TO '{out}'; SELECT 1 WHERE 1=1", "1=1); ATTACH '{out}'; SELECT (1=1",
     "rows < (SELECT count(*) FROM read_text('/etc/passwd'))", "1=1; SET enable_external_access = true"],
)  # fmt: skip
def test_a_condition_reads_the_tables_and_nothing_else(built: Built, tmp_path: Path, where: str) -> None:
    out = tmp_path / "written"

    with pytest.raises(RadforgeError) as error:
        inspect(str(built.folder), where=where.format(out=out))

    assert not out.exists()
    assert "root:" not in str(error.value)


def test_damage_is_found_and_named(build: Callable[..., Built], tmp_path: Path) -> None:
    version = DatasetVersion.open(build(tmp_path / "ds").folder)
    row = version.table("manifest").to_pylist()[0]
    picture = version.folder / row["image_path"]
    data = bytearray(picture.read_bytes())
    data[len(data) // 2] ^= 1
    picture.write_bytes(bytes(data))
    (version.folder / "images" / "stray.txt").write_text("x")
    card = json.loads((version.folder / "card.json").read_text())
    card["counts"]["records"] += 1
    (version.folder / "card.json").write_text(json.dumps(card))

    damages = {damage.path: damage.what for damage in verify(version)}

    assert damages == {
        row["image_path"]: "its bytes have changed",
        "images/stray.txt": "not a file of this version",
        "card.json": "does not agree with the tables in: counts",
    }


def test_sixteen_bits_and_metadata_columns_on_request(build: Callable[..., Built], built: Built, tmp_path: Path) -> None:
    recipe = EtlRecipe.model_validate(
        {"name": "deep", "steps": ("anatomy", "inversion", "otsu_split", "pca_rotation", "resize"), "pixels": {"bits": 16},
         "anatomy": {"keep": ("wrist",), "unknown": "drop"}, "metadata": {"keep": ("KVP", "ExposureTime")},
         "resize": {"rows": 256, "columns": 170}}
    )  # fmt: skip

    version = DatasetVersion.open(build(tmp_path / "ds", recipe=recipe).folder)

    rows = version.table("manifest").to_pylist()
    assert {version.picture(row).dtype for row in rows} == {np.dtype(np.uint16)}
    assert {version.picture(row).shape for row in rows} == {(256, 170)}
    assert {row["bits"] for row in rows} == {16}
    assert all(row["dicom_kvp"] >= 40 for row in rows if row["dicom_kvp"] is not None)
    assert any(row["dicom_exposure_time"] for row in rows)
    assert verify(version) == []
    direct = DatasetVersion.open(built.folder).table("manifest").to_pylist()
    assert [row["inverted"] for row in rows] == [row["inverted"] for row in direct]


def test_labels_that_meet_nothing_are_listed_in_private_only(build: Callable[..., Built], drawn: Path, tmp_path: Path) -> None:
    wanted = rows(drawn / "labels.csv")
    lines = ["StudyInstanceUID,fracture", "9.9.9,1", *(f"{row['StudyInstanceUID']},{row['fracture']}" for row in wanted[2:])]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")

    version = build(tmp_path / "ds", labels=tmp_path / "labels.csv")

    private = tmp_path / "ds.private"
    assert (private / "unmatched_labels.csv").read_text().split() == ['"StudyInstanceUID"', '"9.9.9"']
    without = {row["study_id"] for row in rows(private / "studies_without_label.csv")}
    records = DatasetVersion.open(version.folder).table("manifest").to_pylist()
    assert {row["study_id"] for row in records if row["label_fracture"] is None} <= without
    assert len(without) == 2


def test_the_way_back_is_made_again_when_it_was_lost(build: Callable[..., Built], tmp_path: Path) -> None:
    first = build(tmp_path / "ds")
    kept = tmp_path / "ds.private" / "crosswalks" / f"{first.version}.parquet"
    before = pq.read_table(kept)
    kept.unlink()

    again = build(tmp_path / "ds", crosswalk=tmp_path / "x.csv")

    assert again.already_built
    assert pq.read_table(kept).equals(before)
    assert (tmp_path / "x.csv").is_file()


def test_a_file_that_could_not_be_read_is_tried_again_and_never_vanishes(
    build: Callable[..., Built], drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    archive = tmp_path / "archive"
    shutil.copytree(drawn / "archive", archive)
    path = next(
        row["source_path"] for row in rows(drawn / "truth.csv") if row["fate"] == "record" and "!/" not in row["source_path"]
    )
    away = tmp_path / "away"
    status = (archive / path).stat()
    real = run_module.list_files

    def gone(archives: tuple[Path, ...]) -> object:
        found = real(archives)
        (archive / path).rename(away)
        return found

    monkeypatch.setattr(run_module, "list_files", gone)
    without = build(tmp_path / "ds", archives=(archive,))
    monkeypatch.undo()
    away.rename(archive / path)
    import os

    os.utime(archive / path, ns=(status.st_atime_ns, status.st_mtime_ns))

    mended = build(tmp_path / "ds", archives=(archive,))

    assert without.reasons["read (failure)"] == 1
    assert not mended.already_built
    assert mended.counts["records"] >= without.counts["records"] + 1
    assert sum(mended.counts.values()) >= sum(without.counts.values())
    assert build(tmp_path / "ds", archives=(archive,)).already_built


def test_a_version_whose_card_is_damaged_or_gone_is_damage(build: Callable[..., Built], tmp_path: Path) -> None:
    folder = build(tmp_path / "ds").folder
    card = folder / "card.json"
    card.write_text(card.read_text()[:-20])
    cut = verify(DatasetVersion.locate(tmp_path / "ds"))
    card.unlink()
    gone = verify(DatasetVersion.locate(f"{tmp_path / 'ds'}@{folder.name}"))

    assert [damage.path for damage in cut] == ["card.json"]
    assert [damage.path for damage in gone] == ["card.json"]


def test_a_recipe_that_asks_a_version_for_what_only_an_archive_has_is_refused(
    build: Callable[..., Built], built: Built, tmp_path: Path
) -> None:
    recipe = EtlRecipe.model_validate({"steps": ["resize"], "pixels": {"bits": 16}})

    with pytest.raises(RadforgeError, match=r"\[pixels\] has no effect on a dataset version"):
        build(tmp_path / "ds", archives=(built.folder,), recipe=recipe, labels=None, key=None)
