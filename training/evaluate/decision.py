"""What is chosen on validation and then frozen: one threshold and one temperature per rule, in RUN/decision.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import RadforgeError
from schemas.training_run import write_json
from training.evaluate.calibration import fit_temperature
from training.evaluate.cases import Cases
from training.evaluate.votes import FIXED_THRESHOLD, cases_by_rule

FILE = "decision.json"


class RuleDecision(BaseModel):
    """How one rule decides."""

    model_config = ConfigDict(frozen=True)

    threshold: float = 0.5
    """A score above it is called positive."""
    source: Literal["validation", "fixed", "default"] = "default"
    """`fixed`: 0.5 by the rule's own words; `default`: 0.5 because validation could not tell."""
    temperature: float | None = None
    """Divides the logit of the score to calibrate it; None where it could not be fitted."""


class Decision(BaseModel):
    """The frozen decision of a run."""

    model_config = ConfigDict(frozen=True)

    rules: Mapping[str, RuleDecision] = Field(default_factory=dict)
    n_studies: int = 0
    """Labelled validation studies that it was chosen on; 0: there were none."""

    def of(self, rule: str) -> RuleDecision:
        """The decision of a rule; 0.5 for one that validation had no rows for."""
        fixed = rule in FIXED_THRESHOLD
        return self.rules.get(rule, RuleDecision(source="fixed" if fixed else "default"))


def decide(rows: pa.Table | None) -> Decision:
    """The decision from validation rows of PREDICTIONS; None or no labelled row leaves every threshold at 0.5."""
    rules = cases_by_rule(rows) if rows is not None else {}
    return Decision(
        rules={name: _decide(name, cases) for name, cases in rules.items()},
        n_studies=max((len(np.unique(cases.study)) for cases in rules.values()), default=0),
    )


def best_threshold(cases: Cases) -> float | None:
    """The cut with the highest balanced accuracy (Youden's J); of several, the middle of the widest gap between scores.

    None when there is only one class.
    """
    if not cases.both_classes:
        return None
    scores, member = np.unique(cases.score, return_inverse=True)
    positive = np.bincount(member, weights=cases.target)
    negative = np.bincount(member, weights=1 - cases.target)
    # A cut lies below all scores, between two neighbours, or above all: what is above it is called positive.
    edges = np.concatenate([[min(0.0, scores[0])], scores, [max(1.0, scores[-1])]])
    sensitivity = 1 - np.concatenate([[0], np.cumsum(positive)]) / positive.sum()
    specificity = np.concatenate([[0], np.cumsum(negative)]) / negative.sum()
    balanced = (sensitivity + specificity) / 2
    gaps = np.where(balanced >= balanced.max() - 1e-12, np.diff(edges), -1.0)
    cut = int(np.argmax(gaps))
    return float((edges[cut] + edges[cut + 1]) / 2)


def write_decision(folder: Path, decision: Decision) -> None:
    """Freeze it in the run's folder. Raises RadforgeError when the disk refuses."""
    write_json(folder / FILE, decision.model_dump())


def read_decision(folder: Path) -> Decision:
    """The frozen decision of a run. Raises RadforgeError when it is missing or damaged."""
    try:
        return Decision.model_validate_json((folder / FILE).read_bytes())
    except OSError:
        raise RadforgeError(
            "the run has chosen no threshold yet", str(folder), expected=f"{FILE}, as a finished run has"
        ) from None
    except ValidationError:
        raise RadforgeError(f"{FILE} is damaged", str(folder)) from None


def _decide(rule: str, cases: Cases) -> RuleDecision:
    temperature = fit_temperature(cases)
    if rule in FIXED_THRESHOLD:
        return RuleDecision(threshold=FIXED_THRESHOLD[rule], source="fixed", temperature=temperature)
    threshold = best_threshold(cases)
    if threshold is None:
        return RuleDecision(temperature=temperature)
    return RuleDecision(threshold=threshold, source="validation", temperature=temperature)
