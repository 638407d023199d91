"""The rows of `train predict`: what was scored, what was left out and why, and every study as a whole."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.train_scores import NO_PICTURE, SCORES
from training.evaluate.cases import probability
from training.evaluate.decision import Decision, RuleDecision

Row = dict[str, Any]

_ORDER = ("study_id", "level", "source_id", "frame_index", "region_index", "image_id")


def scores(found: pa.Table | None, tables: Mapping[str, pa.Table], decision: Decision) -> pa.Table:
    """Rows of SCORES, sorted.

    `found`: rows of PREDICTIONS for every picture of the version (and for its studies, where the model sees studies); None
    when there is no picture. `tables`: the version's `manifest`, `drops` and `failures`.
    """
    pictures = _pictures(found, tables["manifest"], decision) if found is not None else []
    left_out = _left_out(tables["drops"], "drop", "reason", "detail") + _left_out(
        tables["failures"], "failure", "stage", "error"
    )
    studies = _studies(found, decision) if found is not None else []
    rows = [*pictures, *left_out, *_told(studies, left_out)]
    return pa.Table.from_pylist(rows, schema=SCORES).sort_by([(name, "ascending") for name in _ORDER])


def rule_of_studies(found: pa.Table) -> str:
    """`aggregator` where the model itself spoke of studies, else `max`: the highest picture."""
    return "aggregator" if pc.any(pc.equal(found["level"], "study")).as_py() else "max"


def _pictures(found: pa.Table, manifest: pa.Table, decision: Decision) -> list[Row]:
    columns = ["image_id", "source_id", "frame_index", "region_index"]
    place = {row["image_id"]: row for row in manifest.select(columns).to_pylist()}
    rows = found.filter(pc.equal(found["level"], "instance")).to_pylist()
    return [_scored(row | place[row["image_id"]], decision.of("instance")) for row in rows]


def _studies(found: pa.Table, decision: Decision) -> list[Row]:
    rule = rule_of_studies(found)
    if rule == "aggregator":
        return [_scored(row, decision.of(rule)) for row in found.filter(pc.equal(found["level"], "study")).to_pylist()]
    views: dict[str, list[Row]] = defaultdict(list)
    for row in found.to_pylist():
        views[row["study_id"]].append(row)
    return [
        _scored(
            {
                "level": "study",
                "study_id": study,
                "patient_id": rows[0]["patient_id"],
                "views": len(rows),
                "logit": max(row["logit"] for row in rows),
            },
            decision.of(rule),
        )
        for study, rows in views.items()
    ]


def _scored(row: Row, decided: RuleDecision) -> Row:
    # From the logit, as evaluation does: the stored float32 probability is exactly 1 from a logit of 17 on.
    chance = float(probability(row["logit"]))
    calm = float(probability(row["logit"] / decided.temperature)) if decided.temperature else None
    judged = {"probability": chance, "probability_calibrated": calm, "threshold": decided.threshold}
    return {**row, **judged, "positive": chance > decided.threshold, "fate": "scored"}


def _left_out(table: pa.Table, fate: str, reason: str, detail: str) -> list[Row]:
    ids = ("source_id", "study_id", "patient_id", "frame_index", "region_index")
    common = {"level": "instance", "views": 0, "fate": fate}
    return [
        {**common, **{name: row[name] for name in ids}, "reason": row[reason], "detail": row[detail] or None}
        for row in table.to_pylist()
    ]


def _told(studies: Sequence[Row], left_out: Sequence[Row]) -> list[Row]:
    """The studies, each with what of it was not scored; and those of which nothing was."""
    missing: dict[str, list[Row]] = defaultdict(list)
    for row in left_out:
        if row["study_id"] is not None and row["reason"] != "dicomdir":  # an index of studies is none
            missing[row["study_id"]].append(row)
    there = {row["study_id"] for row in studies}
    told = [row | {"detail": _counted(missing[row["study_id"]])} for row in studies]
    for study, rows in missing.items():
        if study not in there:
            patient = next((row["patient_id"] for row in rows if row["patient_id"] is not None), None)
            fate = "failure" if any(row["fate"] == "failure" for row in rows) else "drop"
            ids = {"level": "study", "study_id": study, "patient_id": patient, "views": 0}
            told.append({**ids, "fate": fate, "reason": NO_PICTURE, "detail": _counted(rows)})
    return told


def _counted(rows: Sequence[Row]) -> str | None:
    counts = Counter(row["reason"] for row in rows)
    listed = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
    return f"not scored: {listed}" if rows else None
