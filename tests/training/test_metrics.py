"""Every figure against scikit-learn, or against a case worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from training.evaluate.cases import Cases
from training.evaluate.metrics import BINS, metrics


def cases(target: list[float] | np.ndarray, score: list[float] | np.ndarray) -> Cases:
    ids = np.array([f"s{n:04d}" for n in range(len(target))])
    return Cases(ids, ids, ids, np.asarray(target, dtype=np.float64), np.asarray(score, dtype=np.float64))


@pytest.fixture(params=[(400, 0), (57, 1), (12, 2)])
def drawn(request: pytest.FixtureRequest) -> Cases:
    number, seed = request.param
    rng = np.random.default_rng(seed)
    target = (rng.random(number) < 0.3).astype(float)
    target[:2] = [0, 1]
    # Rounded, so that there are ties.
    return cases(target, np.round(np.clip(rng.normal(0.35 + 0.25 * target, 0.2), 0.01, 0.99), 2))


@pytest.mark.parametrize("threshold", [0.5, 0.415])
def test_every_figure_agrees_with_scikit_learn(drawn: Cases, threshold: float) -> None:
    called = drawn.score > threshold
    expected = {
        "accuracy": sk.accuracy_score(drawn.target, called),
        "balanced_accuracy": sk.balanced_accuracy_score(drawn.target, called),
        "sensitivity": sk.recall_score(drawn.target, called),
        "specificity": sk.recall_score(drawn.target, called, pos_label=0),
        "precision": sk.precision_score(drawn.target, called),
        "npv": sk.precision_score(drawn.target, called, pos_label=0),
        "f1": sk.f1_score(drawn.target, called),
        "auc": sk.roc_auc_score(drawn.target, drawn.score),
        "ap": sk.average_precision_score(drawn.target, drawn.score),
        "brier": sk.brier_score_loss(drawn.target, drawn.score),
        "log_loss": sk.log_loss(drawn.target, drawn.score),
    }

    found = metrics(drawn, threshold)

    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["n"] == len(drawn.target)


def test_eight_studies_worked_by_hand() -> None:
    # Above 0.5: 0.9 (1), 0.8 (1), 0.7 (0), 0.6 (1); below: 0.5 (0), 0.4 (1), 0.2 (0), 0.1 (0).
    found = metrics(cases([1, 1, 0, 1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2, 0.1]), 0.5)

    assert (found["tp"], found["fp"], found["tn"], found["fn"]) == (3, 1, 3, 1)
    assert found["accuracy"] == found["sensitivity"] == found["specificity"] == found["precision"] == found["npv"] == 0.75
    assert found["auc"] == pytest.approx(13 / 16)  # of 16 pairs, 0.7 beats 0.6 and 0.4, 0.5 beats 0.4
    assert found["ap"] == pytest.approx((1 + 1 + 3 / 4 + 4 / 6) / 4)
    assert found["brier"] == pytest.approx((0.01 + 0.04 + 0.49 + 0.16 + 0.25 + 0.36 + 0.04 + 0.01) / 8)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.3, 0.6, 0.5, 0.4, 0.8, 0.9]).mean())


def test_the_calibration_error_worked_by_hand() -> None:
    # Bin 0.1-0.2: mean 0.15, share 0.5, 2 of 5 cases. Bin 0.9-1: mean 0.95, share 2/3, 3 of 5.
    found = metrics(cases([0, 1, 1, 1, 0], [0.14, 0.16, 0.92, 0.96, 0.97]), 0.5)

    assert found["ece"] == pytest.approx(2 / 5 * abs(0.15 - 0.5) + 3 / 5 * abs(0.95 - 2 / 3))


def test_the_calibration_error_is_none_where_scores_mean_what_they_say() -> None:
    rng = np.random.default_rng(0)
    score = rng.random(200_000)

    found = metrics(cases((rng.random(200_000) < score).astype(float), score), 0.5)

    assert found["ece"] < 0.005  # ten bins of 20,000: sampling alone leaves about 0.002
    assert BINS == 10


def test_a_score_on_the_threshold_is_negative() -> None:
    found = metrics(cases([1, 0], [0.5, 0.5]), 0.5)

    assert (found["fn"], found["tn"]) == (1, 1)


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_with_one_class_what_is_not_defined_is_none(target: float) -> None:
    found = metrics(cases([target] * 3, [0.1, 0.6, 0.9]), 0.5)

    undefined = {"auc", "ap", "balanced_accuracy"} | ({"sensitivity"} if target == 0 else {"specificity"})
    assert {name for name, value in found.items() if value is None} == undefined
    assert found["accuracy"] == pytest.approx(2 / 3 if target else 1 / 3)
    assert found["log_loss"] is not None


def test_precision_is_none_where_nothing_is_called_positive() -> None:
    found = metrics(cases([1, 0], [0.2, 0.1]), 0.5)

    assert found["precision"] is None
    assert found["sensitivity"] == 0
    assert found["f1"] == 0


def test_a_certain_and_wrong_score_has_a_finite_loss() -> None:
    assert np.isfinite(metrics(cases([1, 0], [0.0, 1.0]), 0.5)["log_loss"])
