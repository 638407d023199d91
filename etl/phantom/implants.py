"""Metal in a wrist: plates with screws, wires, screws, as surgeons leave them after a fracture.

One implant is drawn from a seed of its study, so that all films of a study show the same one, each in its own view.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from etl.phantom.body import Body, Implant
from etl.phantom.tissue import Points, capsule, ellipse, rounded
from etl.phantom.wrist_anatomy import View

KINDS = ("plate", "wires", "screw", "ulnar_plate")
SHARES = (0.5, 0.28, 0.1, 0.12)
"""How often each kind is the one."""
_RADIUS, _ULNA, _SCAPHOID = 0, 1, 2  # bones of wrist_body


def with_implant(body: Body, view: View, seed: tuple[int, ...]) -> Body:
    """The wrist with the implant that `seed` draws, as `view` shows it."""
    rng = np.random.default_rng([*seed])
    kind = KINDS[int(rng.choice(len(KINDS), p=SHARES))]
    return replace(body, implants=tuple(_DRAWN[kind](rng, body, view)))


def _plate(rng: np.random.Generator, body: Body, view: View) -> list[Implant]:
    """A volar locking plate: a T on the radius from the front, a line along it with screws across it from the side."""
    top, length, breadth = rng.uniform(-7, -4), rng.uniform(38, 58), rng.uniform(7, 9.5)
    head, holes, screws = rng.uniform(0.72, 0.86), int(rng.integers(0, 3)), int(rng.integers(3, 6))
    thick, volar = rng.uniform(2.0, 3.0), float(rng.choice([-1, 1]))
    outline = body.bones[_RADIUS].outline
    low = top - length
    if view == "lateral":
        edge = [(_side(outline, y, volar) + volar * thick / 2, y) for y in (top, top - 12.0, top - 25.0, low)]
        plate = [capsule(a, b, thick / 2, thick / 2) for a, b in pairwise(edge)]
        rises = [0.25] * 2 + [0.0] * screws  # the two pegs under the joint point a little upwards
        heights = [top - 2.5, top - 5.5, *np.linspace(top - 17, low + 4, screws)]
        return [(part,) for part in plate + [_across(outline, y, volar, rise) for y, rise in zip(heights, rises, strict=True)]]
    squeeze = 0.72 if view == "oblique" else 1.0
    left, right = _side(outline, top - 4, -1), _side(outline, top - 4, 1)
    half, x = head * (right - left) / 2, (left + right) / 2
    foot = (_side(outline, low, -1) + _side(outline, low, 1)) / 2
    b = squeeze * breadth / 2
    corners = [
        (x - half, top), (x + half, top), (x + half, top - 8), (x + b, top - 13), (foot + b, low), (foot - b, low),
        (x - b, top - 13), (x - half, top - 8),
    ]  # fmt: skip
    places = np.linspace(0.35, 0.9, 5)[:holes]  # holes without a screw let light through
    empty = [ellipse((x + (foot - x) * t, top - length * t), (0.45 * breadth * squeeze, 0.45 * breadth)) for t in places]
    return [(rounded(corners, 2), *empty)]


def _ulnar_plate(rng: np.random.Generator, body: Body, view: View) -> list[Implant]:
    """A straight plate on the shaft of the ulna."""
    top, length, breadth, thick = rng.uniform(-32, -22), rng.uniform(45, 70), rng.uniform(8, 10), rng.uniform(2.5, 3.5)
    outline, screws = body.bones[_ULNA].outline, int(rng.integers(4, 7))
    low = top - length
    if view == "pa":
        plate = capsule(
            (_side(outline, top, 1) + thick / 2, top), (_side(outline, low, 1) + thick / 2, low), thick / 2, thick / 2
        )
        across = [_across(outline, y, 1.0, 0.0) for y in np.linspace(top - 4, low + 4, screws)]
        return [(plate,), *((screw,) for screw in across)]
    ends = [((_side(outline, y, -1) + _side(outline, y, 1)) / 2, y) for y in (top, low)]
    return [(capsule(ends[0], ends[1], breadth / 2, breadth / 2),)]


def _wires(rng: np.random.Generator, body: Body, view: View) -> list[Implant]:
    """Two or three Kirschner wires from the styloid of the radius across its shaft, their ends outside the bone."""
    outline = body.bones[_RADIUS].outline
    drawn: list[Implant] = []
    for number in range(int(rng.integers(2, 4))):
        side = -1.0 if number % 2 == 0 else 1.0
        start, depth, out = rng.uniform(-6, 2), rng.uniform(38, 62), rng.uniform(4, 14)
        thick, inset = rng.uniform(1.4, 2.0), rng.uniform(0.1, 0.3)
        a = np.array([_side(outline, start, side) * (1 - inset) + _side(outline, start, -side) * inset, start])
        b = np.array([_side(outline, start - depth, -side), start - depth])
        a = a + (a - b) / np.linalg.norm(a - b) * out
        drawn.append((capsule((a[0], a[1]), (b[0], b[1]), thick / 2, thick / 2),))
    return drawn


def _screw(rng: np.random.Generator, body: Body, view: View) -> list[Implant]:
    """One or two headless screws in the scaphoid, along it."""
    outline = body.bones[_SCAPHOID].outline
    x, y = outline.mean(0)
    turn, length, thick = math.radians(rng.uniform(40, 75)), rng.uniform(18, 25), rng.uniform(2.4, 3.2)
    half = np.array([math.cos(turn), math.sin(turn)]) * length / 2
    gaps = (-2.2, 2.2) if rng.random() < 0.25 else (0.0,)
    return [(capsule((x - half[0] + g, y - half[1]), (x + half[0] + g, y + half[1]), thick / 2, thick / 2.4),) for g in gaps]


def _across(outline: Points, y: float, from_side: float, rise: float) -> Points:
    """A screw from one side of a bone at height y to just beyond the other, 2.6 mm thick, its tip `rise` per mm higher."""
    near, far = _side(outline, y, from_side), _side(outline, y, -from_side)
    reach = far - near
    return capsule((near, y), (far + 0.06 * reach, y + rise * abs(reach)), 1.5, 1.2)


def _side(outline: Points, y: float, side: float) -> float:
    """x of a bone's right (side 1) or left (-1) margin at height y, mm."""
    following = np.roll(outline, -1, axis=0)
    crossed = (outline[:, 1] <= y) != (following[:, 1] <= y)
    if not crossed.any():
        return float(outline[:, 0].max() if side > 0 else outline[:, 0].min())
    a, b = outline[crossed], following[crossed]
    x = a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    return float(x.max() if side > 0 else x.min())


_DRAWN: dict[str, Callable[[np.random.Generator, Body, View], list[Implant]]] = {
    "plate": _plate, "wires": _wires, "screw": _screw, "ulnar_plate": _ulnar_plate,
}  # fmt: skip
