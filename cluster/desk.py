"""What a pool has in hand: items that wait, that are worked on, and that lost their worker."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from distributed import Future

Item = TypeVar("Item")


@dataclass
class Entry(Generic[Item]):
    """An item, and how many jobs have ended around it."""

    item: Item
    lost_jobs: int = 0


@dataclass
class Running(Generic[Item]):
    """What a worker holds, since when, and since when that worker is gone (time.monotonic)."""

    entry: Entry[Item] | None  # None: the worker's first task, which looks at the worker itself
    worker: str
    since: float
    gone_since: float | None = None


@dataclass
class Desk(Generic[Item]):
    """What one `map` has in hand."""

    ready: deque[Entry[Item]] = field(default_factory=deque)
    running: dict[Future, Running[Item]] = field(default_factory=dict)
    fallen: list[Running[Item]] = field(default_factory=list)  # their worker is gone, and why is not known yet

    @property
    def need(self) -> int:
        """Items that are not done."""
        return len(self.ready) + len(self.fallen) + sum(held.entry is not None for held in self.running.values())

    @property
    def busy(self) -> set[str]:
        """Workers that hold something."""
        return {held.worker for held in self.running.values()}
