"""Whether a score of 0.8 means that 8 of 10 are positive: temperature scaling and the calibration table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from training.evaluate.cases import Cases, logit, probability
from training.evaluate.metrics import BINS, bin_of, expected_calibration_error, negative_log_likelihood

LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures that are looked at. A fit at either end has no optimum: scores that separate the classes perfectly, or
that say nothing at all."""


def fit_temperature(cases: Cases) -> float | None:
    """The T > 0 whose sigmoid(logit / T) has the least negative log likelihood (Guo et al. 2017, section 4.2, for two
    classes). None when there is no such: one class only, perfectly separated, or scores without information.
    """
    if not cases.both_classes:
        return None
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(at_temperature(cases, float(np.exp(log_t)))),
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    temperature = float(np.exp(found.x))
    return temperature if 1.02 * LOWEST < temperature < HIGHEST / 1.02 else None


def at_temperature(cases: Cases, temperature: float) -> Cases:
    """The same cases with scores sigmoid(logit(score) / temperature)."""
    return replace(cases, score=probability(logit(cases.score) / temperature))


def calibrated_figures(cases: Cases, temperature: float | None) -> dict[str, float | None]:
    """ECE, Brier score and log loss after scaling by a temperature that was fitted on other studies."""
    if temperature is None or not cases.n:
        return {"temperature": temperature, "ece": None, "brier": None, "log_loss": None}
    scaled = at_temperature(cases, temperature)
    return {
        "temperature": temperature,
        "ece": expected_calibration_error(scaled),
        "brier": float(np.mean((scaled.score - scaled.target) ** 2)),
        "log_loss": negative_log_likelihood(scaled),
    }


def calibration_table(cases: Cases) -> list[dict[str, float | int | None]]:
    """Ten bins of equal width: `from`, `to`, `n`, mean score, share of positives (both None in an empty bin)."""
    bins = bin_of(cases.score)
    table: list[dict[str, float | int | None]] = []
    for number in range(BINS):
        inside = cases.where(bins == number)
        table.append(
            {
                "from": number / BINS,
                "to": (number + 1) / BINS,
                "n": inside.n,
                "mean_score": float(inside.score.mean()) if inside.n else None,
                "share_positive": float(inside.target.mean()) if inside.n else None,
            }
        )
    return table
