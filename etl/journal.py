"""What is finished, line by line: rows of each study, appended and fsynced as they arrive. The memory of a killed run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from etl.picture_store import disk_error
from etl.study import StudyOutcome

NAME = "journal.jsonl"


class Journal:
    """Append-only. A line torn by a crash is cut off when the journal is opened again."""

    def __init__(self, building: Path) -> None:
        self._path = building / NAME
        self._mend()
        try:
            self._file = self._path.open("ab")
        except OSError as error:
            raise disk_error(error) from None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()

    def append(self, outcomes: Iterable[StudyOutcome], digests: Mapping[str, str]) -> None:
        """Record studies as finished; their pictures must lie on the disk already. Raises RadforgeError (disk).

        `digests`: by study_id, what the work was. A file that could not be read then and can now makes other work of it.
        """
        try:
            for outcome in outcomes:
                line: dict[str, Any] = {"study": outcome.study_id, "work": digests[outcome.study_id]}
                line |= {"records": outcome.records, "drops": outcome.drops, "failures": outcome.failures}
                line["seconds"] = dict(outcome.seconds)
                self._file.write(json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise disk_error(error) from None

    def _mend(self) -> None:
        if not self._path.exists():
            return
        whole = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n") or _parse(line) is None:
                    break
                whole += len(line)
        if whole < self._path.stat().st_size:
            os.truncate(self._path, whole)


def read(building: Path, digests: Mapping[str, str]) -> Iterator[StudyOutcome]:
    """The finished studies, each once: lines whose work is what it is now, the first of a study."""
    path = building / NAME
    if not path.exists():
        return
    seen: set[str] = set()
    with path.open("rb") as file:
        for line in file:
            entry = _parse(line) if line.endswith(b"\n") else None
            if entry is None:
                return
            work, outcome = entry
            if outcome.study_id not in seen and digests.get(outcome.study_id) == work:
                seen.add(outcome.study_id)
                yield outcome


def _parse(line: bytes) -> tuple[str, StudyOutcome] | None:
    try:
        entry = json.loads(line)
        outcome = StudyOutcome(entry["study"], entry["records"], entry["drops"], entry["failures"])
        outcome.seconds.update({str(name): float(value) for name, value in entry["seconds"].items()})
        return str(entry["work"]), outcome
    except (ValueError, KeyError, TypeError):
        return None
