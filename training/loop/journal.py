"""What a run measured: one row per epoch and split (metrics.parquet), one per step (steps.parquet), TensorBoard, MLflow."""

from __future__ import annotations

import importlib.util
import io
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import RadforgeError
from schemas.training_run import write_bytes

EPOCHS = pa.schema(
    [
        ("stage", pa.string()),
        ("epoch", pa.int32()),  # from 1, within the stage
        ("split", pa.string()),
        ("loss", pa.float64()),
        ("auc", pa.float64()),  # of the phase's items; null for the training pictures
        ("study_auc", pa.float64()),  # of studies: by the highest view where items are single pictures
        ("spread", pa.float64()),  # standard deviation of the logits
        ("positives", pa.float64()),  # share of positive items
        ("items", pa.int64()),
        ("lr", pa.float64()),
        ("images_per_s", pa.float64()),
        ("elapsed_s", pa.float64()),
        ("waited_s", pa.float64()),  # of which for data
        ("memory_mb", pa.float64()),
        ("hardware", pa.string()),
    ]
)
STEPS = pa.schema(
    [("stage", pa.string()), ("epoch", pa.int32()), ("step", pa.int64()), ("loss", pa.float64()), ("lr", pa.float64())]
)


class Journal:
    """Rows in memory, written whole and atomically at each checkpoint."""

    def __init__(self, folder: Path, hardware: str, writes: bool = True) -> None:
        """`writes`: False for the ranks that keep silent."""
        self._folder, self._hardware = folder, hardware
        self._epochs: list[dict[str, Any]] = []
        self._steps: list[dict[str, Any]] = []
        self._events = _tensorboard(folder) if writes else None
        self._mlflow = _mlflow(folder.name) if writes else None

    def go_on(self, step: int, done: list[tuple[str, int]]) -> None:
        """Take up the rows of the run so far: steps before `step`, epochs that are `done`."""
        self._epochs = [r for r in _rows(self._folder / "metrics.parquet", EPOCHS) if (r["stage"], r["epoch"]) in done]
        self._steps = [r for r in _rows(self._folder / "steps.parquet", STEPS) if r["step"] <= step]

    def step(self, stage: str, epoch: int, step: int, loss: float, lr: float) -> None:
        """A step: `step` counts from 1 over the whole run."""
        self._steps.append({"stage": stage, "epoch": epoch, "step": step, "loss": loss, "lr": lr})
        if self._events is not None:
            self._events.add_scalar("step/loss", loss, step)
            self._events.add_scalar("step/lr", lr, step)

    def epoch(self, row: dict[str, Any], step: int) -> None:
        """An epoch of a split."""
        self._epochs.append({"hardware": self._hardware, **row})
        numbers = {k: v for k, v in row.items() if isinstance(v, float)}
        for name, value in numbers.items():
            if self._events is not None:
                self._events.add_scalar(f"{row['split']}/{name}", value, step)
        if self._mlflow is not None:
            self._mlflow.log_metrics({f"{row['split']}/{k}": v for k, v in numbers.items()}, step=step)

    def write(self) -> None:
        """Both tables, whole."""
        for name, rows, schema in (("metrics", self._epochs, EPOCHS), ("steps", self._steps, STEPS)):
            sink = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
            write_bytes(self._folder / f"{name}.parquet", sink.getvalue())
        if self._events is not None:
            self._events.flush()

    def close(self) -> None:
        """No more rows."""
        if self._events is not None:
            self._events.close()
        if self._mlflow is not None:
            self._mlflow.end_run()


def _rows(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    """A table of the run so far; none where there is none yet. Raises RadforgeError when it is not what was written."""
    if not path.is_file():
        return []
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException):
        table = None
    if table is None or not table.schema.equals(schema):
        raise RadforgeError(
            "is damaged", str(path), expected="the file that the run wrote; without it the run goes on, and loses its curves"
        )
    return list(table.to_pylist())


def _tensorboard(folder: Path) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - slow to import, and not everyone has it

    return SummaryWriter(str(folder / "events"))


def _mlflow(name: str) -> Any:
    """MLflow where it is installed and a tracking server is named: never a folder of files made unasked."""
    if "MLFLOW_TRACKING_URI" not in os.environ or importlib.util.find_spec("mlflow") is None:
        return None
    import mlflow  # noqa: PLC0415 - not everyone has it

    mlflow.start_run(run_name=name)
    return mlflow
