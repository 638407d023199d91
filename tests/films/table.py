"""Scores of many cases as a table: one line a case, the thesis' literal methods beside ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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


@dataclass(frozen=True)
class _Column:
    """A pair of columns: the thesis' value and ours, by a function of the cases and the method."""

    title: str
    value: Callable[[Sequence[Row], Method], str]


_COLUMNS = (
    _Column("polarity %", lambda rows, m: _share(row.scores[m].polarity for row in rows)),
    _Column("count %", lambda rows, m: _share(row.scores[m].count for row in rows)),
    _Column("limb IoU", lambda rows, m: _mean([iou for row in rows for iou in row.scores[m].limb_iou], 3)),
    _Column("box IoU", lambda rows, m: _mean([iou for row in rows for iou in row.scores[m].box_iou], 3)),
    _Column("tilt mean", lambda rows, m: _mean([tilt for row in rows for tilt in row.tilts[m]], 2)),
    _Column("tilt 95th", lambda rows, m: _high([tilt for row in rows for tilt in row.tilts[m]])),
    _Column("below %", lambda rows, m: _share(below for row in rows for below, _ in row.below[m])),
    _Column("settled %", lambda rows, m: _share(row.scores[m].settled for row in rows)),
    _Column("transform %", lambda rows, m: _share(row.scores[m].transform for row in rows)),
)
_HEAD = f"{'':<28}{'':>5}" + "".join(f"{column.title:^14}" for column in _COLUMNS)
_NAMES = f"{'case':<28}{'n':>5}" + len(_COLUMNS) * f"{'thesis':>7}{'ours':>7}"


def lines(rows: Sequence[Row], cases: Iterable[str]) -> list[str]:
    """The table, with a last line over all cases."""
    found = [_HEAD, _NAMES]
    found += [_line(case, chosen) for case in cases if (chosen := [row for row in rows if row.case == case])]
    return [*found, _line("all", rows)]


def _line(case: str, rows: Sequence[Row]) -> str:
    values = "".join(f"{column.value(rows, 'thesis'):>7}{column.value(rows, 'ours'):>7}" for column in _COLUMNS)
    return f"{case:<28}{len(rows):>5}{values}"


def _share(verdicts: Iterable[bool]) -> str:
    values = list(verdicts)
    return f"{100 * float(np.mean(values)):.1f}" if values else "-"


def _mean(values: Sequence[float], digits: int) -> str:
    return f"{float(np.mean(values)):.{digits}f}" if values else "-"


def _high(values: Sequence[float]) -> str:
    return f"{float(np.percentile(values, 95)):.1f}" if values else "-"


def claims(rows: Sequence[Row], above: float = 0.9) -> str:
    """How often a picture that was called upright with more than this confidence was upside down."""
    sure = [below for row in rows for below, confidence in row.below["ours"] if confidence > above]
    wrong = sum(sure)
    share = 100 * wrong / max(1, len(sure))
    return f"confidence above {above}: claimed for {len(sure)} limbs, upside down {wrong} ({share:.2f} %)"
