"""Curves as small SVG drawings to stand inside a page: no file, no link, no script."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from training.evaluate.cases import Cases

BLUE, ORANGE, GREY, INK = "#1f5f99", "#c8661b", "#9aa5b1", "#323f4b"
COLOURS = (BLUE, ORANGE, "#4c8a5b", "#8a5ba6")
STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "svg.fonttype": "path",
}
CURVE_POINTS = 400
"""A curve is thinned to about so many points: more cannot be seen and make the page heavy."""


@mpl.rc_context(STYLE)
def roc(curves: Mapping[str, Cases], thresholds: Mapping[str, float]) -> str:
    """ROC curves of rules with both classes, a dot where each threshold stands; empty without any."""
    drawn = {name: cases for name, cases in curves.items() if cases.both_classes}
    if not drawn:
        return ""
    figure, axes = _square("1 − specificity (false alarms)", "sensitivity (found)")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    for colour, (name, cases) in zip(COLOURS, drawn.items(), strict=False):
        false_alarms, found, _ = roc_curve(cases.target, cases.score)
        axes.plot(*_thin(false_alarms, found), color=colour, label=name)
        called = cases.score > thresholds[name]
        axes.plot(called[cases.target == 0].mean(), called[cases.target == 1].mean(), "o", color=colour, markersize=6)
    axes.legend(loc="lower right")
    return _svg(figure, "roc")


@mpl.rc_context(STYLE)
def precision_recall(curves: Mapping[str, Cases]) -> str:
    """Precision over recall of rules with both classes, the share of positives dotted; empty without any."""
    drawn = {name: cases for name, cases in curves.items() if cases.both_classes}
    if not drawn:
        return ""
    figure, axes = _square("recall (sensitivity)", "precision")
    share = float(next(iter(drawn.values())).target.mean())
    axes.axhline(share, color=GREY, linewidth=1, linestyle=":")
    for colour, (name, cases) in zip(COLOURS, drawn.items(), strict=False):
        precision, recall, _ = precision_recall_curve(cases.target, cases.score)
        axes.plot(*_thin(recall, precision), color=colour, label=name, drawstyle="steps-post")
    axes.legend(loc="lower left")
    return _svg(figure, "pr")


@mpl.rc_context(STYLE)
def calibration(tables: Mapping[str, Sequence[Mapping[str, Any]] | None]) -> str:
    """Share of positives over mean score, a dot per bin and as large as the bin is full."""
    figure, axes = _square("mean score", "share that is positive")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    for colour, (name, table) in zip(COLOURS, tables.items(), strict=False):
        bins = [row for row in table or () if row["n"]]
        if not bins:
            continue
        x, y = [row["mean_score"] for row in bins], [row["share_positive"] for row in bins]
        largest = max(row["n"] for row in bins)
        axes.plot(x, y, color=colour, linewidth=1.2, label=name)
        axes.scatter(x, y, s=[12 + 60 * row["n"] / largest for row in bins], color=colour)
    axes.legend(loc="upper left")
    return _svg(figure, "calibration")


@mpl.rc_context(STYLE)
def training_curves(metrics: pa.Table) -> str:
    """Loss, AUC and learning rate over the epochs of all stages, from metrics.parquet; what has no column is left out."""
    panels = [
        name for name in ("loss", "auc", "lr") if name in metrics.column_names and metrics[name].null_count < len(metrics)
    ]
    if not panels:
        return ""
    rows = metrics.to_pylist()
    position = {key: n + 1 for n, key in enumerate(dict.fromkeys((row.get("stage"), row["epoch"]) for row in rows))}
    figure = Figure(figsize=(3.3 * len(panels), 2.5), layout="constrained")
    for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        _training_panel(axes, panel, rows, position)
    return _svg(figure, "training")


def _training_panel(axes: Axes, panel: str, rows: list[dict[str, Any]], position: Mapping[tuple[Any, int], int]) -> None:
    stages = list(dict.fromkeys(stage for stage, _ in position))
    for colour, split in (("#8a5ba6", "train"),) if panel == "lr" else ((GREY, "train"), (BLUE, "val")):
        for stage in stages:
            points = [
                (position[stage, row["epoch"]], row[panel])
                for row in rows
                if row.get("split") == split and row.get("stage") == stage and row[panel] is not None
            ]
            if points:
                label = split if stage == stages[0] else None
                axes.plot(*zip(*points, strict=True), color=colour, marker=".", label=label)
    for stage in stages[1:]:
        begins = min(n for (name, _), n in position.items() if name == stage)
        axes.axvline(begins - 0.5, color=ORANGE, linewidth=1, linestyle="--")
    axes.set_title({"loss": "loss", "auc": "AUC", "lr": "learning rate"}[panel], fontsize=9)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if panel != "lr":
        axes.legend()


def _square(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(3.5, 3.3), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=x, ylabel=y, aspect="equal")
    return figure, axes


def _thin(x: Any, y: Any) -> tuple[Any, Any]:
    step = max(1, len(x) // CURVE_POINTS)
    keep = np.unique(np.append(np.arange(0, len(x), step), len(x) - 1))
    return x[keep], y[keep]


def _svg(figure: Figure, name: str) -> str:
    """The drawing as an <svg> element. `name` keeps the ids of several drawings on one page apart, and the same each time."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    # Glyphs and clip paths are named by their shape: the same in every drawing, and referred to across the page.
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    return svg.strip()
