"""What a reader must know to read the figures right, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from training.evaluate.decision import Decision


def notes(result: Mapping[str, Any], decision: Decision, own: bool) -> list[str]:
    """The sentences for a result of `evaluate`; `own`: on the version that the run was trained on."""
    return [
        *_on_thresholds(decision),
        *_on_origin(result["split"], own),
        *_on_numbers(result),
        *_on_at_least_one(result["study"]),
    ]


def on_mixed_studies(rows: pa.Table, met: Mapping[str, bool], condition: str) -> list[str]:
    """What to say of studies with pictures for which the condition does not hold. `met`: whether it holds for all of them."""
    studies = pc.unique(rows["study_id"]).to_pylist()
    mixed = sum(not met[study] for study in studies)
    if not mixed:
        return []
    return [
        f"{mixed} of the {len(studies)} studies have pictures for which the condition does not hold, and are evaluated as a "
        f'whole. Without them: --where "study_id NOT IN (SELECT study_id FROM manifest WHERE ({condition}) IS NOT TRUE)"'
    ]


def _on_thresholds(decision: Decision) -> list[str]:
    told = []
    if not decision.n_studies:
        told.append("There were no labelled validation studies: every threshold is 0.5, which may be far from the best.")
    elif any(each.source == "default" for each in decision.rules.values()):
        told.append("The validation studies were all of one class: every threshold is 0.5, which may be far from the best.")
    return told


def _on_origin(split: str, own: bool) -> list[str]:
    if not own:
        return ["The studies are of another dataset version than the run's: where patients are in both, it may have seen them."]
    if split == "val":
        return ["Thresholds and the best epoch were chosen on these very studies: the figures are too good."]
    if split == "train":
        return ["The model was trained on these very studies: the figures say nothing about new ones."]
    return []


def _on_numbers(result: Mapping[str, Any]) -> list[str]:
    told = []
    headline = result["study"][result["headline"]]
    n, positive = headline["n"], headline["tp"] + headline["fn"]
    if positive in (0, n):
        only, undefined = ("positive", "specificity") if positive else ("negative", "sensitivity")
        told.append(f"All {n} studies are {only}: {undefined}, AUC and what builds on them are not defined.")
    ends = headline.get("auc_ci")
    if ends and ends[0] <= 0.5:
        told.append("The interval of the AUC holds 0.5: it is not shown that the model is better than a coin.")
    if n < 100:
        told.append(f"{n} studies are few: read the intervals, not the figures.")
    if any(figures["accuracy"] == 1 for figures in result["study"].values()):
        told.append(
            "Where no study is wrong, resampling cannot vary and the interval shrinks to a point: "
            f"by the rule of three up to {min(3 / n, 1):.1%} of new studies may still be judged wrongly."
        )
    if result["n_patients"] < 2:
        told.append("All studies are of one patient: there are no intervals.")
    return told


def _on_at_least_one(study: Mapping[str, Any]) -> list[str]:
    told = []
    alo, highest, aggregator = study["alo"], study["max"], study.get("aggregator")
    if _known(alo, "sensitivity", "specificity") and alo["sensitivity"] > alo["specificity"] + 0.05:
        told.append(
            "“At least one” at 0.5 is too eager: every further picture is one more chance of a false alarm. Here it finds "
            f"{alo['sensitivity']:.0%} of the positive studies, but clears only {alo['specificity']:.0%} of the negative ones."
        )
    if aggregator and _known(aggregator, "accuracy") and aggregator["accuracy"] > alo["accuracy"]:
        lead = 100 * (aggregator["accuracy"] - alo["accuracy"])
        won_back = 100 * (highest["accuracy"] - alo["accuracy"])
        rest = "only the rest is the model's own" if won_back < lead else "none of the lead is shown to be the model's own"
        told.append(
            f"The aggregator leads “at least one” at 0.5 by {lead:.1f} points of accuracy. The highest picture against a "
            f"threshold chosen on validation changes {won_back:+.1f} points by itself: {rest}."
        )
    return told


def _known(figures: Mapping[str, Any], *names: str) -> bool:
    return all(figures[name] is not None for name in names)
