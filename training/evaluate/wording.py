"""Figures and settings as a reader sees them. Used by the report and the model card alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, get_args

from schemas.train_recipe import ResNetModel, RxModel, TimmModel, TrainRecipe
from schemas.training_run import Split, TrainingRecord

RULE_NAMES: Mapping[str, str] = {
    "instance": "Single picture",
    "majority": "Majority vote",
    "alo": "At least one (ALO)",
    "max": "Highest picture",
    "mean": "Mean probability",
    "aggregator": "Aggregator",
}
GROUP_NAMES: Mapping[str, str] = {
    "manufacturer": "Manufacturer",
    "sex": "Sex",
    "age": "Age",
    "metal": "Metal in the limb",
    "view position": "View position (single pictures)",
}


def number(value: float | None, digits: int = 3) -> str:
    """`0.853`, or a dash for what is not defined."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def range_of(bounds: Sequence[float] | None, digits: int = 3) -> str:
    """`0.811–0.890`, or nothing."""
    return "" if bounds is None else f"{bounds[0]:.{digits}f}–{bounds[1]:.{digits}f}"


def percent(value: float | None) -> str:
    """`85.3 %`, or a dash."""
    return "–" if value is None else f"{100 * value:.1f} %"


def percent_range(bounds: Sequence[float] | None) -> str:
    """`81.1–89.0 %`, or nothing."""
    return "" if bounds is None else f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f} %"


def duration(seconds: float) -> str:
    """`2 h 5 min`, `3 min 20 s` or `12 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


def last_part(path: str) -> str:
    """The name of a folder without the way to it: reports are passed on, and the way may name people."""
    return PurePath(path).name


def model_in_words(recipe: TrainRecipe) -> str:
    """What kind of network it is and what it looks at."""
    model = recipe.model
    if isinstance(model, RxModel):
        channels = "-".join(str(each) for each in (*model.channels, *[model.channels[-1]] * model.blocks)[: model.blocks])
        norm = {"none": "no norm layers", "batch": "batch norm", "group": "group norm"}[model.norm]
        head = {"max": "global max pooling", "average": "global average pooling", "fc": "three fully connected layers"}[
            model.head
        ]
        network = f"Rx network of {model.blocks} blocks ({channels} channels, {norm}, {head})"
    elif isinstance(model, ResNetModel):
        network = "ResNet18" + (" with pre-trained weights" if model.weights else "")
    else:
        assert isinstance(model, TimmModel)
        network = model.name + (" with pre-trained weights" if model.weights else "")
    columns, rows = recipe.data.size
    looks = f"single pictures of {columns} x {rows} pixels (columns x rows)"
    if recipe.views == "all":
        pooled = {"max": "the maximum", "mean": "the mean", "lse": "log-sum-exp", "attention": "learned attention"}[model.pool]
        looks = f"all pictures of a study at once ({columns} x {rows} pixels each), joined by {pooled} over the views"
    stages = ", trained on single pictures first" if recipe.first else ""
    return f"{network}, looking at {looks}{stages}"


def thresholds_in_words(result: Mapping[str, Any]) -> str:
    """Where the thresholds came from."""
    n = result["decision"]["n_studies"]
    chosen = any(rule["source"] == "validation" for rule in result["decision"]["rules"].values())
    votes = "Majority vote and ALO count pictures above 0.5, as the thesis does."
    if not chosen:
        return f"No threshold could be chosen, for want of labelled validation studies of both classes: all are 0.5. {votes}"
    return (
        f"Thresholds were chosen on the {n} validation studies by balanced accuracy and frozen when training ended. "
        + ("" if result["split"] == "val" else "Nothing was tuned on the studies below. ")
        + votes
    )


def classes_table(record: TrainingRecord) -> tuple[list[str], list[list[Any]]]:
    """Header and rows: split, negative studies, positive studies, pictures."""
    header = ["split", "negative", "positive", "pictures"]
    return header, [
        [split, *(counts.get(name, 0) for name in header[1:])]
        for split, counts in ((each, record.classes.get(each, {})) for each in get_args(Split))
    ]
