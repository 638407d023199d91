"""A RUN folder on disk: what one training was, what it measured, what it left. README and contract name its files."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import RadforgeError
from schemas.loading import load
from schemas.train_recipe import TrainRecipe

Split = Literal["train", "val", "test"]

PREDICTIONS = pa.schema(
    [
        pa.field("level", pa.string(), nullable=False),  # "instance": one picture; "study": the model saw all its views
        pa.field("study_id", pa.string()),
        pa.field("patient_id", pa.string()),
        pa.field("image_id", pa.string()),  # null at level "study"
        pa.field("views", pa.int32(), nullable=False),  # pictures that the score was made from
        pa.field("split", pa.string()),
        pa.field("target", pa.float32()),  # 0 or 1; null where there is no label
        pa.field("logit", pa.float32(), nullable=False),
        pa.field("probability", pa.float32(), nullable=False),  # sigmoid of the logit, not calibrated
    ]
)
"""predictions/<split>.parquet: one row a picture, and for models of whole studies one more a study."""


class TrainingRecord(BaseModel):
    """run.json: facts about the making."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    recipe: str
    dataset: str
    version: str
    label: str
    classes: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    """Studies of each split by class."""
    unlabelled_studies: int = 0
    mean: float = 0.0
    std: float = 1.0
    etl_recipe: Mapping[str, Any] = Field(default_factory=dict)
    etl_parent: str | None = None
    """The version that the dataset version was made from; None when it was made from DICOM."""
    key_fingerprint: str | None = None
    seed: int = 0
    command: tuple[str, ...] = ()
    continues: str | None = None
    initialised_from: str | None = None
    git_commit: str | None = None
    packages: Mapping[str, str] = Field(default_factory=dict)
    host: str = ""
    hardware: str = ""
    processes: int = 1
    started_at: str = ""
    finished_at: str | None = None
    elapsed_s: float = 0.0
    best: Mapping[str, float] = Field(default_factory=dict)
    """Stage, epoch and validation figures of the best checkpoint."""
    warnings: tuple[str, ...] = ()
    """What the run itself said of itself, e.g. "has not left chance"."""


@dataclass(frozen=True)
class TrainingRun:
    """One training folder."""

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> TrainingRun:
        """Raises RadforgeError when it is not a run."""
        run = cls(Path(folder))
        if not (run.folder / "run.json").is_file():
            raise RadforgeError("no such run", str(folder), expected="a folder that `train run` made")
        return run

    @property
    def record(self) -> TrainingRecord:
        """run.json. Raises RadforgeError when it is damaged."""
        try:
            return TrainingRecord.model_validate_json((self.folder / "run.json").read_bytes())
        except (ValidationError, OSError):
            raise RadforgeError("run.json is missing or damaged", str(self.folder)) from None

    @property
    def recipe(self) -> TrainRecipe:
        """recipe.toml, resolved."""
        return load(TrainRecipe, str(self.folder / "recipe.toml"), "train")

    @property
    def best(self) -> Path:
        """The checkpoint chosen on validation. Raises RadforgeError when the run has none yet."""
        path = self.folder / "checkpoints" / "best.pt"
        if not path.is_file():
            raise RadforgeError("the run has no best checkpoint yet", str(self.folder), expected="at least one finished epoch")
        return path

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return self.record.finished_at is not None

    def predictions(self, split: str) -> pa.Table:
        """Rows of PREDICTIONS. Raises RadforgeError when there are none, or the file is damaged."""
        missing = f"a finished run on a version with `{split}` studies"
        return _table(self.folder / "predictions" / f"{split}.parquet", PREDICTIONS.names, "no predictions", missing)

    def metrics(self) -> pa.Table:
        """metrics.parquet: one row per stage, epoch and split. Raises RadforgeError when there is none, or it is damaged."""
        return _table(self.folder / "metrics.parquet", ["stage", "epoch", "split"], "no metrics", "at least one finished epoch")


def _table(path: Path, columns: list[str], what: str, expected: str) -> pa.Table:
    if not path.is_file():
        raise RadforgeError(what, str(path), expected=expected)
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException):
        table = None
    if table is None or not set(columns) <= set(table.column_names):
        raise RadforgeError("is damaged", str(path), expected="the file that `train` wrote")
    return table


def write_json(path: Path, value: Any) -> None:
    """Write atomically. Raises RadforgeError when the disk refuses."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, default=str) + "\n").encode())


def write_bytes(path: Path, data: bytes) -> None:
    """A file is either whole or not there. Raises RadforgeError when the disk refuses."""
    draft = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        expected = "room on the disk; then the same command (of `train run` with --resume)" if full else ""
        raise RadforgeError("cannot be written", str(path), error.strerror or "I/O error", expected) from None
