"""Looking at a job while it runs: its log as it grows, and waiting for its end. The queue is asked seldom."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster import interrupt
from cluster.events import read_story
from cluster.jobs import log_files, statuses
from schemas.job import OVER, JobRecord, Status

SECONDS_BETWEEN_LOOKS = 0.5  # at files
FIRST_QUESTION, LONGEST = 2.0, 40.0  # seconds between questions to the queue: growing, for hundreds may wait like this


@dataclass
class Tail:
    """How far a log was read. A letter of several bytes may be written in two goes."""

    read: int = 0
    decoder: codecs.IncrementalDecoder = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))


class Patience:
    """When to ask the queue again: soon at first, then ever less often, and at once when the job wrote its last word."""

    def __init__(self, record: JobRecord) -> None:
        self._record = record
        self._pause = FIRST_QUESTION
        self._next = 0.0
        self._words = -1

    def due(self) -> bool:
        """Whether it is time to ask."""
        places = range(len(self._record.spec.members)) if len(self._record.spec.members) > 1 else [None]
        words = sum(read_story(self._record.spec.folder / "job", place).code is not None for place in places)
        now = time.monotonic()
        if words == self._words and now < self._next:
            return False
        self._pause = FIRST_QUESTION if words != self._words else min(self._pause * 1.5, LONGEST)
        self._words, self._next = words, now + self._pause
        return True


def wait(record: JobRecord, members: Sequence[int] = (), told: Callable[[Status], None] = lambda status: None) -> list[Status]:
    """Until the job, or these members of it, are over; `told` gets each change of state. Raises RadforgeError (queue)."""
    patience, known = Patience(record), dict[str, str]()
    while True:
        if patience.due():
            now = of_members(statuses([record]), members)
            for status in now:
                if known.get(status.id) != status.state:
                    known[status.id] = status.state
                    told(status)
            if all(status.state in OVER for status in now):
                return now
        interrupt.check()
        time.sleep(SECONDS_BETWEEN_LOOKS)


def follow(record: JobRecord, members: Sequence[int], write: Callable[[str], None]) -> list[Status]:
    """Write the logs as they grow, until the job is over. Raises RadforgeError when the queue does not answer."""
    patience, tails, last = Patience(record), dict[Path, Tail](), list[Path]()
    while True:
        over = False
        if patience.due():
            now = of_members(statuses([record]), members)
            over = all(status.state in OVER for status in now)
        _grow(log_files(record, members), tails, write, last)
        if over:
            return now
        interrupt.check()
        time.sleep(SECONDS_BETWEEN_LOOKS)


def of_members(told: Sequence[Status], members: Sequence[int]) -> list[Status]:
    """Only these places of an array; all where none is named."""
    return [told[place] for place in members] if members else list(told)


def _grow(files: Sequence[Path], tails: dict[Path, Tail], write: Callable[[str], None], last: list[Path]) -> None:
    for path in files:
        tail = tails.setdefault(path, Tail())
        with path.open("rb") as file:
            file.seek(tail.read)
            new = file.read()
        tail.read += len(new)
        if text := tail.decoder.decode(new):
            write(f"==> {path.name} <==\n{text}" if len(files) > 1 and last != [path] else text)
            last[:] = [path]
