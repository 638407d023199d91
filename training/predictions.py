"""The scores of a run as rows: predictions/<split>.parquet."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.training_run import PREDICTIONS, TrainingRun, write_bytes
from training.data.cache import Pictures
from training.data.films import Films
from training.loop.ranks import Ranks
from training.loop.score import logits
from training.trained import Trained


def score(
    model: Trained, pictures: Pictures | NDArray[np.uint8], films: Films, at: NDArray[np.int64], ranks: Ranks
) -> pa.Table:
    """Rows of PREDICTIONS for the pictures at `at`: each by itself, and each study as a whole where the model sees studies."""
    loop = model.recipe.loop
    batch = max(loop.batch, 32)
    single = [at[i : i + 1] for i in range(len(at))]
    tables = [_rows(films, "instance", single, logits(model.single, pictures, films, single, loop, ranks, batch))]
    if model.recipe.views == "all":
        studies = films.studies(at)
        tables.append(_rows(films, "study", studies, logits(model.network, pictures, films, studies, loop, ranks, batch)))
    return pa.concat_tables(tables)


def _rows(films: Films, level: str, items: list[NDArray[np.int64]], found: NDArray[np.float32]) -> pa.Table:
    first = np.array([item[0] for item in items], np.int64)
    rows = films.rows.select(["study_id", "patient_id", "image_id", "split"]).take(first)
    target = films.target[first]
    columns: dict[str, Any] = {
        "level": pa.array([level] * len(items)),
        "study_id": rows["study_id"],
        "patient_id": rows["patient_id"],
        "image_id": rows["image_id"] if level == "instance" else pa.nulls(len(items), pa.string()),
        "views": pa.array([len(item) for item in items], pa.int32()),
        "split": pa.array(films.split[first].tolist()),
        "target": pa.array(target, pa.float32(), mask=np.isnan(target)),
        "logit": pa.array(found, pa.float32()),
        "probability": pa.array(1 / (1 + np.exp(-found.astype(np.float64))), pa.float32()),
    }
    return pa.table([columns[name] for name in PREDICTIONS.names], schema=PREDICTIONS)


def write(run: TrainingRun, split: str, table: pa.Table) -> None:
    """predictions/<split>.parquet, atomically."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    write_bytes(run.folder / "predictions" / f"{split}.parquet", sink.getvalue())
