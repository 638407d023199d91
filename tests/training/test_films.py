from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.train_recipe import Data
from tests.training.drawn_dataset import drawn_version
from training.data.films import pooled_mean_std, read_films
from training.data.folds import fold_splits
from training.data.label import targets


def change(version: DatasetVersion, column: str, values: list[Any]) -> None:
    part = version.folder / "manifest" / "part-00000.parquet"
    table = pq.read_table(part)
    index = table.column_names.index(column)
    pq.write_table(table.set_column(index, column, pa.array(values, table.schema.field(column).type)), part)


def test_films_are_ordered_by_study_and_image_and_carry_their_studys_label(tmp_path: Path) -> None:
    version = drawn_version(tmp_path, 24, views=(2, 3))

    films = read_films(version, Data())

    keys = list(zip(films.rows["study_id"].to_pylist(), films.rows["image_id"].to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert len(films.target) == films.rows.num_rows == version.table("manifest").num_rows
    assert films.label == "fracture"
    assert films.target.dtype == np.float32
    assert films.target.tolist() == films.rows["label_fracture"].to_pylist()
    assert [films.study_ids[study] for study in films.study] == films.rows["study_id"].to_pylist()


def test_studies_are_the_views_of_each_study_of_a_split(tmp_path: Path) -> None:
    films = read_films(drawn_version(tmp_path, 24, views=(1, 4)), Data())

    studies = films.studies(films.of("train"))

    assert sorted(np.concatenate(studies).tolist()) == films.of("train").tolist()
    assert all(len(set(films.study[views])) == 1 for views in studies)
    assert len(studies) == 12
    assert {films.split[position] for views in studies for position in views} == {"train"}


def test_unlabelled_studies_are_left_out_and_counted(tmp_path: Path) -> None:
    version = drawn_version(
        tmp_path, 24, labels={"fracture": lambda study, positive: None if study in (0, 5) else int(positive)}
    )

    films = read_films(version, Data())

    assert films.unlabelled_studies == 2
    assert len(films.study_ids) == 22
    assert not np.isnan(films.target).any()


def test_pictures_without_a_label_stay_where_no_label_is_needed(tmp_path: Path) -> None:
    version = drawn_version(tmp_path, 24, labels={})

    films = read_films(version, Data(), labelled=False)

    assert films.label == ""
    assert np.isnan(films.target).all()
    assert len(films.study_ids) == films.unlabelled_studies == 24


def test_known_labels_are_kept_where_no_label_is_needed(tmp_path: Path) -> None:
    version = drawn_version(tmp_path, 24, labels={"fracture": lambda study, positive: None if study == 0 else int(positive)})

    films = read_films(version, Data(), labelled=False)

    assert len(films.study_ids) == 24
    assert np.isnan(films.target).sum() == len([1 for label in films.rows["label_fracture"].to_pylist() if label is None]) > 0


@pytest.mark.parametrize(
    ("values", "positive"),
    [((False, True), ""), ((0, 1), ""), ((0.0, 1.0), ""), (("whole", "broken"), "broken"), ((1, 2), "2"), (("0", "1"), "")],
)
def test_labels_are_read_whatever_their_type(tmp_path: Path, values: tuple[Any, Any], positive: str) -> None:
    version = drawn_version(tmp_path, 24, labels={"fracture": lambda study, shown: values[int(shown)]})

    films = read_films(version, Data(positive=positive))

    assert films.target.tolist() == [float(value == values[1]) for value in films.rows["label_fracture"].to_pylist()]


@pytest.mark.parametrize(
    ("labels", "data", "words"),
    [
        (("fracture", "cast"), Data(), ["which label", "cast, fracture"]),
        (("fracture", "cast"), Data(label="fractur"), ["`fractur`", "did you mean `fracture`?"]),
        ((), Data(), ["no label", "--labels"]),
    ],
)
def test_a_label_that_is_not_clear_is_told_with_those_there_are(
    tmp_path: Path, labels: tuple[str, ...], data: Data, words: list[str]
) -> None:
    version = drawn_version(tmp_path, 8, labels={name: lambda study, positive: int(positive) for name in labels})

    with pytest.raises(RadforgeError) as error:
        read_films(version, data)

    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("label", "data", "words"),
    [
        (lambda study, shown: study % 3, Data(), ["more than two values", "label_fracture", "found 3", "`2`"]),
        (lambda study, shown: "broken" if shown else "whole", Data(), ["which value is positive", "`whole`", "data.positive"]),
        (lambda study, shown: 1 + shown, Data(), ["which value is positive"]),
        (lambda study, shown: "broken" if shown else "whole", Data(positive="brokn"), ["`brokn`", "did you mean `broken`?"]),
        (lambda study, shown: None, Data(), ["no study has this label", "label_fracture"]),
        (lambda study, shown: 0, Data(), ["train", "val", "one class", "label_fracture", "0 positive and 12 negative"]),
    ],
)
def test_a_label_that_cannot_be_learnt_is_told_with_its_counts(
    tmp_path: Path, label: Any, data: Data, words: list[str]
) -> None:
    version = drawn_version(tmp_path, 24, labels={"fracture": label})

    with pytest.raises(RadforgeError) as error:
        read_films(version, data)

    assert all(word in str(error.value) for word in words)


def test_an_empty_split_is_told(tmp_path: Path) -> None:
    version = drawn_version(tmp_path, {"train": 6, "test": 4})

    with pytest.raises(RadforgeError, match=r"`val` has no labelled study of label_fracture.*both classes in train and in val"):
        read_films(version, Data())


def test_a_version_without_a_test_split_can_be_trained_on(tmp_path: Path) -> None:
    films = read_films(drawn_version(tmp_path, {"train": 6, "val": 4}), Data())

    assert films.of("test").size == 0


def test_pictures_of_a_study_that_disagree_are_told() -> None:
    with pytest.raises(RadforgeError, match=r"disagree.*1 studies"):
        targets(["a", "a", "b"], [1, 0, 1], "fracture", "", "here")


def test_a_picture_without_a_label_has_that_of_its_study() -> None:
    found = targets(["a", "a", "b"], [1, None, None], "fracture", "", "here")

    assert found.tolist()[:2] == [1.0, 1.0]
    assert math.isnan(found[2])


def test_a_patient_in_two_splits_is_an_error(tmp_path: Path) -> None:
    version = drawn_version(tmp_path, 24, views=(1, 1))
    splits = version.table("manifest")["split"].to_pylist()
    patients = [
        "same" if index in (splits.index("train"), splits.index("test")) else f"p{index}" for index in range(len(splits))
    ]
    change(version, "patient_id", patients)

    with pytest.raises(RadforgeError, match=r"more than one split.*found 1 of 23 patients"):
        read_films(version, Data())


def test_folds_share_out_the_patients_and_leave_the_test_set() -> None:
    patients = [f"p{index // 3}" for index in range(300)]
    target = np.array([float(index // 3 % 4 == 0) for index in range(300)], dtype=np.float32)
    split = np.array(["test" if index >= 240 else "train" if index % 6 < 3 else "val" for index in range(300)])

    folds = [fold_splits(patients, target, split, 5, fold) for fold in range(5)]

    for found in folds:
        of = {name: {p for p, s in zip(patients, found, strict=True) if s == name} for name in ("train", "val", "test")}
        assert not of["train"] & of["val"]
        assert of["test"] == {f"p{patient}" for patient in range(80, 100)}
        assert len(of["val"]) == 16
        assert sum(int(patient[1:]) % 4 == 0 for patient in of["val"]) == 4
    shown = [patient for found in folds for patient in {p for p, s in zip(patients, found, strict=True) if s == "val"}]
    assert len(shown) == len(set(shown)) == 80


def test_unlabelled_patients_do_not_move_the_folds_of_the_others(tmp_path: Path) -> None:
    version = drawn_version(tmp_path, 40, labels={"fracture": lambda study, positive: None if study == 7 else int(positive)})
    data = Data(folds=4, fold=1)

    with_all, labelled = read_films(version, data, labelled=False), read_films(version, data)

    of = dict(zip(with_all.rows["image_id"].to_pylist(), with_all.split.tolist(), strict=True))
    assert [of[image] for image in labelled.rows["image_id"].to_pylist()] == labelled.split.tolist()


def test_greys_are_the_cards_and_with_folds_pooled_over_the_training_pictures(tmp_path: Path) -> None:
    version = drawn_version(tmp_path, 40)
    own = read_films(version, Data())
    fold = read_films(version, Data(folds=4, fold=0))

    pixels = np.concatenate([version.picture(fold.rows.slice(p, 1).to_pylist()[0]).ravel() for p in fold.of("train")]) / 255

    assert [own.mean, own.std] == version.card["statistics"]["mean_std"]["train"]
    assert fold.mean == pytest.approx(pixels.mean(), abs=1e-6)
    assert fold.std == pytest.approx(pixels.std(), abs=1e-6)
    assert fold.mean != own.mean
    assert pooled_mean_std(own.rows.filter(pa.array(own.split == "train"))) == pytest.approx((own.mean, own.std), abs=1e-6)


def test_the_largest_picture_is_that_of_the_whole_version(tmp_path: Path) -> None:
    films = read_films(drawn_version(tmp_path, 24, size=(70, 50)), Data())

    assert films.largest == (50, 70)


def test_false_may_be_the_positive_value_whatever_way_it_is_written() -> None:
    from training.data.label import targets

    whole = targets(["a", "b"], [True, False], "whole", "0", "here")
    numbers = targets(["a", "b"], [1.0, 0.0], "whole", "false", "here")

    assert whole.tolist() == numbers.tolist() == [0.0, 1.0]


def test_pictures_that_are_all_alike_are_no_training_set(tmp_path: Path) -> None:
    version = drawn_version(tmp_path, {"train": 4, "val": 4})
    card = version.card | {"statistics": {"mean_std": {"train": [0.5, 0.0]}}}
    (version.folder / "card.json").write_text(json.dumps(card))

    with pytest.raises(RadforgeError, match="the training pictures are all alike"):
        read_films(version, Data())
