"""docs/results.md: the numbers of the runs, and beside each group what the thesis claims of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.thesis.arms import ARMS, SEEDS, THESIS_SAYS, Arm
from tests.thesis.work import PHANTOM, finished
from training.evaluate.cases import Cases
from training.evaluate.decision import read_decision
from training.evaluate.intervals import interval, resampled
from training.evaluate.metrics import metrics
from training.evaluate.votes import cases_by_rule

RULES = ("majority", "alo", "max", "aggregator")


@dataclass(frozen=True)
class Scored:
    """An arm's figures over its seeds: mean, interval over patients, and each seed's."""

    mean: float
    ends: list[float] | None
    seeds: list[float]

    def __str__(self) -> str:
        ends = f" ({self.ends[0]:.3f}-{self.ends[1]:.3f})" if self.ends else ""
        return f"{self.mean:.3f}{ends}"


def scored(arm: Arm, rule: str, figure: str) -> Scored | None:
    """A figure of a rule, the mean over the seeds; its interval resamples the patients, the same for every seed."""
    runs = finished(arm.key)
    rules = [cases_by_rule(run.predictions("test")) for run in runs]
    if not rules or any(rule not in each for each in rules):
        return None
    thresholds = [read_decision(run.folder).of(rule).threshold for run in runs]
    values = [_value(each[rule], threshold, figure) for each, threshold in zip(rules, thresholds, strict=True)]
    drawn = [resampled(each[rule], threshold)[figure] for each, threshold in zip(rules, thresholds, strict=True)]
    return Scored(float(np.mean(values)), interval(np.mean(drawn, axis=0)), values)


def _value(cases: Cases, threshold: float, figure: str) -> float:
    value = metrics(cases, threshold)[figure]
    return float("nan") if value is None else float(value)


def page(refusals: Mapping[str, str], minutes: float) -> str:
    """The whole page."""
    lines = [
        "# The thesis' story on drawn films",
        "",
        "Written by `make thesis` from its runs, and from nothing else. Archive: `etl phantom " + " ".join(PHANTOM) + "`:",
        "600 / 200 / 400 studies of drawn wrists, 2 to 4 views of 128 x 96 pixels; the fracture shows in one view of a",
        "positive study, harmless lines in 35 % of all views of both classes; labels are of studies. Three seeds an arm, CPU.",
        "Each figure is the mean over the seeds on 400 test studies, in brackets its 95 % interval over patients; `each seed`",
        "shows what each seed reached. Thresholds but those of majority and ALO (0.5) were chosen on validation and frozen.",
    ]
    for group in dict.fromkeys(arm.group for arm in ARMS):
        lines += ["", f"## {group}", "", f"The thesis: {THESIS_SAYS[group]}", ""]
        lines += ["| arm | majority | ALO at 0.5 | highest view | aggregator | AUC | each seed | stuck | minutes |"]
        lines += ["|---|---|---|---|---|---|---|---|---|"]
        lines += [_row(arm, refusals) for arm in ARMS if arm.group == group or (arm.key == "rx_lite" and group != "Models")]
    stuck = [arm.key for arm in ARMS if not arm.refused and _stuck(arm)]
    missing = sum(len(SEEDS) - len(finished(arm.key)) for arm in ARMS if not arm.refused)
    if missing:
        lines += [
            "",
            f"**{missing} runs of {len(SEEDS) * (len(ARMS) - 1)} are not made yet**; `make thesis` goes on with them.",
        ]
    lines += ["", f"Arms with a run that said it has not left chance: {', '.join(stuck) or 'none'}."]
    lines += [f"All runs together: {minutes:.0f} minutes of training."]
    return "\n".join(lines) + "\n"


def _row(arm: Arm, refusals: Mapping[str, str]) -> str:
    if arm.refused:
        return f"| {arm.title} | refused: {refusals.get(arm.key, '')} | | | | | | | |"
    if not finished(arm.key):
        return f"| {arm.title} | not run yet | | | | | | | |"
    accuracy = [scored(arm, rule, "accuracy") for rule in RULES]
    own = "aggregator" if accuracy[-1] is not None else "max"
    shown = accuracy[-1] or accuracy[2]
    auc = scored(arm, own, "auc")
    assert shown is not None
    seeds = " ".join(f"{value:.3f}" for value in shown.seeds)
    cells = [arm.title, *("-" if each is None else str(each) for each in accuracy), str(auc), seeds]
    cells += [f"{_stuck(arm)} of {len(finished(arm.key))}", f"{np.mean(_minutes(arm)):.1f}"]
    return "| " + " | ".join(cells) + " |"


def _stuck(arm: Arm) -> int:
    return sum(bool(run.record.warnings) for run in finished(arm.key))


def _minutes(arm: Arm) -> Sequence[float]:
    return [run.record.elapsed_s / 60 for run in finished(arm.key)]


def total_minutes() -> float:
    """Training time of all runs."""
    return float(sum(sum(_minutes(arm)) for arm in ARMS if not arm.refused))
