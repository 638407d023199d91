"""Where the workers of a run come from: this machine."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from cluster.pool import Pool, cores, local
from cluster.progress import Reporter
from etl.order import Order


class Workers:
    """The pool of a run, started when the first work turns up: an archive that is already built needs none."""

    def __init__(self, order: Order, stack: ExitStack, say: Reporter) -> None:
        self.count = order.workers or cores()
        self._memory = int(order.recipe.limits.worker_memory_gb * 2**30)
        self._stack, self._say = stack, say
        self._pool: Pool[Any, Any] | None = None

    def __call__(self) -> Pool[Any, Any]:
        """The pool; started at the first call."""
        if self._pool is None:
            self._say.say(f"starting {self.count} workers on this machine")
            self._pool = self._stack.enter_context(local(self.count, self._memory))
            self._say.say(f"dashboard: {self._pool.dashboard}")
        return self._pool
