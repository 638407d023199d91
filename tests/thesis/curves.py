"""docs/guides/mvcnn-curves.png: loss and AUC on validation, epoch by epoch, of the arms that tell the MVCNN's story."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tests.thesis.arms import SEEDS
from tests.thesis.work import finished

STORY = {
    "mvcnn_words": ("the thesis' words: frozen, no norm", "tab:red"),
    "scratch_tuned": ("norm and max pool, all weights, one stage", "tab:orange"),
    "mvcnn": ("two stages", "tab:blue"),
}


def draw(path: Path) -> None:
    """One line a seed. In the two-stage arm a dotted line marks where whole studies begin."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    for key, (title, colour) in STORY.items():
        for run in finished(key):
            rows = [r for r in run.metrics().to_pylist() if r["split"] == "val"]
            _lines(axes, rows, colour, title if run.record.seed == SEEDS[0] else None)
    axes[0].set(title="AUC of validation studies", xlabel="epoch", ylim=(0.35, 1.01))
    axes[1].set(title="loss on validation (0.693 is a coin)", xlabel="epoch", ylim=(0, 1))
    axes[1].axhline(0.6931, color="grey", linewidth=0.8)
    axes[0].axhline(0.5, color="grey", linewidth=0.8)
    axes[0].legend(loc="lower right", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _lines(axes: Any, rows: list[dict[str, Any]], colour: str, title: str | None) -> None:
    epochs = range(1, len(rows) + 1)
    axes[0].plot(epochs, [r["study_auc"] for r in rows], color=colour, linewidth=1.2, label=title)
    axes[1].plot(epochs, [r["loss"] for r in rows], color=colour, linewidth=1.2)
    singles = sum(r["stage"] == "first" for r in rows)
    if singles:
        for axis in axes:
            axis.axvline(singles + 0.5, color=colour, linewidth=0.6, linestyle=":")
