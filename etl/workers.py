"""Where the workers of a run come from: this machine, or the queue of a site."""

from __future__ import annotations

import os
import platform
import socket
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from cluster.local_pool import local
from cluster.pool import Pool, cores
from cluster.progress import Reporter
from cluster.span import Span
from etl.card import software
from etl.identity import code_digest
from etl.order import Order
from etl.private import Private
from schemas.dataset import split_reference
from schemas.site import Site

UNLESS_SAID = Span(1, 8)  # of a queue


class Workers:
    """The pool of a run, started when the first work turns up: an archive that is already built needs none."""

    def __init__(self, order: Order, stack: ExitStack, say: Reporter) -> None:
        self._site = order.site if order.site is not None and order.site.kind != "local" else None
        self._span = order.workers or (UNLESS_SAID if self._site else Span(1, cores()))
        self.count = self._span.max
        """The most there will be; on this machine as many as there are."""
        self._memory = int(order.recipe.limits.worker_memory_gb * 2**30)
        self._order, self._say = order, say
        self._stack = stack.enter_context(ExitStack())
        self._pool: Pool[Any, Any] | None = None

    def __call__(self) -> Pool[Any, Any]:
        """The pool; started at the first call. Raises RadforgeError."""
        if self._pool is None:
            self._pool = self._here() if self._site is None else self._there(self._site)
            self._say.say(f"dashboard: {self._pool.dashboard}")
        return self._pool

    def close(self) -> None:
        """Let the workers go: no more work will come. What follows may take long, and their jobs are others' too."""
        self._pool = None
        self._stack.close()

    def _here(self) -> Pool[Any, Any]:
        self._say.say(f"starting {self.count} workers on this machine")
        return self._stack.enter_context(local(self.count, self._memory))

    def _there(self, site: Site) -> Pool[Any, Any]:
        # Here, since workers import this module too, and dask-jobqueue can only be imported by a main thread.
        from cluster.queue_pool import on_queue  # noqa: PLC0415

        order = self._order
        beside = Path(site.shared).expanduser() if site.shared else Private.beside(order.out, order.private).folder
        if not site.shared and not beside.is_dir():  # a preview: it leaves nothing beside the dataset
            near = next(path for path in order.out.absolute().parents if path.is_dir())
            beside = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix=".radforge-", dir=near)))
        # As they were typed: a worker that began in another folder must not do.
        paths = {f"ARCHIVE {number}": str(split_reference(str(path))[0]) for number, path in enumerate(order.archives, 1)}
        if order.out.is_dir():
            paths["--out"] = str(order.out)
        look = partial(look_at_worker, paths, same_everywhere())
        return self._stack.enter_context(on_queue(site, self._span, self._memory, beside.absolute(), self._say, look))


def same_everywhere() -> dict[str, str]:
    """What must be alike in driver and workers for a version to be the same wherever it is built."""
    code = {"radforge's code": code_digest(), "machine": platform.machine()}
    return {"Python": ".".join(platform.python_version_tuple()[:2]), **software(), **code}


def look_at_worker(paths: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Run on a worker: what is wrong with it, "" when nothing is. `paths`: by flag, what it must see; it writes to --out."""
    here = socket.gethostname()
    for flag, path in paths.items():
        if not os.access(path, os.R_OK | (os.W_OK if flag == "--out" else 0)):
            return f"{flag} cannot be {'written' if flag == '--out' else 'read'} on {here}: every node must see it"
    found = same_everywhere()
    other = [
        f"{name} {found.get(name, 'none')}, not {version}" for name, version in expected.items() if found.get(name) != version
    ]
    return f"{here} has {'; '.join(other[:3])}: `setup`, `python` or `container` in the site file" if other else ""
