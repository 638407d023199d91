"""The drawn archive: the same from the same seed, decodable, and as its truth says."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from etl.phantom import draw, rates
from etl.phantom.encoding import ENCAPSULATED, NATIVE
from etl.phantom.lines import Lines
from etl.phantom.plan import StudyPlan, plan
from etl.phantom.truth import TRAINING_COLUMNS, TRUTH_COLUMNS
from etl.phantom.wishes import Mixture, mixture
from etl.phantom.wrist import draw_two_wrists, draw_wrist
from etl.phantom.writing import draw_film, drawing
from schemas.errors import RadforgeError

STUDIES, SEED, SIZE = 24, 5, (200, 160)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "out"
    draw(out, STUDIES, SEED, size=SIZE)
    return out


@pytest.fixture(scope="module")
def truth(drawn: Path) -> list[dict[str, str]]:
    return rows_of(drawn / "truth.csv")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files_of(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Every file with its source path, members in place of their containers."""
    for path in sorted(archive.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(archive).as_posix()
        if name.endswith(".zip"):
            with zipfile.ZipFile(path) as packed:
                yield from ((f"{name}!/{member}", packed.read(member)) for member in packed.namelist())
        elif name.endswith(".tar.gz"):
            with tarfile.open(path) as tar:
                for member in tar.getmembers():
                    content = tar.extractfile(member)
                    assert content is not None
                    yield f"{name}!/{member.name}", content.read()
        else:
            yield name, path.read_bytes()


def read(content: bytes) -> pydicom.FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names of body parts that are no CS are there on purpose
        return pydicom.dcmread(io.BytesIO(content))


def pixels(dataset: pydicom.FileDataset) -> np.ndarray:
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated and syntax.name != "RLE Lossless":
        dataset.pixel_array_options(decoding_plugin="gdcm")
    return np.asarray(dataset.pixel_array)


def plans(**wishes: object) -> list[StudyPlan]:
    wish = {"studies": STUDIES, "seed": SEED, "size": SIZE, "views": None, "splits": None} | wishes
    return plan(mixture(**wish))  # type: ignore[arg-type]


def digest(out: Path) -> dict[str, str]:
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.rglob("*")
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_times_wherever_it_is_drawn(tmp_path: Path) -> None:
    first, second, other = tmp_path / "a", tmp_path / "b" / "c", tmp_path / "d"
    draw(first, 9, 3, size=(64, 52))
    draw(second, 9, 3, size=(64, 52))
    draw(other, 9, 4, size=(64, 52))
    assert digest(first) == digest(second)
    assert digest(first)["truth.csv"] != digest(other)["truth.csv"]
    times = {path.stat().st_mtime for path in (first / "archive").rglob("*")}
    assert len(times) == 1


def test_the_truth_has_one_row_for_every_file_and_member(drawn: Path, truth: list[dict[str, str]]) -> None:
    names = [name for name, _ in files_of(drawn / "archive")]
    assert tuple(truth[0]) == TRUTH_COLUMNS
    assert sorted(names) == [row["source_path"] for row in truth]
    assert len(set(names)) == len(names)


def test_every_film_decodes_to_the_values_that_were_drawn(drawn: Path, truth: list[dict[str, str]]) -> None:
    by_path = {row["source_path"]: row for row in truth}
    films = {film.sop_instance_uid: (study, film) for study in plans() for film in study.films}
    seen = Counter[str]()
    for name, content in files_of(drawn / "archive"):
        row = by_path[name]
        if row["sop_instance_uid"] not in films or row["reason"] == "study_too_large":
            continue
        study, film = films[row["sop_instance_uid"]]
        dataset = read(content)
        edited = "reprocesado" in name
        assert np.array_equal(pixels(dataset), draw_film(study, film).stored) is not edited
        assert dataset.BitsStored in (12, 14)
        seen[str(dataset.file_meta.TransferSyntaxUID)] += 1
    assert set(seen) == {*NATIVE, *ENCAPSULATED}


def test_headers_agree_with_the_truth(drawn: Path, truth: list[dict[str, str]]) -> None:
    contents = dict(files_of(drawn / "archive"))
    for row in truth:
        if row["reason"] in ("not_dicom", "dicomdir"):
            continue
        dataset = read(contents[row["source_path"]])
        assert dataset.StudyInstanceUID == row["study_instance_uid"]
        assert dataset.SOPInstanceUID == row["sop_instance_uid"]
        assert ("PixelData" in dataset) is (row["reason"] != "not_an_image")
        assert row["frame_index"] == "0"


def test_air_is_dark_exactly_where_the_truth_says_that_the_header_is_right() -> None:
    judged = Counter[bool]()
    for study in plans(size=(300, 240)):
        for film in study.films:
            exposure = film.exposure
            if study.axial or exposure.blades is not None or exposure.frame is not None:
                continue
            limb = drawing(study, film).limb
            stored = draw_film(study, film).stored.astype(int)
            shown = -stored if exposure.monochrome1 else stored
            assert (np.median(shown[~limb]) > np.median(shown[limb])) == exposure.wrong_polarity
            judged[exposure.wrong_polarity] += 1
    assert set(judged) == {True, False}


def test_labels_cover_the_ordinary_studies_and_about_a_third_is_positive(drawn: Path, truth: list[dict[str, str]]) -> None:
    labels = {row["StudyInstanceUID"]: row["fracture"] for row in rows_of(drawn / "labels.csv")}
    assert len(labels) == STUDIES
    assert sum(label == "1" for label in labels.values()) == round(rates.FRACTURE * STUDIES)
    broken = Counter(row["study_instance_uid"] for row in truth if row["fracture"] == "true" and row["fate"] == "record")
    assert set(broken) <= {study for study, label in labels.items() if label == "1"}
    assert all(count == 1 for count in broken.values())


def test_splits_hold_so_many_studies_each_and_no_patient_is_in_two(tmp_path: Path) -> None:
    summary = draw(tmp_path / "out", seed=2, size=(48, 40), views=(1, 1), splits=(8, 4, 3))
    labels = rows_of(tmp_path / "out" / "labels.csv")
    assert summary.labelled_studies == 15
    assert Counter(row["split"] for row in labels) == {"train": 8, "val": 4, "test": 3}
    for name in ("train", "val", "test"):
        assert {row["fracture"] for row in labels if row["split"] == name} == {"0", "1"}
    patients: dict[tuple[str, str], set[str | None]] = {}
    for study in plans(studies=None, seed=2, splits=(80, 40, 30)):
        if study.label is not None and study.person.patient_id:
            patients.setdefault((study.person.patient_id, study.person.issuer), set()).add(study.split)
    assert all(len(splits) == 1 for splits in patients.values())


def test_views_fixes_the_number_of_films_of_a_study() -> None:
    counts = {len(study.films) for study in plans(studies=60, views=(2, 4)) if not study.axial}
    assert counts == {2, 3, 4}


def test_everything_that_is_promised_turns_up_in_an_archive_of_usual_size() -> None:
    studies = plans(studies=40, seed=0, size=None)
    films = [film for study in studies if not study.axial for film in study.films]
    assert {study.body_part for study in studies} == {"wrist", "hand", "elbow", "knee", "chest"}
    assert {study.modality for study in studies} == {"CR", "DX"}
    assert {study.syntax for study in studies} == {*NATIVE, *ENCAPSULATED}
    assert {film.exposure.frame for film in films} == {None, "white", "black"}
    assert {film.exposure.bits for film in films} == {12, 14}
    assert {film.exposure.voi for film in films} >= {"none", "window"}
    assert any(film.exposure.monochrome1 for film in films)
    assert any(film.exposure.wrong_polarity for film in films)
    assert any(film.upside_down for film in films)
    assert any(len(film.tilts_deg) == 2 for film in films)
    assert max(abs(film.tilts_deg[0]) for film in films) > 30
    assert sum(film.rows < 300 for film in films) >= 1
    assert sum(film.rows > 3800 for film in films) >= 1
    assert 1500 < np.median([film.rows for film in films]) < 2500
    assert max(len(study.films) for study in studies) == rates.AXIAL_INSTANCES
    assert any(not study.person.patient_id for study in studies)
    issuers = Counter(study.person.patient_id for study in studies if study.person.issuer == "CSB-ADT")
    assert any(study.person.patient_id in issuers and study.person.issuer != "CSB-ADT" for study in studies)
    assert len({study.part_text.examined for study in studies}) > 20


def test_every_fate_of_a_real_archive_is_there(drawn: Path, truth: list[dict[str, str]]) -> None:
    reasons = {row["reason"] for row in truth}
    assert reasons == {
        "", "anatomy", "study_too_large", "modality", "duplicate", "conflicting_duplicate", "not_an_image",
        "not_dicom", "dicomdir", "decode",
    }  # fmt: skip
    kept = Counter(row["sop_instance_uid"] for row in truth if row["fate"] == "record")
    assert max(kept.values()) == 1
    repeated = next(row for row in truth if row["reason"] == "conflicting_duplicate")
    same = [row for row in truth if row["sop_instance_uid"] == repeated["sop_instance_uid"]]
    assert min(same, key=lambda row: row["source_path"])["fate"] == "record"


def test_a_fracture_is_a_dark_line_at_the_point_that_the_truth_names() -> None:
    for seed, view in ((1, "pa"), (2, "lateral"), (3, "oblique")):
        broken = draw_wrist(np.random.default_rng(seed), 400, 320, fracture=True, view=view)  # type: ignore[arg-type]
        whole = draw_wrist(np.random.default_rng(seed), 400, 320, fracture=False, view=view)  # type: ignore[arg-type]
        assert broken.fracture_xy is not None
        x, y = round(broken.fracture_xy[0]), round(broken.fracture_xy[1])
        around = (slice(y - 6, y + 7), slice(x - 3, x + 4))
        assert (whole.pixels[around] - broken.pixels[around]).max() > 0.15
        far = (slice(0, 100), slice(None))
        assert np.array_equal(whole.pixels[far], broken.pixels[far])


@pytest.mark.parametrize("tilt", [-50.0, 0.0, 35.0])
def test_turning_a_film_by_its_tilt_makes_the_limb_upright(tilt: float) -> None:
    film = draw_wrist(np.random.default_rng(4), 500, 500, tilt_deg=tilt, rows_mm=300)
    turn = cv2.getRotationMatrix2D((250, 250), film.parts[0].tilt_deg, 1.0)  # counter-clockwise is positive
    turned = cv2.warpAffine(film.pixels, turn, (500, 500))
    upright = draw_wrist(np.random.default_rng(4), 500, 500, rows_mm=300)
    middle = (slice(150, 350), slice(150, 350))
    assert np.corrcoef(turned[middle].ravel(), upright.pixels[middle].ravel())[0, 1] > 0.97


def test_upside_down_adds_a_half_turn() -> None:
    film = draw_wrist(np.random.default_rng(4), 200, 160, tilt_deg=10, upside_down=True)
    assert film.parts[0].tilt_deg == pytest.approx(-170)


def test_two_wrists_are_mirror_images_with_clear_air_between_them() -> None:
    for seed in range(6):
        tilts = (float(-10 + 4 * seed), float(9 - 3 * seed))
        film = draw_two_wrists(np.random.default_rng(seed), 300, 400, tilts_deg=tilts)
        assert len(film.parts) == 2
        assert film.parts[0].box[2] + 8 <= film.parts[1].box[0]
        assert not film.limb[:, film.parts[0].box[2] : film.parts[1].box[0]].any()


def test_boxes_hold_the_limb_and_lie_within_the_film(truth: list[dict[str, str]]) -> None:
    for row in truth:
        boxes, tilts = json.loads(row["part_boxes"]), json.loads(row["part_tilts_deg"])
        assert int(row["parts"]) == len(boxes) == len(tilts)
        for x0, y0, x1, y1 in boxes:
            assert 0 <= x0 < x1
            assert 0 <= y0 < y1
        if len(tilts) == 1:
            assert -90 < float(row["tilt_deg"]) <= 90
            assert (float(row["tilt_deg"]) - tilts[0]) % 180 == pytest.approx(0, abs=0.011) or (
                float(row["tilt_deg"]) - tilts[0]
            ) % 180 == pytest.approx(180, abs=0.011)
        else:
            assert row["tilt_deg"] == ""


def test_size_scales_every_film_in_proportion() -> None:
    full = [film for study in plans(size=None) if not study.axial for film in study.films]
    small = [film for study in plans(size=(1000, 800)) if not study.axial for film in study.films]
    for large, less in zip(full, small, strict=True):
        if min(less.rows, less.columns) > rates.SMALLEST_SIDE:
            assert less.rows == pytest.approx(large.rows / 2, abs=1)
            assert less.columns == pytest.approx(large.columns / 2, abs=1)


def test_progress_counts_up_to_the_number_of_studies(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    summary = draw(tmp_path / "o", 3, 0, size=(40, 32), views=(1, 1), progress=lambda done, of: seen.append((done, of)))
    assert seen == [(done, summary.studies) for done in range(1, summary.studies + 1)]


def shown(studies: list[StudyPlan]) -> list[tuple[int, int]]:
    """How many films of how many show the fracture, for each positive study."""
    return [(sum(film.fracture for film in study.films), len(study.films)) for study in studies if study.label == 1]


def test_without_the_flags_of_training_an_archive_is_what_it_was_before_them(tmp_path: Path) -> None:
    draw(tmp_path / "o", 2, 3, size=(48, 40), views=(1, 1))
    found = {name: digest(tmp_path / "o")[name][:16] for name in ("labels.csv", "truth.csv")}
    assert found == {"labels.csv": "8dbdb6c0d0a64473", "truth.csv": "734938eaac9153e5"}


def test_visible_one_shows_a_fracture_in_one_film_of_a_positive_study_and_all_in_each() -> None:
    wishes = {"studies": 80, "views": (2, 4)}
    assert {films for films, _ in shown(plans(**wishes, visible="one"))} == {1}
    assert all(films == count for films, count in shown(plans(**wishes, visible="all")))
    broken = [film for study in plans(**wishes, visible="all") if not study.label for film in study.films if film.fracture]
    assert broken == []


def test_visible_thesis_shows_it_in_all_films_of_81_percent_half_of_14_and_a_third_of_4() -> None:
    positive = shown(plans(studies=3000, views=(6, 6), visible="thesis"))
    shares = {films: count / len(positive) for films, count in Counter(films for films, _ in positive).items()}
    assert shares == pytest.approx({6: 0.82, 3: 0.14, 2: 0.04}, abs=0.035)
    assert {films for films, _ in shown(plans(studies=900, views=(1, 1), visible="thesis"))} == {1}


def test_mimics_are_on_the_wished_share_of_films_of_either_class_and_never_labelled() -> None:
    studies = plans(studies=900, views=(2, 4), visible="one", mimics=0.35)
    for label in (0, 1):
        films = [film for study in studies if study.label == label for film in study.films]
        assert np.mean([film.mimic for film in films]) == pytest.approx(0.35, abs=0.04)
    without = plans(studies=900, views=(2, 4), visible="one")
    assert [study.label for study in studies] == [study.label for study in without]
    assert shown(studies) == shown(without)


def test_an_archive_to_train_on_is_drawn_the_same_from_the_same_seed_and_tells_its_lines(tmp_path: Path) -> None:
    wishes = {"size": (64, 52), "views": (2, 3), "visible": "one", "mimics": 0.5}
    draw(tmp_path / "a", 8, 3, **wishes)  # type: ignore[arg-type]
    draw(tmp_path / "b", 8, 3, **wishes)  # type: ignore[arg-type]
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    rows = rows_of(tmp_path / "a" / "truth.csv")
    assert tuple(rows[0]) == TRAINING_COLUMNS
    labels = {row["StudyInstanceUID"]: row["fracture"] for row in rows_of(tmp_path / "a" / "labels.csv")}
    kept = [row for row in rows if row["fate"] == "record"]
    broken = Counter(row["study_instance_uid"] for row in kept if row["fracture"] == "true")
    assert broken == {study: 1 for study, label in labels.items() if label == "1"}
    assert all((row["fracture_x"] != "") == (row["fracture"] == "true") for row in kept)
    assert {row["mimic"] for row in kept} == {"true", "false"}


def test_a_bold_fracture_is_darker_than_a_mimic_and_both_are_pixels_wide_on_a_small_film() -> None:
    for seed in range(6):
        films = {
            (fracture, mimic): draw_wrist(
                np.random.default_rng(seed), 128, 96, rows_mm=150, view="pa", lines=Lines(fracture, mimic, (seed,))
            )
            for fracture, mimic in ((False, False), (True, False), (False, True))
        }
        whole = films[False, False].pixels
        fracture, mimic = (whole - films[key].pixels for key in ((True, False), (False, True)))
        assert fracture.max() > 1.25 * mimic.max() > 0
        assert (np.maximum(fracture, 0) > 0.5 * fracture.max()).any(1).sum() >= 3
        assert films[False, True].fracture_xy is None
        x, y = films[True, False].fracture_xy or (0.0, 0.0)
        around = (slice(round(y) - 4, round(y) + 5), slice(round(x) - 4, round(x) + 5))
        assert fracture[around].max() > 0.12
        assert fracture[around].min() < -0.05  # denser beside it


def test_half_of_the_studies_to_train_on_are_positive_in_every_split_and_as_many_as_ever_otherwise() -> None:
    for wishes, share in (({"visible": "one"}, 0.5), ({"mimics": 0.2}, 0.5), ({}, rates.FRACTURE)):
        studies = plans(studies=None, splits=(60, 20, 40), **wishes)
        positive = Counter(study.split for study in studies if study.label == 1)
        assert positive == {"train": round(share * 60), "val": round(share * 20), "test": round(share * 40)}


def test_films_to_train_on_are_single_wrists_upright_and_without_frames() -> None:
    films = [
        film for study in plans(studies=200, views=(2, 4), mimics=0.0) if study.body_part == "wrist" for film in study.films
    ]
    bold = [film for film in films if film.bold]
    assert len(bold) == len(films) - rates.AXIAL_INSTANCES
    assert {len(film.tilts_deg) for film in bold} == {1}
    assert max(abs(film.tilts_deg[0]) for film in bold) <= rates.CALM_TILT_DEG
    assert not any(film.upside_down or film.exposure.frame or film.exposure.blades for film in bold)


@pytest.mark.parametrize(
    "wishes",
    [
        {"studies": 0},
        {"studies": 5, "splits": (3, 1, 2)},
        {"views": (3, 2)},
        {"size": (8, 8)},
        {"splits": (0, 0, 0)},
        {"visible": "some"},
        {"mimics": 1.5},
    ],
)
def test_contradictory_wishes_are_told_and_nothing_is_written(tmp_path: Path, wishes: dict[str, object]) -> None:
    with pytest.raises(RadforgeError):
        draw(tmp_path / "out", **wishes)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(RadforgeError, match="not empty"):
        draw(tmp_path, 1)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_mixture_is_frozen_data() -> None:
    assert mixture(None, 0, None, None, (1, 2, 3)) == Mixture(6, 0, 1.0, None, (1, 2, 3))
