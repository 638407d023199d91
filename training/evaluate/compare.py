"""`train compare`: several runs on the studies that all of them predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from schemas.errors import RadforgeError
from schemas.training_run import TrainingRun
from training.evaluate.cases import Cases
from training.evaluate.decision import RuleDecision, read_decision
from training.evaluate.delong import delong_p
from training.evaluate.figures import figures
from training.evaluate.intervals import RESAMPLES, interval, resampled
from training.evaluate.metrics import metrics
from training.evaluate.votes import cases_by_rule, headline

DIFFERENCES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auc", "ap", "brier")


@dataclass(frozen=True)
class _Judged:
    """A run by the rule it is judged by."""

    name: str
    run: TrainingRun
    rule: str
    cases: Cases
    decision: RuleDecision


def compare(
    runs: Sequence[tuple[str, TrainingRun]], *, split: str = "test", rule: str | None = None, count: int = RESAMPLES
) -> dict[str, Any]:
    """`{"split", "n_studies", "n_patients", "runs": [...], "differences": [...], "notes"}`.

    Each run is judged by its own headline rule, or all by `rule`: `run, rule, left_out` (its studies that are not
    common to all), M, and `elapsed_s, images_per_s, hardware, epochs, version, seed`. Each run after the first is
    compared with the first on the same resamples of patients: `<figure>` and `<figure>_ci` of the difference, and
    `delong_p` for the AUC. Raises RadforgeError: no predictions, no common study, labels that differ, no such rule.
    """
    whole = [_judge(name, run, split, rule) for name, run in runs]
    common = sorted(set.intersection(*({str(study) for study in each.cases.study} for each in whole)))
    if not common:
        raise RadforgeError("the runs have no study in common", f"their `{split}` predictions", expected="runs on one dataset")
    judged = [replace(each, cases=each.cases.where(np.isin(each.cases.study, common))) for each in whole]
    first = judged[0]
    for each in judged:
        differing = int((each.cases.target != first.cases.target).sum())
        if differing:
            raise RadforgeError(
                "the runs were trained on different labels",
                each.name,
                found=f"{differing} of {len(common)} common studies with another label than {first.name}",
                expected="runs on one label",
            )
    rows = [
        {"run": each.name, "rule": each.rule, "left_out": before.cases.n - len(common)}
        | figures(each.cases, each.decision, count)
        | _costs(each.run)
        for each, before in zip(judged, whole, strict=True)
    ]
    patients = len(np.unique(first.cases.patient))
    return {
        "split": split,
        "n_studies": len(common),
        "n_patients": patients,
        "runs": rows,
        "differences": [_difference(first, other, count) for other in judged[1:]],
        "notes": _notes(rows, len(common), patients),
    }


def _judge(name: str, run: TrainingRun, split: str, rule: str | None) -> _Judged:
    rules = cases_by_rule(run.predictions(split))
    rules.pop("instance", None)
    if not rules:
        raise RadforgeError("no labelled study to compare", name)
    used = rule or headline(rules)
    if used not in rules:
        raise RadforgeError("the run has no such rule", name, found=used, expected=", ".join(rules))
    return _Judged(name, run, used, rules[used], read_decision(run.folder).of(used))


def _difference(first: _Judged, other: _Judged, count: int) -> dict[str, Any]:
    before, after = (metrics(each.cases, each.decision.threshold) for each in (first, other))
    drawn = [resampled(each.cases, each.decision.threshold, count) for each in (first, other)]
    told: dict[str, Any] = {"run": other.name, "against": first.name}
    for name in DIFFERENCES:
        was, became = before[name], after[name]
        told[name] = None if was is None or became is None else became - was
        told[f"{name}_ci"] = interval(drawn[1][name] - drawn[0][name])
    return told | {"delong_p": delong_p(first.cases.target, other.cases.score, first.cases.score)}


def _costs(run: TrainingRun) -> dict[str, Any]:
    record, metrics = run.record, run.metrics()
    train = metrics.filter([split == "train" for split in metrics["split"].to_pylist()]).to_pydict()
    speeds = [speed for speed in train.get("images_per_s", []) if speed]
    return {
        "elapsed_s": record.elapsed_s,
        "images_per_s": float(np.median(speeds)) if speeds else None,
        "hardware": record.hardware,
        "epochs": len(train["split"]),
        "version": record.version,
        "seed": record.seed,
    }


def _notes(rows: list[dict[str, Any]], studies: int, patients: int) -> list[str]:
    notes = []
    if any(row["left_out"] for row in rows):
        notes.append(f"Only the {studies} studies that all runs predicted are compared.")
    if len({row["version"] for row in rows}) > 1:
        notes.append("The runs were trained on different versions of the dataset.")
    if patients < studies:
        notes.append(
            "DeLong's test takes the studies as independent, but some are of one patient: trust the interval of the difference."
        )
    if len({row["hardware"] for row in rows}) > 1:
        notes.append("The runs were trained on different hardware: their times do not compare.")
    return notes
