"""What a job wrote of itself: job/events, one line each time it began, ended, or asked to be run again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Story:
    """The lines of one job or array member, read."""

    starts: int = 0
    node: str = ""
    code: int | None = None
    """Of the last run, when it came to its end."""
    requeued: bool = False
    """Whether its last word was that it wants to go on."""
    elapsed_s: float | None = None
    """Of all its runs together, as far as they came to an end."""


def read_story(job: Path, task: int | None = None) -> Story:
    """The story so far; an empty one when the job has not begun."""
    try:
        lines = (job / f"events{'' if task is None else f'-{task}'}").read_text("utf-8", "replace").splitlines()
    except OSError:
        return Story()
    starts, node, code, requeued, elapsed, began = 0, "", None, False, 0.0, None
    for line in lines:
        moment, host, word, *rest = [*line.split(), "", "", ""][: max(3, len(line.split()))]
        when = _when(moment)
        match word:
            case "start":
                starts, node, code, requeued, began = starts + 1, host, None, False, when
            case "end":
                code = int(rest[0]) if rest and rest[0].isdigit() else None
                elapsed += (when - began).total_seconds() if when and began else 0.0
                requeued, began = False, None
            case "requeue":
                requeued = True
    return Story(starts, node, code, requeued, elapsed if code is not None else None)


def _when(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
