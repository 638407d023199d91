"""`RUN/model_card.md`: what the model is for, how well it does, and where not to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.training_run import TrainingRun, write_bytes
from training.evaluate.report import facts, template


def write_model_card(path: Path, run: TrainingRun, result: Mapping[str, Any]) -> None:
    """Write the card. Raises RadforgeError when the disk refuses."""
    write_bytes(path, render_card(run, result).encode("utf-8"))


def render_card(run: TrainingRun, result: Mapping[str, Any]) -> str:
    """The card as Markdown with a YAML head, from what `evaluate_run` said."""
    return template("model_card.md.j2", escape=False).render(facts(run, result))
