"""Which pictures somebody should look at."""

from __future__ import annotations

from etl.doubts import confidences, doubts
from schemas.recipe import Review

ROW = {"inversion_score": -0.99, "split_score": 0.95, "rotation_confidence": 0.98}


def test_a_sure_row_needs_no_look() -> None:
    assert doubts(ROW, Review()) == []


def test_each_unsure_decision_is_named() -> None:
    assert doubts(ROW | {"inversion_score": 0.1}, Review()) == ["inversion"]
    assert doubts(ROW | {"split_score": 0.5, "rotation_confidence": 0.6}, Review()) == ["split", "rotation"]


def test_the_threshold_is_the_recipes() -> None:
    assert doubts(ROW, Review(below=0.97)) == ["split"]
    assert doubts(ROW | {"rotation_confidence": 0.0}, Review(below=0)) == []


def test_a_score_of_either_sign_is_sure_and_a_step_that_took_no_decision_is_left_out() -> None:
    assert confidences({"inversion_score": 0.8, "split_score": None, "rotation_confidence": None}) == {"inversion": 0.9}
