"""How far a long work has come: a bar on a terminal, a plain line now and then in a log. Names no film."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 10.0


class Stage:
    """One stage of known length."""

    def __init__(self, name: str, total: int, unit: str, console: Console, bar: Progress | None) -> None:
        self._name, self._total, self._unit, self._console, self._bar = name, total, unit, console, bar
        self._task = bar.add_task(name, total=total, rate="") if bar else None
        self._done = 0
        self._note = ""
        self._counted_from = 0
        self._started = self._last = time.monotonic()

    def skip(self, count: int) -> None:
        """Count what was there already; it tells nothing about the speed."""
        self._counted_from += count
        self.advance(count)

    def advance(self, count: int, note: str = "") -> None:
        """Count `count` more as done; `note` is shown beside the speed, e.g. a loss."""
        self._done += count
        self._note = note or self._note
        if self._bar is not None and self._task is not None:
            rate = f"{self.rate:.1f} {self._unit}/s"
            self._bar.update(self._task, completed=self._done, rate=f"{self._note} {rate}".strip())
        elif time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._console.print(self._line(), highlight=False)

    def reach(self, done: int, total: int) -> None:
        """Say how far it is, for work that finds its own total."""
        self._total = total
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=total)
        self.advance(done - self._done)

    @property
    def rate(self) -> float:
        """Units a second since the start."""
        return (self._done - self._counted_from) / max(time.monotonic() - self._started, 1e-3)

    def _line(self) -> str:
        left = (self._total - self._done) / self.rate if self.rate else 0
        return (
            f"{self._name}: {self._done:,} of {self._total:,} {self._unit} ({100 * self._done / max(self._total, 1):.0f} %), "
            f"{self.rate:.1f}/s, about {left:.0f} s left" + (f", {self._note}" if self._note else "")
        )


class Reporter:
    """Where progress and messages go: stderr. `quiet` leaves only warnings and errors."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.console = console
        self.quiet = quiet

    def say(self, text: str) -> None:
        """A line for whoever watches."""
        if not self.quiet:
            self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def warn(self, text: str) -> None:
        """A line that is told even when quiet."""
        self.console.print(f"warning: {text}", style="yellow", highlight=False, soft_wrap=True, markup=False)

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Stage]:
        """Show a stage while the block runs."""
        console = Console(stderr=True, quiet=True) if self.quiet else self.console
        if not console.is_terminal or self.quiet:
            yield Stage(name, total, unit, console, None)
            return
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        with bar:
            yield Stage(name, total, unit, console, bar)
