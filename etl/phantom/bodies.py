"""Other parts of the body, crudely: enough for a body-part filter and for a layman's glance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from etl.phantom.body import DRAWN_PX, Body, Bone, Film, film_of
from etl.phantom.tissue import Placement, Points, ellipse, rounded
from etl.phantom.wrist import enlarged
from etl.phantom.wrist_anatomy import wrist_body


@dataclass(frozen=True)
class Region:
    """How a part of the body is filmed: its drawing, the film's height, and the body point in the middle."""

    body: Callable[[np.random.Generator], Body]
    rows_mm: float
    middle_mm: tuple[float, float]


def draw_region(rng: np.random.Generator, name: str, rows: int, columns: int, *, tilt_deg: float = 0.0) -> Film:
    """A film of `hand`, `elbow`, `knee` or `chest`; arguments as in `wrist.draw_wrist`. Raises KeyError
    otherwise.
    """
    region = REGIONS[name]
    shrink = min(1.0, DRAWN_PX / max(rows, columns))
    shape = (max(round(rows * shrink), 1), max(round(columns * shrink), 1))
    centre = (shape[1] / 2, shape[0] / 2)
    scale = shape[0] / (region.rows_mm * rng.uniform(0.95, 1.05))
    place = Placement(scale, tilt_deg, region.middle_mm, centre, bool(rng.random() < 0.5))
    return enlarged(film_of(region.body(rng), place, shape), rows, columns)


def _elbow(rng: np.random.Generator) -> Body:
    bend = rng.uniform(-0.1, 0.1)
    humerus = [
        (-11, 200), (-11, 60), (-17, 30), (-30, 12), (-29, 3), (-18, 0), (-6, 4), (6, -2), (18, 3), (30, 8),
        (33, 16), (18, 30), (11, 60), (11, 200),
    ]  # fmt: skip
    radius = [
        (-24, -4), (-10, -4), (-9, -12), (-13, -22), (-9, -40), (-6, -200), (-20, -200), (-23, -40),
        (-21, -20),
    ]  # fmt: skip
    ulna = [
        (-4, 10), (4, 16), (14, 14), (20, 2), (19, -14), (16, -50), (14, -200), (2, -200), (2, -50),
        (-3, -14),
    ]  # fmt: skip
    arm = [
        (-40, 210), (-38, 60), (-46, 10), (-44, -30), (-36, -210), (32, -210), (40, -30), (46, 10),
        (40, 60), (42, 210),
    ]  # fmt: skip
    bones = (
        Bone(_leaning(humerus, bend), 2.6),
        Bone(_leaning(radius, -bend), 1.8),
        Bone(_leaning(ulna, -bend), 2.2),
    )
    return Body(bones, (rounded(arm),), depth_mm=26)


def _knee(rng: np.random.Generator) -> Body:
    bend = rng.uniform(-0.06, 0.06)
    femur = [
        (-14, 220), (-14, 90), (-20, 55), (-40, 30), (-43, 12), (-34, 1), (-16, 2), (-5, 12), (5, 12),
        (16, 2), (34, 1), (43, 12), (41, 32), (22, 55), (14, 90), (14, 220),
    ]  # fmt: skip
    tibia = [
        (-41, -5), (-15, -4), (0, 1), (15, -4), (41, -5), (39, -20), (22, -45), (14, -90), (12, -220),
        (-13, -220), (-14, -90), (-23, -45), (-39, -20),
    ]  # fmt: skip
    fibula = [(30, -18), (40, -14), (45, -24), (38, -45), (35, -220), (27, -220), (29, -45)]
    leg = [
        (-72, 230), (-66, 90), (-60, 20), (-56, -20), (-58, -90), (-46, -230), (52, -230), (62, -90),
        (58, -20), (62, 20), (66, 90), (72, 230),
    ]  # fmt: skip
    bones = (
        Bone(_leaning(femur, bend), 3.0), Bone(_leaning(tibia, -bend), 2.8),
        Bone(_leaning(fibula, -bend), 1.8),
        Bone(ellipse((2, 32), (42, 44)), 1.0, 0.5),
    )  # fmt: skip
    return Body(bones, (rounded(leg),), depth_mm=36)


def _chest(rng: np.random.Generator) -> Body:
    breadth = rng.uniform(0.92, 1.08)
    bones = [Bone(rounded([(-16, y), (16, y), (16, y - 19), (-16, y - 19)], 2), 1.6, 0.45) for y in range(190, -220, -22)]
    for side in (-1, 1):
        for number in range(10):
            width = breadth * (70 + 12 * number - 0.85 * max(number - 5, 0) ** 2)
            bones.append(Bone(_rib(side, 150 - 24 * number, width), 1.1, 0.34))
        collar = [
            (side * 12, 150), (side * 60, 162), (side * 130, 168), (side * 130, 178), (side * 60, 174),
            (side * 12, 164),
        ]  # fmt: skip
        bones.append(Bone(rounded(collar), 1.4, 0.5))
    lungs = [
        rounded(
            [
                (s * 24, 140),
                (s * 55, 158),
                (s * 88, 110),
                (s * 112, -40),
                (s * 118, -110),
                (s * 70, -88),
                (s * 26, -100),
            ],
            3,
        )
        for s in (-1, 1)
    ]
    trunk = [
        (-70, 240), (-75, 190), (-190, 165), (-230, 60), (-165, 20), (-155, -230), (155, -230), (165, 20),
        (230, 60), (190, 165), (75, 190), (70, 240),
    ]  # fmt: skip
    flesh = (rounded([(breadth * x, y) for x, y in trunk]),)
    return Body(tuple(bones), flesh, depth_mm=70, density=0.55, cavities=tuple(lungs))


def _rib(side: int, top: float, width: float) -> Points:
    """A rib from the spine outwards and down, 9 mm broad."""
    t = np.linspace(0.05, 1.0, 24) * np.pi * 0.62
    x, y = side * (14 + width * np.sin(t)), top + 14 * np.sin(2 * t) - 44 * (1 - np.cos(t))
    across = np.stack([-np.gradient(y), np.gradient(x)], axis=1)
    across *= 4.5 / np.linalg.norm(across, axis=1, keepdims=True)
    middle = np.stack([x, y], axis=1)
    return np.concatenate([middle + across, (middle - across)[::-1]])


def _leaning(outline: Sequence[tuple[float, float]], slope: float) -> Points:
    points = rounded(outline)
    return np.stack([points[:, 0] + slope * points[:, 1], points[:, 1]], axis=1)


REGIONS: Mapping[str, Region] = {
    "hand": Region(wrist_body, 260.0, (0.0, 75.0)),
    "elbow": Region(_elbow, 220.0, (0.0, 0.0)),
    "knee": Region(_knee, 300.0, (0.0, 0.0)),
    "chest": Region(_chest, 430.0, (0.0, 0.0)),
}
