"""What `train explain` leaves on the disk: pictures, heat, rows, a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from schemas.training_run import write_bytes, write_json
from training.evaluate import pictures as small
from training.explain import back, page
from training.explain.choose import Case
from training.explain.heat import Heat
from training.explain.overlay import overlay, with_legend
from training.explain.scene import Scene

ROWS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("study_id", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),  # found, missed, false alarm, rightly negative, no label
        pa.field("target", pa.float32()),
        pa.field("view_weight", pa.float32(), nullable=False),
        pa.field("logit", pa.float32(), nullable=False),  # that the map explains: the study's, or the view's own
        pa.field("relevance_sum", pa.float32()),  # the view's contributions; null for attention
        pa.field("peak_x", pa.float32()),  # strongest place for the label, in the stored film; null: none is for it
        pa.field("peak_y", pa.float32()),
    ]
)


def write(out: Path, scene: Scene, explained: Sequence[tuple[Case, Heat]], told: Mapping[str, Any]) -> None:
    """Everything under `out`; `told` is what `explain` gives back. Raises RadforgeError when the disk refuses."""
    rows: list[dict[str, Any]] = []
    shown: list[page.ShownStudy] = []
    for case, heat in explained:
        score = float(scene.model.target.probability(torch.tensor([[case.logit]]))[0])
        views = []
        for view, position in enumerate(case.positions.tolist()):
            row = scene.row(position)
            rows.append(_row(scene, case, heat, view, row))
            views.append(_write_view(out / case.study_id, scene, heat, view, row, score))
        label = "not known" if np.isnan(case.target) else "positive" if case.target > 0.5 else "negative"
        shown.append(page.ShownStudy(case.study_id, case.verdict, label, score, tuple(views)))
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=ROWS), sink)
    write_bytes(out / "explain.parquet", sink.getvalue())
    write_json(out / "explain.json", told)
    write_bytes(out / "index.html", page.render(told, shown).encode("utf-8"))


def _write_view(folder: Path, scene: Scene, heat: Heat, view: int, row: Mapping[str, Any], score: float) -> page.ShownView:
    # One scale for a study: its views can be compared.
    scaled = np.asarray(heat.views[view] / max(float(np.abs(heat.views).max()), 1e-12), np.float32)
    weight, logit, total = (float(each[view]) for each in (heat.weights, heat.logits, heat.totals))
    over = overlay(scene.films.version.picture(row), scene.on_picture(scaled, row))
    said = f"view weight {weight:.2f}" if scene.together else f"logit {logit:+.2f}"
    write_bytes(folder / f"{row['image_id']}.png", _png(with_legend(over, f"{said}   study score {score:.3f}")))
    if row["source_rows"] and row["source_columns"]:
        write_bytes(folder / f"{row['image_id']}.heat.png", _png(back.as_grey(scene.on_film(scaled, row))))
    plain = small.data_url(scene.films.version, row)
    return page.ShownView(row["image_id"], row["view_position"] or "", plain, page.data_url(over), weight, logit, total)


def _row(scene: Scene, case: Case, heat: Heat, view: int, row: Mapping[str, Any]) -> dict[str, Any]:
    total = float(heat.totals[view])
    x, y = scene.peak(heat.views[view], row) or (None, None)
    return {
        "image_id": row["image_id"],
        "study_id": case.study_id,
        "verdict": case.verdict,
        "target": None if np.isnan(case.target) else case.target,
        "view_weight": float(heat.weights[view]),
        "logit": float(heat.logits[view]),
        "relevance_sum": None if np.isnan(total) else total,
        "peak_x": x,
        "peak_y": y,
    }


def _png(picture: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", picture)[1].tobytes())
