"""Scores of many cases as a table: one line a case, the thesis' literal methods beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.films.score import Method, Score


@dataclass(frozen=True)
class Row:
    """One case of one film by both methods. `tilts`: per method and limb, degrees modulo 180 from the film's own upright
    run; `below`: per method and limb, whether it was left upside down; `sure` the confidence claimed with it."""

    case: str
    film: str
    scores: Mapping[Method, Score]
    tilts: Mapping[Method, Sequence[float]]
    below: Mapping[Method, Sequence[tuple[bool, float]]]


_HEAD = (
    f"{'':<28}{'':>5}  {'polarity %':^13}{'count %':^13}{'limb IoU':^13}"
    f"{'tilt mean':^13}{'tilt 95th':^13}{'upside down %':^15}{'settled %':^13}{'transform %':^13}"
)
_NAMES = f"{'case':<28}{'n':>5}  " + 5 * f"{'thesis':>6}{'ours':>6} " + f"{'thesis':>7}{'ours':>7} " + 2 * f"{'thesis':>6}{'ours':>6} "


def lines(rows: Sequence[Row], cases: Iterable[str]) -> list[str]:
    """The table, with a last line over all cases."""
    found = [_HEAD, _NAMES]
    found += [_line(case, chosen) for case in cases if (chosen := [row for row in rows if row.case == case])]
    return [*found, _line("all", rows)]


def _line(case: str, rows: Sequence[Row]) -> str:
    text = f"{case:<28}{len(rows):>5}  "
    columns = [
        lambda m: _share(row.scores[m].polarity for row in rows),
        lambda m: _share(row.scores[m].count for row in rows),
        lambda m: _number([iou for row in rows for iou in row.scores[m].limb_iou], np.mean, 3),
        lambda m: _number([tilt for row in rows for tilt in row.tilts[m]], np.mean, 2),
        lambda m: _number([tilt for row in rows for tilt in row.tilts[m]], lambda v: np.percentile(v, 95), 1),
        lambda m: _share(below for row in rows for below, _ in row.below[m]),
        lambda m: _share(row.scores[m].settled for row in rows),
        lambda m: _share(row.scores[m].transform for row in rows),
    ]
    for index, column in enumerate(columns):
        width = 7 if index == 5 else 6
        text += f"{column('thesis'):>{width}}{column('ours'):>{width}} "
    return text


def _share(verdicts: Iterable[bool]) -> str:
    values = list(verdicts)
    return f"{100 * float(np.mean(values)):.1f}" if values else "-"


def _number(values: Sequence[float], of: object, digits: int) -> str:
    return f"{float(of(values)):.{digits}f}" if len(values) else "-"  # type: ignore[operator]


def claims(rows: Sequence[Row], above: float = 0.9) -> str:
    """How often a picture that was called upright with more than this confidence was upside down."""
    sure = [below for row in rows for below, confidence in row.below["ours"] if confidence > above]
    wrong = sum(sure)
    return f"confidence above {above}: claimed for {len(sure)} limbs, upside down {wrong} ({100 * wrong / max(1, len(sure)):.2f} %)"
