"""DATASET/.runs: which request gave which version, when, where and at what cost. One small JSON file a run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

RUNS = ".runs"


class RunRecord(BaseModel):
    """One committed run. Facts about the making, none of which is part of what the version is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    request: str
    version: str
    parent: str | None = None
    committed_at: str = ""
    elapsed_s: float = 0.0
    stages_s: Mapping[str, float] = Field(default_factory=dict)
    films: int = 0
    films_per_s: float = 0.0
    workers: int = 0
    resumed_films: int = 0
    host: str = ""
    cpu: str = ""
    git_commit: str | None = None
    counts: Mapping[str, int] = Field(default_factory=dict)
    tags: tuple[str, ...] = ()


def runs_of(dataset: Path) -> list[RunRecord]:
    """The runs of a dataset whose version is still there, oldest first. A damaged record is passed over."""
    records = []
    for path in sorted((dataset / RUNS).glob("*.json")):
        try:
            record = RunRecord.model_validate_json(path.read_bytes())
        except (ValidationError, OSError):
            continue
        if (dataset / record.version / "card.json").is_file():
            records.append(record)
    return sorted(records, key=lambda record: record.committed_at)


def write_run(dataset: Path, record: RunRecord) -> None:
    """Add a record, atomically. Its name sorts by time."""
    folder = dataset / RUNS
    folder.mkdir(exist_ok=True)
    path = folder / f"{record.committed_at.replace(':', '')}-{record.request}.json"
    draft = path.with_suffix(".tmp")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(record.model_dump(mode="json"), file, indent=1, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def now() -> str:
    """The time, in UTC to the microsecond, as text that sorts."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
