"""Which studies travel together, and what happens when a batch does not come back.

A batch that lost its worker is tried again study by study, a study that loses its worker again film by film, and a film that
does so alone is given up: one bad film costs one row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from cluster.pool import Lost
from etl.study import Failure, StudyOutcome

SECONDS_PER_BYTE = 8e-9  # raw film to finished picture, measured; see docs/architecture.md
SECONDS_PER_FILM = 0.04
SLOWER = 10  # how much slower than the estimate a machine may be before a batch is taken for hanging

_LOST: Mapping[str, str] = {
    "crash": "the film ended its worker each time it was tried, the last time alone",
    "memory": "the film needs more memory than [limits] worker_memory_gb",
    "timeout": "the film takes longer than [limits] seconds_per_film",
}


class Task(Protocol):
    """The work of one study."""

    @property
    def study_id(self) -> str:
        """Pseudonym of the study."""
        ...

    @property
    def weight(self) -> float:
        """Work, in bytes of raw film."""
        ...

    @property
    def frames(self) -> int:
        """Frames to process."""
        ...

    @property
    def digest(self) -> str:
        """What the work is, for the journal."""
        ...

    @property
    def sources(self) -> set[str]:
        """The files it speaks of, by source_id."""
        ...

    def parts(self) -> Sequence[Self]:
        """The smallest pieces that can be processed alone."""
        ...


T = TypeVar("T", bound=Task)


@dataclass(frozen=True)
class Batch(Generic[T]):
    """Tasks that one worker does in one go."""

    tasks: tuple[T, ...]
    attempt: int = 0  # 0 with others, 1 a study alone, 2 a film alone

    @property
    def frames(self) -> int:
        """Frames of all its tasks."""
        return sum(task.frames for task in self.tasks)

    def seconds(self, seconds_per_film: float) -> float:
        """The time this batch may take."""
        if self.attempt:
            return seconds_per_film * self.frames
        return seconds_per_film + SLOWER * sum(estimate(task) for task in self.tasks)


def estimate(task: Task) -> float:
    """Seconds of one core that a study should take."""
    return task.weight * SECONDS_PER_BYTE + task.frames * SECONDS_PER_FILM


class Batches(Iterator[Batch[T]], Generic[T]):
    """The queue of a run: heavy studies first, batches long enough that scheduling costs under 1 %.

    One task costs the scheduler about 1.1 ms, so with W workers a batch lasts 11 ms x W or more, and 4 s at least; but
    there are four batches a worker or more, so that none waits long for the last.
    """

    def __init__(self, tasks: Iterable[T], total: float, workers: int, give_up: Callable[[T, Failure], StudyOutcome]) -> None:
        """`tasks` come heavy ones first and are taken one by one; `total`: their seconds of one core together."""
        self._target = min(max(4.0, 0.011 * workers), total / (4 * workers) if workers else total)
        self._tasks = iter(tasks)
        self._next = next(self._tasks, None)
        self._give_up = give_up
        self._again: list[Batch[T]] = []
        self._open: dict[str, list[StudyOutcome]] = defaultdict(list)
        self._missing: dict[str, int] = {}

    def __next__(self) -> Batch[T]:
        if self._again:
            return self._again.pop()
        chosen: list[T] = []
        length = 0.0
        while self._next is not None and (not chosen or length + estimate(self._next) <= self._target):
            chosen.append(self._next)
            length += estimate(self._next)
            self._next = next(self._tasks, None)
        if not chosen:
            raise StopIteration
        return Batch(tuple(chosen))

    def settle(self, batch: Batch[T], result: Sequence[StudyOutcome] | Lost) -> list[StudyOutcome]:
        """The studies that are finished by this result; what was lost is queued again or becomes failures."""
        if not isinstance(result, Lost):
            return [outcome for part in result if (outcome := self._whole(part)) is not None]
        if batch.attempt == 0:
            self._again += [Batch((task,), 1) for task in batch.tasks]
            return []
        task = batch.tasks[0]
        parts = task.parts()
        if batch.attempt == 1 and len(parts) > 1:
            self._missing[task.study_id] = len(parts)
            self._again += [Batch((part,), 2) for part in parts]
            return []
        outcome = self._whole(self._give_up(task, Failure(result.reason, _LOST[result.reason])))
        return [outcome] if outcome is not None else []

    def _whole(self, part: StudyOutcome) -> StudyOutcome | None:
        """A study that was taken apart is finished when its last part is."""
        study = part.study_id
        if study not in self._missing:
            return part
        self._open[study].append(part)
        if len(self._open[study]) < self._missing[study]:
            return None
        del self._missing[study]
        merged = StudyOutcome(study)
        for piece in self._open.pop(study):
            merged.records += piece.records
            merged.drops += piece.drops
            merged.failures += piece.failures
            for name, seconds in piece.seconds.items():
                merged.seconds[name] += seconds
        return merged
