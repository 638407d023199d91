"""Two runs on the same studies: DeLong's test, paired intervals, and what they cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.training_run import TrainingRun
from tests.training.drawn_dataset import drawn_version
from tests.training.drawn_run import write_run
from training.evaluate.compare import compare
from training.evaluate.decision import decide, write_decision
from training.evaluate.delong import delong, delong_p


def brute_delong(target: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong et al. 1988, equations 3-6, pair by pair."""
    positive, negative = scores[:, target == 1], scores[:, target == 0]
    wins = (positive[:, :, None] > negative[:, None, :]) + 0.5 * (positive[:, :, None] == negative[:, None, :])
    of_positive, of_negative = wins.mean(2), wins.mean(1)
    auc = wins.mean((1, 2))
    m, n = positive.shape[1], negative.shape[1]
    s10 = (of_positive - auc[:, None]) @ (of_positive - auc[:, None]).T / (m - 1)
    s01 = (of_negative - auc[:, None]) @ (of_negative - auc[:, None]).T / (n - 1)
    return auc, s10 / m + s01 / n


def drawn_scores(number: int, seed: int, skills: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = np.append((rng.random(number - 4) < 0.4).astype(float), [0, 0, 1, 1])
    shared = rng.normal(0, 1, number)
    return target, np.stack([np.round(skill * target + shared + rng.normal(0, 0.7, number), 1) for skill in skills])


@pytest.mark.parametrize("number", [8, 35, 200])
def test_delong_agrees_with_the_pairwise_formula_and_with_scikit_learn(number: int) -> None:
    target, scores = drawn_scores(number, number, (1.0, 1.5))

    auc, covariance = delong(target, scores)

    expected_auc, expected_covariance = brute_delong(target, scores)
    assert auc == pytest.approx(expected_auc)
    assert auc == pytest.approx([roc_auc_score(target, score) for score in scores])
    assert covariance == pytest.approx(expected_covariance)


def test_delong_by_hand_on_five_cases() -> None:
    # Positives 3, 5 against negatives 1, 2, 4: the first beats two of three, the second all. AUC 5/6.
    target = np.array([1.0, 1, 0, 0, 0])
    auc, covariance = delong(target, np.array([[3.0, 5, 1, 2, 4]]))

    # Components of positives 2/3, 1: variance 1/18. Of negatives 1, 1, 1/2: variance 1/12.
    assert auc == pytest.approx([5 / 6])
    assert covariance == pytest.approx(np.array([[1 / 18 / 2 + 1 / 12 / 3]]))


def test_delong_p_is_the_two_sided_normal_probability() -> None:
    target, scores = drawn_scores(120, 3, (1.0, 2.0))
    auc, covariance = brute_delong(target, scores)
    z = (auc[0] - auc[1]) / np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])

    assert delong_p(target, scores[0], scores[1]) == pytest.approx(2 * norm.cdf(-abs(z)))


def test_delong_p_is_spread_evenly_where_the_runs_are_equally_good() -> None:
    drawn = [drawn_scores(150, seed, (1.0, 1.0)) for seed in range(300)]

    found = [delong_p(target, scores[0], scores[1]) for target, scores in drawn]

    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


def test_delong_says_one_for_a_run_against_itself_and_nothing_without_classes() -> None:
    target, scores = drawn_scores(40, 0, (1.0, 1.0))

    assert delong_p(target, scores[0], scores[0]) == 1.0
    assert delong_p(np.ones(40), scores[0], scores[1]) is None


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    return drawn_version(tmp_path_factory.mktemp("compare") / "ds", {"train": 2, "val": 40, "test": 80}, size=(16, 16))


def finished(folder: Path, version: DatasetVersion, **how: object) -> TrainingRun:
    run = write_run(folder, version, **how)  # type: ignore[arg-type]
    write_decision(folder, decide(run.predictions("val")))
    return run


def test_a_better_run_is_told_with_interval_p_time_and_hardware(tmp_path: Path, version: DatasetVersion) -> None:
    weak = finished(tmp_path / "weak", version, skill=0.8, aggregator=False, elapsed_s=100.0)
    strong = finished(tmp_path / "strong", version, skill=4.0, seed=1)

    result = compare([("weak", weak), ("strong", strong)])

    assert [row["run"] for row in result["runs"]] == ["weak", "strong"]
    assert [row["rule"] for row in result["runs"]] == ["max", "aggregator"]
    assert [row["elapsed_s"] for row in result["runs"]] == [100.0, 200.0]
    assert result["runs"][0]["images_per_s"] == pytest.approx(83)
    assert result["runs"][0]["hardware"] == "2 cores"
    assert result["runs"][0]["epochs"] == 9
    (difference,) = result["differences"]
    assert difference["auc"] == pytest.approx(result["runs"][1]["auc"] - result["runs"][0]["auc"])
    assert difference["auc_ci"][0] > 0
    assert difference["accuracy_ci"][0] <= difference["accuracy"] <= difference["accuracy_ci"][1]
    assert difference["delong_p"] < 0.01
    assert any("of one patient" in note for note in result["notes"])


def test_a_run_does_not_differ_from_itself(tmp_path: Path, version: DatasetVersion) -> None:
    run = finished(tmp_path / "run", version)

    (difference,) = compare([("a", run), ("b", run)])["differences"]

    assert difference["accuracy"] == 0
    assert difference["accuracy_ci"] == [0, 0]
    assert difference["delong_p"] == 1


def test_the_paired_interval_is_narrower_than_the_runs_own(tmp_path: Path, version: DatasetVersion) -> None:
    one, other = (finished(tmp_path / name, version, skill=1.0) for name in ("one", "other"))
    rows = other.predictions("test").to_pylist()
    for row in rows[:4]:
        row["logit"] = -row["logit"]
    pq.write_table(type(one.predictions("test")).from_pylist(rows), other.folder / "predictions" / "test.parquet")

    result = compare([("one", one), ("other", other)], rule="max")

    low, high = result["differences"][0]["auc_ci"]
    own_low, own_high = result["runs"][0]["auc_ci"]
    assert high - low < 0.7 * (own_high - own_low)


def test_only_common_studies_are_compared_and_it_is_said(tmp_path: Path, version: DatasetVersion) -> None:
    whole, part = finished(tmp_path / "whole", version), finished(tmp_path / "part", version, seed=2)
    rows = part.predictions("test")
    kept = sorted(set(rows["study_id"].to_pylist()))[:50]
    pq.write_table(
        rows.filter(pc.is_in(rows["study_id"], value_set=pa.array(kept, pa.string()))), part.folder / "predictions/test.parquet"
    )

    result = compare([("whole", whole), ("part", part)])

    assert result["n_studies"] == 50
    assert [row["left_out"] for row in result["runs"]] == [30, 0]
    assert [row["n"] for row in result["runs"]] == [50, 50]
    assert any("Only the 50 studies" in note for note in result["notes"])


def test_runs_on_other_labels_or_other_studies_are_refused(tmp_path: Path, version: DatasetVersion) -> None:
    run, turned, foreign = (finished(tmp_path / name, version) for name in ("run", "turned", "foreign"))
    for other, change in (
        (turned, lambda row: row | {"target": 1 - row["target"]}),
        (foreign, lambda row: row | {"study_id": "x" + row["study_id"]}),
    ):
        rows = other.predictions("test")
        pq.write_table(
            type(rows).from_pylist([change(row) for row in rows.to_pylist()]), other.folder / "predictions/test.parquet"
        )

    with pytest.raises(RadforgeError, match="different labels"):
        compare([("run", run), ("turned", turned)])
    with pytest.raises(RadforgeError, match="no study in common"):
        compare([("run", run), ("foreign", foreign)])
    with pytest.raises(RadforgeError, match="no such rule"):
        compare([("run", run)], rule="median")
