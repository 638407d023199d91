"""Intervals from resampled patients."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.training.drawn_run import drawn_predictions
from training.evaluate import intervals as module
from training.evaluate.cases import Cases
from training.evaluate.decision import decide
from training.evaluate.evaluate import evaluate
from training.evaluate.intervals import WITH_INTERVAL, interval, intervals, resampled
from training.evaluate.metrics import metrics


def cases(number: int, seed: int = 0, per_patient: int = 1, skill: float = 1.0) -> Cases:
    rng = np.random.default_rng(seed)
    ids = np.array([f"s{n:04d}" for n in range(number)])
    patient = np.array([f"p{n // per_patient:04d}" for n in range(number)])
    target = (rng.random(number) < 0.4).astype(float)
    score = np.round(1 / (1 + np.exp(-rng.normal(skill * (target - 0.5), 1))), 2)
    return Cases(ids, ids, patient, target, score)


def test_a_resample_has_the_figures_of_its_cases_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = cases(40, per_patient=2)
    weights = np.random.default_rng(3).integers(0, 4, (20, 40)).astype(float)
    monkeypatch.setattr(module, "_weights", lambda *_: iter([weights]))

    found = resampled(drawn, 0.5, 20)

    for row, times in enumerate(weights.astype(int)):
        repeated = np.repeat(np.arange(40), times)
        ids = drawn.id[repeated]
        expected = metrics(Cases(ids, ids, ids, drawn.target[repeated], drawn.score[repeated]), 0.5)
        for name in WITH_INTERVAL:
            assert found[name][row] == pytest.approx(expected[name])


def test_a_patient_is_drawn_with_all_cases() -> None:
    drawn = cases(30, per_patient=3)

    weights = np.concatenate(list(module._weights(drawn, 50, 0)))

    assert (weights.reshape(50, 10, 3) == weights.reshape(50, 10, 3)[:, :, :1]).all()
    assert (weights.sum(1) == 30).all()


def test_the_same_seed_draws_the_same_patients_in_portions_or_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = cases(50)
    at_once = resampled(drawn, 0.5, 200, seed=4)
    monkeypatch.setattr(module, "CELLS", 50 * 7)

    in_portions = resampled(drawn, 0.5, 200, seed=4)

    assert all(np.allclose(at_once[name], in_portions[name], rtol=1e-12, equal_nan=True) for name in WITH_INTERVAL)
    assert not np.array_equal(at_once["auc"], resampled(drawn, 0.5, 200, seed=5)["auc"])


def test_the_interval_of_an_accuracy_is_as_wide_as_theory_says() -> None:
    drawn = cases(400)
    accuracy = metrics(drawn, 0.5)["accuracy"]

    low, high = intervals(drawn, 0.5, 2000)["accuracy_ci"]

    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(accuracy * (1 - accuracy) / 400), rel=0.1)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = metrics(cases(200_000, seed=99), 0.5)["auc"]
    covered = 0
    for seed in range(120):
        low, high = intervals(cases(150, seed=seed), 0.5, 300)["auc_ci"]
        covered += low <= truth <= high

    assert covered / 120 >= 0.88


def test_studies_of_one_patient_make_intervals_wider() -> None:
    single = cases(200)
    repeated = np.repeat(np.arange(50), 4)
    alike = Cases(single.id, single.id, single.patient[repeated], single.target[repeated], single.score[repeated])
    alone = Cases(single.id, single.id, single.id, alike.target, alike.score)

    def width(which: Cases) -> float:
        low, high = intervals(which, 0.5)["accuracy_ci"]
        return high - low

    assert width(alike) == pytest.approx(2 * width(alone), rel=0.15)


def test_resamples_of_one_class_are_left_out_of_the_auc() -> None:
    ids = np.array([f"s{n}" for n in range(12)])
    rare = Cases(ids, ids, ids, np.array([1.0, 1.0] + [0.0] * 10), np.linspace(0.9, 0.1, 12))

    drawn = resampled(rare, 0.5, 500)["auc"]

    assert 0 < np.isnan(drawn).sum() < 250
    assert interval(drawn) is not None


def test_there_is_no_interval_where_most_resamples_have_no_value_or_there_is_one_patient() -> None:
    ids = np.array(["a", "b", "c"])
    positive = Cases(ids, ids, ids, np.ones(3), np.array([0.2, 0.7, 0.9]))
    one_patient = Cases(ids, ids, np.array(["p"] * 3), np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.7, 0.9]))

    assert intervals(positive, 0.5)["auc_ci"] is None
    assert intervals(positive, 0.5)["specificity_ci"] is None
    assert intervals(positive, 0.5)["accuracy_ci"] is not None
    assert set(intervals(one_patient, 0.5).values()) == {None}


def test_shuffled_labels_have_an_auc_interval_that_covers_one_half() -> None:
    drawn = cases(400, skill=3)
    shuffled = Cases(drawn.id, drawn.study, drawn.patient, np.random.default_rng(0).permutation(drawn.target), drawn.score)

    low, high = intervals(shuffled, 0.5)["auc_ci"]

    assert low < 0.5 < high
    assert intervals(drawn, 0.5)["auc_ci"][0] > 0.9


def test_all_rules_of_400_studies_take_less_than_three_seconds() -> None:
    rows = drawn_predictions(400, aggregator=True)
    decision = decide(drawn_predictions(200, seed=1, split="val", aggregator=True))

    started = time.process_time()
    evaluate(rows, decision)

    assert time.process_time() - started < 3
