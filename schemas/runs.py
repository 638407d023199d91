"""DATASET/.runs: which request gave which version, when, where and at what cost. One small JSON file a run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import RadforgeError

RUNS = ".runs"
_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


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
    unread: tuple[str, ...] = ()  # files that could not be read for a reason of the moment


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
    try:
        folder.mkdir(exist_ok=True)
        _write(folder, record)
    except OSError as error:
        raise RadforgeError(
            "the run cannot be recorded",
            str(folder),
            found=error.strerror or "I/O error",
            expected="room to write; then the same command goes on where it stopped",
        ) from None


def _write(folder: Path, record: RunRecord) -> None:
    path = folder / f"{record.committed_at.replace(':', '')}-{record.request}.json"
    draft = path.with_suffix(".tmp")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(record.model_dump(mode="json"), file, indent=1, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def now_after(runs: Sequence[RunRecord]) -> str:
    """The time; or, where the clock went backwards, just after the last run: "newest" is the last commit."""
    last = runs[-1].committed_at if runs else ""
    if now() > last:
        return now()
    return (datetime.fromisoformat(last) + timedelta(microseconds=1)).strftime(_FORMAT)


def now() -> str:
    """The time, in UTC to the microsecond, as text that sorts."""
    return datetime.now(UTC).strftime(_FORMAT)
