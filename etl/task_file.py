"""The work of every study on disk, and in memory what is asked of all of them: 40 bytes a study."""

from __future__ import annotations

import pickle
from array import array
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from etl.batches import SECONDS_PER_BYTE, SECONDS_PER_FILM, Task
from etl.picture_store import disk_error

T = TypeVar("T", bound=Task)


class TaskFile(Generic[T]):
    """Tasks, in any order, all put in before the first is taken out.

    Study ids and digests are 16 hex digits, so a 64-bit number is one exactly.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = 0
        self._start, self._size, self._frames = array("q"), array("q"), array("q")
        self._weight = array("d")
        self._study, self._digest = array("Q"), array("Q")
        self._order: NDArray[np.int64] | None = None  # places by study

    def __len__(self) -> int:
        return len(self._start)

    def add(self, task: T) -> None:
        """Keep a task. Raises RadforgeError when the disk fails."""
        data = pickle.dumps(task, pickle.HIGHEST_PROTOCOL)
        try:
            self._file.write(data)
        except OSError as error:
            raise disk_error(error, "the private folder") from None
        self._start.append(self._end)
        self._size.append(len(data))
        self._frames.append(task.frames)
        self._weight.append(task.weight)
        self._study.append(int(task.study_id, 16))
        self._digest.append(int(task.digest, 16))
        self._end += len(data)
        self._order = None

    def heavy_first(self, wanted: NDArray[np.bool_] | None = None) -> Iterator[T]:
        """The tasks, or those that the mask (tasks,) wants, by weight, one in memory at a time."""
        order = np.lexsort((np.frombuffer(self._study, np.uint64), -np.frombuffer(self._weight, np.float64)))
        for place in order if wanted is None else order[wanted[order]]:
            self._file.seek(self._start[place])
            yield pickle.loads(self._file.read(self._size[place]))

    def frames(self, wanted: NDArray[np.bool_] | None = None) -> int:
        """Frames to process, of all tasks or of those that the mask wants."""
        frames = np.frombuffer(self._frames, np.int64)
        return int(frames.sum() if wanted is None else frames[wanted].sum())

    def seconds(self, wanted: NDArray[np.bool_] | None = None) -> float:
        """Seconds of one core that they should take; see `etl.batches.estimate`."""
        weight = np.frombuffer(self._weight, np.float64)
        total = float(weight.sum() if wanted is None else weight[wanted].sum())
        return total * SECONDS_PER_BYTE + self.frames(wanted) * SECONDS_PER_FILM

    def place(self, study_id: str) -> int | None:
        """Where a study stands in the masks; None when there is no work of it."""
        studies = np.frombuffer(self._study, np.uint64)
        if self._order is None:
            self._order = np.argsort(studies)
        wanted = np.uint64(int(study_id, 16))
        at = int(np.searchsorted(studies, wanted, sorter=self._order))
        if at == len(studies) or studies[self._order[at]] != wanted:
            return None
        return int(self._order[at])

    @property
    def digests(self) -> Mapping[str, str]:
        """By study_id, what its work is."""
        return _Digests(self)

    def digest_at(self, place: int) -> str:
        """What the work at a place is."""
        return f"{self._digest[place]:016x}"


class _Digests(Mapping[str, str]):
    def __init__(self, tasks: TaskFile[T]) -> None:
        self._tasks = tasks

    def __getitem__(self, study_id: str) -> str:
        place = self._tasks.place(study_id)
        if place is None:
            raise KeyError(study_id)
        return self._tasks.digest_at(place)

    def __iter__(self) -> Iterator[str]:
        raise TypeError("the digests are asked for by study")

    def __len__(self) -> int:
        return len(self._tasks)
