"""Films of wrists: one, or both side by side."""

from __future__ import annotations

import cv2
import numpy as np

from etl.phantom.body import DRAWN_PX, Film, Part, box_of, film_of, metal_of, render, tone, with_metal, wrap_deg
from etl.phantom.implants import with_implant
from etl.phantom.lines import Lines, with_lines
from etl.phantom.tissue import Grey, Mask, Placement
from etl.phantom.wrist_anatomy import View, wrist_body


def draw_wrist(
    rng: np.random.Generator,
    rows: int,
    columns: int,
    *,
    tilt_deg: float = 0.0,
    upside_down: bool = False,
    fracture: bool = False,
    view: View = "pa",
    mirrored: bool = False,
    rows_mm: float = 220.0,
    centre: tuple[float, float] = (0.5, 0.5),
    lines: Lines | None = None,
    implant: tuple[int, ...] | None = None,
) -> Film:
    """One wrist on a film of rows x columns pixels that shows `rows_mm` of height; noise-free, air 0.

    `tilt_deg`: the counter-clockwise turn of the picture that makes the limb upright (fingers up);
    `upside_down` adds 180 degrees. `centre`: where on the film (fractions of columns, rows) the carpals lie.
    The same `rng` state draws the same wrist with and without `fracture`, or bold `lines` in its place, and with
    and without the metal of the seed `implant`.
    Films longer than DRAWN_PX are drawn small and enlarged.
    """
    shrink = min(1.0, DRAWN_PX / max(rows, columns))
    shape = (max(round(rows * shrink), 1), max(round(columns * shrink), 1))
    body = wrist_body(rng, view, fracture) if lines is None else with_lines(wrist_body(rng, view), view, lines)
    if implant is not None:
        body = with_implant(body, view, implant)
    origin = (0.0, float(rng.uniform(0, 25)))
    place = Placement(
        scale=shape[0] / rows_mm,
        tilt_deg=wrap_deg(tilt_deg + (180.0 if upside_down else 0.0)),
        origin_mm=origin,
        centre_px=(centre[0] * shape[1], centre[1] * shape[0]),
        mirrored=mirrored,
    )
    return enlarged(film_of(body, place, shape), rows, columns)


def draw_two_wrists(
    rng: np.random.Generator,
    rows: int,
    columns: int,
    *,
    tilts_deg: tuple[float, float] = (0.0, 0.0),
    upside_down: bool = False,
    fractures: tuple[bool, bool] = (False, False),
    view: View = "pa",
    rows_mm: float = 220.0,
    implants: tuple[tuple[int, ...] | None, tuple[int, ...] | None] = (None, None),
) -> Film:
    """Both wrists of one person side by side, mirror images of each other, a clear gap of air between them.

    Arguments as in `draw_wrist`; parts are ordered left to right. A limb that would reach into the gap is
    drawn less tilted and a little smaller.
    """
    shrink = min(1.0, DRAWN_PX / max(rows, columns))
    shape = (max(round(rows * shrink), 1), max(round(columns * shrink), 1))
    half = shape[1] // 2
    seed, origin = int(rng.integers(1 << 62)), (0.0, float(rng.uniform(0, 25)))
    attenuation: Grey = np.zeros(shape, np.float32)
    limb: Mask = np.zeros(shape, np.bool_)
    metal: Grey = np.zeros(shape, np.float32)
    parts, fracture = [], None
    for side in (0, 1):
        window = (slice(None), slice(0, half) if side == 0 else slice(half, shape[1]))
        panel = (shape[0], half if side == 0 else shape[1] - half)
        body = wrist_body(np.random.default_rng(seed), view, fractures[side])
        implant = implants[side]
        if implant is not None:
            body = with_implant(body, view, implant)
        scale, tilt = shape[0] / rows_mm, tilts_deg[side]
        while True:
            turn = wrap_deg(tilt + (180.0 if upside_down else 0.0))
            place = Placement(scale, turn, origin, (panel[1] / 2, panel[0] / 2), mirrored=side == 1)
            shadow, mask = render(body, place, panel)
            inner = mask[:, -(panel[1] // 20 + 1) :] if side == 0 else mask[:, : panel[1] // 20 + 1]
            if not inner.any():
                break
            tilt, scale = tilt * 0.6, scale * 0.94
        attenuation[window], limb[window] = shadow, mask
        cover = metal_of(body, place, panel)
        if cover is not None:
            metal[window] = cover
        x0, y0, x1, y1 = box_of(mask)
        offset = side * half
        parts.append(Part((x0 + offset, y0, x1 + offset, y1), turn))
        if body.fracture is not None:
            x, y = place(np.array([body.fracture.at]))[0]
            fracture = (float(x) + offset, float(y))
    pixels = with_metal(tone(attenuation), metal)
    return enlarged(Film(pixels, limb, tuple(parts), fracture, metal > 0.5 if metal.any() else None), rows, columns)


def enlarged(film: Film, rows: int, columns: int) -> Film:
    """The film at rows x columns, its boxes and points moved along."""
    if film.pixels.shape == (rows, columns):
        return film
    fy, fx = rows / film.pixels.shape[0], columns / film.pixels.shape[1]
    pixels = cv2.resize(film.pixels, (columns, rows), interpolation=cv2.INTER_LINEAR)
    limb = cv2.resize(film.limb.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_LINEAR) > 0
    metal = None
    if film.metal is not None:
        metal = cv2.resize(film.metal.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST) > 0
    parts = tuple(
        Part((int(p.box[0] * fx), int(p.box[1] * fy), round(p.box[2] * fx), round(p.box[3] * fy)), p.tilt_deg)
        for p in film.parts
    )
    point = film.fracture_xy
    moved = None if point is None else ((point[0] + 0.5) * fx - 0.5, (point[1] + 0.5) * fy - 0.5)
    return Film(pixels, limb, parts, moved, metal)
