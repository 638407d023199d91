"""95 % intervals by resampling patients: the pictures and studies of one patient are not independent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training.evaluate.cases import Cases, Floats

RESAMPLES = 1000
LEVEL = 0.95
CELLS = 4_000_000
"""Resamples are computed in portions of so many cells (resamples x cases), to bound the memory."""

WITH_INTERVAL = (
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "precision",
    "npv",
    "f1",
    "auc",
    "ap",
    "brier",
)
"""Figures that come with an interval. The calibration error does not: resampling makes it larger than it is."""


def resampled(cases: Cases, threshold: float, count: int = RESAMPLES, seed: int = 0) -> dict[str, Floats]:
    """Each figure of WITH_INTERVAL in `count` resamples of the patients, (count,), NaN where it is not defined.

    Patients are drawn with replacement, each with all its cases. Cases with the same patients and the same seed are
    resampled alike, so that two rules or two runs can be compared resample by resample.
    """
    parts = [_figures(cases, threshold, weights) for weights in _weights(cases, count, seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in WITH_INTERVAL}


def interval(values: Floats) -> list[float] | None:
    """The middle 95 % of the resamples that have a value; None when fewer than half have one."""
    there = values[np.isfinite(values)]
    if len(there) < max(len(values) / 2, 1):
        return None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(there, [tail, 1 - tail])
    return [float(low), float(high)]


def intervals(cases: Cases, threshold: float, count: int = RESAMPLES, seed: int = 0) -> dict[str, list[float] | None]:
    """`<figure>_ci` for each figure of WITH_INTERVAL; None from fewer than two patients, which cannot vary."""
    if len(np.unique(cases.patient)) < 2:
        return {f"{name}_ci": None for name in WITH_INTERVAL}
    return {f"{name}_ci": interval(values) for name, values in resampled(cases, threshold, count, seed).items()}


def _weights(cases: Cases, count: int, seed: int) -> Iterator[Floats]:
    """How often each case is in each resample: (resamples, n), in portions."""
    patients, member = np.unique(cases.patient, return_inverse=True)
    rng = np.random.default_rng(seed)
    # Drawn from the number of patients alone, so that the draw is the same for every rule and run on the same patients.
    portion = max(1, CELLS // max(cases.n, len(patients)))
    for start in range(0, count, portion):
        drawn = rng.integers(0, len(patients), (min(portion, count - start), len(patients)))
        yield _times_drawn(drawn)[:, member].astype(np.float64)


def _times_drawn(drawn: NDArray[np.int64]) -> NDArray[np.int64]:
    resamples, patients = drawn.shape
    cells = drawn + patients * np.arange(resamples)[:, None]
    return np.bincount(cells.ravel(), minlength=drawn.size).reshape(resamples, patients)


def _figures(cases: Cases, threshold: float, weights: Floats) -> dict[str, Floats]:
    """The figures of `metrics.metrics` for weighted cases, one per row of `weights` (resamples, n)."""
    target = cases.target
    called = (cases.score > threshold).astype(np.float64)
    total, positive = weights.sum(1), weights @ target
    tp, alarms = weights @ (target * called), weights @ called
    negative, fn = total - positive, positive - tp
    tn = negative - (alarms - tp)
    auc, ap = _auc_ap(cases, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, specificity = tp / positive, tn / negative
        return {
            "accuracy": (tp + tn) / total,
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "precision": tp / alarms,
            "npv": tn / (tn + fn),
            "f1": 2 * tp / (positive + alarms),
            "auc": auc,
            "ap": ap,
            "brier": weights @ (cases.score - target) ** 2 / total,
        }


def _auc_ap(cases: Cases, weights: Floats) -> tuple[Floats, Floats]:
    """AUC (Mann-Whitney, ties count half) and average precision of weighted cases, each (resamples,)."""
    order = np.argsort(-cases.score, kind="stable")
    first = np.flatnonzero(np.diff(cases.score[order], prepend=np.inf))
    sorted_weights, target = weights[:, order], cases.target[order]
    positive = np.add.reduceat(sorted_weights * target, first, axis=1)
    negative = np.add.reduceat(sorted_weights * (1 - target), first, axis=1)
    above_positive, above_negative = positive.cumsum(1), negative.cumsum(1)
    all_positive, all_negative = above_positive[:, -1], above_negative[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        below = all_negative[:, None] - above_negative + negative / 2
        auc = (positive * below).sum(1) / (all_positive * all_negative)
        precision = above_positive / np.maximum(above_positive + above_negative, 1e-300)
        ap = np.where(all_negative > 0, (positive * precision).sum(1) / all_positive, np.nan)
    return np.asarray(auc), np.asarray(ap)
