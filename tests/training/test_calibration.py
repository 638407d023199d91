"""Thresholds and temperatures: chosen on validation, then frozen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from schemas.errors import RadforgeError
from tests.training.drawn_run import drawn_predictions, predictions
from training.evaluate.calibration import at_temperature, calibrated_figures, calibration_table, fit_temperature
from training.evaluate.cases import Cases, logit, probability
from training.evaluate.decision import Decision, best_threshold, decide, read_decision, write_decision
from training.evaluate.metrics import expected_calibration_error, negative_log_likelihood


def cases(target: np.ndarray | list[float], score: np.ndarray | list[float]) -> Cases:
    ids = np.array([f"s{n:05d}" for n in range(len(target))])
    return Cases(ids, ids, ids, np.asarray(target, dtype=np.float64), np.asarray(score, dtype=np.float64))


def overconfident(number: int, seed: int, factor: float = 3.0) -> Cases:
    """Scores whose logits are `factor` times what they should be."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 1.5, number)
    return cases((rng.random(number) < probability(true)).astype(float), probability(factor * true))


def test_the_threshold_has_the_best_balanced_accuracy_of_all_cuts() -> None:
    rng = np.random.default_rng(0)
    for _ in range(6):
        target = np.append(rng.integers(0, 2, 40), [0, 1]).astype(float)
        drawn = cases(target, np.round(np.clip(rng.normal(0.4 + 0.2 * target, 0.2), 0, 1) * 0.5, 2) * 2)
        every = [balanced_accuracy_score(target, drawn.score > cut) for cut in np.arange(-0.005, 1.01, 0.02)]

        found = best_threshold(drawn)

        assert balanced_accuracy_score(target, drawn.score > found) == pytest.approx(max(every))


def test_of_equally_good_cuts_the_middle_of_the_widest_gap_is_taken() -> None:
    assert best_threshold(cases([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9])) == pytest.approx(0.4)
    # Cuts in 0.1-0.2 and in 0.3-0.8 are both right in three of four.
    assert best_threshold(cases([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.8])) == pytest.approx(0.55)


def test_the_threshold_finds_scores_that_drifted_away_from_one_half() -> None:
    rng = np.random.default_rng(0)
    target = np.tile([0.0, 1.0], 100)
    drifted = cases(target, probability(rng.normal(4 * (target - 0.5), 1) + 6))

    threshold = best_threshold(drifted)

    assert balanced_accuracy_score(target, drifted.score > 0.5) < 0.55
    assert balanced_accuracy_score(target, drifted.score > threshold) > 0.95


def test_the_temperature_is_what_the_logits_were_multiplied_with() -> None:
    assert fit_temperature(overconfident(20_000, 0, factor=3.0)) == pytest.approx(3.0, rel=0.05)
    assert fit_temperature(overconfident(20_000, 1, factor=0.5)) == pytest.approx(0.5, rel=0.05)


def test_the_temperature_has_the_least_likelihood_of_a_grid() -> None:
    drawn = overconfident(300, 5)
    found = fit_temperature(drawn)
    grid = min(negative_log_likelihood(at_temperature(drawn, t)) for t in np.geomspace(0.1, 10, 400))

    assert negative_log_likelihood(at_temperature(drawn, found)) <= grid + 1e-7


def test_a_temperature_fitted_on_validation_mends_new_studies_and_keeps_their_order() -> None:
    temperature = fit_temperature(overconfident(1000, 0))
    new = overconfident(1000, 1)

    after = calibrated_figures(new, temperature)

    assert after["ece"] < 0.6 * expected_calibration_error(new)
    assert after["log_loss"] < negative_log_likelihood(new)
    assert (np.argsort(at_temperature(new, temperature).score) == np.argsort(new.score)).all()


@pytest.mark.parametrize(
    ("target", "score"),
    [([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]), ([1, 1], [0.3, 0.6]), ([0, 1, 0, 1], [0.9, 0.1, 0.8, 0.2])],
    ids=["perfectly separated", "one class", "upside down"],
)
def test_there_is_no_temperature_without_an_optimum(target: list[float], score: list[float]) -> None:
    assert fit_temperature(cases(target, score)) is None
    assert calibrated_figures(cases(target, score), None)["ece"] is None


def test_logit_and_probability_are_inverse_and_finite_at_the_ends() -> None:
    values = np.array([-25.0, -1.0, 0.0, 3.0, 25.0])

    assert logit(probability(values)) == pytest.approx(values, abs=1e-3)
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
    assert np.isfinite(probability(np.array([-1000.0, 1000.0]))).all()


def test_the_calibration_table_counts_every_case_once() -> None:
    table = calibration_table(cases([0, 1, 1, 1], [0.0, 0.1, 0.95, 1.0]))

    assert [row["n"] for row in table] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert table[9]["share_positive"] == 1
    assert table[9]["mean_score"] == pytest.approx(0.975)
    assert table[5]["mean_score"] is None


def test_a_decision_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    decision = decide(drawn_predictions(60, split="val", aggregator=True))

    write_decision(tmp_path, decision)

    assert read_decision(tmp_path) == decision


def test_without_validation_every_threshold_is_one_half_and_it_is_said() -> None:
    assert decide(None) == Decision()
    assert decide(None).of("aggregator").threshold == 0.5
    assert decide(None).of("aggregator").source == "default"
    assert decide(None).of("alo").source == "fixed"


def test_validation_of_one_class_chooses_nothing() -> None:
    decision = decide(predictions([("a", "p", 1, 0.9), ("b", "q", 1, 0.2)], split="val"))

    assert decision.of("max").source == "default"
    assert decision.of("max").threshold == 0.5
    assert decision.n_studies == 2


def test_a_run_without_a_decision_or_with_a_damaged_one_says_so(tmp_path: Path) -> None:
    with pytest.raises(RadforgeError, match="no threshold yet"):
        read_decision(tmp_path)
    (tmp_path / "decision.json").write_text('{"rules": 3}')
    with pytest.raises(RadforgeError, match="damaged"):
        read_decision(tmp_path)
