"""A body seen by X-rays: bones and flesh in millimetres, drawn on a film with what is known about it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.phantom.tissue import Grey, Mask, Placement, Points, bone, fill, soft_tissue

Implant = tuple[Points, ...]
"""A piece of metal (mm): its outline, then its holes."""

DRAWN_PX = 900  # longest side that anatomy is drawn at; larger films are enlarged from that
_CONTRAST = 1.5  # of the logarithmic film: grey = 1 - exp(-_CONTRAST * attenuation)
_METAL = 1.3  # grey of an implant, whatever its depth: nothing gets through, and most windows end below it


@dataclass(frozen=True)
class Bone:
    """One bone: closed outline (mm) and the thickness of its cortex."""

    outline: Points
    cortex_mm: float = 1.0
    weight: float = 1.0  # of its shadow; less where a view piles many bones upon each other


@dataclass(frozen=True)
class Fracture:
    """A break across one bone: a dark, jagged line, and the far fragment shifted and turned (mm, degrees).

    A harmless line that looks like one is the same, without shift and turn and less deep.
    """

    bone: int  # index into Body.bones
    at: tuple[float, float]  # the middle of the line
    slope: float  # rise of the line per mm to the right
    shift: tuple[float, float]  # of the fragment above the line
    turn_deg: float
    gap_mm: float
    depth: float = 0.85  # share of the bone's shadow that is gone in the middle of the line
    rim: float = 0.0  # by which share the shadow is denser where the broken ends are pressed together, beside the line


@dataclass(frozen=True)
class Body:
    """Bones and flesh, upright (fingers or the far end up), x right and y up in mm.

    Flesh has a depth of its own; air cavities (lungs) are outlines taken away from it.
    """

    bones: tuple[Bone, ...]
    flesh: tuple[Points, ...]
    depth_mm: float
    density: float = 0.3  # attenuation of flesh at full depth
    cavities: tuple[Points, ...] = ()
    fracture: Fracture | None = None
    mimic: Fracture | None = None  # a harmless line, across another bone than the fracture
    implants: tuple[Implant, ...] = ()


@dataclass(frozen=True)
class Part:
    """One limb on a film: bounding box [x0, y0, x1, y1) in pixels, and the counter-clockwise turn to
    upright.
    """

    box: tuple[int, int, int, int]
    tilt_deg: float  # (-180, 180], 180 included


@dataclass(frozen=True)
class Film:
    """What was drawn. `pixels` float32 (rows, columns) 0..1, 0 = air, metal above 1, noise-free; `limb` bool,
    True on flesh; `metal` bool, True on implants, None without any.
    """

    pixels: Grey
    limb: Mask
    parts: tuple[Part, ...]
    fracture_xy: tuple[float, float] | None = None  # pixels
    metal: Mask | None = None


def wrap_deg(angle: float) -> float:
    """The same angle in (-180, 180]."""
    return 180.0 - (180.0 - angle) % 360.0


def render(body: Body, place: Placement, shape: tuple[int, int]) -> tuple[Grey, Mask]:
    """Draw a body: attenuation float32 (rows, columns), 0 = air, and the mask of its flesh."""
    flesh, mask = soft_tissue(shape, [place(outline) for outline in body.flesh], place.scale, body.depth_mm)
    attenuation = body.density * flesh
    for cavity in body.cavities:
        air = cv2.GaussianBlur(fill(shape, place(cavity)), (0, 0), max(2.0 * place.scale, 0.8))
        attenuation *= 1 - 0.72 * air.astype(np.float32) / 255
    lines = {line.bone: line for line in (body.mimic, body.fracture) if line is not None}
    for index, part in enumerate(body.bones):
        if index in lines:
            _add_broken(attenuation, part, lines[index], place)
        else:
            _add(attenuation, part, place)
    return attenuation, mask


def metal_of(body: Body, place: Placement, shape: tuple[int, int]) -> Grey | None:
    """How much of each pixel an implant covers, float32 (rows, columns) 0..1; None for a body without implants."""
    if not body.implants:
        return None
    solid = np.maximum.reduce([_solid(implant, place, shape) for implant in body.implants])
    soft = cv2.GaussianBlur(solid, (0, 0), max(0.12 * place.scale, 0.4))
    return np.asarray(soft, np.float32) / np.float32(255)


def with_metal(pixels: Grey, cover: Grey | None) -> Grey:
    """A film's greys with metal where it covers them."""
    return pixels if cover is None else np.asarray(pixels + (_METAL - pixels) * cover, np.float32)


def tone(attenuation: Grey) -> Grey:
    """Grey of the film 0..1 (0 = air) for an attenuation: bright bone without ever clipping."""
    return np.asarray(1 - np.exp(-_CONTRAST * attenuation), np.float32)


def film_of(body: Body, place: Placement, shape: tuple[int, int]) -> Film:
    """One body on one film of `shape` (rows, columns), with its box, tilt and fracture in pixels of the
    film.
    """
    attenuation, mask = render(body, place, shape)
    fracture = None
    if body.fracture is not None:
        x, y = place(np.array([body.fracture.at]))[0]
        fracture = (float(x), float(y))
    part = Part(box_of(mask), wrap_deg(place.tilt_deg))
    cover = metal_of(body, place, shape)
    return Film(with_metal(tone(attenuation), cover), mask, (part,), fracture, None if cover is None else cover > 0.5)


def box_of(mask: Mask) -> tuple[int, int, int, int]:
    """Bounding box x0, y0, x1, y1 (exclusive end) of a mask; zeros when it is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return (0, 0, 0, 0)
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _solid(implant: Implant, place: Placement, shape: tuple[int, int]) -> NDArray[np.uint8]:
    solid = fill(shape, place(implant[0]))
    for hole in implant[1:]:
        solid &= ~fill(shape, place(hole))
    return solid


def _add(attenuation: Grey, part: Bone, place: Placement) -> None:
    shape = (attenuation.shape[0], attenuation.shape[1])
    shadow, window = bone(shape, place(part.outline), place.scale, part.cortex_mm)
    attenuation[window] += part.weight * shadow


def _add_broken(attenuation: Grey, part: Bone, fracture: Fracture, place: Placement) -> None:
    """The shaft below the line stays, the fragment above it is moved, and the line between them is dark."""
    shape = (attenuation.shape[0], attenuation.shape[1])
    moved = _moved(part.outline, fracture)
    shaft, fragment = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for canvas, outline in ((shaft, part.outline), (fragment, moved)):
        _add(canvas, replace(part, outline=outline), place)
    centre = np.array(fracture.at)
    right, up = np.array([1.0, fracture.slope]), np.array([-fracture.slope, 1.0])
    ends = place(np.array([centre, centre + right, centre + up]))
    along, across = (ends[1] - ends[0]) / place.scale, (ends[2] - ends[0]) / place.scale
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    x, y = (x - ends[0][0]) / place.scale, (y - ends[0][1]) / place.scale
    norm = 1 + fracture.slope**2
    u, v = (x * along[0] + y * along[1]) / norm, (x * across[0] + y * across[1]) / norm
    v = v + 0.9 * np.sin(0.9 * u) + 0.5 * np.sin(2.3 * u + 1)  # the line is jagged
    gap = max(fracture.gap_mm, 1.1 / place.scale)  # never thinner than a pixel: it must be there to be seen
    dark = 1 - fracture.depth * np.exp(-((v / gap) ** 2))
    if fracture.rim:
        dark += fracture.rim * np.exp(-(((np.abs(v) - 2 * gap) / gap) ** 2))
    attenuation += np.where(v > 0, fragment, shaft) * dark


def _moved(outline: Points, fracture: Fracture) -> Points:
    angle = math.radians(fracture.turn_deg)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    centre = np.array(fracture.at)
    return np.asarray((outline - centre) @ turn + centre + np.array(fracture.shift), float)
