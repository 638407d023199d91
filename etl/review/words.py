"""What each step did to a picture, in a few words, and how sure it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from etl.doubts import confidences


class Told(NamedTuple):
    """One decision: its name in `review_reasons`, the words, how sure (0..1, None where nothing was measured), and whether
    that is little enough to look."""

    step: str
    words: str
    sure: float | None
    doubtful: bool


def told(row: Mapping[str, Any]) -> list[Told]:
    """The decisions about a manifest row, in the order in which they were taken."""
    sure = confidences(row)
    words = {
        "body_part": _part(row),
        "inversion": "grey sense turned" if row["inverted"] else "grey sense kept",
        "split": f"picture {row['region_index'] + 1} of {row['region_count']}" if row["region_count"] > 1 else "one picture",
        "rotation": _turn(row["rotation_deg"]),
    }
    doubtful = set(row["review_reasons"] or ())
    return [Told(step, text, sure.get(step), step in doubtful) for step, text in words.items()]


def _part(row: Mapping[str, Any]) -> str:
    part = (row["body_part"] or "body part unknown").replace("_", " ")
    rest = " ".join(word for word in (row["laterality"], row["view_position"]) if word)
    return f"{part} {rest}".strip() + (", but it looks like a chest" if row.get("body_part_suspect") else "")


def _turn(degrees: float | None) -> str:
    if not degrees:
        return "not turned"
    return f"turned {abs(degrees):.0f}° {'counter-clockwise' if degrees > 0 else 'clockwise'}"
