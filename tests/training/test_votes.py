"""The ways from pictures to a study."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tests.training.drawn_run import drawn_predictions, predictions
from training.evaluate.correct_share import correct_shares
from training.evaluate.decision import decide
from training.evaluate.evaluate import evaluate
from training.evaluate.mistakes import mistakes
from training.evaluate.votes import cases_by_rule, headline

STUDY_OF_THREE = [("a", "p", 1, 0.9), ("a", "p", 1, 0.3), ("a", "p", 1, 0.2)]


def called(rows: list[tuple[str, str, int, float]], rule: str) -> bool:
    return bool(cases_by_rule(predictions(rows))[rule].score[0] > 0.5)


def test_majority_needs_more_than_half_of_the_pictures() -> None:
    assert not called(STUDY_OF_THREE, "majority")
    assert called([*STUDY_OF_THREE, ("a", "p", 1, 0.6), ("a", "p", 1, 0.6)], "majority")


@pytest.mark.parametrize(("scores", "positive"), [((0.9, 0.2), True), ((0.8, 0.1), False), ((0.51, 0.4), False)])
def test_a_tie_goes_by_the_mean_probability(scores: tuple[float, float], positive: bool) -> None:
    assert called([("a", "p", 1, score) for score in scores], "majority") is positive


def test_the_majority_score_says_the_same_as_counting_votes() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        scores = rng.random(int(rng.integers(1, 9)))
        votes = int((scores > 0.5).sum())
        counted = scores.mean() > 0.5 if 2 * votes == len(scores) else 2 * votes > len(scores)
        assert called([("a", "p", 1, float(score)) for score in scores], "majority") == counted


def test_at_least_one_needs_one_picture_and_scores_as_the_highest() -> None:
    rules = cases_by_rule(predictions(STUDY_OF_THREE))

    assert called(STUDY_OF_THREE, "alo")
    assert rules["alo"].score == pytest.approx([0.9])
    assert rules["max"].score == pytest.approx([0.9])
    assert rules["mean"].score == pytest.approx([1.4 / 3])


def test_each_study_counts_once_whatever_the_order_of_the_rows() -> None:
    table = drawn_predictions(40, aggregator=True)
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))

    for name, cases in cases_by_rule(table).items():
        again = cases_by_rule(shuffled)[name]
        assert cases.id.tolist() == again.id.tolist()
        assert cases.score.tolist() == pytest.approx(again.score.tolist())
        assert cases.target.tolist() == again.target.tolist()
        assert cases.n == (40 if name != "instance" else sum(level == "instance" for level in table["level"].to_pylist()))


def test_a_study_model_brings_the_aggregator_and_is_known_by_it() -> None:
    assert headline(cases_by_rule(drawn_predictions(10, aggregator=True))) == "aggregator"
    assert headline(cases_by_rule(drawn_predictions(10))) == "max"


def test_pictures_without_a_label_are_left_out_and_counted() -> None:
    rows = predictions([*STUDY_OF_THREE, ("b", "q", 0, 0.2), ("c", "r", None, 0.9), ("c", "r", None, 0.8)])

    result = evaluate(rows, decide(None), count=10)

    assert (result["n_studies"], result["n_instances"], result["unlabelled_studies"]) == (2, 4, 1)


def test_the_result_has_the_shape_of_the_contract() -> None:
    validation = drawn_predictions(40, seed=1, split="val", aggregator=True)
    decision = decide(validation)

    result = evaluate(drawn_predictions(40, aggregator=True), decision, count=50)

    assert {"split", "n_studies", "n_instances", "threshold", "instance", "study"} <= set(result)
    assert list(result["study"]) == ["majority", "alo", "max", "mean", "aggregator"]
    assert result["threshold"] == result["study"][result["headline"]]["threshold"]
    for figures in (result["instance"], *result["study"].values()):
        assert {"accuracy", "auc", "sensitivity", "specificity"} <= set(figures)
        low, high = figures["accuracy_ci"]
        assert low <= figures["accuracy"] <= high


def test_votes_stay_at_one_half_and_the_others_follow_validation() -> None:
    decision = decide(drawn_predictions(60, seed=1, split="val", aggregator=True))

    assert {name: rule.source for name, rule in decision.rules.items()} == {
        "instance": "validation",
        "majority": "fixed",
        "alo": "fixed",
        "max": "validation",
        "mean": "validation",
        "aggregator": "validation",
    }
    assert decision.of("alo").threshold == decision.of("majority").threshold == 0.5


def test_the_share_of_right_pictures_is_told_by_class() -> None:
    negative = [("b", "q", 0, 0.1), ("b", "q", 0, 0.9), ("c", "r", 0, 0.2)]

    shares = correct_shares(cases_by_rule(predictions([*STUDY_OF_THREE, *negative]))["instance"])

    assert shares["positive"]["mean"] == pytest.approx(1 / 3)
    assert shares["positive"]["studies"] == {"none": 0, "less than half": 1, "half": 0, "more than half": 0, "all": 0}
    assert shares["negative"]["studies"] == {"none": 0, "less than half": 0, "half": 1, "more than half": 0, "all": 1}


def test_mistakes_come_worst_first_with_all_their_pictures() -> None:
    rows = predictions([("a", "p", 1, 0.4), ("a", "p", 1, 0.1), ("b", "q", 0, 0.95), ("c", "r", 0, 0.3), ("d", "s", 1, 0.7)])

    found = mistakes(rows, cases_by_rule(rows)["max"], "max", 0.5)

    assert [(each.study_id, each.target, each.image_ids) for each in found] == [("b", 0, ("b.1",)), ("a", 1, ("a.1", "a.2"))]


def test_an_extreme_logit_keeps_its_rank() -> None:
    rows = predictions([("a", "p", 0, 0.5), ("b", "q", 1, 0.5)])
    # In float32 both probabilities would be exactly 1.
    rows = rows.set_column(rows.column_names.index("logit"), "logit", pa.array([20.0, 25.0], pa.float32()))

    assert evaluate(rows, decide(None), count=10)["study"]["max"]["auc"] == 1.0
