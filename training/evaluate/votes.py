"""From the scores of pictures to the score of a study: the thesis' votes and the usual alternatives.

Every rule is a score per study and a threshold; a study is positive when its score is above the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from training.evaluate.cases import Cases, Floats, at_level, floats, labelled, probability, strings

RULES: Mapping[str, str] = {
    "instance": "each picture by itself",
    "majority": "more than half of the pictures; a tie goes by the mean probability",
    "alo": "at least one picture",
    "max": "the highest picture against the threshold chosen on validation",
    "mean": "the mean probability of the pictures",
    "aggregator": "the model looks at all pictures of the study at once",
}
"""What each rule says, in the order of reports."""

FIXED_THRESHOLD: Mapping[str, float] = {"majority": 0.5, "alo": 0.5}
"""The thesis' votes count pictures above 0.5; all other rules take their threshold from validation."""


def cases_by_rule(rows: pa.Table) -> dict[str, Cases]:
    """Cases of every rule that the labelled rows of PREDICTIONS allow, sorted by id; a rule without rows is not there."""
    rows = labelled(rows)
    rules: dict[str, Cases] = {}
    instances = at_level(rows, "instance")
    if instances.num_rows:
        rules["instance"] = _cases(instances, "image_id")
        rules |= votes(rules["instance"])
    studies = at_level(rows, "study")
    if studies.num_rows:
        rules["aggregator"] = _cases(studies, "study_id")
    return rules


def votes(instances: Cases) -> dict[str, Cases]:
    """Cases of "majority", "alo", "max" and "mean": one per study, from one per picture.

    The majority's score is (positive votes + mean probability) / (pictures + 1): above 0.5 exactly when more than half
    of the pictures are, or exactly half are and the mean probability is.
    """
    study, first, member = np.unique(instances.study, return_index=True, return_inverse=True)
    views = np.bincount(member).astype(np.float64)
    mean = np.bincount(member, weights=instances.score) / views
    positive = np.bincount(member, weights=instances.score > 0.5)
    highest = np.full(len(study), -np.inf)
    np.maximum.at(highest, member, instances.score)

    def rule(score: Floats) -> Cases:
        return Cases(study, study, instances.patient[first], instances.target[first], score)

    return {
        "majority": rule((positive + mean) / (views + 1)),
        "alo": rule(highest),
        "max": rule(highest),
        "mean": rule(mean),
    }


def headline(rules: Mapping[str, object]) -> str:
    """The rule that a run is known by: the model's own word on studies where it has one, else the highest picture."""
    return "aggregator" if "aggregator" in rules else "max"


def _cases(rows: pa.Table, key: str) -> Cases:
    study, patient = strings(rows["study_id"]), strings(rows["patient_id"])
    return Cases(
        id=strings(rows[key]),
        study=study,
        patient=np.where(patient == "", study, patient),
        target=floats(rows["target"]),
        score=probability(floats(rows["logit"])),
    )
