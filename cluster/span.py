"""How many workers: `--workers N` or `--workers MIN:MAX`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from schemas.errors import RadforgeError


@dataclass(frozen=True)
class Span:
    """Hold `min` workers, grow to `max` when the queue gives."""

    min: int
    max: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`4` is 4:4. Raises RadforgeError."""
        match = re.fullmatch(r"(\d{1,6})(?::(\d{1,6}))?", text.strip())
        span = cls(int(match[1]), int(match[2] or match[1])) if match else None
        if span is not None and span.min > span.max:
            raise RadforgeError("MIN is more than MAX", "--workers", repr(text), f"e.g. {span.max}:{span.min}")
        if span is None or not 1 <= span.min <= span.max:
            raise RadforgeError("not understood", "--workers", repr(text), "N or MIN:MAX, at least 1, e.g. 4 or 4:48")
        return span

    def __str__(self) -> str:
        return f"{self.min}" if self.min == self.max else f"{self.min} to {self.max}"
