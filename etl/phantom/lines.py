"""Fractures, and harmless lines that mimic them, bold enough to be learnt from small films.

A hairline is thinner than a pixel of a film of 128 rows (1.2 mm), and a few hundred studies do not teach it. These lines gape
by GAP_MM whatever the film's size: some three of those pixels between the points of half depth. The gaps between the bones of
hand and wrist are such lines too, so that a dark line alone is hardly learnt; what sets a fracture apart is that the bone
beside it is denser, as in ends that are driven into each other (RIM).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from etl.phantom.body import Body, Fracture
from etl.phantom.tissue import Points
from etl.phantom.wrist_anatomy import View

GAP_MM = (2.4, 3.0)
"""Where a line's depth has fallen to 1/e, from its middle; it looks 1.7 times as wide."""
DEPTH = 0.95
"""Share of the bone's shadow that a fracture takes away in the middle of the line."""
RIM = 0.8
"""By which share bone is denser beside a fracture, where the broken ends are driven into each other."""
MIMIC = 0.45
"""Depth and rim of a harmless line (a vessel's channel, a growth plate's scar), as a share of a fracture's."""
STEP = 0.8
"""Share of the fractures whose fragment is displaced; the others are a line only."""
REACH_MM = (-34.0, -11.0)
"""Between which heights a line crosses the forearm; the joint is at 0, and every film shows this much of it."""


@dataclass(frozen=True)
class Lines:
    """Which bold lines a film shows. Where they lie and how they look comes from `seed`."""

    fracture: bool
    mimic: bool
    seed: tuple[int, ...]


def with_lines(body: Body, view: View, lines: Lines) -> Body:
    """The wrist with its lines: the fracture across radius or ulna, the mimic across the other of the two.

    In a lateral film it is the radius that breaks: the radius hides what happens to the ulna.
    """
    rng = np.random.default_rng([*lines.seed, 2])
    broken = int(rng.integers(2)) if view != "lateral" else 0  # bones 0 and 1 are radius and ulna
    fracture, mimic = _line(rng, body, broken), _line(rng, body, 1 - broken)
    if rng.random() < STEP:
        shift = (float(rng.choice([-1, 1]) * rng.uniform(2.0, 4.5)), float(rng.uniform(-1.0, 0.5)))
        fracture = replace(fracture, shift=shift, turn_deg=float(rng.uniform(-10, 10)))
    mimic = replace(mimic, depth=MIMIC * DEPTH, rim=MIMIC * RIM)
    return replace(body, fracture=fracture if lines.fracture else None, mimic=mimic if lines.mimic else None)


def _line(rng: np.random.Generator, body: Body, bone: int) -> Fracture:
    y, slope, gap = rng.uniform(*REACH_MM), rng.uniform(-0.25, 0.25), rng.uniform(*GAP_MM)
    at = (_middle(body.bones[bone].outline, y), float(y))
    return Fracture(bone, at, float(slope), (0.0, 0.0), 0.0, float(gap), DEPTH, RIM)


def _middle(outline: Points, y: float) -> float:
    """x halfway between the sides of a bone at height y, both mm."""
    following = np.roll(outline, -1, axis=0)
    cross = (outline[:, 1] <= y) != (following[:, 1] <= y)
    a, b = outline[cross], following[cross]
    x = a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    return float((x.min() + x.max()) / 2)
