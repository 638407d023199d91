"""Figures as numbers: axes with ticks, and one SVG path a series. `chart.html.j2` draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 10, 42

NO_CLASS = "no label"
"""The series of what has no class: drawn in grey."""

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Axis:
    """`ticks`: place in the drawing and what stands there."""

    title: str
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Series:
    """One path. `colour` counts classes from 0; -1 is for what has no class."""

    name: str
    path: str
    kind: Literal["bars", "line", "dots"]
    colour: int
    width: float = 1.6


@dataclass(frozen=True)
class Chart:
    """A figure with its title, units (in the axes) and what it was drawn from."""

    title: str
    n: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    diagonal: str = ""
    note: str = ""

    @property
    def key(self) -> list[Series]:
        """The series that need a word beside the figure: each name once, none for one alone."""
        first = {one.name: one for one in reversed(self.series)}
        return [one for one in self.series if first[one.name] is one] if len(first) > 1 else []


def stacked(
    title: str, n: str, x_title: str, y_title: str, edges: Sequence[float] | Numbers, series: Sequence[tuple[str, Numbers]],
    *, whole: bool = False, last: str = "", note: str = "",
) -> Chart:  # fmt: skip
    """Bars between `edges`, the series on top of each other. `whole`: a bar stands for a whole number, written below it;
    `last`: what is written below the last one.
    """
    edges = np.asarray(edges, float)
    total = np.sum([counts for _, counts in series], axis=0)
    y, y_ticks = _scale(0, max(float(total.max(initial=0)), 1.0), (HEIGHT - BOTTOM, TOP), whole=True)
    x, x_ticks = _scale(edges[0], edges[-1], (LEFT, WIDTH - RIGHT))
    if whole:
        values = np.ceil(edges[:-1])
        step = max(1, math.ceil(len(values) / 12))
        x_ticks = [(float(x(v)), f"{v:.0f}") for v in values[::step]]
        if last:
            x_ticks = [tick for tick in x_ticks[:-1] if x(values[-1]) - tick[0] > 24] + [(float(x(values[-1])), last)]
    below = np.zeros(len(edges) - 1)
    drawn = []
    for index, (name, counts) in enumerate(series):
        bars = zip(edges[:-1], edges[1:], below, below + counts, strict=True)
        path = "".join(_bar(x(a), x(b), y(low), y(high)) for a, b, low, high in bars if high > low)
        drawn.append(Series(name, path, "bars", _colour(name, index)))
        below = below + counts
    return Chart(title, n, Axis(x_title, tuple(x_ticks)), Axis(y_title, tuple(y_ticks)), tuple(drawn), note=note)


def lines(
    title: str, n: str, x_title: str, y_title: str, at: Numbers, series: Sequence[tuple[str, Numbers]], note: str = ""
) -> Chart:
    """Curves over the same places `at`."""
    highest = max((float(values.max(initial=0)) for _, values in series), default=0.0)
    y, y_ticks = _scale(0, highest or 1.0, (HEIGHT - BOTTOM, TOP))
    x, x_ticks = _scale(float(at[0]), float(at[-1]), (LEFT, WIDTH - RIGHT))
    drawn = [
        Series(name, "M" + "L".join(f"{x(a):.1f} {y(v):.1f}" for a, v in zip(at, values, strict=True)), "line",
               _colour(name, index))
        for index, (name, values) in enumerate(series)
    ]  # fmt: skip
    return Chart(title, n, Axis(x_title, tuple(x_ticks)), Axis(y_title, tuple(y_ticks)), tuple(drawn), note=note)


def scatter(
    title: str, n: str, x_title: str, y_title: str, series: Sequence[tuple[str, Numbers, Numbers, Numbers]],
    *, limits: tuple[float, float, float, float], diagonal: bool = False, note: str = "",
) -> Chart:  # fmt: skip
    """Dots at (x, y), thicker where `weight` is higher. `limits`: x from, x to, y from, y to."""
    x, x_ticks = _scale(*limits[:2], (LEFT, WIDTH - RIGHT))
    y, y_ticks = _scale(*limits[2:], (HEIGHT - BOTTOM, TOP))
    drawn = []
    for index, (name, xs, ys, weight) in enumerate(series):
        # Twice the usual number of pictures at a place is one size thicker, whatever the usual is.
        heavy = np.clip(np.log2(weight / max(float(weight.mean()), 1.0)), 0, 4).astype(int) if len(weight) else weight
        for level in range(5):
            mine = heavy == level
            dots = "".join(f"M{x(a):.1f} {y(b):.1f}h0" for a, b in zip(xs[mine], ys[mine], strict=True))
            if dots:
                drawn.append(Series(name, dots, "dots", _colour(name, index), 5.0 + 2.6 * level))
    end = min(limits[1], limits[3])
    line = f"M{x(limits[0]):.1f} {y(limits[2]):.1f}L{x(end):.1f} {y(end):.1f}" if diagonal else ""
    return Chart(title, n, Axis(x_title, tuple(x_ticks)), Axis(y_title, tuple(y_ticks)), tuple(drawn), line, note)


def _colour(name: str, index: int) -> int:
    return -1 if name.startswith(NO_CLASS) else index


def _bar(left: float, right: float, low: float, high: float) -> str:
    gap = min(0.8, (right - left) / 6)
    return f"M{left + gap:.1f} {low:.1f}V{high:.1f}H{right - gap:.1f}V{low:.1f}z"


def _scale(low: float, high: float, span: tuple[int, int], *, whole: bool = False) -> tuple[Any, list[tuple[float, str]]]:
    """From values to places, and the ticks between them."""
    if high <= low:
        high = low + 1

    def place(value: float) -> float:
        return span[0] + (float(value) - low) / (high - low) * (span[1] - span[0])

    step = _step((high - low) / 5)
    if whole:
        step = max(1.0, step)
    first = math.ceil(low / step - 1e-9)
    ticks = [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]
    return place, [(place(v), _number(v, step)) for v in ticks]


def _number(value: float, step: float) -> str:
    if step >= 1000 and abs(value) >= 10_000:
        return f"{value / 1000:,.0f}k"
    return f"{value:,.0f}" if step >= 1 else f"{value:g}"


def _step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, the next above."""
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next((times * power for times in (1, 2, 5, 10) if times * power >= rough * 0.999), 10 * power)
