"""Jobs for tests: their records without a queue, and a list of jobs that is the test's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cluster import registry
from schemas.job import JobRecord, JobSpec, Member
from schemas.site import Site


@pytest.fixture(autouse=True)
def own_list(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of jobs of one test, also for the commands that it starts. Import it, and every test of the file has one."""
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    return state / "radforge/jobs"


def drawn_spec(folder: Path, members: int = 1, **fields: Any) -> JobSpec:
    """A job of `true`, or an array of them."""
    commands = tuple(Member(command=("true",), label=f"seed={place}" if members > 1 else "") for place in range(members))
    return JobSpec.model_validate({"name": "job", "members": commands, "folder": folder, "cwd": folder} | fields)


def drawn_record(
    folder: Path, id_: str = "7", kind: str = "slurm", members: int = 1, age_s: float = 0, **fields: Any
) -> JobRecord:
    """As if it had been submitted `age_s` ago; not in the list."""
    given = {
        "id": id_,
        "kind": kind,
        "spec": drawn_spec(folder, members),
        "site": Site.model_validate({"kind": kind}),
        "submitted_at": (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat(timespec="microseconds"),
    }
    return JobRecord.model_validate(given | fields)


def listed_record(folder: Path, id_: str = "7", **fields: Any) -> JobRecord:
    """The same, in the list."""
    record = drawn_record(folder, id_, **fields)
    (folder / "job").mkdir(parents=True, exist_ok=True)
    registry.save(record)
    return record


def tell(folder: Path, *events: str, task: int | None = None) -> None:
    """What the job would write of itself: `start`, `end 3`; one a second."""
    (folder / "job").mkdir(parents=True, exist_ok=True)
    path = folder / "job" / f"events{'' if task is None else f'-{task}'}"
    began = len(path.read_text().splitlines()) if path.exists() else 0
    with path.open("a") as file:
        file.writelines(f"2026-01-01T12:00:{began + place:02d}Z lab1 {word}\n" for place, word in enumerate(events))
