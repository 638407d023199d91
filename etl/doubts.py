"""Which decisions about a picture somebody should look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.recipe import Review

_CONTRADICTED = 0.25  # how sure a body part is that the pixels contradict


def doubts(row: Mapping[str, Any], review: Review) -> list[str]:
    """The decisions of a manifest row that are less sure than `review.below`; [] for a row nobody needs to see."""
    return [name for name, sure in confidences(row).items() if sure < review.below]


def confidences(row: Mapping[str, Any]) -> dict[str, float]:
    """How sure each decision about a picture is, 0..1, where 0.5 is a guess; a step that took none is left out."""
    sure = {
        "inversion": _of_score(row.get("inversion_score")),
        "split": row.get("split_score"),
        "rotation": row.get("rotation_confidence"),
        "body_part": _CONTRADICTED if row.get("body_part_suspect") else None,
    }
    return {name: float(value) for name, value in sure.items() if value is not None}


def _of_score(score: float | None) -> float | None:
    """-1 sure of one answer .. 1 sure of the other -> 0.5 .. 1."""
    return None if score is None else (1 + min(1.0, abs(score))) / 2
