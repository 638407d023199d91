"""How the results of `train` look on a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.show import as_json, line, table
from schemas.training_run import TrainingRun
from training.evaluate.evaluate import evaluate_run
from training.evaluate.wording import RULE_NAMES
from training.predict import Predicted

_SHOWN = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auc")


def finished(run: TrainingRun, json: bool) -> None:
    """The end of a training: the table of the split it was tested on."""
    record = run.record
    split = "test" if (run.folder / "predictions" / "test.parquet").is_file() else "val"
    result = evaluate_run(run, None, split=split)
    if json:
        as_json({"run": str(run.folder), "best": record.best, "warnings": record.warnings, split: result})
        return
    evaluated(result, json=False)
    line()
    line(f"run      {run.folder}  (best epoch {record.best['epoch']:.0f}, validation AUC {record.best['auc']:.3f})")
    line(f"report   {run.folder / 'report.html'}")
    for warning in record.warnings:
        line(f"warning  {warning}")
    line(f"next     train explain {run.folder} --out {run.folder / 'explain'}")


def evaluated(result: Mapping[str, Any], json: bool) -> None:
    """One row a rule: figures with 95 % intervals."""
    if json:
        as_json(result)
        return
    rows = [("picture", result["instance"]), *((RULE_NAMES[name], m) for name, m in result["study"].items())]
    table(
        ["decision", "threshold", *_SHOWN],
        [[name, m["threshold"], *(_with_interval(m, figure) for figure in _SHOWN)] for name, m in rows],
    )
    line(
        f"{result['n_studies']} studies, {result['n_instances']} pictures of split {result['split']}; "
        "95 % intervals over patients"
    )
    for note in result["notes"]:
        line(f"- {note}")


def compared(result: Mapping[str, Any], json: bool) -> None:
    """One row a run, then the differences from the first."""
    if json:
        as_json(result)
        return
    table(
        ["run", "decision", *_SHOWN, "minutes", "images/s", "epochs", "hardware"],
        [
            [
                row["run"],
                RULE_NAMES[row["rule"]],
                *(_with_interval(row, figure) for figure in _SHOWN),
                round((row["elapsed_s"] or 0) / 60, 1),
                row["images_per_s"],
                row["epochs"],
                row["hardware"],
            ]
            for row in result["runs"]
        ],
    )
    for row in result["differences"]:
        told = ", ".join(f"{figure} {_with_interval(row, figure, signed=True)}" for figure in ("accuracy", "auc"))
        p = "-" if row["delong_p"] is None else f"{row['delong_p']:.3g}"
        line(f"{row['run']} against {row['against']}: {told}, DeLong p {p}")
    for note in result["notes"]:
        line(f"- {note}")


def predicted(result: Predicted, json: bool) -> None:
    """What `train predict` scored, and what it could not."""
    if json:
        as_json(vars(result))
        return
    line(f"{result.out}")
    line(
        f"{result.studies:,} studies scored from {result.pictures:,} pictures: {result.positive:,} positive by "
        f"{RULE_NAMES[result.rule].lower()} above {result.threshold:.3g}"
    )
    if result.unscored_studies or result.reasons:
        why = ", ".join(f"{reason} {count:,}" for reason, count in result.reasons.items())
        line(f"not scored: {result.unscored_studies:,} studies, {result.drops + result.failures:,} films ({why})")


def explained(told: Mapping[str, Any], out: Path, json: bool) -> None:
    """What `train explain` drew, and how far it can be trusted."""
    if json:
        as_json(told)
        return
    line(f"{len(told['explained'])} of {told['studies']} studies, {told['method']}: {out / 'index.html'}")
    for name in ("sanity", "pointing"):
        if told[name]:
            line(told[name]["sentence"])


def checked(said: Mapping[str, Any], json: bool) -> None:
    """What `train check` found."""
    if json:
        as_json(said)
        return
    for name, value in said.items():
        if not isinstance(value, dict):
            line(f"{name:<24}{f'{value:.4g}' if isinstance(value, float) else value}")
    for name, value in said["model"].items():
        line(f"model {name:<18}{f'{value:,}' if isinstance(value, int) else value}")


def _with_interval(m: Mapping[str, Any], figure: str, *, signed: bool = False) -> str:
    value, ends = m.get(figure), m.get(f"{figure}_ci")
    form = "{:+.3f}" if signed else "{:.3f}"
    if value is None:
        return "-"
    return form.format(value) + (f" ({form.format(ends[0])} to {form.format(ends[1])})" if ends else "")
