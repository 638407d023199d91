"""`make thesis`: dataset, runs, docs/results.md. Interrupted, it goes on where it stopped."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.thesis.curves import draw
from tests.thesis.table import page, total_minutes
from tests.thesis.work import make_dataset, train_all


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def main() -> None:
    """Everything, in order; `table` writes the page from the runs that are there."""
    make_dataset(say)
    refusals = train_all(say, only_refused="table" in sys.argv[1:])
    path = Path("docs/results.md")
    path.write_text(page(refusals, total_minutes()), "utf-8")
    curves = Path("docs/guides/mvcnn-curves.png")
    draw(curves)
    say(f"written: {path}, {curves}")


if __name__ == "__main__":
    main()
