"""Work through Dask: one process and one thread a worker, watched from outside.

A decoder may hold the interpreter's lock for ever, kill its process or eat the machine's memory, so nothing inside a worker
can be trusted to end it. The pool holds one item per worker, so it knows when each began; an item that takes too long
loses its worker, and an item whose worker died comes back as Lost instead of a result. Where the workers come from (this
machine, a queue) and whose fault a death is, is the supply's to know.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from distributed import Client, Future, KilledWorker, wait
from distributed.client import FutureCancelledError

from cluster import interrupt
from cluster.desk import Desk, Entry, Running
from cluster.supply import Supply
from schemas.errors import RadforgeError

SECONDS_TO_NOTICE = 3.0
SECONDS_TO_FETCH = 10.0
JOBS_AN_ITEM_MAY_LOSE = 3
WORKERS_THAT_MAY_FAIL_AT_ONCE = 5

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Lost:
    """The worker of an item went away before it had a result."""

    reason: Literal["crash", "memory", "timeout"]


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool(Generic[Item, Result]):
    """Runs a function over items, one at a time on each worker, and never waits for ever without saying so.

    `look`: run once on every worker before it is given work; what it returns is what is wrong with it, "" for nothing.
    """

    def __init__(
        self, client: Client, workers: int, dashboard: str, supply: Supply, look: Callable[[], str] | None = None
    ) -> None:
        self.workers = workers
        self.dashboard = dashboard
        self._client = client
        self._supply = supply
        self._look = _on_its_own(look) if look is not None else None
        self._looked_at: set[str] = set()
        self._died_at_once = 0

    def map(
        self, work: Callable[[Item], Result], items: Iterable[Item], seconds: Callable[[Item], float] | None = None
    ) -> Iterator[tuple[Item, Result | Lost]]:
        """(item, result) as they finish; `seconds(item)` is the time an item may take.

        Each worker holds one item, so a million items cost no memory, and nobody is blamed for a neighbour's death. An item
        whose worker lost its job (time limit, preemption, a node) is tried again, but not for ever.
        An exception of `work` is raised here.
        """
        source = iter(items)
        desk: Desk[Item] = Desk()
        try:
            while True:
                interrupt.check()
                while len(desk.ready) < self.workers and (item := next(source, _END)) is not _END:
                    desk.ready.append(Entry(item))
                if not desk.need:
                    return
                live = self._live()
                self._supply.tend(desk.need, live, desk.busy)
                for address in sorted(live - desk.busy):
                    self._give(address, work, desk)
                if desk.running:
                    with suppress(TimeoutError), self._client.as_current():
                        wait(list(desk.running), timeout=1, return_when="FIRST_COMPLETED")
                else:
                    time.sleep(0.2)
                yield from self._finished(desk)
                yield from self._overdue(desk, live, seconds)
                yield from self._fallen(desk)
        finally:
            with suppress(Exception):
                self._client.cancel(list(desk.running), force=True)

    def _live(self) -> set[str]:
        if self._client.status != "running":  # without the scheduler no result would ever come
            raise RuntimeError("the connection to the scheduler is lost")
        return set(self._client.nthreads())

    def _give(self, address: str, work: Callable[[Item], Result], desk: Desk[Item]) -> None:
        if self._look is not None and address not in self._looked_at:
            future = self._client.submit(self._look, pure=False, workers=[address])
            desk.running[future] = Running(None, address, time.monotonic())
        elif desk.ready:
            entry = desk.ready.popleft()
            future = self._client.submit(work, entry.item, pure=False, workers=[address])
            desk.running[future] = Running(entry, address, time.monotonic())

    def _finished(self, desk: Desk[Item]) -> Iterator[tuple[Item, Any]]:
        for future, held in list(desk.running.items()):
            if future.done():
                del desk.running[future]
                if held.entry is None:
                    self._judge(future, held.worker)
                    continue
                result = self._result(future, held.worker)
                if result is _GONE:
                    desk.fallen.append(held)
                elif result is _UNDONE:
                    desk.ready.appendleft(held.entry)
                else:
                    yield held.entry.item, result

    def _overdue(
        self, desk: Desk[Item], live: Set[str], seconds: Callable[[Item], float] | None
    ) -> Iterator[tuple[Item, Lost]]:
        now = time.monotonic()
        for future, held in list(desk.running.items()):
            if future.done():
                continue
            held.gone_since = None if held.worker in live else held.gone_since or now
            if held.entry is not None and seconds is not None and now - held.since > seconds(held.entry.item):
                del desk.running[future]
                self._end(future, held.worker)
                yield held.entry.item, Lost("timeout")
            elif held.gone_since is not None and now - held.gone_since > SECONDS_TO_NOTICE:
                # The worker took its leave, or had died before this was sent: the scheduler blames nobody, and waits for it.
                del desk.running[future]
                self._client.cancel([future], force=True)
                if held.entry is not None:
                    desk.ready.appendleft(held.entry)

    def _fallen(self, desk: Desk[Item]) -> Iterator[tuple[Item, Lost]]:
        """Items whose worker died: tried again when its job ended around it, given up as its own fault otherwise."""
        for held in list(desk.fallen):
            fate = self._supply.fate(held.worker)
            if fate is None or held.entry is None:
                continue
            desk.fallen.remove(held)
            held.entry.lost_jobs += fate == "job"
            if fate == "job" and held.entry.lost_jobs < JOBS_AN_ITEM_MAY_LOSE:
                desk.ready.appendleft(held.entry)
            else:
                memory = self._supply.out_of_memory(held.worker, held.since)
                yield held.entry.item, Lost("memory" if memory else "crash")

    def _judge(self, future: Future, worker: str) -> None:
        """What a worker's first task says of it. Raises RadforgeError for a worker that must not be given work."""
        found = self._result(future, worker)
        if found is _UNDONE:
            return
        if found is _GONE:
            self._died_at_once += 1
            if self._died_at_once == WORKERS_THAT_MAY_FAIL_AT_ONCE:
                raise RadforgeError("workers end as soon as they begin", "--workers", f"{self._died_at_once} in a row")
        elif found:
            raise RadforgeError(found, "workers")
        else:
            self._died_at_once = 0
            self._looked_at.add(worker)

    def _result(self, future: Future, worker: str) -> Any:
        if future.status != "finished":
            try:
                return future.result()
            except (KilledWorker, FutureCancelledError):
                return _GONE
        while True:
            with suppress(TimeoutError, FutureCancelledError):
                return future.result(timeout=SECONDS_TO_FETCH)
            # A worker that died before its result was fetched: the scheduler would wait for that very worker for ever.
            interrupt.check()
            if worker not in self._live():
                self._client.cancel([future], force=True)
                return _UNDONE

    def _end(self, future: Future, worker: str) -> None:
        # Cancelled first: the scheduler would otherwise give it to the next worker.
        self._client.cancel([future], force=True)
        self._client.restart_workers([worker], timeout=30, raise_for_error=False)


def _on_its_own(look: Callable[[], str]) -> Callable[[], str]:
    """The same, for a worker that may lack our packages: a task that it cannot unpickle would end it without a word."""
    packed = pickle.dumps(look)

    def first_task() -> str:  # a function within a function travels by value
        try:
            return str(pickle.loads(packed)())
        except ImportError as error:
            return f"their Python has no {error.name}: `setup`, `python` or `container` in the site file"

    return first_task


_END: Any = object()
_GONE: Any = object()  # the worker died of it, or with it
_UNDONE: Any = object()  # the result is lost, and nobody is to blame
