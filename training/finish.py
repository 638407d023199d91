"""The end of a run: thresholds chosen on validation and frozen, the evaluation, the report, the model card."""

from __future__ import annotations

from schemas.dataset import DatasetVersion
from schemas.training_run import TrainingRun
from training.evaluate.decision import decide, write_decision
from training.evaluate.evaluate import chosen_rows, evaluate_run
from training.evaluate.model_card import write_model_card
from training.evaluate.report import write_report


def finish(run: TrainingRun, version: DatasetVersion, splits: list[str]) -> None:
    """decision.json from the predictions on validation; report and model card on test, else on val."""
    write_decision(run.folder, decide(run.predictions("val")))
    split = "test" if "test" in splits else "val"
    result = evaluate_run(run, version, split=split)
    write_report(run.folder / "report.html", run, version, result, chosen_rows(run, version, split=split))
    write_model_card(run.folder / "model_card.md", run, result)
