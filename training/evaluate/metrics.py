"""The figures of one rule at one threshold. What is not defined, for want of a class, is None: never 0, never a crash."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, log_loss, roc_auc_score

from training.evaluate.cases import EPSILON, Cases, Floats

BINS = 10
"""Bins of equal width in calibration tables and in the expected calibration error."""


def metrics(cases: Cases, threshold: float) -> dict[str, float | int | None]:
    """Accuracy, balanced accuracy, sensitivity, specificity, precision, negative predictive value (npv), F1, AUC,
    average precision (ap), Brier score, expected calibration error (ece), log loss (nats), and the counts n, tp, fp,
    tn, fn. A case is called positive when its score is above `threshold`.
    """
    called = cases.score > threshold
    tn, fp, fn, tp = (int(count) for count in confusion_matrix(cases.target, called, labels=[0, 1]).ravel())
    sensitivity, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    both = cases.both_classes
    return {
        "n": cases.n,
        "tp": tp,
        "fp": fp,
        "tn": tn,
        "fn": fn,
        "accuracy": _ratio(tp + tn, cases.n),
        "balanced_accuracy": None if sensitivity is None or specificity is None else (sensitivity + specificity) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "precision": _ratio(tp, tp + fp),
        "npv": _ratio(tn, tn + fn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "auc": float(roc_auc_score(cases.target, cases.score)) if both else None,
        "ap": float(average_precision_score(cases.target, cases.score)) if both else None,
        "brier": float(np.mean((cases.score - cases.target) ** 2)) if cases.n else None,
        "ece": expected_calibration_error(cases) if cases.n else None,
        "log_loss": negative_log_likelihood(cases) if cases.n else None,
    }


def expected_calibration_error(cases: Cases) -> float:
    """Mean distance between the mean score and the share of positives over ten bins of equal width, weighted by their
    cases (Naeini et al. 2015, for the positive class).
    """
    gaps = np.bincount(bin_of(cases.score), weights=cases.score - cases.target, minlength=BINS)
    return float(np.abs(gaps).sum() / cases.n)


def negative_log_likelihood(cases: Cases) -> float:
    """Mean negative log likelihood in nats; finite, because no probability is taken for exactly 0 or 1."""
    return float(log_loss(cases.target, np.clip(cases.score, EPSILON, 1 - EPSILON), labels=[0, 1]))


def bin_of(score: Floats) -> NDArray[np.int64]:
    """The calibration bin of each score, 0 to BINS - 1; a score of 1 belongs to the last."""
    return np.minimum((score * BINS).astype(np.int64), BINS - 1)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
