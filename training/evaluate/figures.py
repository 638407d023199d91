"""M of the contract: the figures of one rule with their intervals, and what calibration would change."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.evaluate.calibration import calibrated_figures
from training.evaluate.cases import Cases
from training.evaluate.decision import RuleDecision
from training.evaluate.intervals import RESAMPLES, WITH_INTERVAL, intervals
from training.evaluate.metrics import metrics


def figures(cases: Cases, decision: RuleDecision, count: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """All figures of `metrics.metrics`, each of WITH_INTERVAL followed by `<figure>_ci`, then `threshold`,
    `threshold_source`, `accuracy_at_half` (the share that a threshold of 0.5 gets right) and `calibrated`.
    """
    values = metrics(cases, decision.threshold)
    ranges = intervals(cases, decision.threshold, count, seed)
    told: dict[str, Any] = {}
    for name, value in values.items():
        told[name] = value
        if name in WITH_INTERVAL:
            told[f"{name}_ci"] = ranges[f"{name}_ci"]
    return told | {
        "threshold": decision.threshold,
        "threshold_source": decision.source,
        "accuracy_at_half": float(np.mean((cases.score > 0.5) == (cases.target > 0.5))) if cases.n else None,
        "calibrated": calibrated_figures(cases, decision.temperature),
    }
