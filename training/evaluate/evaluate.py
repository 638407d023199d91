"""`train evaluate`: from the predictions of a run to the figures of the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.dataset import DatasetVersion
from schemas.errors import RadforgeError
from schemas.training_run import TrainingRun
from training.evaluate.calibration import at_temperature, calibration_table
from training.evaluate.cases import labelled, strings
from training.evaluate.correct_share import correct_shares
from training.evaluate.decision import Decision, read_decision
from training.evaluate.figures import figures
from training.evaluate.intervals import RESAMPLES
from training.evaluate.mistakes import export_mistakes, mistakes
from training.evaluate.notes import notes, on_mixed_studies
from training.evaluate.subgroups import COLUMNS, MORE_COLUMNS, subgroups
from training.evaluate.subset import keep_studies, known_studies, studies_in, studies_where, with_label
from training.evaluate.votes import cases_by_rule, headline


def evaluate(
    rows: pa.Table,
    decision: Decision,
    *,
    split: str = "test",
    own: bool = True,
    manifest: pa.Table | None = None,
    count: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """The contract's result for the rows of PREDICTIONS of one split: `split, n_studies, n_instances, threshold,
    instance, study`, and besides `n_patients, unlabelled_studies, headline, decision, calibration, share_correct,
    subgroups, notes`. Every value is JSON; what is not defined is None.

    `own`: the studies are of the version that the run was trained on. `manifest` (COLUMNS of subgroups) brings the
    subgroups. Raises RadforgeError when no picture has a label.
    """
    rules = cases_by_rule(rows)
    if "instance" not in rules:
        raise RadforgeError("no labelled picture to evaluate", f"the `{split}` predictions")
    chosen = headline(rules)
    told = {rule: figures(cases, decision.of(rule), count, seed) for rule, cases in rules.items()}
    temperature = decision.of(chosen).temperature
    result: dict[str, Any] = {
        "split": split,
        "n_studies": rules["max"].n,
        "n_instances": rules["instance"].n,
        "threshold": decision.of(chosen).threshold,
        "instance": told.pop("instance"),
        "study": told,
        "n_patients": len(np.unique(rules["instance"].patient)),
        "unlabelled_studies": len(set(strings(rows["study_id"]).tolist()) - set(strings(labelled(rows)["study_id"]).tolist())),
        "headline": chosen,
        "decision": decision.model_dump(),
        "calibration": {
            "raw": calibration_table(rules[chosen]),
            "scaled": calibration_table(at_temperature(rules[chosen], temperature)) if temperature else None,
        },
        "share_correct": correct_shares(rules["instance"]),
        "subgroups": subgroups(rules, decision, manifest, count, seed) if manifest is not None else [],
    }
    return result | {"notes": notes(result, decision, own)}


def chosen_rows(
    run: TrainingRun,
    version: DatasetVersion | None,
    *,
    split: str = "test",
    where: str | None = None,
    studies: Path | None = None,
    label: str | None = None,
) -> pa.Table:
    """The run's predictions of a split, narrowed to a SQL condition and a file of studies, with a revised label.

    Raises RadforgeError: no predictions, no dataset to ask, unknown studies, nothing left, no such label.
    """
    rows = run.predictions(split)
    if studies is not None:
        listed = studies_in(studies)
        known_studies(rows, listed, split, f"--studies {studies}")
        rows = keep_studies(rows, listed, f"--studies {studies}")
    if where is not None:
        rows = keep_studies(rows, studies_where(_there(version, "--where"), where), f"--where {where}")
    if label is not None:
        rows = with_label(rows, _there(version, "--label"), label, run.recipe.data.positive)
    return rows


def _described(version: DatasetVersion) -> pa.Table:
    """The manifest as subgroups read it."""
    manifest = version.table("manifest")
    return manifest.select([*COLUMNS, *(name for name in MORE_COLUMNS if name in manifest.column_names)])


def evaluate_run(
    run: TrainingRun,
    version: DatasetVersion | None,
    *,
    split: str = "test",
    where: str | None = None,
    studies: Path | None = None,
    label: str | None = None,
    export_errors: Path | None = None,
    count: int = RESAMPLES,
) -> dict[str, Any]:
    """The result of `evaluate` for a run by its frozen decision, with `subset` (what was asked for) and the run's own
    `warnings`. Without a version there are no subgroups. Raises RadforgeError as `chosen_rows` does, and when the
    version is not of the films that were predicted.
    """
    rows = chosen_rows(run, version, split=split, where=where, studies=studies, label=label)
    decision = read_decision(run.folder)
    manifest = _described(version) if version else None
    if manifest is not None and not set(strings(rows["study_id"]).tolist()) <= set(strings(manifest["study_id"]).tolist()):
        raise RadforgeError(
            "the version does not hold all predicted studies",
            str(version.folder if version else ""),
            expected=f"version {run.record.version}, or a later one of the same films and key",
        )
    own = version is None or version.version == run.record.version
    result = evaluate(rows, decision, split=split, own=own, manifest=manifest, count=count)
    if export_errors is not None:
        rule = result["headline"]
        found = mistakes(rows, cases_by_rule(rows)[rule], rule, decision.of(rule).threshold)
        export_mistakes(found, export_errors)
    if version is not None and where is not None:
        result["notes"] += on_mixed_studies(rows, studies_where(version, where), where)
    asked = {"where": where, "studies": str(studies) if studies else None, "label": label}
    return result | {"subset": asked, "warnings": list(run.record.warnings)}


def _there(version: DatasetVersion | None, flag: str) -> DatasetVersion:
    if version is None:
        raise RadforgeError("the dataset is not there", flag, expected="--data DATASET")
    return version
