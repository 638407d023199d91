"""What a run has to do and what is settled before it begins, on disk: the same for an archive and for a version as source."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from etl.archive.files import OF_THE_MOMENT
from etl.batches import Task
from etl.scratch import Scratch
from etl.tables import RowFile
from etl.task_file import TaskFile
from schemas.manifest import Column

T = TypeVar("T", bound=Task)


class Work(Generic[T]):
    """What is to be done for a version and what is settled already, on disk."""

    def __init__(self, scratch: Scratch, extra: Sequence[Column] = ()) -> None:
        self.tasks: TaskFile[T] = TaskFile(scratch.file("tasks"))
        self.rows = RowFile(scratch, extra)
        self.sources = array("Q")  # every file that a row must be of: source_id, 16 hex digits, as a number
        self.reasons: Counter[str] = Counter()  # settled rows by reason or stage
        self.unread: set[str] = set()  # source_ids of files that could not be read for a reason of the moment

    def add(self, tasks: Sequence[T], drops: Sequence[Mapping[str, Any]], failures: Sequence[Mapping[str, Any]]) -> None:
        """Add studies to be done, and rows. Raises RadforgeError when the disk fails."""
        for task in tasks:
            self.tasks.add(task)
        self.rows.add("drops", drops)
        self.rows.add("failures", failures)
        sources = {str(row["source_id"]) for row in (*drops, *failures)}.union(*(task.sources for task in tasks))
        self.sources.extend(int(source, 16) for source in sources)
        self.reasons.update(str(row["reason"]) for row in drops)
        self.reasons.update(f"{row['stage']} (failure)" for row in failures)
        self.unread |= {str(row["source_id"]) for row in failures if row["error"] in OF_THE_MOMENT}
