"""From a drawing to a film: collimation, lead marker, frame, quantum noise, and stored values of 12 or 14
bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from etl.phantom import rates
from etl.phantom.body import Film, Part, box_of
from etl.phantom.encoding import Stored
from etl.phantom.tissue import Grey, Mask

_TILE = 2048  # side of the noise tile
_NOISE = 0.016  # standard deviation of the noise where the film is mid-grey, as a fraction of its range


@dataclass(frozen=True)
class Exposure:
    """How a drawing becomes a film. Margins and widths are fractions of the film's sides: left, top, right,
    bottom.
    """

    bits: int
    monochrome1: bool = False
    wrong_polarity: bool = False
    blades: tuple[float, float, float, float] | None = None
    blades_deg: float = 0.0
    outside: Literal["black", "bright"] = "black"
    frame: Literal["white", "black"] | None = None
    frame_widths: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    marker: str = ""
    air: float = 0.05  # grey of unattenuated air, 0..1
    span: tuple[float, float] = (0.0, 1.0)  # share of the stored range that the film uses
    voi: Literal["none", "window", "lut"] = "none"
    rescale: tuple[float, float] | None = None  # slope, intercept

    @classmethod
    def drawn(cls, rng: np.random.Generator, bits: int, marker: str) -> Exposure:
        """An exposure at the rates of rates.py."""
        blades = tuple(float(m) for m in rng.uniform(0.015, 0.09, 4)) if rng.random() < rates.COLLIMATED else None
        frame: Literal["white", "black"] = "white" if rng.random() < 0.5 else "black"
        voi = rng.random()
        rescale = ((1.0, 0.0), (1.0, -1024.0), (0.5, 0.0))[rng.integers(3)] if rng.random() < rates.RESCALE else None
        return cls(
            bits=bits,
            monochrome1=bool(rng.random() < rates.MONOCHROME1),
            wrong_polarity=bool(rng.random() < rates.WRONG_POLARITY),
            blades=None if blades is None else (blades[0], blades[1], blades[2], blades[3]),
            blades_deg=float(rng.normal(0, 1.5)),
            outside="bright" if rng.random() < rates.UNEXPOSED_BRIGHT else "black",
            frame=frame if rng.random() < rates.FRAME else None,
            frame_widths=(
                float(rng.uniform(0.01, 0.05)), float(rng.uniform(0.01, 0.05)),
                float(rng.uniform(0.01, 0.05)), float(rng.uniform(0.01, 0.05)),
            ),
            marker=marker if rng.random() < rates.MARKER else "",
            air=float(rng.uniform(0.02, 0.1)),
            span=(float(rng.uniform(0.0, 0.12)), float(rng.uniform(0.72, 1.0))),
            voi="window" if voi < rates.WINDOW else "lut" if voi < rates.WINDOW + rates.VOI_LUT else "none",
            rescale=rescale,
        )  # fmt: skip


@dataclass(frozen=True)
class Exposed:
    """A film as stored: uint16 values and the truth, its boxes cut to what the collimator and the frame
    left. `metal_fraction`: share of the visible limb that is metal; None for films drawn without implants.
    """

    stored: Stored
    parts: tuple[Part, ...]
    fracture_xy: tuple[float, float] | None
    metal_fraction: float | None = None


def expose(film: Film, exposure: Exposure, seed: tuple[int, ...]) -> Exposed:
    """Turn a noise-free drawing (0 = air) into stored values. The same arguments give the same film.

    Blades that would hide the fracture are opened.
    """
    rng = np.random.default_rng([*seed, 1])
    rows, columns = film.pixels.shape
    shape = (rows, columns)
    field, field_mask = _field(shape, exposure)
    if exposure.blades is not None and film.fracture_xy is not None and not _holds(field_mask, film.fracture_xy):
        exposure = replace(exposure, blades=None)
        field, field_mask = _field(shape, exposure)
    grey = exposure.air + (0.97 - exposure.air) * film.pixels
    grey = grey * _heel(shape, rng)
    if exposure.marker:
        _mark(grey, film.limb, field_mask, exposure.marker, rng)
    noise = _noise(shape, rng)
    noise *= cv2.sqrt(np.maximum(grey, 0.02)) * (_NOISE * rng.uniform(0.7, 1.3) / math.sqrt(0.5))
    grey += noise
    if exposure.blades is not None:
        beyond = 0.97 + 0.3 * noise if exposure.outside == "bright" else np.float32(0)
        grey = grey * field + beyond * (1 - field)
    stored = _stored(grey, exposure)
    visible = film.limb & field_mask
    if exposure.blades is not None and exposure.outside == "black":
        stored[~field_mask] = 0
    if exposure.frame is not None:
        inside = _inside_frame(shape, exposure)
        stored[~inside] = 0 if exposure.frame == "black" else (1 << exposure.bits) - 1
        visible &= inside
    if exposure.monochrome1 != exposure.wrong_polarity:
        stored = np.asarray(((1 << exposure.bits) - 1) - stored, np.uint16)
    share = None if film.metal is None else float((film.metal & visible).sum() / max(visible.sum(), 1))
    return Exposed(stored, tuple(_cut(part, visible) for part in film.parts), film.fracture_xy, share)


def _cut(part: Part, visible: Mask) -> Part:
    x0, y0, x1, y1 = part.box
    box = box_of(visible[y0:y1, x0:x1])
    return replace(part, box=(box[0] + x0, box[1] + y0, box[2] + x0, box[3] + y0))


def _field(shape: tuple[int, int], exposure: Exposure) -> tuple[Grey, Mask]:
    """What the collimator's blades let through: soft-edged 0..1, and as a mask."""
    if exposure.blades is None:
        return np.ones(shape, np.float32), np.ones(shape, np.bool_)
    rows, columns = shape
    left, top, right, bottom = exposure.blades
    corners = np.array([[left, top], [1 - right, top], [1 - right, 1 - bottom], [left, 1 - bottom]]) * [
        columns,
        rows,
    ]
    turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), exposure.blades_deg, 1.0)
    corners = corners @ turn[:, :2].T + turn[:, 2]
    mask = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(mask, np.round(corners * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(mask, (0, 0), max(rows / 1200, 0.4))
    return soft.astype(np.float32) / 255, mask > 127


def _holds(mask: Mask, point: tuple[float, float]) -> bool:
    x, y = round(point[0]), round(point[1])
    reach = max(mask.shape[0] // 20, 1)
    return bool(mask[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1].all())


def _inside_frame(shape: tuple[int, int], exposure: Exposure) -> Mask:
    rows, columns = shape
    left, top, right, bottom = exposure.frame_widths
    inside = np.zeros(shape, np.bool_)
    inside[
        max(round(top * rows), 1) : rows - max(round(bottom * rows), 1),
        max(round(left * columns), 1) : columns - max(round(right * columns), 1),
    ] = True
    return inside


def _heel(shape: tuple[int, int], rng: np.random.Generator) -> Grey:
    """The beam is a little weaker to one side (heel effect)."""
    across, along = rng.uniform(-0.05, 0.05, 2)
    y, x = (
        np.linspace(-0.5, 0.5, shape[0], dtype=np.float32),
        np.linspace(-0.5, 0.5, shape[1], dtype=np.float32),
    )
    return np.asarray(1 + np.float32(along) * y[:, None] + np.float32(across) * x[None, :], np.float32)


def _mark(grey: Grey, limb: Mask, field: Mask, letter: str, rng: np.random.Generator) -> None:
    """A lead letter where there is air and light, if there is such a place."""
    rows, columns = grey.shape
    height = max(round(0.065 * rows), 7)
    size = height / 21  # FONT_HERSHEY_SIMPLEX capitals are 21 pixels high at scale 1
    stroke = max(round(height / 7), 1)
    side = height + 2 * stroke + 2
    glyph = np.zeros((side, side), np.uint8)
    cv2.putText(
        glyph,
        letter,
        (stroke + 1, side - stroke - 1),
        cv2.FONT_HERSHEY_SIMPLEX,
        size,
        255,
        stroke,
        cv2.LINE_AA,
    )
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), float(rng.normal(0, 6)), 0.95)
    lead = cv2.warpAffine(glyph, turn, (side, side)).astype(np.float32) / 255
    for fx, fy in rng.uniform([0.06, 0.06], [0.94, 0.94], (24, 2)):
        x, y = round(fx * (columns - side)), round(fy * (rows - side))
        if x < 0 or y < 0:
            return
        window = (slice(y, y + side), slice(x, x + side))
        if field[window].all() and not limb[window].any():
            grey[window] = np.maximum(grey[window], lead)
            return


def _noise(shape: tuple[int, int], rng: np.random.Generator) -> Grey:
    y, x = rng.integers(_TILE, size=2)
    return _noise_tile()[np.ix_((np.arange(shape[0]) + y) % _TILE, (np.arange(shape[1]) + x) % _TILE)]


@lru_cache(maxsize=1)
def _noise_tile() -> Grey:
    """Standard normal noise, a little smeared as detectors do; drawn once."""
    white = np.random.default_rng(11).standard_normal((_TILE, _TILE), dtype=np.float32)
    smeared = cv2.GaussianBlur(white, (3, 3), 0.5, borderType=cv2.BORDER_REFLECT)
    return np.asarray(smeared / smeared.std(), np.float32)


def _stored(grey: Grey, exposure: Exposure) -> NDArray[np.uint16]:
    top = (1 << exposure.bits) - 1
    low, high = exposure.span
    scaled = grey * np.float32((high - low) * top) + np.float32(low * top + 0.5)
    return np.asarray(np.clip(scaled, 0, top), np.uint16)
