"""New films are compared with the training's, and only what is more than chance is told."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from schemas.train_recipe import Data
from tests.training.drawn_dataset import drawn_version
from training.data.films import Films, read_films
from training.drift import drift, training_statistics


def films_of(numbers: dict[str, np.ndarray], words: dict[str, list[str | None]], views: int, like: Films) -> Films:
    """Films with these columns, `views` a study."""
    table = {"mean": None, "std": None, "rows": None, "columns": None} | numbers
    count = len(next(iter(numbers.values())))
    columns = {name: pa.array(np.full(count, 100.0) if value is None else value) for name, value in table.items()}
    stated = {"view_position": ["PA"], "manufacturer": ["Agfa"], "body_part": ["wrist"], "modality": ["DX"]}
    columns |= {name: pa.array(words.get(name, value * count), pa.string()) for name, value in stated.items()}
    study = np.arange(count, dtype=np.int64) // views
    ids = tuple(f"study{number:05d}" for number in range(int(study.max()) + 1))
    return replace(like, rows=pa.table(columns), study=study, study_ids=ids)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Films:
    return read_films(drawn_version(tmp_path_factory.mktemp("films"), 60), Data())


@pytest.fixture(scope="module")
def training(drawn: Films) -> Films:
    rng = np.random.default_rng(0)
    return films_of({"mean": rng.normal(0.3, 0.05, 400), "std": rng.normal(0.2, 0.02, 400)}, {}, 1, drawn)


def everything(films: Films) -> np.ndarray:
    return np.arange(films.rows.num_rows, dtype=np.int64)


def test_the_statistics_are_plain_values_of_the_chosen_pictures(drawn: Films) -> None:
    at = drawn.of("train")
    statistics = training_statistics(drawn, at)

    assert json.loads(json.dumps(statistics)) == statistics
    assert (statistics["pictures"], statistics["studies"]) == (len(at), len(drawn.studies(at)))
    means = drawn.rows["mean"].to_numpy()[at]
    expected = {"low": np.quantile(means, 0.01), "high": np.quantile(means, 0.99), "average": means.mean()}
    assert statistics["numbers"]["mean"] == pytest.approx(expected)
    assert statistics["shares"]["body_part"] == {"wrist": 1.0}
    assert sum(statistics["shares"]["manufacturer"].values()) == pytest.approx(1)
    assert statistics["largest"] == [48, 64]


def test_a_category_below_one_percent_is_not_written_down(drawn: Films) -> None:
    words = {"manufacturer": ["Agfa"] * 200 + ["rare"] + [None] * 3}
    films = films_of({"mean": np.full(204, 0.3)}, words, 1, drawn)

    shares = training_statistics(films, everything(films))["shares"]["manufacturer"]

    assert set(shares) == {"Agfa", "not stated"}


def test_films_of_the_training_version_are_like_it(drawn: Films) -> None:
    statistics = training_statistics(drawn, drawn.of("train"))

    assert drift(statistics, drawn) == []


def test_inverted_films_are_told_with_their_number(training: Films) -> None:
    statistics = training_statistics(training, everything(training))
    rng = np.random.default_rng(1)
    inverted = films_of({"mean": 1 - rng.normal(0.3, 0.05, 6), "std": rng.normal(0.2, 0.02, 6)}, {}, 2, training)

    told = drift(statistics, inverted)

    assert len(told) == 1
    assert told[0].startswith("mean grey: 6 of 6 pictures outside")


def test_another_body_part_is_told_by_name(training: Films) -> None:
    statistics = training_statistics(training, everything(training))
    rng = np.random.default_rng(2)
    parts = ["elbow", "elbow", "wrist", "elbow"]
    elbows = films_of({"mean": rng.normal(0.3, 0.02, 4), "std": np.full(4, 0.2)}, {"body_part": parts}, 1, training)

    told = drift(statistics, elbows)

    assert len(told) == 1
    assert told[0].startswith("body part: 3 of 4 pictures")
    assert "elbow 3" in told[0]
    assert "wrist 100 %" in told[0]


def test_one_odd_picture_among_many_and_one_study_of_many_views_are_chance(training: Films) -> None:
    statistics = training_statistics(training, everything(training))
    means = np.full(40, 0.3)
    means[7] = 0.9
    odd = films_of({"mean": means, "std": np.full(40, 0.2)}, {}, 1, training)
    one = films_of({"mean": np.full(8, 0.42), "std": np.full(8, 0.2)}, {}, 8, training)

    assert drift(statistics, odd) == []
    assert drift(statistics, one) == []  # eight views of one wrist are one look at it


def test_what_is_certain_but_small_is_not_told(drawn: Films) -> None:
    rng = np.random.default_rng(4)
    many = films_of({"mean": rng.normal(0.3, 0.05, 10_000), "std": np.full(10_000, 0.2)}, {}, 1, drawn)
    statistics = training_statistics(many, everything(many))
    means = np.full(20_000, 0.3)
    means[:900] = 0.9  # 4.5 %: far more than chance allows, and too few to matter
    films = films_of({"mean": means, "std": np.full(20_000, 0.2)}, {}, 1, drawn)

    assert drift(statistics, films) == []


def test_films_of_the_same_source_rarely_raise_an_alarm(drawn: Films) -> None:
    rng = np.random.default_rng(3)

    def draw(count: int) -> Films:
        numbers = {name: rng.normal(0.3, 0.05, count) for name in ("mean", "std", "rows", "columns")}
        names = {"manufacturer": rng.choice(["a", "b", "c", "d"], count, p=[0.7, 0.27, 0.02, 0.01]).tolist()}
        return films_of(numbers, names, 1, drawn)

    alarms = 0  # 20 pictures say little of their 1 % and 99 % quantile: a plain binomial would cry wolf 29 times
    for _ in range(200):
        known = draw(20)
        alarms += bool(drift(training_statistics(known, everything(known)), draw(60)))

    assert alarms <= 6  # 1 % of 200 are 2; more than 6 would happen once in 200 times


def test_missing_values_are_passed_over(training: Films, drawn: Films) -> None:
    statistics = training_statistics(training, everything(training))
    empty = films_of({"mean": np.full(3, 0.3), "std": np.full(3, 0.2)}, {}, 1, drawn)
    unknown = replace(empty, rows=empty.rows.set_column(0, "mean", pa.nulls(3, pa.float64())))

    assert drift(statistics, unknown) == []
