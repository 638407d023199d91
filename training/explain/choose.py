"""Which studies are worth looking at: those found, most confident first, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.films import Films

Verdict = Literal["found", "missed", "false alarm", "rightly negative", "no label"]


@dataclass(frozen=True, eq=False)
class Case:
    """One study and what the network says of it."""

    study_id: str
    positions: NDArray[np.int64]
    """Of its views in Films."""
    target: float
    """0 or 1; NaN without a label."""
    logit: float
    """Of the whole study; the highest view's where the network sees single views."""
    distance: float
    """How far the logit lies above (or below) the threshold's."""

    @property
    def called(self) -> bool:
        """Whether it was called positive."""
        return self.distance > 0

    @property
    def verdict(self) -> Verdict:
        """Label and call, in words."""
        if np.isnan(self.target):
            return "no label"
        if self.target > 0.5:
            return "found" if self.called else "missed"
        return "false alarm" if self.called else "rightly negative"


def cases(films: Films, studies: Sequence[NDArray[np.int64]], logits: Sequence[float], threshold: float) -> list[Case]:
    """A Case of each study; `threshold` is a probability, as decision.json keeps it."""
    cut = np.log(threshold) - np.log1p(-threshold) if 0 < threshold < 1 else np.inf if threshold >= 1 else -np.inf
    return [
        Case(
            films.study_ids[films.study[positions[0]]], positions, float(films.target[positions[0]]), logit, float(logit - cut)
        )
        for positions, logit in zip(studies, logits, strict=True)
    ]


def choose(found: Sequence[Case], limit: int) -> list[Case]:
    """At most `limit` studies: half of them found ones, then mistakes, farthest from the threshold first; what is left goes to
    more of either, then to all others, the most positive first.
    """
    hits = sorted((case for case in found if case.verdict == "found"), key=_most_positive)
    mistakes = sorted((case for case in found if case.verdict in ("missed", "false alarm")), key=_farthest)
    half = limit - min(limit // 2, len(mistakes))
    first = hits[:half]
    chosen = [*first, *mistakes[: limit - len(first)]]
    others = sorted(
        (case for case in found if case not in chosen), key=lambda case: (case.verdict != "found", *_most_positive(case))
    )
    return [*chosen, *others[: limit - len(chosen)]]


def _most_positive(case: Case) -> tuple[float, str]:
    return -case.logit, case.study_id


def _farthest(case: Case) -> tuple[float, str]:
    return -abs(case.distance), case.study_id
