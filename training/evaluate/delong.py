"""The test of DeLong, DeLong & Clarke-Pearson (1988) for two AUCs on the same cases, in the fast form of Sun & Xu (2014)."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, rankdata

from training.evaluate.cases import Floats


def delong(target: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """AUCs (k,) and their covariance (k, k) from `scores` (k, n) of k models on n cases with `target` 0/1.

    Sun & Xu, IEEE Signal Processing Letters 21(11), equations 5-8: structural components from midranks. Needs two cases
    of each class.
    """
    positive, negative = scores[:, target == 1], scores[:, target == 0]
    m, n = positive.shape[1], negative.shape[1]
    ranks = rankdata(np.concatenate([positive, negative], axis=1), axis=1)
    of_positive = (ranks[:, :m] - rankdata(positive, axis=1)) / n
    of_negative = 1 - (ranks[:, m:] - rankdata(negative, axis=1)) / m
    covariance = np.atleast_2d(np.cov(of_positive)) / m + np.atleast_2d(np.cov(of_negative)) / n
    return of_positive.mean(axis=1), covariance


def delong_p(target: Floats, first: Floats, second: Floats) -> float | None:
    """Two-sided p of equal AUCs of two models on the same cases.

    1 when the two do not differ at all; None when the test is not defined (fewer than two cases of a class, or a
    difference without variance).
    """
    if min(target.sum(), len(target) - target.sum()) < 2:
        return None
    aucs, covariance = delong(target, np.stack([first, second]))
    difference = float(aucs[0] - aucs[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance <= 1e-15:
        return 1.0 if abs(difference) < 1e-12 else None
    return float(2 * norm.sf(abs(difference) / np.sqrt(variance)))
