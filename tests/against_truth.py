"""What the steps said against what the phantom knows: `python -m tests.against_truth DATASET TRUTH.csv CROSSWALK.csv`."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from schemas.dataset import DatasetVersion

Key = tuple[str, int]


def compare(dataset: str, truth_csv: Path, crosswalk_csv: Path) -> dict[str, Any]:
    """Fates, polarity, parts, tilt and anatomy of a version drawn by `etl phantom`, as numbers."""
    version = DatasetVersion.open(dataset)
    truth = {(row["source_path"], int(row["frame_index"])): row for row in _rows(truth_csv)}
    ours = {(row["source_path"], int(row["frame_index"])): row for row in _rows(crosswalk_csv)}
    films: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    path_of = {row["source_id"]: row["source_path"] for row in ours.values()}
    for row in version.table("manifest").to_pylist():
        films[(path_of[row["source_id"]], row["frame_index"])].append(row)
    both = [key for key in films if truth.get(key, {}).get("fate") == "record"]
    return {
        "files and frames": {
            "in truth": len(truth),
            "accounted for": len(ours),
            "missing": len(truth.keys() - ours.keys()),
        },
        "fates": _fates(truth, ours),
        "anatomy": _anatomy(truth, ours),
        "polarity": _share(
            all(r["inverted"] == (truth[key]["inverted"].lower() == "true") for r in films[key]) for key in both
        ),
        "part count": _share(films[key][0]["region_count"] == int(truth[key]["parts"]) for key in both),
        "part boxes, least IoU": _boxes(films, truth, both),
        "tilt": _tilt(films, truth, both),
    }


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _share(verdicts: Any) -> str:
    values = list(verdicts)
    return f"{sum(values)} of {len(values)} ({100 * sum(values) / max(1, len(values)):.1f} %)"


def _fates(truth: dict[Key, dict[str, str]], ours: dict[Key, dict[str, str]]) -> dict[str, int]:
    pairs: Counter[str] = Counter()
    for key, row in truth.items():
        mine = ours.get(key, {"fate": "missing", "reason": ""})
        want, have = f"{row['fate']} {row['reason']}".strip(), f"{mine['fate']} {mine['reason']}".strip()
        pairs["as in the truth" if want == have else f"truth {want}, here {have}"] += 1
    return dict(pairs.most_common())


def _anatomy(truth: dict[Key, dict[str, str]], ours: dict[Key, dict[str, str]]) -> dict[str, float]:
    """Over films that reach the filter: kept as a wrist or dropped as another part."""
    judged = [k for k in truth if k in ours and (ours[k]["fate"] == "record" or ours[k]["reason"] == "anatomy")]
    kept = [k for k in judged if ours[k]["fate"] == "record"]
    wrists = [k for k in judged if truth[k]["body_part"] == "wrist"]
    right = [k for k in kept if truth[k]["body_part"] == "wrist"]
    return {
        "films": len(judged),
        "precision": round(len(right) / max(1, len(kept)), 4),
        "recall": round(len(right) / max(1, len(wrists)), 4),
    }


def _boxes(films: dict[Key, list[dict[str, Any]]], truth: dict[Key, dict[str, str]], keys: list[Key]) -> dict[str, float]:
    """Where a film was cut: intersection over union of the drawn part and the cut box, in stored pixels."""
    overlaps = []
    for key in keys:
        boxes = json.loads(truth[key]["part_boxes"])
        if len(boxes) < 2 or len(films[key]) != len(boxes):
            continue
        for row, box in zip(sorted(films[key], key=lambda r: r["region_index"]), sorted(boxes), strict=True):
            overlaps.append(_covered(row, box))
    return {
        "parts": len(overlaps),
        "drawn part inside its picture, least": round(min(overlaps, default=1.0), 3),
    }


def _covered(row: dict[str, Any], box: list[float]) -> float:
    """Share of a drawn box, on a grid, that lands inside the picture."""
    matrix = np.asarray(row["transform"]).reshape(2, 3)
    xs, ys = np.meshgrid(np.linspace(box[0], box[2], 40), np.linspace(box[1], box[3], 40))
    points = matrix @ np.stack([xs.ravel(), ys.ravel(), np.ones(xs.size)])
    inside = (points[0] >= -1) & (points[0] <= row["columns"]) & (points[1] >= -1) & (points[1] <= row["rows"])
    return float(inside.mean())


def _tilt(films: dict[Key, list[dict[str, Any]]], truth: dict[Key, dict[str, str]], keys: list[Key]) -> dict[str, Any]:
    errors, upside_down = [], []
    for key in keys:
        tilts = json.loads(truth[key]["part_tilts_deg"])
        if len(tilts) != len(films[key]):
            continue
        for row, tilt in zip(sorted(films[key], key=lambda r: r["region_index"]), tilts, strict=True):
            away = ((row["rotation_deg"] or 0.0) - tilt + 180) % 360 - 180
            upside_down.append(abs(away) > 90)
            errors.append(min(abs(away), 180 - abs(away)))
    values = np.asarray(errors or [0.0])
    return {
        "parts": len(errors),
        "mean error deg": round(float(values.mean()), 2),
        "95th percentile deg": round(float(np.percentile(values, 95)), 2),
        "largest deg": round(float(values.max()), 2),
        "upside down": f"{sum(upside_down)} of {len(upside_down)}",
    }


if __name__ == "__main__":
    for name, value in compare(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])).items():
        sys.stdout.write(f"{name}: {json.dumps(value)}\n")
