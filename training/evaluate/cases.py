"""What a rule judged: one case per picture or per study, with the truth and the rule's score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
Strings = NDArray[np.str_]
EPSILON = 1e-12
"""Probabilities are kept this far from 0 and 1 where a logarithm is taken."""


@dataclass(frozen=True)
class Cases:
    """n cases in the order of their ids. `score` is the chance of the positive class as the rule sees it, 0..1."""

    id: Strings
    study: Strings
    patient: Strings
    target: Floats
    score: Floats

    @property
    def n(self) -> int:
        """Number of cases."""
        return len(self.target)

    @property
    def both_classes(self) -> bool:
        """Whether there are positive and negative cases: else there is no AUC."""
        return 0 < int(self.target.sum()) < self.n

    def where(self, keep: NDArray[np.bool_]) -> Cases:
        """The cases that `keep` (n,) is true for."""
        return Cases(self.id[keep], self.study[keep], self.patient[keep], self.target[keep], self.score[keep])


def labelled(rows: pa.Table) -> pa.Table:
    """The rows of PREDICTIONS that have a target."""
    return rows.filter(pc.and_kleene(pc.is_valid(rows["target"]), pc.invert(pc.is_nan(rows["target"]))))


def at_level(rows: pa.Table, level: str) -> pa.Table:
    """The rows of one level ("instance" or "study"), in the order of study and picture."""
    chosen = rows.filter(pc.equal(rows["level"], level))
    return chosen.sort_by([("study_id", "ascending"), ("image_id", "ascending")])


def probability(logit: Any) -> Floats:
    """Sigmoid in float64. The stored float32 probability is already exactly 1 at a logit of 17."""
    return np.asarray(expit(np.asarray(logit, dtype=np.float64)))


def logit(score: Floats) -> Floats:
    """The inverse of the sigmoid, finite everywhere."""
    inside = np.clip(score, EPSILON, 1 - EPSILON)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def strings(column: pa.ChunkedArray) -> Strings:
    """A column of ids as a NumPy array; a missing id becomes the empty string."""
    return np.asarray(pc.fill_null(column, "").to_pylist(), dtype=np.str_)


def floats(column: pa.ChunkedArray) -> Floats:
    """A column of numbers as float64."""
    return np.asarray(column.to_numpy(), dtype=np.float64)
