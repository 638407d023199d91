"""What each step did to a picture, in a few words, and how sure it was: the same words in the report and in the review."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from etl.doubts import confidences


class Decision(NamedTuple):
    """One decision: its name in `review_reasons`, what it is about, what was done, how sure (0..1, None where nothing was
    measured, as of a body part), and whether that is little enough to look.
    """

    step: str
    title: str
    words: str
    sure: float | None
    doubtful: bool


def decisions(row: Mapping[str, Any]) -> list[Decision]:
    """The decisions about a manifest row, in the order in which they were taken; a step that did not run took none."""
    sure = {step: value for step, value in confidences(row).items() if step != "body_part"}  # which is for sorting only
    doubtful = set(row.get("review_reasons") or ())
    return [Decision(step, title, words, sure.get(step), step in doubtful) for step, title, words in _taken(row)]


def _taken(row: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    yield "body_part", "Part", _part(row)
    if row.get("inverted") is not None:
        yield "inversion", "Greys", "turned, air was bright" if row["inverted"] else "kept, air is dark"
    number, count = row["region_index"] + 1, row["region_count"]
    yield "split", "Limbs", f"picture {number} of {count}" if count > 1 else "film left whole"
    if row.get("rotation_deg") is not None:
        yield "rotation", "Turn", _turn(row["rotation_deg"])


def _part(row: Mapping[str, Any]) -> str:
    part = (row.get("body_part") or "unknown").replace("_", " ")
    said = " ".join(word for word in (part, row.get("laterality"), row.get("view_position")) if word)
    return said + (", but it looks like a chest" if row.get("body_part_suspect") else "")


def _turn(degrees: float) -> str:
    if not degrees:
        return "not turned"
    return f"{abs(degrees):.3g}° {'counter-clockwise' if degrees > 0 else 'clockwise'}"
