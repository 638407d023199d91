"""A wrist in millimetres: radius and ulna, eight carpals, the rays of the hand, and the flesh around them."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from etl.phantom.body import Body, Bone, Fracture
from etl.phantom.tissue import Points, capsule, ellipse, long_bone, rounded

Point = tuple[float, float]
View = Literal["pa", "oblique", "lateral"]

# How much of the body's breadth a view shows, how broad each single bone still looks in it, and how far
# bones spread.
_BREADTH: dict[View, tuple[float, float]] = {
    "pa": (1.0, 1.0),
    "oblique": (0.68, 0.9),
    "lateral": (0.22, 0.78),
}


class _Ray(NamedTuple):
    """A finger with its metacarpal."""

    start: Point
    end: Point
    phalanges: tuple[float, ...]
    girth: float


class _Pose(NamedTuple):
    """How long the phalanges are, how far the fingers are spread, and how the hand is bent to a side."""

    stretch: float
    fan: float
    bend_deg: float


# All in mm, the middle of the wrist joint at (0, 0), thumb to the left, fingers up.
_RADIUS = [
    (-15, -260), (-15.5, -62), (-17, -38), (-21, -18), (-23.5, -7), (-23.5, 3), (-20.5, 8), (-16, 5),
    (-8, 0.5), (0, -2), (6.5, -3.5), (7.5, -8), (5, -16), (0, -30), (-2.5, -48), (-3, -62), (-2.5, -260),
]  # fmt: skip
_ULNA = [
    (7, -260), (8.5, -60), (11, -28), (11, -16), (10, -9), (12, -5.5), (17, -5.5), (19.5, 0.5), (21.5, 0.5),
    (22, -6), (21.5, -13), (20, -24), (18.5, -60), (17.5, -260),
]  # fmt: skip
# centre, full axes, turn: scaphoid, lunate, triquetrum, pisiform, trapezium, trapezoid, capitate, hamate
_CARPALS: tuple[tuple[tuple[float, float], tuple[float, float], float], ...] = (
    ((-13.5, 11.5), (14, 24), 28), ((-1.5, 6.5), (17, 13), -8), ((11, 9.5), (14, 14), 20),
    ((15, 11.5), (8, 9), 0), ((-21, 24), (16, 13), -35), ((-11.5, 26), (12, 13), 10),
    ((-0.5, 21), (14, 23), 3), ((10.5, 21), (15, 20), -18),
)  # fmt: skip
# start and end of the metacarpal, then the lengths of the phalanges: index to little finger, the thumb last
_RAYS = (
    _Ray((-11.5, 35), (-20.5, 100), (41, 24, 17), 1.0),
    _Ray((-0.5, 35), (-1.5, 100), (45, 29, 18), 1.0),
    _Ray((8, 34), (15.5, 93), (42, 27, 18), 0.92),
    _Ray((15.5, 32), (30, 84), (33, 19, 16), 0.86),
    _Ray((-25, 31), (-47, 66), (31, 24), 1.05),
)


def wrist_body(rng: np.random.Generator, view: View = "pa", fracture: bool = False) -> Body:
    """A wrist as seen in a view; build and pose are drawn from `rng`, the same ones with and without a
    fracture.
    """
    spread, breadth = _BREADTH[view]
    build, slender = rng.uniform(0.9, 1.08), rng.uniform(0.92, 1.06)
    volar = rng.uniform(0.5, 0.9)  # how far the thumb stands off in a lateral film
    fan = rng.uniform(0.8, 1.35)
    bend = rng.uniform(-3, 3)
    cortex = rng.uniform(1.2, 1.7)
    at_y, slope, gap = rng.uniform(-21, -11), rng.uniform(-0.3, 0.3), rng.uniform(0.7, 1.1)
    shift = (float(rng.choice([-1, 1]) * rng.uniform(2.0, 4.0)), float(rng.uniform(-2.0, -0.5)))
    turn = float(rng.uniform(-10, 10))
    jitter = rng.normal(0, 1, (len(_CARPALS), 3))
    lengths = rng.uniform(0.93, 1.06, len(_RAYS))

    def seen(outline: Points, thumb: bool = False) -> Points:
        """An outline as the view shows it: its middle drawn in, itself a little narrower, all to this
        build.
        """
        outline = np.asarray(outline, float)
        middle = float((outline[:, 0].min() + outline[:, 0].max()) / 2)
        drawn_in = spread * middle
        if thumb and view == "lateral":  # the thumb stands off in front of the palm
            drawn_in = volar * (middle + 25) - 25 * spread
        x = drawn_in + (outline[:, 0] - middle) * breadth
        return np.stack([x * build * slender, outline[:, 1] * build], axis=1)

    bones = [Bone(seen(rounded(_RADIUS)), 1.3 * cortex), Bone(seen(rounded(_ULNA)), 1.2 * cortex)]
    for (centre, size, angle), (dx, dy, da) in zip(_CARPALS, jitter, strict=True):
        outline = ellipse((centre[0] + 0.5 * dx, centre[1] + 0.5 * dy), size, angle + 5 * da, 0.05)
        bones.append(Bone(seen(outline), 0.55 * cortex))
    flesh = [seen(outline) for outline in _forearm_and_palm(view)]
    for number, (ray, stretch) in enumerate(zip(_RAYS, lengths, strict=True)):
        thumb = number == len(_RAYS) - 1
        pose = _Pose(float(stretch), float(fan), 0.0 if thumb else float(bend))
        weight = 0.6 if view == "lateral" and not thumb else 1.0
        bones += [Bone(seen(outline, thumb), 0.9 * cortex, weight) for outline in _ray_bones(ray, pose)]
        flesh += [seen(outline, thumb) for outline in _ray_flesh(ray, pose)]
    break_ = None
    if fracture:
        middle = float(-7.5 * spread * build * slender)
        break_ = Fracture(0, (middle, at_y * build), slope, shift, turn, gap)
    return Body(tuple(bones), tuple(flesh), depth_mm=17.0 * build, fracture=break_)


def _forearm_and_palm(view: View) -> list[Points]:
    forearm: list[Point] = [
        (-43, -260), (-40, -130), (-32, -60), (-29, -15), (-29, 5), (30, 5), (28, -15), (32, -60),
        (40, -130), (43, -260),
    ]  # fmt: skip
    palm: list[Point] = [
        (-30, -4), (-34, 18), (-38, 48), (-33, 92), (-20, 104), (10, 102), (34, 90), (39, 70), (38, 40),
        (31, 12), (29, -4),
    ]  # fmt: skip
    if view == "lateral":
        forearm = [(x * (0.68 if y > -100 else 0.9), y) for x, y in forearm]
        palm = [(0.62 * x, y) for x, y in palm]
    return [rounded(forearm, 2), rounded(palm, 2)]


def _phalanges(ray: _Ray, pose: _Pose) -> list[tuple[Point, Point]]:
    """The phalanges of a ray as straight pieces from joint to joint."""
    p, q = np.array(ray.start), np.array(ray.end)
    along = (q - p) / np.linalg.norm(q - p)
    along = along * np.array([pose.fan, 1.0]) + np.array([np.tan(np.radians(pose.bend_deg)), 0.0])
    along /= np.linalg.norm(along)
    pieces, at = [], q + along * 2.5
    for length in ray.phalanges:
        tip = at + along * length * pose.stretch
        pieces.append(((float(at[0]), float(at[1])), (float(tip[0]), float(tip[1]))))
        at = tip + along * 2.0
    return pieces


def _ray_bones(ray: _Ray, pose: _Pose) -> list[Points]:
    g = ray.girth
    bones = [long_bone(ray.start, ray.end, 15 * g, 8.2 * g, 14 * g)]
    widths = ((13.5, 8.5, 10.5), (11.0, 7.0, 8.5), (9.5, 4.8, 6.0))
    for (start, end), (base, shaft, head) in zip(_phalanges(ray, pose), widths, strict=False):
        bones.append(long_bone(start, end, base * g, shaft * g, head * g))
    return bones


def _ray_flesh(ray: _Ray, pose: _Pose) -> list[Points]:
    flesh = [capsule(ray.start, ray.end, 11 * ray.girth, 10.5 * ray.girth)]
    joints = _phalanges(ray, pose)
    radii = np.linspace(10.2, 7.2, len(joints) + 1) * ray.girth
    for (start, end), at_start, at_end in zip(joints, radii, radii[1:], strict=False):
        flesh.append(capsule(start, end, float(at_start), float(at_end)))
    return flesh
