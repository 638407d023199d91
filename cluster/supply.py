"""What a pool must know of where its workers come from."""

from __future__ import annotations

from collections.abc import Set
from typing import Literal, Protocol

Fate = Literal["process", "job"]


class Supply(Protocol):
    """Where workers come from."""

    def tend(self, need: int, live: Set[str], busy: Set[str]) -> None:
        """Called at least once a second with the number of workers that could work now, and addresses of those there are."""
        ...

    def fate(self, worker: str) -> Fate | None:
        """What a worker died of: its process alone, or the job around it; None while that is not known."""
        ...

    def out_of_memory(self, worker: str, since: float) -> bool:
        """Whether a worker was ended for its memory after `since` (time.monotonic)."""
        ...
