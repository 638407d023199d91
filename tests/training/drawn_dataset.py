"""A tiny dataset version, written as `etl run` writes one: card.json, manifest, PNG. Positive studies show a bright bar."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from etl.card import mean_std
from schemas.dataset import DatasetVersion
from schemas.manifest import TABLES, label_columns, schema

Label = Callable[[int, bool], Any]
"""From the study's number (over all splits) and whether it shows the bar to its label; None is no label."""

FRACTURE: Mapping[str, Label] = {"fracture": lambda study, positive: int(positive)}
VIEWS = ("PA", "LL", "RLO")


def drawn_version(
    folder: Path,
    studies: int | Mapping[str, int] = 24,
    views: tuple[int, int] = (1, 3),
    seed: int = 0,
    size: tuple[int, int] = (64, 48),
    labels: Mapping[str, Label] = FRACTURE,
) -> DatasetVersion:
    """A version in `folder`/<version>; every second study of a split is positive and shows the bar in all its views.

    `studies`: of each split, or in all (half train, a quarter val, a quarter test). `views`: fewest and most pictures of a
    study. `size`: rows and columns of the largest picture; others are up to a quarter smaller on either side. Every fifth
    patient has two studies.
    """
    if isinstance(studies, int):
        studies = {"train": studies - 2 * (studies // 4), "val": studies // 4, "test": studies // 4}
    rng = np.random.default_rng(seed)
    drawn = [
        (split, study, view, count)
        for split, number in studies.items()
        for study in range(number)
        for count in [int(rng.integers(views[0], views[1] + 1))]
        for view in range(count)
    ]
    numbers = {key: n for n, key in enumerate(dict.fromkeys((split, study) for split, study, *_ in drawn))}
    rows, pictures = [], {}
    for split, study, view, _ in drawn:
        positive = study % 2 == 1
        shape = size if not rows else tuple(int(rng.integers(3 * side // 4, side + 1)) for side in size)
        picture = draw(shape, positive, rng)
        row = _row(f"{seed}/{split}/{study}/{view}", split, view, picture)
        row["study_id"] = _id(f"{seed}/{split}/{study}", 16)
        row["patient_id"] = _id(f"{seed}/{split}/patient {study - (study % 5 == 4)}", 16)
        row["manufacturer"] = ("Agfa", "Siemens", "other")[study % 3]
        row["sex"], row["age_years"] = "FM"[(study // 2) % 2], 20 + (7 * study) % 70
        row |= {f"label_{name}": label(numbers[split, study], positive) for name, label in labels.items()}
        png = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        row["sha256"] = hashlib.sha256(png).hexdigest()
        pictures[str(row["image_path"])] = png
        rows.append(row)
    rows.sort(key=lambda row: str(row["source_id"]))
    name = _id(json.dumps(rows), 12)
    version = DatasetVersion(folder / name, name)
    for path, png in pictures.items():
        (version.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (version.folder / path).write_bytes(png)
    _write_tables(version, rows, labels)
    (version.folder / "card.json").write_text(json.dumps(_card(version, rows, labels), indent=1), "utf-8")
    return version


def draw(shape: tuple[int, ...], positive: bool, rng: np.random.Generator) -> NDArray[np.uint8]:
    """uint8 (rows, columns), 0 = air: a grey limb upright in the middle and, when positive, a bright bar across it."""
    rows, columns = shape
    picture = np.zeros((rows, columns), dtype=np.float64)
    picture[:, columns // 4 : columns - columns // 4] = 90
    if positive:
        top = int(rng.integers(rows // 6, rows - rows // 4))
        picture[top : top + max(rows // 12, 2), columns // 4 : columns - columns // 4] = 230
    picture += rng.normal(0, 8, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _row(key: str, split: str, view: int, picture: NDArray[np.uint8]) -> dict[str, Any]:
    image_id = _id(f"image {key}", 20)
    rows, columns = picture.shape
    return {
        "source_id": _id(f"source {key}", 16),
        "frame_index": 0,
        "region_index": 0,
        "region_count": 1,
        "image_id": image_id,
        "image_path": f"images/{image_id[:2]}/{image_id}.png",
        "series_id": _id(f"series {key}", 16),
        "instance_id": _id(f"instance {key}", 16),
        "patient_id_missing": False,
        "rows": rows,
        "columns": columns,
        "bits": 8,
        "modality": "DX",
        "body_part": "wrist",
        "laterality": "LR"[view % 2],
        "view_position": VIEWS[view % len(VIEWS)],
        "pixel_spacing_row_mm": 0.2,
        "pixel_spacing_column_mm": 0.2,
        "source_rows": rows,
        "source_columns": columns,
        "photometric_interpretation": "MONOCHROME2",
        "inverted": False,
        "rotation_deg": 0.0,
        "transform": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "mean": round(float(picture.mean()) / 255, 8),
        "std": round(float(picture.std()) / 255, 8),
        "header_problems": [],
        "acquired_order": 0,
        "split": split,
    }


def _write_tables(version: DatasetVersion, rows: list[dict[str, Any]], labels: Mapping[str, Label]) -> None:
    types = {name: pa.array([row[f"label_{name}"] for row in rows]).type for name in labels}
    for table in TABLES:
        part = version.folder / table / "part-00000.parquet"
        part.parent.mkdir(parents=True, exist_ok=True)
        columns = schema(table, label_columns(types))
        pq.write_table(pa.Table.from_pylist(rows if table == "manifest" else [], schema=columns), part)


def _card(version: DatasetVersion, rows: list[dict[str, Any]], labels: Mapping[str, Label]) -> dict[str, Any]:
    table = pa.Table.from_pylist(rows)
    studies = {row["study_id"]: row for row in rows}
    return {
        "version": version.version,
        "schema_version": 1,
        "parent": None,
        "key_fingerprint": "0123456789ab",
        "recipe": {"name": "drawn", "steps": []},
        "counts": {
            "records": len(rows),
            "drops": 0,
            "failures": 0,
            "studies": len(studies),
            "patients": len({row["patient_id"] for row in rows}),
        },
        "statistics": {
            "mean_std": {
                split: mean_std(table.filter(pc.equal(table["split"], split)))
                for split in sorted({row["split"] for row in rows})
            },
            "mean_std_all": mean_std(table),
            "studies_by_label": {
                f"label_{name}": {
                    str(value): sum(row[f"label_{name}"] == value for row in studies.values())
                    for value in sorted({str(row[f"label_{name}"]): row[f"label_{name}"] for row in rows}.values(), key=str)
                }
                for name in labels
            },
        },
    }


def _id(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
